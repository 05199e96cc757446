"""How far an object blends in with what surrounds it, by all channels that the model sees.

A mask that goes too far or not far enough has the same on both sides of its border, so one that no mixture of the
channels tells from its surroundings is likely to be wrong. No model is asked, which makes it a second witness beside
one that may be wrong and sure of it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_simmat.inference.frame import Frame

__all__ = ["blending"]

_GAP = 2.0  # pixels of the frame between mask and ring, for edges are blurred
_RING = 0.5  # width of the ring, of the radius of a disk as large as the mask ...
_LEAST_RING = 8.0  # ... but at least so many pixels of the frame
_SECTORS = 8  # around the middle of the mask; every other one is learnt from, the others judge
_RIDGE = 0.05
_MOST = 2048  # pixels of either side in either half that are looked at


def blending(
    x: NDArray[np.float32], frame: Frame, mask: NDArray[np.bool_], others: NDArray[np.bool_] | None = None
) -> float | None:
    """How far a mask blends in with a ring around it.

    Fisher's linear discriminant (Fisher 1936, "The use of multiple measurements in taxonomic problems") finds the
    mixture of channels that tells inside and ring apart best in every other sector around the middle. A, the area
    under the curve of that mixture in the sectors between (the statistic of Mann and Whitney 1947), is how often a
    pixel inside has more of it than one of the ring; the mean of both ways round. With many channels and few pixels
    some mixture tells any pixels apart that it was made for, and no others.

    Parameters
    ----------
    x : ndarray, (C, h, w)
        What the model sees of the image in its frame, without gaps.
    frame : Frame
        Of (h, w) pixels.
    mask : ndarray of bool, (Y, X)
    others : ndarray of bool, (Y, X), optional
        Where other objects are known to be, which are no surroundings.

    Returns
    -------
    float or None
        2 (1 - A): 0 where the mixtures tell each pixel inside from each in the ring, 1 where they tell none. None
        where either side has too few pixels of the frame: nothing surrounds the object, or it is too small.
    """
    rows, columns = (_pixels(frame, axis) for axis in (0, 1))
    reached = (np.flatnonzero(mask[rows].any(axis=1)), np.flatnonzero(mask[:, columns].any(axis=0)))
    if not (reached[0].size and reached[1].size):
        return None
    area = np.count_nonzero(mask[np.ix_(rows[reached[0]], columns[reached[1]])])
    width = max(_LEAST_RING, _RING * float(np.sqrt(area / np.pi)))
    aside = int(np.ceil(_GAP + width))
    window = tuple(slice(max(0, at[0] - aside), at[-1] + aside + 1) for at in reached)
    shown = np.ix_(rows[window[0]], columns[window[1]])
    inside = mask[shown]
    away = ndimage.distance_transform_edt(~inside)
    ring = (away > _GAP) & (away <= _GAP + width)
    if others is not None:
        ring &= ~others[shown]
    half = _every_other_sector(inside)
    part, rng = x[:, window[0], window[1]], np.random.default_rng(0)
    ours = [_some(part, inside & each, rng) for each in (half, ~half)]
    theirs = [_some(part, ring & each, rng) for each in (half, ~half)]
    if min(len(values) for values in (*ours, *theirs)) < 2:
        return None
    areas = [_area(ours[1 - k], theirs[1 - k], _discriminant(ours[k], theirs[k])) for k in (0, 1)]
    return float(np.clip(2 * (1 - np.mean(areas)), 0, 1))


def _pixels(frame: Frame, axis: int) -> NDArray[np.int64]:
    """The pixel of the image at the centre of each pixel of the frame."""
    at = ((np.arange(frame.shape[axis]) + 0.5) / frame.scale[axis]).astype(np.int64)
    return np.minimum(at, frame.image_shape[axis] - 1)


def _every_other_sector(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Half of the places, such that both halves have something of each direction."""
    y, x = (float(at.mean()) for at in np.nonzero(inside))
    rows, columns = np.ogrid[: inside.shape[0], : inside.shape[1]]
    turns = np.arctan2(rows - y, columns - x) / (2 * np.pi) % 1
    return np.asarray((turns * _SECTORS).astype(int) % 2 == 0)


def _some(
    part: NDArray[np.float32], side: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Values (N, C) of pixels of one side, drawn where there are many."""
    places = np.flatnonzero(side)
    if len(places) > _MOST:
        places = rng.choice(places, _MOST, replace=False)
    ys, xs = np.unravel_index(places, side.shape)
    return np.asarray(part[:, ys, xs].T, np.float64)


def _discriminant(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fisher's direction (C,), with a ridge in the units of each channel."""
    pooled = (_covariance(ours) + _covariance(theirs)) / 2
    variances = np.diag(pooled)
    ridge = np.diag(np.where(variances > 0, _RIDGE * variances, 1.0))
    return np.asarray(np.linalg.solve(pooled + ridge, ours.mean(0) - theirs.mean(0)), np.float64)


def _covariance(values: NDArray[np.float64]) -> NDArray[np.float64]:
    away = values - values.mean(0)
    return np.asarray(away.T @ away / len(values), np.float64)


def _area(ours: NDArray[np.float64], theirs: NDArray[np.float64], direction: NDArray[np.float64]) -> float:
    """How often one of ours has more of the direction than one of theirs; ties count half."""
    mine, those = ours @ direction, np.sort(theirs @ direction)
    less, not_more = np.searchsorted(those, mine, "left"), np.searchsorted(those, mine, "right")
    return float((less + not_more).mean()) / (2 * len(those))
