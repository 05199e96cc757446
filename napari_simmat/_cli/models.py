"""Adapters and base models that options name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from napari_simmat._cli.options import MODEL_NAMES
from napari_simmat._cli.terminal import progress

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
        One of `MODEL_NAMES`, which is downloaded unless there is a checkpoint, or the path of a checkpoint.
    checkpoint : Path, optional
    """
    path = weights_of(model, checkpoint)
    if path is None:
        return None
    from napari_simmat.models import load_base_model
    from napari_simmat.models.architectures import check_architecture

    base = load_base_model(path)
    if model in MODEL_NAMES and path != Path(model):
        check_architecture(base, model, path)
    return base


def weights_of(model: str | None, checkpoint: Path | None = None) -> Path | None:
    """The file that options name, None for the embedded model; published weights are downloaded if need be."""
    refuse_nameless_model(model, checkpoint)
    if checkpoint is not None or model is None:
        return checkpoint
    if model not in MODEL_NAMES or Path(model).is_file():
        return Path(model)
    from napari_simmat.models.published import fetch_published

    with progress(f"Downloading {model}, MB") as report:
        return fetch_published(model, lambda done, total: report(done, total, ""))


def refuse_nameless_model(model: str | None, checkpoint: Path | None) -> None:
    """A checkpoint goes with a name of a model or alone."""
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
