"""What close-ups are cut from: the model's input of an image, twice as fine as the encoder's frame where the image is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_simmat.inference.close_up import CloseUp
from napari_simmat.inference.frame import Frame

_FINE = 2
_WORTH_IT = 1.5  # times the frame's side: an image of fewer pixels shows little more at twice the scale
_MOST_BYTES = 256 * 2**20
_MARGIN = 64  # pixels: transfer layers look at surroundings, at most 8 convolutions of 15 x 15 (8 x 7 pixels)


def detail_scale(frame: Frame, n_channels: int) -> int:
    """How many times finer than the frame an image of so many model channels is kept for close-ups, 1 or 2."""
    rows, columns = frame.shape
    is_fine = max(frame.image_shape) >= _WORTH_IT * frame.side
    fits = 2 * n_channels * rows * columns * _FINE**2 <= _MOST_BYTES
    return _FINE if is_fine and fits else 1


class Detail:
    """A model input that close-ups are cut from, in half precision.

    Parameters
    ----------
    x : ndarray, (C, scale * h, scale * w)
        Model input; (h, w) is the shape of the image in the frame.
    scale : int
    """

    def __init__(self, x: NDArray[np.float32], scale: int) -> None:
        self._x = torch.from_numpy(x).half()
        self._scale = scale

    def show(self, view: CloseUp, mat: Callable[[Tensor], Tensor], device: torch.device) -> Tensor:
        """What a transfer layer makes of a close-up, (1, 3, rows, columns).

        The layer sees the part as it lies in the image, surroundings included, and then the part is enlarged.
        """
        top, left, bottom, right = (edge * self._scale for edge in view.part)
        above, beside = min(_MARGIN, top), min(_MARGIN, left)
        x = self._x[:, top - above : bottom + _MARGIN, left - beside : right + _MARGIN]
        picture = mat(x[None].to(device, torch.float32))
        part = picture[..., above : above + bottom - top, beside : beside + right - left].float()
        shrinks = part.shape[-1] > view.shape[1]
        shown = F.interpolate(part, view.shape, mode="bicubic", align_corners=False, antialias=shrinks)
        return shown.contiguous(memory_format=torch.channels_last)
