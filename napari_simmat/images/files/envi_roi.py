"""Regions of interest that ENVI has written as text: labels of an image."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from napari_simmat.errors import ImageError
from napari_simmat.images.raw import Raw, require_size

__all__ = ["ROI_MAGIC", "read_envi_roi"]

ROI_MAGIC = b"; ENVI Output of ROIs"

_SIZE = re.compile(r";\s*File Dimension:\s*(\d{1,7})\s*x\s*(\d{1,7})", re.IGNORECASE)
_NAME = re.compile(r";\s*ROI name:\s*(.*)", re.IGNORECASE)
_COUNT = re.compile(r";\s*ROI npts:\s*(\d{1,12})", re.IGNORECASE)


def read_envi_roi(path: Path) -> Raw:
    """Read regions of interest as a label image: the first is 1, the second 2, and so on.

    Parameters
    ----------
    path : Path
        What ENVI writes by "Output ROIs to ASCII": a head with the size of the image and the name and number of pixels
        of each region, then one line for each pixel with its number, column and row, both from 1.

    Returns
    -------
    Raw
        Axes "YX"; the names of the regions are in its facts. Where regions overlap the later one is kept.

    Raises
    ------
    ImageError
        If the file is damaged or a region lies outside the image.
    """
    text = path.read_bytes().decode("utf-8", "replace")
    lines = text.splitlines()
    head = [line for line in lines if line.lstrip().startswith(";")]
    size = next((match for line in head if (match := _SIZE.match(line.strip()))), None)
    counts = [int(match[1]) for line in head if (match := _COUNT.match(line.strip()))]
    names = [match[1].strip() for line in head if (match := _NAME.match(line.strip()))]
    if size is None or not counts:
        raise ImageError(
            f"{path.name} gives no size of its image or no number of pixels of a region, expected what ENVI writes as "
            "ASCII regions; write it anew."
        )
    columns, rows = int(size[1]), int(size[2])
    require_size(path, (rows, columns), 4 if rows * columns > 1 << 28 else 0)
    places = _places(lines, path)
    if len(places) != sum(counts):
        raise ImageError(
            f"{path.name} is truncated or damaged: its regions have {sum(counts)} pixels by its head but {len(places)} "
            "are there; write it anew."
        )
    if len(places) and (places.min() < 1 or (places > (columns, rows)).any()):
        raise ImageError(
            f"{path.name} has pixels outside its image of {rows} x {columns}; write it anew for the right image."
        )
    labels = np.zeros((rows, columns), np.min_scalar_type(len(counts)))
    x, y = places.T - 1
    labels[y, x] = np.repeat(np.arange(1, len(counts) + 1), counts)
    facts = {"regions": ", ".join(names)[:300]} if names else {}
    return Raw(labels, "YX", facts=facts)


def _places(lines: list[str], path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Column and row of each pixel."""
    found: list[tuple[int, int]] = []
    for line in lines:
        fields = line.split(None, 3)
        if not fields or fields[0].startswith(";"):
            continue
        try:
            x, y = float(fields[1]), float(fields[2])
        except (IndexError, ValueError):
            x = y = math.nan
        if not (x.is_integer() and y.is_integer() and max(abs(x), abs(y)) < 1e9):
            raise ImageError(
                f"{path.name} has the line {line.strip()[:60]!r}, expected number, column and row of a pixel; write the "
                "regions with their pixel locations."
            )
        found.append((int(x), int(y)))
    return np.array(found, np.int64).reshape(-1, 2)
