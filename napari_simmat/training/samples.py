"""One step's worth of learning: an embedding, the objects on it, and clicks on them in the frame."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_simmat.inference.frame import LOW
from napari_simmat.models.encoders import STRIDE


@dataclass(eq=False)
class Sample:
    """How to get the embedding, and the objects on it.

    Attributes
    ----------
    embed : callable
        Gives the embedding (1, 256, h, w), with gradients.
    masks : ndarray of bool, (N, H, W)
        Objects in the window, H = 16 h and W = 16 w.
    offset : (int, int)
        The window's first cell in the frame's grid.
    most_corrections : int
        So many corrective clicks may follow the first one on each object.
    """

    embed: Callable[[], Tensor]
    masks: NDArray[np.bool_]
    offset: tuple[int, int]
    most_corrections: int = field(default=1, kw_only=True)


Draw = Callable[[np.random.Generator], Sample]
"""What draws the sample of each step."""


def targets_of(masks: NDArray[np.bool_], device: torch.device) -> Tensor:
    """Masks (B, H, W) as the decoder should give them, (B, 1, H / 4, W / 4): the share of each cell that is covered."""
    return F.avg_pool2d(torch.from_numpy(masks[:, None].astype(np.float32)), LOW).to(device)


def in_frame(clicks: Sequence[tuple[float, float]], offset: tuple[int, int], device: torch.device) -> Tensor:
    """Clicks (y, x) in a window as points (B, 1, 2) = (x, y) in the frame."""
    row, column = offset
    return torch.tensor([[[x + column * STRIDE, y + row * STRIDE]] for y, x in clicks], device=device).float()
