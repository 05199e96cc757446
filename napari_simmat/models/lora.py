"""Low-rank adaptation (LoRA, arXiv 2106.09685) of linear layers: y = W x + B A x with B started at zero."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_simmat.models.additions import Addition, replace

__all__ = ["LoRALinear", "lora_layers", "merge", "unmerge"]


class LoRALinear(Addition):
    """A frozen linear layer with a trainable low-rank update beside it; at its start it changes nothing.

    Parameters
    ----------
    base : nn.Linear
        Stays as it is.
    size : int
        Rank r of the update, which has r (inputs + outputs) parameters.
    """

    kind = "lora"
    lead = "a"
    measure = "rank"

    def __init__(self, base: nn.Module, size: int) -> None:
        super().__init__(base, size)
        assert isinstance(base, nn.Linear)
        # Drawn on the CPU, so that a seed means the same on every device.
        drawn = nn.init.kaiming_uniform_(torch.empty(size, base.in_features), a=math.sqrt(5))
        self.a = nn.Parameter(drawn.to(base.weight))
        self.b = nn.Parameter(base.weight.new_zeros(base.out_features, size))

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        """Linear layers."""
        return isinstance(module, nn.Linear)

    def forward(self, x: Tensor) -> Tensor:
        """The base layer's output plus the update."""
        out: Tensor = self.base(x) + F.linear(F.linear(x, self.a), self.b)
        return out

    def merged(self) -> MergedLinear:
        """One linear layer that equals this one; the base keeps its weights."""
        return MergedLinear(self)


class MergedLinear(nn.Linear):
    """A linear layer with the update added into its weight, which costs nothing at run time.

    Parameters
    ----------
    apart : LoRALinear
        Layer and update, kept so that `unmerge` brings back the very same numbers. It is no part of the module tree:
        moved to another device it is not.
    """

    def __init__(self, apart: LoRALinear) -> None:
        base = apart.base
        assert isinstance(base, nn.Linear)
        super().__init__(base.in_features, base.out_features, device="meta")
        self.weight = nn.Parameter((base.weight + apart.b @ apart.a).detach(), requires_grad=False)
        self.bias = base.bias
        self._apart = (apart,)

    @property
    def apart(self) -> LoRALinear:
        """Layer and update."""
        return self._apart[0]


def lora_layers(root: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """Paths and LoRA layers below a module."""
    for path, module in root.named_modules():
        if isinstance(module, LoRALinear):
            yield path, module


def merge(root: nn.Module) -> None:
    """Replace every LoRA layer by the one linear layer that equals it."""
    for path, layer in list(lora_layers(root)):
        replace(root, path, layer.merged())


def unmerge(root: nn.Module) -> None:
    """Take `merge` back: layers and updates are again what they were, to the last bit."""
    for path, module in list(root.named_modules()):
        if isinstance(module, MergedLinear):
            replace(root, path, module.apart)
