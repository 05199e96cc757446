"""How doubtful an object's mask is, by two witnesses: the model, asked a little otherwise, and the channels themselves.

A mask that is right hardly depends on where in it somebody clicked. So an object is asked for again with clicks
elsewhere in it and with boxes a little smaller and larger, on the embedding that is there already. But a model that has
never seen a sensor can be wrong in the same way each time; whether the object blends in with what surrounds it
(`napari_simmat.inference.blending`) does not depend on what the model knows.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_simmat.inference.blending import blending
from napari_simmat.inference.candidates import arrange
from napari_simmat.inference.frame import LOW, Frame
from napari_simmat.inference.prompts import Prompt
from napari_simmat.inference.segmenter import Segmenter

__all__ = ["Doubt", "Doubter", "doubt_map"]

CLICKS = 10
BOXES = 6
_NEAR = 1.0
"""The map shows doubt about an object so far from it, in its own sizes: a mask that runs away is not told everywhere."""

_JITTER = 0.1
"""Sides of a box are moved by up to this share of its size."""


@dataclass(frozen=True, eq=False)
class Doubt:
    """How doubtful an object is.

    Attributes
    ----------
    unsteadiness : float
        One minus the mean IoU of the mask with those that other prompts for the same object give: 0 to 1.
    blending : float or None
        How far the object blends in with what surrounds it: 0 to 1; None where that cannot be told.
    logits : ndarray, (K, h, w)
        Those masks in the frame of the decoder.
    frame : Frame
    box : (float, float, float, float)
        Around the object: y0, x0, y1, x1 on borders between pixels of the image.
    """

    unsteadiness: float
    blending: float | None
    logits: NDArray[np.float32]
    frame: Frame
    box: tuple[float, float, float, float]

    @property
    def value(self) -> float:
        """That either witness is right to doubt, as if each were a probability: 1 - (1 - unsteadiness) (1 - blending).

        Where the second says nothing the first counts for it, too, so that such objects are not the surest of all.
        """
        second = self.unsteadiness if self.blending is None else self.blending
        return 1 - (1 - self.unsteadiness) * (1 - second)


class Doubter:
    """Doubts the objects of one image.

    Parameters
    ----------
    segmenter : Segmenter
    known : ndarray of bool, (Y, X), optional
        Where objects are; what is next to one is not taken for its surroundings.
    """

    def __init__(self, segmenter: Segmenter, known: NDArray[np.bool_] | None = None) -> None:
        self._segmenter, self._known = segmenter, known
        self._channels = segmenter.channels()

    def about(
        self, mask: NDArray[np.bool_], *, clicks: int = CLICKS, boxes: int = BOXES, seed: int = 0
    ) -> Doubt:
        """Ask for an object again and again, and look at its border.

        Parameters
        ----------
        mask : ndarray of bool, (Y, X)
            The object as it is taken to be: an answer of the model, or accepted; something must be set.
        clicks, boxes : int
            How often it is asked by one click, and how often by a box.
        seed : int
            Of the places; the same mask is asked about at the same places.
        """
        segmenter = self._segmenter
        rng = np.random.default_rng((seed, zlib.crc32(np.packbits(mask).tobytes())))
        points = [Prompt().with_point(*place) for place in _places(mask, clicks, rng)]
        around = [Prompt().with_box(*box) for box in _boxes(mask, boxes, rng)]
        logits, ious = [], []
        for prompts in (points, around):
            if not prompts:
                continue
            four, scores = segmenter.decode_many(prompts)
            for each, theirs in zip(four, scores, strict=True):
                candidates = arrange(each, theirs, segmenter.frame)
                logits.append(candidates.logits[candidates.shown])
                ious.append(_iou(candidates.mask(), mask))
        return Doubt(
            1.0 - float(np.mean(ious)),
            blending(self._channels, segmenter.frame, mask, self._known),
            np.stack(logits),
            segmenter.frame,
            _box(mask),
        )

    def about_crop(self, window: tuple[slice, slice], crop: NDArray[np.bool_]) -> Doubt:
        """`about` an object that is given by its bounding box and the mask in there."""
        mask = np.zeros(self._segmenter.image.shape, bool)
        mask[window] = crop
        return self.about(mask)


def doubt_map(doubts: list[Doubt], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Where masks depend on how their object is asked for.

    Parameters
    ----------
    doubts : list of Doubt
        At least one, all in the same frame.
    shape : (int, int)
        Rows and columns of the image.

    Returns
    -------
    ndarray of float32, (Y, X)
        4 q (1 - q) for the share q of masks of an object that have the pixel, the largest over all objects that are
        not further away than they are large: 1 where half of them have it, 0 where all agree.
    """
    low = np.zeros(doubts[0].logits.shape[1:], np.float32)
    for doubt in doubts:
        near = _cells_near(doubt)
        share = (doubt.logits[(slice(None), *near)] > 0).mean(0, dtype=np.float32)
        low[near] = np.maximum(low[near], 4 * share * (1 - share))
    frame = doubts[0].frame
    height, width = frame.shape
    whole = ndimage.zoom(low, LOW, order=1, grid_mode=True, mode="nearest")[:height, :width]
    scaled = ndimage.zoom(
        whole, (shape[0] / height, shape[1] / width), order=1, grid_mode=True, mode="nearest"
    )
    return np.asarray(scaled[: shape[0], : shape[1]], np.float32)


def _places(mask: NDArray[np.bool_], count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Pixels of the mask, the likelier the deeper inside."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    weight = ndimage.distance_transform_edt(np.pad(crop, 1))[1:-1, 1:-1].ravel() ** 2
    drawn = rng.choice(weight.size, count, p=weight / weight.sum())
    ys, xs = np.unravel_index(drawn, crop.shape)
    return [(float(y) + top, float(x) + left) for y, x in zip(ys, xs, strict=True)]


def _boxes(
    mask: NDArray[np.bool_], count: int, rng: np.random.Generator
) -> list[tuple[float, float, float, float]]:
    """The bounding box with its sides moved, cut at the edges of the image."""
    box = np.array(_box(mask))
    height, width = box[2] - box[0], box[3] - box[1]
    moved = box + rng.uniform(-_JITTER, _JITTER, (count, 4)) * (height, width, height, width)
    limits = np.array(mask.shape) - 0.5
    moved[:, :2] = moved[:, :2].clip(-0.5, limits - 1)
    moved[:, 2:] = np.minimum(np.maximum(moved[:, 2:], moved[:, :2] + 1), limits)
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in moved]


def _box(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(rows[0]) - 0.5, float(columns[0]) - 0.5, float(rows[-1]) + 0.5, float(columns[-1]) + 0.5


def _cells_near(doubt: Doubt) -> tuple[slice, slice]:
    """The decoder's cells that are not further from an object than it is large."""
    y0, x0, y1, x1 = doubt.box
    aside = (_NEAR * (y1 - y0), _NEAR * (x1 - x0))
    rows, columns = (
        slice(
            max(0, math.floor((low - far + 0.5) * scale / LOW)),
            max(1, math.ceil((high + far + 0.5) * scale / LOW)),
        )
        for low, high, far, scale in zip((y0, x0), (y1, x1), aside, doubt.frame.scale, strict=True)
    )
    return rows, columns


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    either = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / either if either else 1.0
