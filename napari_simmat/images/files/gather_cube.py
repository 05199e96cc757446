"""An ENVI cube given as a folder or as its files: header, data, and references beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_simmat.images.files.envi import is_reference, read_envi
from napari_simmat.images.files.envi_header import is_header
from napari_simmat.images.raw import Raw

__all__ = ["gather_cube"]


def gather_cube(files: Sequence[Path], part: str | None = None) -> Raw | None:
    """Open the one cube among the files; None if there is none, or several.

    Parameters
    ----------
    files : sequence of Path
        All files of a folder, or a selection.
    part : str, optional
        Not used: a cube is one image.
    """
    headers = [path for path in files if path.suffix.lower() == ".hdr" and is_header(path)]
    cubes = [path for path in headers if not is_reference(path)]
    return read_envi(cubes[0], part=part) if len(cubes) == 1 else None
