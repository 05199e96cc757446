"""Adapters and base models that options name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_simmat._cli.options import MODEL_NAMES

if TYPE_CHECKING:
    from napari_simmat.models import Adapter, BaseModel


def load_adapter(path: Path | None) -> Adapter | None:
    """The adapter of a file, None without one."""
    if path is None:
        return None
    from napari_simmat.models import Adapter

    return Adapter.load(path)


def load_model(model: str | None, checkpoint: Path | None = None) -> BaseModel | None:
    """The base model that options name, None for the embedded one.

    Parameters
    ----------
    model : str, optional
        One of `MODEL_NAMES`, which goes with a checkpoint, or the path of a checkpoint.
    checkpoint : Path, optional
    """
    if model is None and checkpoint is None:
        return None
    refuse_nameless_model(model, checkpoint)
    from napari_simmat.models import load_base_model
    from napari_simmat.models.architectures import check_architecture

    path = checkpoint if checkpoint is not None else Path(str(model))
    base = load_base_model(path)
    if checkpoint is not None and model is not None:
        check_architecture(base, model, path)
    return base


def refuse_nameless_model(model: str | None, checkpoint: Path | None) -> None:
    """A name of a model goes with a checkpoint, and a checkpoint with a name or alone."""
    if checkpoint is None and model in MODEL_NAMES and not Path(str(model)).is_file():
        raise typer.BadParameter(
            f"--model {model} needs the file of its weights; add --checkpoint FILE, or leave out --model for the "
            "embedded model."
        )
    if checkpoint is not None and model is not None and model not in MODEL_NAMES:
        raise typer.BadParameter(
            f"--model {model} was given with --checkpoint; with a checkpoint it is one of {', '.join(MODEL_NAMES)}."
        )


def refuse_profile_of_adapter(profile: str | None, adapter: Path | None) -> None:
    """An adapter brings its own profile; another one would not be what it was trained with."""
    if profile is not None and adapter is not None:
        raise typer.BadParameter(
            "An adapter has a profile of its own; give --profile or --adapter, not both."
        )
