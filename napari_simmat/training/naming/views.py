"""What a teacher sees of a multi-channel image: its colours where it has them, else the picture that people see first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_simmat.images import MultiChannelImage
from napari_simmat.images.looks.composites import presets_for
from napari_simmat.images.looks.display import as_rgb, screen_rgb
from napari_simmat.images.roles import COLOURS

__all__ = ["crops_of", "picture_of", "squeezed", "view_of", "without"]

_MARGIN = 0.15  # of an object's longer side, around it
_DIMMED = 0.25  # what is left of the picture outside of the object, in the view without its surroundings


def view_of(image: MultiChannelImage) -> str:
    """What the teacher sees, in words for people."""
    if set(COLOURS) <= set(image.roles):
        return "the colours of the image (red, green, blue)"
    return f"the image as shown at first ({presets_for(image)[0].text})"


def picture_of(image: MultiChannelImage) -> Tensor:
    """The picture (3, Y, X), 0 to 1, that `view_of` speaks of."""
    roles = list(image.roles)
    shown = (
        tuple(roles.index(c) for c in COLOURS) if set(COLOURS) <= set(roles) else presets_for(image)[0].spec
    )
    rgb = as_rgb(screen_rgb(image, shown))
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float() / 255


def crops_of(picture: Tensor, masks: Sequence[NDArray[np.bool_]], side: int) -> Tensor:
    """Two squares around each mask: (2 N, 3, side, side), all of the first kind before all of the second.

    In the first kind the surroundings are as they are, in the second they fade into the mean colour of the picture: an
    object is known by what is around it, but not named after its neighbour.

    Parameters
    ----------
    picture : Tensor, (3, Y, X)
    masks : sequence of (Y, X) bool arrays, none of them empty
    side : int
    """
    mean = picture.mean((1, 2), keepdim=True)
    plain, dimmed = [], []
    for mask in masks:
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        middle = (rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2
        length = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
        half = max(2.0, length * (0.5 + _MARGIN))
        square = _square(picture, mean, middle, half)
        inside = _square(torch.from_numpy(mask)[None].float(), torch.zeros(1, 1, 1), middle, half)
        keep = inside + (1 - inside) * _DIMMED
        plain.append(_resized(square, side))
        dimmed.append(_resized(keep * square + (1 - keep) * mean, side))
    return torch.stack(plain + dimmed) if plain else picture.new_zeros(0, 3, side, side)


def squeezed(picture: Tensor, side: int) -> Tensor:
    """The whole picture (3, Y, X) as (1, 3, side, side), its longer side filling the square, its mean colour beside."""
    height, width = picture.shape[1:]
    square = _square(
        picture, picture.mean((1, 2), keepdim=True), (height / 2, width / 2), max(height, width) / 2
    )
    return _resized(square, side)[None]


def without(picture: Tensor, rest: NDArray[np.bool_]) -> Tensor:
    """The picture with its mean colour everywhere but in a mask (Y, X)."""
    return torch.where(torch.from_numpy(rest), picture, picture[:, rest].mean(1)[:, None, None])


def _square(picture: Tensor, fill: Tensor, middle: tuple[float, float], half: float) -> Tensor:
    """The square around a place; what lies outside of the picture is filled."""
    size = max(1, round(2 * half))
    top, left = (round(m - half) for m in middle)
    out = fill.expand(-1, size, size).clone()
    y0, x0 = max(0, top), max(0, left)
    y1, x1 = min(picture.shape[1], top + size), min(picture.shape[2], left + size)
    if y0 < y1 and x0 < x1:
        out[:, y0 - top : y1 - top, x0 - left : x1 - left] = picture[:, y0:y1, x0:x1]
    return out


def _resized(square: Tensor, side: int) -> Tensor:
    return F.interpolate(
        square[None], (side, side), mode="bilinear", antialias=True, align_corners=False
    ).clamp(0, 1)[0]
