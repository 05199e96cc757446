"""The one conversion between image pixels, (y, x) with centres at integers, and the encoder's (x, y) frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ROWS = 64
"""Rows of a mask that are computed at once."""

LOW = 4  # the decoder's masks have one cell for 4 x 4 pixels of the frame


@dataclass(frozen=True)
class Frame:
    """How an image lies in the encoder's square frame: resized to its longest side, top left, zeros elsewhere.

    Attributes
    ----------
    image_shape : (int, int)
        Rows and columns of the image.
    side : int
        Side of the frame in pixels.
    """

    image_shape: tuple[int, int]
    side: int = 1024

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the resized image in the frame."""
        height, width = self.image_shape
        scale = self.side / max(height, width)
        return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))

    @property
    def scale(self) -> tuple[float, float]:
        """Frame pixels per image pixel, (y, x)."""
        return self.shape[0] / self.image_shape[0], self.shape[1] / self.image_shape[1]

    @property
    def start(self) -> tuple[float, float]:
        """Where what is shown begins, (y, x), in pixels of the image scaled as it is shown."""
        return 0.0, 0.0

    def to_frame(self, y: float, x: float) -> tuple[float, float]:
        """(x, y) in the frame, as SAM's prompt encoder takes it: it adds the half pixel itself."""
        (sy, sx), (top, left) = self.scale, self.start
        return (x + 0.5) * sx - left - 0.5, (y + 0.5) * sy - top - 0.5

    def contains(self, y: float, x: float) -> bool:
        """Whether a point lies on the image, its outermost half pixels included."""
        height, width = self.image_shape
        return -0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5

    def to_mask(self, logits: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Mask of the image's own size from low-resolution logits of the frame.

        Bilinear, and computed only in the box around positive logits.

        Parameters
        ----------
        logits : ndarray, (h, w)
            Of (side / 4, side / 4) cells, for the whole frame.

        Returns
        -------
        ndarray of bool, (Y, X)
        """
        mask = np.zeros(self.image_shape, bool)
        rows, columns = np.flatnonzero((logits > 0).any(1)), np.flatnonzero((logits > 0).any(0))
        if rows.size == 0:
            return mask
        y0, y1 = self._pixels(rows[0] - 1, rows[-1] + 2, axis=0)
        x0, x1 = self._pixels(columns[0] - 1, columns[-1] + 2, axis=1)
        if y0 >= y1 or x0 >= x1:
            return mask
        upper, lower, fy = self._neighbours(np.arange(y0, y1), logits.shape[0], axis=0)
        left, right, fx = self._neighbours(np.arange(x0, x1), logits.shape[1], axis=1)
        # Columns of the few rows of cells first, then rows block by block: what is worked on stays in the caches.
        first = int(upper[0])
        wide = _mixed(logits[first : int(lower[-1]) + 1], left, right, fx, axis=1)
        for k in range(0, y1 - y0, _ROWS):
            block = slice(k, k + _ROWS)
            mixed = _mixed(wide, upper[block] - first, lower[block] - first, fy[block, None], axis=0)
            np.greater(mixed, 0, out=mask[y0 + k : y0 + k + len(mixed), x0:x1])
        return mask

    def to_image(self, y: float, x: float) -> tuple[float, float]:
        """(y, x) in image pixels of a point (y, x) on a border between pixels of the frame."""
        (sy, sx), (top, left) = self.scale, self.start
        return (y + top) / sy - 0.5, (x + left) / sx - 0.5

    def extent(self) -> tuple[float, float, float, float]:
        """What is shown of the image, (y0, x0, y1, x1), in its pixels."""
        return *self.to_image(0, 0), *self.to_image(*self.shape)

    def _pixels(self, first: int, last: int, *, axis: int) -> tuple[int, int]:
        """Image pixels that cells `first` to `last` can reach, of those that are shown."""
        per_cell, start = LOW / self.scale[axis], self.start[axis] / self.scale[axis]
        low = int(np.floor(first * per_cell + start))
        high = int(np.ceil(last * per_cell + start)) + 1
        shown_low, shown_high = self.extent()[axis], self.extent()[axis + 2]
        return max(low, int(np.ceil(shown_low))), min(high, int(np.ceil(shown_high)))

    def _neighbours(
        self, pixels: NDArray[np.int64], cells: int, *, axis: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """The two cells around each pixel centre, and the weight of the second."""
        place = np.clip(((pixels + 0.5) * self.scale[axis] - self.start[axis]) / LOW - 0.5, 0, cells - 1)
        lower = np.floor(place).astype(np.int64)
        return lower, np.minimum(lower + 1, cells - 1), (place - lower).astype(np.float32)


def _mixed(
    values: NDArray[np.float32],
    lower: NDArray[np.int64],
    upper: NDArray[np.int64],
    weight: NDArray[np.float32],
    *,
    axis: int,
) -> NDArray[np.float32]:
    """Between two neighbours along an axis, `weight` of the way from the lower to the upper one."""
    below, above = values.take(lower, axis), values.take(upper, axis)
    above -= below
    above *= weight
    below += above
    return below
