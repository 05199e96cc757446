"""Low-rank adaptation (LoRA, arXiv 2106.09685) of linear layers: y = W x + s B A x with B started at zero."""

from __future__ import annotations

import copy
import fnmatch
import math
from collections.abc import Iterable, Iterator

import torch.nn.functional as F
from torch import Tensor, nn


class LoRALinear(nn.Module):
    """A frozen linear layer with a trainable low-rank update beside it.

    Parameters
    ----------
    base : nn.Linear
        Stays as it is.
    rank : int
        Rank r of the update.
    alpha : float
        The update is scaled by alpha / r.
    """

    def __init__(self, base: nn.Linear, *, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base
        self.scale = alpha / rank
        self.a = nn.Parameter(base.weight.new_empty(rank, base.in_features))
        self.b = nn.Parameter(base.weight.new_zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """The base layer's output plus the update."""
        out: Tensor = self.base(x) + self.scale * F.linear(F.linear(x, self.a), self.b)
        return out

    def merged(self) -> nn.Linear:
        """One linear layer that equals this one; the base keeps its weights."""
        linear = nn.Linear(self.base.in_features, self.base.out_features, device="meta")
        weight = self.base.weight + self.scale * (self.b @ self.a)
        linear.weight = nn.Parameter(weight.detach(), requires_grad=False)
        linear.bias = self.base.bias
        return linear


def inject(root: nn.Module, patterns: Iterable[str], *, rank: int, alpha: float) -> list[str]:
    """Put LoRA on every linear layer whose path matches one of the patterns; returns the paths in order."""
    wanted = tuple(patterns)
    inside = {f"{path}.base" for path, _ in lora_layers(root)}
    paths = [
        path
        for path, module in root.named_modules()
        if isinstance(module, nn.Linear) and path not in inside and matches(path, wanted)
    ]
    for path in paths:
        linear = root.get_submodule(path)
        assert isinstance(linear, nn.Linear)
        _replace(root, path, LoRALinear(linear, rank=rank, alpha=alpha))
    return paths


def matches(path: str, patterns: Iterable[str]) -> bool:
    """Whether a module path is one of the patterns, in which * stands for anything."""
    return any(fnmatch.fnmatchcase(path, p) for p in patterns)


def merge(root: nn.Module) -> None:
    """Replace every LoRA layer by the one linear layer that equals it."""
    for path, layer in list(lora_layers(root)):
        _replace(root, path, layer.merged())


def lora_layers(root: nn.Module) -> Iterator[tuple[str, LoRALinear]]:
    """Paths and LoRA layers below a module."""
    for path, module in root.named_modules():
        if isinstance(module, LoRALinear):
            yield path, module


def sharing_copy(module: nn.Module) -> nn.Module:
    """A copy of the module tree that shares all its parameters and buffers, so that layers can be exchanged in it."""
    memo: dict[int, object] = {id(t): t for t in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, memo)


def _replace(root: nn.Module, path: str, module: nn.Module) -> None:
    owner, _, leaf = path.rpartition(".")
    setattr(root.get_submodule(owner), leaf, module)
