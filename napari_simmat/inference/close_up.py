"""Close-ups: corrections of a small object are answered on the part of the image around it, seen larger.

The decoder draws masks on 256 x 256 cells, so an object of 45 pixels has a dozen of them across, and clicks on details
change nothing. After the first answer it is known where the object is, and encoding that part alone, enlarged, costs a
fraction of encoding the image (f-BRS, arXiv 2001.10331, and RITM, arXiv 2102.06583, answer so, too).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_simmat.inference.frame import LOW, Frame
from napari_simmat.models.encoders import STRIDE

SIDE = 672
"""Longest side of a close-up in pixels; divisible by 224, so that no attention window of the encoder is padded."""

_LARGEST_ZOOM = 2.5
_LEAST_ZOOM = 1.2  # less is not worth the encoding
_LARGEST_PIXELS = 16  # pixels of a close-up for one of the image: more would show nothing new
_ROOM = 1.6  # a close-up is at least so many times as long as what it is made for
_EDGE = 6.0  # pixels of the frame; a click nearer to the border than this lacks surroundings
_BACK = 1.5
_CLOSER = 1.5  # an answer that shrank asks for another close-up once that is so much larger

Box = tuple[float, float, float, float]
"""First row and column, and the row and column after the last."""


@dataclass(frozen=True)
class CloseUp(Frame):
    """A part of the encoder's frame, seen larger.

    Attributes
    ----------
    part : (int, int, int, int)
        First row and column, and the row and column after the last, in pixels of the frame.
    """

    part: tuple[int, int, int, int] = field(kw_only=True)

    @property
    def whole(self) -> Frame:
        """The frame that this is a part of."""
        return Frame(self.image_shape, self.side)

    @property
    def zoom(self) -> float:
        """How many times larger the longest side is seen."""
        top, left, bottom, right = self.part
        return SIDE / max(bottom - top, right - left)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the enlarged part."""
        top, left, bottom, right = self.part
        return round((bottom - top) * self.zoom), round((right - left) * self.zoom)

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the enlarged part per image pixel, (y, x)."""
        top, left, bottom, right = self.part
        (rows, columns), (sy, sx) = self.shape, self.whole.scale
        return sy * rows / (bottom - top), sx * columns / (right - left)

    @property
    def start(self) -> tuple[float, float]:
        """Where the part begins, (y, x), in pixels of the image scaled as it is shown."""
        top, left, bottom, right = self.part
        rows, columns = self.shape
        return top * rows / (bottom - top), left * columns / (right - left)

    def cut(self, picture: Tensor) -> Tensor:
        """The part of a picture (1, C, H, W) of the whole frame, enlarged."""
        top, left, bottom, right = self.part
        part = picture[..., top:bottom, left:right].float()
        if part.device.type == "mps":  # Apple's GPUs have no bicubic resizing in older versions of torch
            return F.interpolate(part.cpu(), self.shape, mode="bicubic").to(picture.device)
        return F.interpolate(part, self.shape, mode="bicubic").contiguous(memory_format=torch.channels_last)


def look_closer(
    logits: NDArray[np.float32], view: Frame, points: Sequence[tuple[float, float]], box: Box | None
) -> Frame:
    """Where to answer the next correction: on a close-up, or on the whole frame if the object fills it anyway.

    Parameters
    ----------
    logits : ndarray, (h, w)
        The answer so far.
    view : Frame
        Where it was given.
    points : sequence of (float, float)
        All clicks (y, x) in image pixels, the newest last.
    box : (float, float, float, float), optional
        The box (y0, x0, y1, x1) that was dragged.

    Returns
    -------
    Frame
        `view` itself, where it still shows everything that matters, large enough.
    """
    expected = look_ahead(logits, view, points[:-1], box)
    whole = view.whole if isinstance(view, CloseUp) else view
    if not isinstance(expected, CloseUp) or _shows(expected, points[-1]):
        return expected
    return _around(_needed(logits, view, points, box), whole) or whole


def look_ahead(
    logits: NDArray[np.float32], view: Frame, points: Sequence[tuple[float, float]], box: Box | None
) -> Frame:
    """Where `look_closer` will have the next correction answered, if it lies near to the answer, as most do.

    `points` are the clicks that were answered; all else is as there.
    """
    whole = view.whole if isinstance(view, CloseUp) else view
    fresh = _around(_needed(logits, view, points, box), whole)
    if not isinstance(view, CloseUp):
        return fresh or view
    return fresh if fresh is not None and fresh.zoom > _CLOSER * view.zoom else view


def in_view(logits: NDArray[np.float32], source: Frame, target: Frame) -> Tensor:
    """An answer that was given in one view as it looks in another, (1, 1, h, w).

    Beyond what the source shows is what it is surest not to be the object.
    """
    if source == target:
        return torch.from_numpy(logits)[None, None]
    rows, columns = (_padded(n) // LOW for n in target.shape)
    if not isinstance(target, CloseUp):
        rows = columns = target.side // LOW
    places, seen = [], []
    for axis, cells in enumerate((rows, columns)):
        pixel = ((np.arange(cells) + 0.5) * LOW + target.start[axis]) / target.scale[axis]
        place = (pixel * source.scale[axis] - source.start[axis]) / LOW
        places.append(torch.from_numpy((place / logits.shape[axis] * 2 - 1).astype(np.float32)))
        seen.append((place >= 0) & (place <= logits.shape[axis]))
    grid = torch.stack(torch.meshgrid(places[0], places[1], indexing="ij")[::-1], -1)[None]
    answer = torch.from_numpy(logits)[None, None]
    looked = F.grid_sample(answer, grid, mode="bilinear", padding_mode="border", align_corners=False)
    is_seen = torch.from_numpy(seen[0][:, None] & seen[1])
    return torch.where(is_seen, looked, float(logits.min()))


def is_cut(logits: NDArray[np.float32], view: Frame) -> bool:
    """Whether an answer goes on beyond the border of its close-up, other than at the border of the image."""
    if not isinstance(view, CloseUp):
        return False
    (top, left, bottom, right), (rows, columns) = view.part, view.whole.shape
    last_row, last_column = (-(-n // LOW) - 1 for n in view.shape)
    positive = logits > 0
    return bool(
        (top > 0 and positive[0].any())
        or (left > 0 and positive[:, 0].any())
        or (bottom < rows and positive[last_row].any())
        or (right < columns and positive[:, last_column].any())
    )


def step_back(view: CloseUp) -> Frame:
    """A view of more around the same place: a close-up of `_BACK` times the length, or the whole frame."""
    top, left, bottom, right = view.part
    y, x, reach = (top + bottom) / 2, (left + right) / 2, max(bottom - top, right - left) * _BACK
    return _reaching(y, x, reach, view.whole) or view.whole


def _needed(
    logits: NDArray[np.float32], view: Frame, points: Sequence[tuple[float, float]], box: Box | None
) -> Box | None:
    """Box around the answer and all that was shown, in pixels of the image; None where nothing is."""
    corners = list(points)
    # Beyond these cells there is no image, only what the frame is filled up with.
    height, width = (-(-n // LOW) for n in view.shape)
    positive = logits[:height, :width] > 0
    rows, columns = np.flatnonzero(positive.any(1)), np.flatnonzero(positive.any(0))
    if rows.size:
        corners += [
            view.to_image(LOW * rows[0], LOW * columns[0]),
            view.to_image(LOW * (rows[-1] + 1), LOW * (columns[-1] + 1)),
        ]
    if box is not None:
        corners += [(box[0], box[1]), (box[2], box[3])]
    if not corners:
        return None
    last_y, last_x = (n - 0.5 for n in view.image_shape)
    y = np.clip([y for y, _ in corners], -0.5, last_y)
    x = np.clip([x for _, x in corners], -0.5, last_x)
    return float(y.min()), float(x.min()), float(y.max()), float(x.max())


def _around(needed: Box | None, whole: Frame) -> CloseUp | None:
    """The close-up in the middle of which a box lies, as far as the image allows; None if it would not be larger."""
    if needed is None:
        return None
    left, top = whole.to_frame(needed[0], needed[1])
    right, bottom = whole.to_frame(needed[2], needed[3])
    reach = max(
        _ROOM * max(bottom - top, right - left),
        SIDE / _LARGEST_ZOOM,
        SIDE * max(whole.scale) / _LARGEST_PIXELS,
    )
    return _reaching((top + bottom) / 2, (left + right) / 2, reach, whole)


def _reaching(y: float, x: float, reach: float, whole: Frame) -> CloseUp | None:
    """The close-up of `reach` pixels of the frame around a place, moved into the image; None if it is no larger."""
    if SIDE / reach < _LEAST_ZOOM:
        return None
    spans = []
    for middle, length in ((y, whole.shape[0]), (x, whole.shape[1])):
        span = min(math.ceil(reach), length)
        first = int(np.clip(round(middle - span / 2), 0, length - span))
        spans.append((first, first + span))
    (top, bottom), (left, right) = spans
    return CloseUp(whole.image_shape, whole.side, part=(top, left, bottom, right))


def _shows(view: CloseUp, point: tuple[float, float]) -> bool:
    """Whether a click lies well inside a close-up; the border of the image is as good as its inside."""
    x, y = view.whole.to_frame(*point)
    top, left, bottom, right = view.part
    rows, columns = view.whole.shape
    inside_rows = (top == 0 or y >= top + _EDGE) and (bottom == rows or y < bottom - _EDGE)
    inside_columns = (left == 0 or x >= left + _EDGE) and (right == columns or x < right - _EDGE)
    return inside_rows and inside_columns


def _padded(pixels: int) -> int:
    """As the encoder pads pictures: up to its stride."""
    return -(-pixels // STRIDE) * STRIDE
