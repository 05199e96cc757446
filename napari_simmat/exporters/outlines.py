"""Exact outlines of a mask: polygons along the edges of its pixels.

Filling such a polygon gives the very pixels back, which contours through interpolated levels do not.
Coordinates x the frame of COCO, YOLO and QuPath. All rings are simple (no ring touches itself), so that
strict geometry libraries accept them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Ring = NDArray[np.int64]
"""Corners ``(y, x)`` of a closed polygon, shape (n, 2); the first is not repeated at the end."""

# Directions of a walk with the object on its right hand: along the top edge, down the right, back, and up.
_STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def outlines(mask: NDArray[np.bool_]) -> list[list[Ring]]:
    """Polygons of the parts of a mask that are connected through pixel edges.

    Parameters
    ----------
    mask : ndarray of bool, shape (Y, X)

    Returns
    -------
    list of list of ndarray of int
        For each part its outer ring (clockwise on screen), then its holes (counter-clockwise).
    """
    parts, count = ndimage.label(mask)
    polygons = []
    for position, box in enumerate(ndimage.find_objects(parts, count)):
        corner = np.array([box[0].start, box[1].start])
        rings = [ring + corner for ring in _rings(parts[box] == position + 1)]
        rings.sort(key=_signed_area, reverse=True)
        polygons.append(rings)
    return polygons


def single_ring(polygons: list[list[Ring]]) -> Ring:
    """Join all parts and holes to one ring by bridges of no width, for formats of one polygon an object.

    Filled with the even-odd or the non-zero rule it covers the same pixels.
    """
    rings = [ring for polygon in polygons for ring in polygon]
    joined = rings[0]
    for ring in rings[1:]:
        here = int(np.abs(joined - ring[0]).sum(axis=1).argmin())
        joined = np.concatenate([joined[: here + 1], ring, ring[:1], joined[here:]])
    return joined


def _signed_area(ring: Ring) -> float:
    y, x = ring[:, 0], ring[:, 1]
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


def _rings(mask: NDArray[np.bool_]) -> list[Ring]:
    """Simple rings around and inside one connected part."""
    leaving = _edges(mask)
    rings: list[Ring] = []
    while leaving:
        start, directions = next(iter(leaving.items()))
        rings += _split(_walk(leaving, start, min(directions)))
    return rings


def _edges(mask: NDArray[np.bool_]) -> dict[tuple[int, int], set[int]]:
    """Directions of the boundary edges that leave each pixel corner."""
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    outside = (~padded[:-2, 1:-1], ~padded[1:-1, 2:], ~padded[2:, 1:-1], ~padded[1:-1, :-2])
    offsets = ((0, 0), (0, 1), (1, 1), (1, 0))
    leaving: dict[tuple[int, int], set[int]] = {}
    for direction, (neighbour, offset) in enumerate(zip(outside, offsets, strict=True)):
        for y, x in (np.argwhere(inside & neighbour) + offset).tolist():
            leaving.setdefault((y, x), set()).add(direction)
    return leaving


def _walk(
    leaving: dict[tuple[int, int], set[int]], start: tuple[int, int], direction: int
) -> list[tuple[int, int]]:
    """Follow the boundary until it closes, taking its edges out of `leaving`; only corners are kept.

    Where two pixels meet at a corner alone there are two ways on; the right turn stays with the same pixel.
    """
    corners = []
    here, came = start, -1
    while True:
        if direction != came:
            corners.append(here)
        directions = leaving[here]
        directions.remove(direction)
        if not directions:
            del leaving[here]
        here = (here[0] + _STEPS[direction][0], here[1] + _STEPS[direction][1])
        came = direction
        onward = leaving.get(here, set())
        turns = [(came + turn) % 4 for turn in (1, 0, 3) if (came + turn) % 4 in onward]
        if not turns:
            return corners
        direction = turns[0]


def _split(corners: list[tuple[int, int]]) -> list[Ring]:
    """Cut a closed walk wherever it comes back to a corner, so that no ring touches itself."""
    rings: list[Ring] = []
    path: list[tuple[int, int]] = []
    seen: set[tuple[int, int]] = set()
    for corner in corners:
        if corner in seen:
            first = path.index(corner)
            rings.append(np.array(path[first:], np.int64))
            seen.difference_update(path[first:])
            del path[first:]
        path.append(corner)
        seen.add(corner)
    rings.append(np.array(path, np.int64))
    return rings
