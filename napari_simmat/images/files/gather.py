"""Folders and several files that make up one image together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from napari_simmat.errors import SeparateImagesError
from napari_simmat.images.files.contents import SUFFIXES
from napari_simmat.images.files.gather_bands import gather_bands
from napari_simmat.images.files.gather_cube import gather_cube
from napari_simmat.images.files.gather_pairs import gather_pair
from napari_simmat.images.files.gather_polarization import gather_crossed_polarizers, gather_polarization
from napari_simmat.images.raw import Raw

__all__ = ["GATHERERS", "gather"]

Gatherer = Callable[[Sequence[Path], str | None], Raw | None]

GATHERERS: list[Gatherer] = [
    gather_cube,
    gather_polarization,
    gather_crossed_polarizers,
    gather_pair,
    gather_bands,
]
"""Each looks at a list of files, in the order of their names, and makes one image of them if they are of its kind."""


def gather(paths: Sequence[Path], name: str, part: str | None = None) -> Raw:
    """Make one image of several files.

    Parameters
    ----------
    paths : sequence of Path
        Files.
    name : str
        What to call them in the error.
    part : str, optional
        Which one, if they hold several images.

    Raises
    ------
    SeparateImagesError
        If they do not make up one image.
    ImageError
        If they belong together, but do not fit, or one is damaged.
    """
    files = sorted(paths)
    for gatherer in GATHERERS:
        raw = gatherer(files, part)
        if raw is not None:
            return raw
    images = [path.name for path in files if path.name.lower().endswith(SUFFIXES)]
    listed = ", ".join(images[:3]) + (", ..." if len(images) > 3 else "")
    raise SeparateImagesError(
        f"{name} holds {len(images)} image files"
        f"{f' ({listed})' if images else ''}, which do not make up one image by their names or metadata (four angles "
        "of polarization, one band per file); open one of them."
    )
