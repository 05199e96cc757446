"""Simulated clicks: where a user would click first, and where to correct."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


def depth(mask: Mask) -> NDArray[np.float64]:
    """Euclidean distance of each pixel to the nearest one outside of the mask; the image border counts as outside."""
    out: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return out


def first_click(mask: Mask) -> tuple[float, float]:
    """The deepest point of an object, (y, x).

    Raises
    ------
    ValueError
        The mask is empty.
    """
    window = _window(mask)
    y, x, _ = _deepest(depth(mask[window]))
    return y + window[0].start, x + window[1].start


def next_click(mask: Mask, prediction: Mask) -> tuple[float, float, int] | None:
    """The deepest point of the largest error, (y, x, label): label 1 where the object was missed, 0 where too much.

    "Largest" is measured by depth, as in the usual protocol for interactive segmentation. None: there is no error.
    """
    error = mask ^ prediction
    if not error.any():
        return None
    window = _window(error)
    missed = _deepest(depth(mask[window] & ~prediction[window]))
    extra = _deepest(depth(prediction[window] & ~mask[window]))
    y, x, _ = missed if missed[2] >= extra[2] else extra
    return y + window[0].start, x + window[1].start, int(missed[2] >= extra[2])


def random_click(mask: Mask, rng: np.random.Generator) -> tuple[float, float]:
    """A point of an object as people click: likelier the deeper inside, (y, x)."""
    window = _window(mask)
    weight = depth(mask[window]).ravel() ** 2
    place = int(rng.choice(weight.size, p=weight / weight.sum()))
    y, x = np.unravel_index(place, mask[window].shape)
    return float(y) + window[0].start, float(x) + window[1].start


def _deepest(distance: NDArray[np.float64]) -> tuple[float, float, float]:
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return float(y), float(x), float(distance[y, x])


def _window(mask: Mask) -> tuple[slice, slice]:
    """Bounding box of the mask with a margin, so that distances are those in the whole image."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        raise ValueError("the mask is empty")
    return (
        slice(max(0, int(rows[0]) - 1), int(rows[-1]) + 2),
        slice(max(0, int(columns[0]) - 1), int(columns[-1]) + 2),
    )
