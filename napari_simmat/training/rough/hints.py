"""What rough labels say for certain, cell by cell of the decoder's masks: here the object is, there it is not.

A click or a scribble is true on a small disc around it; what belongs to one object belongs to no other; nothing of an
object lies outside of its box, nor far outside of its outline. All else is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Points = Sequence[tuple[float, float]]
Known = NDArray[np.int8]
"""1 the object, 0 not the object, -1 unknown; of the decoder's cells."""

UNKNOWN = -1

_DISC = 1.5  # radius in cells: a user's hand, and a leaf's stalk
_SLACK = 1.0  # cells around a box that may still be the object
_COARSE = 0.15  # of the square root of an outline's area: how far a coarse outline may be off


def nothing_known(shape: tuple[int, int]) -> Known:
    """Cells of which nothing is known."""
    return np.full(shape, UNKNOWN, np.int8)


def mark_points(known: Known, points: Points, value: int) -> None:
    """Discs around points (y, x) in cells."""
    for y, x in points:
        rows, columns = np.ogrid[: known.shape[0], : known.shape[1]]
        known[np.hypot(rows - y, columns - x) <= _DISC] = value


def mark_line(known: Known, path: Points, value: int) -> None:
    """A line of this width along a path of points (y, x) in cells."""
    mark_points(known, along(path, 1.0), value)


def mark_box(known: Known, box: tuple[float, float, float, float]) -> None:
    """Nothing outside of a box (y0, x0, y1, x1) in cells is the object."""
    y0, x0, y1, x1 = box
    rows, columns = np.ogrid[: known.shape[0], : known.shape[1]]
    inside = (
        (rows >= y0 - _SLACK) & (rows <= y1 + _SLACK) & (columns >= x0 - _SLACK) & (columns <= x1 + _SLACK)
    )
    known[~inside] = 0


def mark_outline(known: Known, polygon: Points) -> None:
    """Far within an outline is the object, far outside it is not; near it is unknown."""
    inside = filled(known.shape, polygon)
    slack = max(2.0, _COARSE * float(inside.sum()) ** 0.5)
    if inside.any():
        known[ndimage.distance_transform_edt(~inside) > slack] = 0
        known[ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1] > slack] = 1
    else:  # smaller than a cell
        ys, xs = zip(*polygon, strict=True)
        mark_box(known, (min(ys), min(xs), max(ys), max(xs)))


def filled(shape: tuple[int, int], polygon: Points) -> NDArray[np.bool_]:
    """Cells whose middle lies in a polygon of corners (y, x), by the even-odd rule."""
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    inside = np.zeros(shape, bool)
    corners = list(polygon)
    for (y0, x0), (y1, x1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if y0 != y1:
            crosses = (rows >= min(y0, y1)) & (rows < max(y0, y1))
            inside ^= crosses & (columns < x0 + (rows - y0) * (x1 - x0) / (y1 - y0))
    return inside


def along(path: Points, step: float) -> list[tuple[float, float]]:
    """Points on a path at about this distance from each other, its ends among them."""
    found = [path[0]]
    for (y0, x0), (y1, x1) in pairwise(path):
        count = max(1, int(np.ceil(np.hypot(y1 - y0, x1 - x0) / step)))
        found += [(y0 + (y1 - y0) * k / count, x0 + (x1 - x0) * k / count) for k in range(1, count + 1)]
    return found


def spread(points: Points, count: int) -> list[tuple[float, float]]:
    """So many of the points, evenly spread over their order."""
    if len(points) <= count:
        return list(points)
    return [points[round(k * (len(points) - 1) / max(1, count - 1))] for k in range(count)]
