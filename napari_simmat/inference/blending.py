"""How far an object blends in with what surrounds it, by all channels that the model sees.

A mask that goes too far or not far enough has the same on both sides of its border, so one that no mixture of the
channels tells from its surroundings is likely to be wrong. No model is asked, which makes it a second witness beside
one that may be wrong and sure of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata

from napari_simmat.inference.frame import Frame

__all__ = ["blending"]

_GAP = 2.0  # pixels of the frame beside the border that are on neither side, for edges are blurred
_RING = 0.5  # width of the surroundings, of the radius of a disk as large as the mask ...
_LEAST_RING = 8.0  # ... but at least so many pixels of the frame
_RIDGE = 0.05
_MOST = 4096  # pixels of either side that are looked at


def blending(x: NDArray[np.float32], frame: Frame, mask: NDArray[np.bool_]) -> float | None:
    """How far a mask blends in with a ring around it.

    Fisher's linear discriminant (Fisher 1936, "The use of multiple measurements in taxonomic problems") finds the
    mixture of channels that tells inside and ring apart best. A, the area under the curve of that mixture (the
    statistic of Mann and Whitney 1947), is how often a pixel inside has more of it than one of the ring.

    Parameters
    ----------
    x : ndarray, (C, h, w)
        What the model sees of the image in its frame, without gaps.
    frame : Frame
        Of (h, w) pixels.
    mask : ndarray of bool, (Y, X)
        Something must be set.

    Returns
    -------
    float or None
        2 (1 - A): 0 where some mixture tells each pixel inside from each in the ring, 1 where none tells any. None
        where either side has fewer than two pixels.
    """
    inside, top, left = _in_frame(mask, frame)
    if np.count_nonzero(inside) < 2:
        return None
    width = max(_LEAST_RING, _RING * float(np.sqrt(np.count_nonzero(inside) / np.pi)))
    reach = int(np.ceil(_GAP + width))
    upper, lefter = min(reach, top), min(reach, left)
    lower = min(reach, frame.shape[0] - top - inside.shape[0])
    righter = min(reach, frame.shape[1] - left - inside.shape[1])
    inside = np.pad(inside, ((upper, lower), (lefter, righter)))
    away = ndimage.distance_transform_edt(~inside)
    ring = (away > _GAP) & (away <= _GAP + width)
    if np.count_nonzero(ring) < 2:
        return None
    part = x[:, top - upper :, left - lefter :][:, : inside.shape[0], : inside.shape[1]]
    ours, theirs = _some(part, inside), _some(part, ring)
    direction = _discriminant(ours, theirs)
    ranks = rankdata(np.concatenate([ours @ direction, theirs @ direction]))
    n, m = len(ours), len(theirs)
    area = (ranks[:n].sum() - n * (n + 1) / 2) / (n * m)
    return float(np.clip(2 * (1 - area), 0, 1))


def _in_frame(mask: NDArray[np.bool_], frame: Frame) -> tuple[NDArray[np.bool_], int, int]:
    """The mask's bounding box in pixels of the frame, each as the pixel at its centre, and where it begins."""
    found = []
    for axis in (0, 1):
        size, scale = frame.shape[axis], frame.scale[axis]
        at = np.minimum(((np.arange(size) + 0.5) / scale).astype(np.int64), mask.shape[axis] - 1)
        has: NDArray[np.bool_] = mask.any(axis=1 - axis, keepdims=True).ravel()
        found.append((at, np.flatnonzero(has[at])))
    (rows, top), (columns, left) = found
    if not (top.size and left.size):
        return np.zeros((0, 0), bool), 0, 0
    y, x = int(top[0]), int(left[0])
    return mask[np.ix_(rows[y : top[-1] + 1], columns[x : left[-1] + 1])], y, x


def _some(part: NDArray[np.float32], side: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Values (N, C) of pixels of one side, evenly spread where there are many."""
    places = np.flatnonzero(side)
    places = places[:: -(-len(places) // _MOST)]
    ys, xs = np.unravel_index(places, side.shape)
    return np.asarray(part[:, ys, xs].T, np.float64)


def _discriminant(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fisher's direction (C,), of a pooled covariance that a ridge keeps from being singular."""
    pooled = (_covariance(ours) + _covariance(theirs)) / 2
    ridge = _RIDGE * np.trace(pooled) / len(pooled) + 1e-6
    direction = np.linalg.solve(pooled + ridge * np.eye(len(pooled)), ours.mean(0) - theirs.mean(0))
    return np.asarray(direction, np.float64)


def _covariance(values: NDArray[np.float64]) -> NDArray[np.float64]:
    away = values - values.mean(0)
    return np.asarray(away.T @ away / len(values), np.float64)
