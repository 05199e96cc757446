"""Objects of a label image in their bounding boxes, so that work on one costs as much as it is large."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Window = tuple[slice, slice]
"""Rows and columns of a bounding box."""

_LISTED = 4_000_000
"""Labels up to here are looked up in a list with a place for each number."""


def window_of(mask: NDArray[np.bool_]) -> Window:
    """Bounding box of what is set; something must be."""
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def moved(window: Window, to: Window) -> Window:
    """A window that was counted from the first pixel of another one, counted from the first pixel of the image."""
    (rows, columns), (top, left) = window, (to[0].start, to[1].start)
    return slice(rows.start + top, rows.stop + top), slice(columns.start + left, columns.stop + left)


def hull(windows: Iterable[Window]) -> Window:
    """Bounding box of bounding boxes, of which there is at least one."""
    rows, columns = zip(*windows, strict=True)
    return (
        slice(min(s.start for s in rows), max(s.stop for s in rows)),
        slice(min(s.start for s in columns), max(s.stop for s in columns)),
    )


def windows_of(labels: NDArray[np.integer], area: Window) -> dict[int, Window]:
    """Bounding box of every label that occurs in a part of a label image, as boxes of the image."""
    part = labels[area]
    highest = int(part.max(initial=0))
    if highest > _LISTED:  # a list of two thousand million places for a few objects
        numbers, part = np.unique(part, return_inverse=True)
        part = part.reshape(labels[area].shape) + 1
    else:
        numbers = np.arange(highest + 1)
        part = part.astype(np.int64) + 1  # so that label 0 has a box, too
    top, left = area[0].start, area[1].start
    found = ndimage.find_objects(part)
    return {
        int(number): (
            slice(box[0].start + top, box[0].stop + top),
            slice(box[1].start + left, box[1].stop + left),
        )
        for number, box in zip(numbers, found, strict=False)
        if box is not None
    }
