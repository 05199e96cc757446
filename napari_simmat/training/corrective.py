"""Where corrective clicks go, told from the masks that are shown: a few of the objects, each in its largest error."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_simmat.training.clicks import next_click

__all__ = ["corrective_clicks", "depths"]

_MOST_BYTES = 256 << 20
"""Of what is compared at once."""


def corrective_clicks(
    masks: NDArray[np.bool_], shown: Tensor, most: int, rng: np.random.Generator
) -> dict[int, tuple[float, float, int]]:
    """The next click on some of the objects that are not right yet, drawn at random, in their order.

    Parameters
    ----------
    masks : ndarray of bool, (B, H, W)
        What they are.
    shown : Tensor, (B, 1, h, w)
        Logits of the masks that are shown.
    most : int
    rng : numpy.random.Generator

    Returns
    -------
    dict of int to (y, x, label)
        By the number of the object, as `next_click` gives them; empty where all are right.
    """
    answers = F.interpolate(shown, masks.shape[1:], mode="bilinear", align_corners=False)[:, 0] > 0
    is_gpu = shown.device.type == "cuda"
    truth = torch.from_numpy(masks).to(shown.device)
    not_right = torch.nonzero((answers != truth).flatten(1).any(1))[:, 0].tolist()
    if not not_right:
        return {}
    wrong = sorted(int(k) for k in rng.permutation(not_right)[:most])
    if is_gpu:
        return dict(zip(wrong, _in_the_deepest(truth[wrong], answers[wrong]), strict=True))
    clicks = {k: next_click(masks[k], answers[k].cpu().numpy()) for k in wrong}
    return {k: click for k, click in clicks.items() if click is not None}


def _in_the_deepest(truth: Tensor, answers: Tensor) -> list[tuple[float, float, int]]:
    """As `next_click`, for several objects, where distances cost less than their way to the processor."""
    width = truth.shape[2]
    missed, extra = depths(torch.cat([truth & ~answers, answers & ~truth])).flatten(1).chunk(2)
    (missed_depth, missed_place), (extra_depth, extra_place) = missed.max(1), extra.max(1)
    is_missed = missed_depth >= extra_depth
    place = torch.where(is_missed, missed_place, extra_place)
    return [
        (float(at // width), float(at % width), int(label))
        for at, label in torch.stack([place, is_missed.to(place.dtype)], 1).tolist()
    ]


def depths(masks: Tensor) -> Tensor:
    """Euclidean distance of each pixel to the nearest one outside of its mask, exactly; the border counts as outside.

    In two passes (A. Meijster et al., A general algorithm for computing distance transforms in linear time, 2000), the
    second of which compares a row's pixels with each other instead of following parabolas: more work, all of it at once.

    Parameters
    ----------
    masks : Tensor of bool, (B, H, W)

    Returns
    -------
    Tensor, (B, H, W), float32
        0 outside.
    """
    inside = F.pad(masks, (1, 1, 1, 1))
    count, height, width = inside.shape
    row = torch.arange(height, device=masks.device)[None, :, None].expand_as(inside)
    above = torch.where(inside, -1, row).cummax(1).values
    below = torch.where(inside, height, row).flip(1).cummin(1).values.flip(1)
    column = torch.minimum(row - above, below - row).float().square()
    place = torch.arange(width, device=masks.device, dtype=torch.float32)
    apart = (place[:, None] - place).square()
    rows = max(1, _MOST_BYTES // (4 * count * width * width))
    parts = (column[:, k : k + rows] for k in range(0, height, rows))
    found = [(part[:, :, None] + apart).amin(-1) for part in parts]
    return torch.cat(found, 1).sqrt()[:, 1:-1, 1:-1]
