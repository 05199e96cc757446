"""The modality-agnostic transfer layer (MAT): C channels of any sensor to what an RGB encoder expects.

SimMAT, arXiv 2409.08083: two 3 x 3 convolutions, C to 64 to 3, in front of a frozen RGB foundation model. Untrained,
their output has a fifth of the spread that SAM expects, so the default adds a linear path P and starts the second
convolution at zero:  y = P x + conv2(relu(conv1 x)).  Step 0 is then exactly SAM on the pseudo-RGB picture P x.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MatMode = Literal["default", "paper"]

HIDDEN = 64
MAX_DIRECT_CHANNELS = 30
BOTTLENECK = 16


class MAT(nn.Module):
    """Modality-agnostic transfer layer.

    Parameters
    ----------
    n_channels : int
        C, from 1 to some hundreds. Above 30 channels the 3 x 3 path looks through a 1 x 1 spectral bottleneck of
        16 components.
    mode : {"default", "paper"}
        "default" has the linear path and the zero start; "paper" is the layer as published.
    projection : Tensor, (3, C), optional
        Start of the linear path; without it, the first three channels (C = 3 is the identity, C = 1 replicates).
    components : Tensor, (16, C), optional
        Start of the bottleneck, such as principal components.

    Notes
    -----
    576 C + 1,795 parameters, and 3 C + 3 more for the linear path.
    """

    def __init__(
        self,
        n_channels: int,
        *,
        mode: MatMode = "default",
        projection: Tensor | None = None,
        components: Tensor | None = None,
    ) -> None:
        super().__init__()
        if n_channels < 1:
            raise ValueError(f"a MAT needs at least one channel, got {n_channels}")
        self.n_channels = n_channels
        self.mode: MatMode = mode
        width = n_channels
        self.bottleneck: nn.Conv2d | None = None
        if n_channels > MAX_DIRECT_CHANNELS:
            width = BOTTLENECK
            self.bottleneck = nn.Conv2d(n_channels, width, 1, bias=False)
            if components is not None:
                self.bottleneck.weight.data.copy_(components[:, :, None, None])
        self.conv1 = nn.Conv2d(width, HIDDEN, 3, padding=1)
        self.conv2 = nn.Conv2d(HIDDEN, 3, 3, padding=1)
        self.linear: nn.Conv2d | None = None
        if mode == "default":
            self.linear = nn.Conv2d(n_channels, 3, 1)
            start = first_channels(n_channels) if projection is None else projection
            self.linear.weight.data.copy_(start[:, :, None, None])
            nn.init.zeros_(self.linear.bias)  # type: ignore[arg-type]
            nn.init.zeros_(self.conv2.weight)
            nn.init.zeros_(self.conv2.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Z-scored channels (B, C, H, W) to SAM-normalised RGB (B, 3, H, W)."""
        if self.linear is not None and not self.conv2.weight.requires_grad and not self.conv2.weight.any():
            return self.linear(x) + self.conv2.bias[:, None, None]  # type: ignore[no-any-return,index]
        seen = x if self.bottleneck is None else self.bottleneck(x)
        y: Tensor = self.conv2(F.relu(self.conv1(seen)))
        return y if self.linear is None else y + self.linear(x)


def first_channels(n_channels: int) -> Tensor:
    """The plainest pseudo-RGB, (3, C): one channel thrice, two as (0, 1, 1), else the first three."""
    return pick_channels(n_channels, first_places(n_channels))


def first_places(n_channels: int) -> tuple[int, int, int]:
    """Which channels those are."""
    return 0, min(1, n_channels - 1), min(2, n_channels - 1)


def pick_channels(n_channels: int, indices: tuple[int, int, int]) -> Tensor:
    """Projection (3, C) that shows channels `indices` as red, green and blue."""
    projection = torch.zeros(3, n_channels)
    projection[torch.arange(3), torch.tensor(indices)] = 1.0
    return projection


def principal_components(samples: Tensor, n_components: int) -> tuple[Tensor, Tensor]:
    """Leading principal directions of samples.

    Parameters
    ----------
    samples : Tensor, (N, C)
        Pixels, one row each.
    n_components : int
        How many; rows beyond the rank are zero.

    Returns
    -------
    directions : Tensor, (n_components, C)
        Of unit length, signed so that more signal is more of the component.
    spreads : Tensor, (n_components,)
        Standard deviation of the samples along each.
    """
    centred = (samples - samples.mean(0)).double()
    covariance = centred.T @ centred / max(1, len(centred) - 1)
    values, vectors = torch.linalg.eigh(covariance)
    directions, spreads = torch.zeros(n_components, samples.shape[1]), torch.zeros(n_components)
    for row in range(min(n_components, samples.shape[1])):
        value, direction = values[-1 - row], vectors[:, -1 - row]
        if value <= 1e-9 * values[-1].clamp_min(1e-12):
            break
        directions[row] = (direction if direction.sum() >= 0 else -direction).float()
        spreads[row] = value.sqrt().float()
    return directions, spreads


def component_colours(directions: Tensor, spreads: Tensor) -> Tensor:
    """Projection (3, C) that shows the first three principal components as a natural picture would.

    The first is brightness, the second blue against red, the third green against both, which are the principal
    components of natural colours. Each keeps its spread relative to the others, so that noise in a faint component
    is not blown up, and the picture is scaled so that red, green and blue have unit variance, as SAM's input has.

    Parameters
    ----------
    directions : Tensor, (3, C)
    spreads : Tensor, (3,)
    """
    axes = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    axes = axes / axes.norm(dim=1, keepdim=True)
    deviation = (axes.T * spreads).norm(dim=1, keepdim=True)  # of red, green and blue
    projection: Tensor = (axes.T @ directions) / deviation.clamp_min(1e-6)
    return projection


def whitened(directions: Tensor, spreads: Tensor) -> Tensor:
    """Directions scaled so that the samples have unit variance along each; absent components stay zero."""
    return directions / torch.where(spreads > 0, spreads, torch.ones_like(spreads))[:, None]
