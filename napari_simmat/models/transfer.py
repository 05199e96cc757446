"""Every transfer layer of SimMAT's comparison behind one factory, so that each can be tried on one's own images.

A transfer layer makes of C channels a picture of three for the encoder, or puts a convolution of its own in the place of
the encoder's first one (the stem), or both. `mat` is the default; the others are what the paper compares it with
(arXiv 2409.08083, and the gated module of its follow-up, arXiv 2411.18669).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_simmat.errors import AdapterError
from napari_simmat.models.mat import MAT, first_channels, first_places

__all__ = ["TRANSFERS", "Transfer", "build_transfer", "canonical_name"]

TRANSFERS: dict[str, str] = {
    "mat": "two 3 x 3 convolutions beside a linear path; starts as pseudo-colours (default)",
    "mat-paper": "the same two convolutions as published, with random weights",
    "zero-shot": "nothing: the first three channels, untrained",
    "linear": "one 1 x 1 convolution to three channels",
    "linear+embedding": "the same, and the encoder's first convolution is trained, too",
    "new-embedding": "a new first convolution of the encoder for all channels, with random weights",
    "inflated": "the same, each channel with the mean of the encoder's own weights for red, green and blue",
    "gated": "a gate per channel and image between the linear path and an embedding of each channel",
    "conv-stack:K,N,D": "N convolutions of K x K and width D to three channels, such as conv-stack:3,3,64",
}
"""Name and one-line description of each."""

_OF_OLD = {"default": "mat", "paper": "mat-paper"}  # as the first release wrote them into adapters
_STACK = re.compile(r"conv-stack(?::(\d+),(\d+),(\d+))?")
_GATE_WIDTH = 16


class Transfer(nn.Module):
    """C channels to the picture that the encoder takes.

    Parameters
    ----------
    picture : nn.Module
        (B, C, H, W) to (B, 3, H, W), or to all channels where the stem takes them.
    stem : nn.Module, optional
        Stands in the place of the encoder's first convolution.
    """

    def __init__(self, picture: nn.Module, stem: nn.Module | None = None) -> None:
        super().__init__()
        self.picture = picture
        self.stem = stem

    def forward(self, x: Tensor) -> Tensor:
        """Z-scored channels (B, C, H, W) to what the stem takes."""
        out: Tensor = self.picture(x)
        return out


class FirstThree(nn.Module):
    """The first three channels, or fewer of them repeated."""

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.indices = list(first_places(n_channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 3, H, W)."""
        return x[:, self.indices]


class GatedStem(nn.Module):
    """The gated module, folded into one convolution.

    A gate w in (0, 1) for each channel, from all that is seen at once (an image, a close-up), splits x into x w,
    which goes through a linear path P and the encoder's own kernel K, and x (1 - w), of which each channel c goes
    through an embedding E_c of its own that starts as K summed over red, green and blue and is weighed by m_c, zero
    at first. All of it is linear in x once w is known, so it is one convolution with the kernel

        sum_k w_c P_kc K_k + (1 - w_c) m_c E_c    for channel c,

    which spares the memory of C separate embeddings.

    Parameters
    ----------
    n_channels : int
    kernel : nn.Conv2d
        The encoder's first convolution.
    projection : Tensor, (3, C)
        Start of P.
    """

    def __init__(self, n_channels: int, kernel: nn.Conv2d, projection: Tensor) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(n_channels, _GATE_WIDTH, 3, padding=1),
            nn.GroupNorm(1, _GATE_WIDTH),
            nn.ReLU(),
            nn.Conv2d(_GATE_WIDTH, n_channels, 1),
            nn.AdaptiveAvgPool2d(1),
        )
        self.linear = nn.Parameter(projection.clone())
        self.embeddings = nn.Parameter(
            kernel.weight.detach().sum(1, keepdim=True).repeat(1, n_channels, 1, 1)
        )
        self.mix = nn.Parameter(torch.zeros(n_channels))
        self.stride, self.padding = kernel.stride, kernel.padding
        self.register_buffer("kernel", kernel.weight.detach().clone(), persistent=False)
        bias = torch.zeros(len(kernel.weight)) if kernel.bias is None else kernel.bias.detach().clone()
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to what the encoder's first convolution gives, image by image."""
        assert isinstance(self.kernel, Tensor)
        assert isinstance(self.bias, Tensor)
        answers = []
        for image in x[:, None]:
            w = torch.sigmoid(self.gate(image))[:, :, 0, 0]  # (1, C)
            kernel = torch.einsum("kc,dkij->dcij", self.linear * w, self.kernel)
            kernel = kernel + ((1 - w) * self.mix)[:, :, None, None] * self.embeddings
            answers.append(F.conv2d(image, kernel, self.bias, self.stride, self.padding))
        return torch.cat(answers)


def canonical_name(name: str) -> str:
    """The name of a transfer layer as `build_transfer` takes it.

    Raises
    ------
    AdapterError
        There is none of this name.
    """
    name = _OF_OLD.get(name, name)
    found = _STACK.fullmatch(name)
    if found is not None:
        size, count, width = (
            int(part) if part else least for part, least in zip(found.groups(), (3, 3, 64), strict=True)
        )
        if size % 2 == 0 or not 1 <= size <= 15 or not 1 <= count <= 8 or not 1 <= width <= 512:
            raise AdapterError(
                f"The transfer layer {name!r} needs an odd kernel size up to 15, 1 to 8 convolutions and a width up to "
                "512, such as conv-stack:3,3,64."
            )
        return f"conv-stack:{size},{count},{width}"
    if name not in TRANSFERS:
        raise AdapterError(f"There is no transfer layer {name!r}; choose one of {', '.join(TRANSFERS)}.")
    return name


def build_transfer(
    name: str,
    n_channels: int,
    kernel: nn.Conv2d,
    *,
    projection: Tensor | None = None,
    components: Tensor | None = None,
) -> nn.Module:
    """A transfer layer at its start.

    Parameters
    ----------
    name : str
        A key of `TRANSFERS`.
    n_channels : int
        C.
    kernel : nn.Conv2d
        The encoder's first convolution, (D, 3, k, k); it is not changed.
    projection : Tensor, (3, C), optional
        Pseudo-colours to start from; the first three channels where not given.
    components : Tensor, (16, C), optional
        Start of the MAT's spectral bottleneck.

    Returns
    -------
    nn.Module
        Its `stem`, where it has one that is not None, goes into the encoder.

    Raises
    ------
    AdapterError
        There is none of this name.
    """
    name = canonical_name(name)
    start = first_channels(n_channels) if projection is None else projection
    if name.startswith("conv-stack:"):
        return Transfer(_conv_stack(n_channels, *map(int, name.partition(":")[2].split(","))))
    makers: dict[str, Callable[[], nn.Module]] = {
        "mat": lambda: MAT(n_channels, projection=projection, components=components),
        "mat-paper": lambda: MAT(n_channels, mode="paper", components=components),
        "zero-shot": lambda: Transfer(FirstThree(n_channels)),
        "linear": lambda: Transfer(_linear(start)),
        "linear+embedding": lambda: Transfer(_linear(start), _copied(kernel)),
        "new-embedding": lambda: Transfer(nn.Identity(), _like(kernel, n_channels)),
        "inflated": lambda: Transfer(nn.Identity(), _inflated(kernel, n_channels)),
        "gated": lambda: Transfer(nn.Identity(), GatedStem(n_channels, kernel, start)),
    }
    return makers[name]()


def _linear(projection: Tensor) -> nn.Conv2d:
    linear = nn.Conv2d(projection.shape[1], 3, 1)
    linear.weight.data.copy_(projection[:, :, None, None])
    nn.init.zeros_(linear.bias)  # type: ignore[arg-type]
    return linear


def _conv_stack(n_channels: int, size: int, count: int, width: int) -> nn.Sequential:
    widths = [n_channels, *(width,) * (count - 1), 3]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, size, padding=size // 2), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _like(kernel: nn.Conv2d, n_channels: int) -> nn.Conv2d:
    """A fresh convolution of the same geometry for more channels."""
    return nn.Conv2d(
        n_channels,
        kernel.out_channels,
        kernel.kernel_size,  # type: ignore[arg-type]
        kernel.stride,  # type: ignore[arg-type]
        kernel.padding,  # type: ignore[arg-type]
        bias=kernel.bias is not None,
    )


def _copied(kernel: nn.Conv2d) -> nn.Conv2d:
    copy = _like(kernel, kernel.in_channels)
    _take_from(copy, kernel.weight, kernel)
    return copy


def _inflated(kernel: nn.Conv2d, n_channels: int) -> nn.Conv2d:
    """Each channel gets the kernel summed over red, green and blue, divided by the number of channels."""
    inflated = _like(kernel, n_channels)
    mean = kernel.weight.sum(1, keepdim=True) / n_channels
    _take_from(inflated, mean.expand_as(inflated.weight), kernel)
    return inflated


def _take_from(made: nn.Conv2d, weight: Tensor, kernel: nn.Conv2d) -> None:
    made.weight.data.copy_(weight.detach())
    if kernel.bias is not None and made.bias is not None:
        made.bias.data.copy_(kernel.bias.detach())
