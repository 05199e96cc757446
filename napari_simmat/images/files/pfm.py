"""Portable float map, as stereo benchmarks write disparity."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from napari_simmat.errors import ImageError
from napari_simmat.images.image import Channel
from napari_simmat.images.lazy import FileArray
from napari_simmat.images.raw import Raw, require_size
from napari_simmat.images.roles import COLOURS

__all__ = ["read_pfm"]

_HEADER = re.compile(rb"P([Ff])\s+(\d{1,9})\s+(\d{1,9})\s+(-?\d{1,9}(?:\.\d{0,12})?(?:[eE][-+]?\d{1,3})?)\s")


def read_pfm(path: Path) -> Raw:
    """Read a portable float map (P. Debevec, https://www.pauldebevec.com/Research/HDR/PFM/).

    Its rows are stored from the bottom up; the sign of its scale tells the byte order, the scale itself is no part of
    the values.

    Parameters
    ----------
    path : Path
        A file that begins as one.

    Returns
    -------
    Raw
        Axes "YX", or "YXS" with red, green and blue; float32.

    Raises
    ------
    ImageError
        If the header is damaged or the file is shorter than it says.
    """
    with path.open("rb") as file:
        header = _HEADER.match(file.read(128))
    scale = float(header[4]) if header is not None else 0.0
    if header is None or not (math.isfinite(scale) and scale):
        raise ImageError(
            f"{path.name} begins as a portable float map, but its header has no width, height and scale; get the file "
            "again."
        )
    columns, rows = int(header[2]), int(header[3])
    shape = (rows, columns, 3) if header[1] == b"F" else (rows, columns)
    require_size(path, shape, 4)
    needed, size = header.end() + 4 * math.prod(shape), path.stat().st_size
    if size < needed:
        raise ImageError(
            f"{path.name} is truncated (it ends after {size} of {needed} bytes), expected a complete portable float "
            "map; get the file again."
        )
    stored = FileArray(path, shape, np.dtype("<f4" if scale < 0 else ">f4"), header.end())
    colours = tuple(Channel(colour, role=colour) for colour in COLOURS) if len(shape) == 3 else ()
    return Raw(np.ascontiguousarray(stored[...][::-1]), "YXS" if colours else "YX", colours)
