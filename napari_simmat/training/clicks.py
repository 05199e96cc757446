"""Simulated clicks: where a user would click first, and where to correct."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

Place = Callable[[NDArray[np.float64]], tuple[float, float]]
"""Where in a region somebody clicks, (y, x), told from the depth of each of its pixels; outside the depth is 0."""


def depth(mask: Mask) -> NDArray[np.float64]:
    """Euclidean distance of each pixel to the nearest one outside of the mask; the image border counts as outside."""
    out: NDArray[np.float64] = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    return out


def deepest(distance: NDArray[np.float64]) -> tuple[float, float]:
    """The point farthest from the border, the first one in reading order where several are: a `Place`."""
    y, x = np.unravel_index(int(distance.argmax()), distance.shape)
    return float(y), float(x)


def jittered(jitter: float, rng: np.random.Generator) -> Place:
    """Clicks of people, who aim at the middle of a region and hit near it: a `Place`.

    Each is drawn evenly from the pixels of the region that lie within `jitter` times its depth of its deepest point.
    So 0 is the deepest point itself, 1 means anywhere in the largest disc that fits into the region, and a large number
    anywhere in the region. The radius follows the region because people take less care over a larger target
    (MacKenzie 1992 on Fitts' law: the spread of hits grows with the width of the target).

    Parameters
    ----------
    jitter : float
        At least 0, in depths.
    rng : numpy.random.Generator
        Drawn from once for each click.
    """

    def place(distance: NDArray[np.float64]) -> tuple[float, float]:
        y, x = deepest(distance)
        rows, columns = np.ogrid[: distance.shape[0], : distance.shape[1]]
        near = np.hypot(rows - y, columns - x) <= jitter * distance.max()
        candidates = np.argwhere(near & (distance > 0))
        row, column = candidates[rng.integers(len(candidates))]
        return float(row), float(column)

    return place


def first_click(mask: Mask, place: Place = deepest) -> tuple[float, float]:
    """The deepest point of an object, or another place in it, (y, x).

    Raises
    ------
    ValueError
        The mask is empty.
    """
    window = _window(mask)
    y, x = place(depth(mask[window]))
    return y + window[0].start, x + window[1].start


def next_click(mask: Mask, prediction: Mask, place: Place = deepest) -> tuple[float, float, int] | None:
    """The deepest point of the largest error, (y, x, label): label 1 where the object was missed, 0 where too much.

    "Largest" is measured by depth, as in the usual protocol for interactive segmentation. None: there is no error.
    `place` takes another point of that error.
    """
    error = mask ^ prediction
    if not error.any():
        return None
    window = _window(error)
    missed = depth(mask[window] & ~prediction[window])
    extra = depth(prediction[window] & ~mask[window])
    label = int(missed.max() >= extra.max())
    y, x = place(missed if label else extra)
    return y + window[0].start, x + window[1].start, label


def random_click(mask: Mask, rng: np.random.Generator) -> tuple[float, float]:
    """A point of an object as people click: likelier the deeper inside, (y, x)."""
    window = _window(mask)
    weight = depth(mask[window]).ravel() ** 2
    place = int(rng.choice(weight.size, p=weight / weight.sum()))
    y, x = np.unravel_index(place, mask[window].shape)
    return float(y) + window[0].start, float(x) + window[1].start


def even_click(mask: Mask, rng: np.random.Generator) -> tuple[float, float]:
    """Any point of an object, all alike, (y, x)."""
    inside = np.argwhere(mask)
    y, x = inside[int(rng.integers(len(inside)))]
    return float(y), float(x)


def _window(mask: Mask) -> tuple[slice, slice]:
    """Bounding box of the mask with a margin, so that distances are those in the whole image."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if rows.size == 0:
        raise ValueError("the mask is empty")
    return (
        slice(max(0, int(rows[0]) - 1), int(rows[-1]) + 2),
        slice(max(0, int(columns[0]) - 1), int(columns[-1]) + 2),
    )
