"""Segmenting by text: where the head's map is most like a name, points and a mask to start from are put to SAM's decoder.

SAM-CLIP (arXiv 2310.15308) composes its two heads so: the map of one says where, the decoder of the other says how far.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_simmat.errors import PromptError
from napari_simmat.inference.frame import LOW, Frame
from napari_simmat.inference.naming import Naming
from napari_simmat.inference.prompts import Prompt
from napari_simmat.models.name_head import CELL

__all__ = ["SHARE", "map_on_image", "prompts_by_text", "prompts_of_map"]

SHARE = 0.5
"""Of the highest value of a map, from which a place belongs to it."""

_MOST_POINTS = 3
_APART = 2.0  # cells between the points of one place
_STEEPNESS = 8.0  # logits at the highest value of a map, and below at its lowest
_STEPS = 4  # logits are rounded to so many for one, so that a journal keeps them in a few kB
_MOST_PLACES = 50


def prompts_by_text(naming: Naming, name: str) -> list[Prompt]:
    """What to ask SAM's decoder for everything on an image that a name fits, the likeliest first.

    Raises
    ------
    AdapterError
        The adapter does not know the name.
    PromptError
        Nothing on the image is more like it than like the other names.
    """
    found = prompts_of_map(naming.text_map(name), naming.frame)
    if not found:
        raise PromptError(
            f"Nothing on this image is more like {name!r} than like the other names; try another name, or click."
        )
    return found


def prompts_of_map(values: Tensor, frame: Frame, *, share: float = SHARE) -> list[Prompt]:
    """Prompts for the places where a map is high.

    Parameters
    ----------
    values : Tensor, (h, w)
        One for each of the head's cells; what is not above 0 belongs to nothing.
    frame : Frame
    share : float
        Of the highest value, from which a place belongs to it.
    """
    fine = _fine(values)
    top = float(fine.max(initial=0.0))
    if top <= 0:
        return []
    height, width = (-(-n // LOW) for n in frame.shape)
    fine = fine[:height, :width]
    places, count = ndimage.label(fine > share * top)
    peaks = ndimage.maximum(fine, places, np.arange(1, count + 1)) if count else []
    order = np.argsort(-np.asarray(peaks), kind="stable")[:_MOST_PLACES]
    found = []
    for number in order + 1:
        here = places == number
        points = [frame.to_image((y + 0.5) * LOW, (x + 0.5) * LOW) for y, x in _points(fine, here)]
        inside = [(y, x) for y, x in points if frame.contains(y, x)]
        if inside:
            logits = _logits(np.where(here | (places == 0), fine, 0.0), top, share, frame)
            found.append(Prompt(points=tuple(inside), labels=(1,) * len(inside), mask=logits))
    return found


def map_on_image(values: Tensor, frame: Frame, *, share: float = SHARE) -> NDArray[np.bool_]:
    """What a map alone says, (Y, X): where it is above a share of its highest value."""
    fine = _fine(values)
    top = float(fine.max(initial=0.0))
    return frame.to_mask((fine - max(share * top, 1e-9)).astype(np.float32))


def _fine(values: Tensor) -> NDArray[np.float32]:
    """The same with one value for each cell of the decoder's masks."""
    factor = CELL // LOW
    size = (values.shape[0] * factor, values.shape[1] * factor)
    fine = F.interpolate(values[None, None].float(), size, mode="bilinear", align_corners=False)
    made: NDArray[np.float32] = fine[0, 0].cpu().numpy()
    return made


def _points(fine: NDArray[np.float32], here: NDArray[np.bool_]) -> Sequence[tuple[int, int]]:
    """The highest cell, and others that are far from those before."""
    depth = ndimage.distance_transform_edt(np.pad(here, 1))[1:-1, 1:-1]
    score = np.where(here, fine * np.minimum(depth, 4.0), -1.0)  # not on the edge of the place
    rows, columns = np.mgrid[: fine.shape[0], : fine.shape[1]]
    found = []
    for _ in range(_MOST_POINTS):
        y, x = np.unravel_index(int(score.argmax()), score.shape)
        if score[y, x] <= 0:
            break
        found.append((int(y), int(x)))
        far = np.hypot(rows - y, columns - x) >= _APART * CELL / LOW
        score = np.where(far, score, -1.0)
    return found


def _logits(fine: NDArray[np.float32], top: float, share: float, frame: Frame) -> NDArray[np.float32]:
    """As the decoder takes a mask to start from, for the whole frame: 0 at the border of the place."""
    side = frame.side // LOW
    border = share * top
    above = (fine - border) / max(top - border, 1e-9)
    logits = np.full((side, side), -_STEEPNESS, np.float32)
    logits[: fine.shape[0], : fine.shape[1]] = _STEEPNESS * np.clip(above, -1, 1)
    rounded: NDArray[np.float32] = (np.round(logits * _STEPS) / _STEPS).astype(np.float32)
    return rounded
