"""Adapters and base models that options name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from napari_simmat.models import Adapter, BaseModel


def load_adapter(path: Path | None) -> Adapter | None:
    """The adapter of a file, None without one."""
    if path is None:
        return None
    from napari_simmat.models import Adapter

    return Adapter.load(path)


def load_model(path: Path | None) -> BaseModel | None:
    """The base model of a file, None for the embedded one."""
    if path is None:
        return None
    from napari_simmat.models import load_base_model

    return load_base_model(path)


def refuse_profile_of_adapter(profile: str | None, adapter: Path | None) -> None:
    """An adapter brings its own profile; another one would not be what it was trained with."""
    if profile is not None and adapter is not None:
        raise typer.BadParameter(
            "An adapter has a profile of its own; give --profile or --adapter, not both."
        )
