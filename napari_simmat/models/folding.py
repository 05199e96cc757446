"""Attentions between a few tokens and many places, folded onto the tokens' side (see `napari_simmat.models.decoder`).

With the products that these are made of.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from segment_anything.modeling.transformer import Attention
from torch import Tensor, nn

from napari_simmat.models.lora import LoRALinear

__all__ = ["FoldedToImage", "FoldedToTokens", "gelu", "is_plain_attention", "linear", "split"]


class FoldedToImage:
    """Tokens attend to places."""

    def __init__(self, attention: Attention, dtype: torch.dtype) -> None:
        self._own, self._type, self._heads = attention, dtype, attention.num_heads
        channels = attention.internal_dim // attention.num_heads
        # The bias of k shifts all scores of a token alike, which its softmax does not see.
        self._k = _weight(attention.k_proj).view(self._heads, channels, -1) / math.sqrt(channels)
        self._v = _weight(attention.v_proj).view(self._heads, channels, -1).mT

    def project(self, places: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (heads, c, N), scaled, and values (heads, N, c) of places (N, 256)."""
        k = self._k.to(self._type) @ seen.mT
        return k, places @ self._v.to(self._type)

    def __call__(
        self, tokens: Tensor, places: Tensor, seen: Tensor, known: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Tokens (.., T, 256) with places (.., N, 256), `seen` with their position, to (.., T, 256).

        For two dimensions what `project` made of the places may be given.
        """
        count = tokens.shape[-2]
        q = split(self._own.q_proj(tokens), -1, (self._heads, -1)).transpose(-3, -2)
        if known is not None:
            weights = torch.softmax(q.to(self._type) @ known[0], -1, dtype=torch.float32)
            found = (weights.to(self._type) @ known[1]).float()
        else:
            folded = (q @ self._k).flatten(-3, -2).to(self._type)  # (.., heads T, 256)
            weights = torch.softmax(linear(folded, seen), -1, dtype=torch.float32).to(self._type)
            found = split((weights @ places).float(), -2, (self._heads, count)) @ self._v
        found = found.transpose(-3, -2).flatten(-2) + _bias(self._own.v_proj)
        out: Tensor = self._own.out_proj(found)
        return out


class FoldedToTokens:
    """Places attend to tokens."""

    def __init__(self, attention: Attention, dtype: torch.dtype) -> None:
        self._own, self._type, self._heads = attention, dtype, attention.num_heads
        channels = attention.internal_dim // attention.num_heads
        self._q = _weight(attention.q_proj).view(self._heads, channels, -1) / math.sqrt(channels)
        self._q_bias = _bias(attention.q_proj).view(self._heads, channels, 1) / math.sqrt(channels)
        out = _weight(attention.out_proj).view(-1, self._heads, channels)
        self._out = out.permute(1, 2, 0).contiguous()
        # A place's weights for the tokens sum to one in each head, so each value carries its share of the bias.
        self._bias = _bias(attention.out_proj) / self._heads

    def project(self, seen: Tensor) -> Tensor:
        """Queries (heads, c, N) of places (N, 256) with their position, scaled."""
        return self._q.to(self._type) @ seen.mT + self._q_bias.to(self._type)

    def __call__(
        self, places: Tensor, seen: Tensor, queries: Tensor, tokens: Tensor, known: Tensor | None = None
    ) -> Tensor:
        """Places (.., N, 256) with what the tokens (.., T, 256) add.

        `seen` are the places with their position, `queries` the tokens as they are looked for. For two dimensions
        what `project` made of the places may be given.
        """
        count = tokens.shape[-2]
        k = split(self._own.k_proj(queries), -1, (self._heads, -1)).transpose(-3, -2)
        v = split(self._own.v_proj(tokens), -1, (self._heads, -1)).transpose(-3, -2)
        values = (v @ self._out + self._bias).to(self._type)  # (.., heads, T, 256)
        if known is not None:
            weights = torch.softmax(k.to(self._type) @ known, -2, dtype=torch.float32)
            shares, values = weights.to(self._type).flatten(-3, -2).mT, values.flatten(-3, -2)
        else:
            folded = _by_token(k @ self._q).to(self._type)  # (.., T heads, 256)
            shift = _by_token(k @ self._q_bias).to(self._type)
            scores = seen @ folded.mT + shift.mT  # (.., N, T heads)
            # Tokens before heads: a softmax over numbers that lie next to each other takes eight times as long.
            weights = torch.softmax(split(scores, -1, (count, self._heads)), -2, dtype=torch.float32)
            shares, values = weights.to(self._type).flatten(-2), _by_token(values)
        if places.ndim == shares.ndim == 2:
            return torch.addmm(places, shares, values)
        added: Tensor = shares @ values
        return places + added


def _weight(layer: nn.Module) -> Tensor:
    """The weight of a linear layer, an update of low rank added into it."""
    if isinstance(layer, LoRALinear):
        return _weight(layer.base) + layer.b @ layer.a
    assert isinstance(layer, nn.Linear)
    return layer.weight


def _bias(layer: nn.Module) -> Tensor:
    """The bias of a linear layer."""
    if isinstance(layer, LoRALinear):
        return _bias(layer.base)
    assert isinstance(layer, nn.Linear)
    return layer.bias


def split(x: Tensor, axis: int, sizes: tuple[int, int]) -> Tensor:
    """One axis as two."""
    apart: Tensor = x.unflatten(axis, sizes)  # type: ignore[no-untyped-call]
    return apart


def linear(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, is_followed_by_gelu: bool = False
) -> Tensor:
    """Rows x W' + b, and maybe their GELU; a W for each of a batch has no b.

    To answer in float32 on a CPU by oneDNN, which takes a third less than torch's usual library for products as long and
    thin as those of tokens and places.
    """
    is_plain = x.ndim == weight.ndim == 2 and x.device.type == "cpu" and x.dtype == torch.float32
    is_plain = is_plain and (bias is None or bias.is_contiguous())  # the operator would not see its strides
    if is_plain and not torch.is_grad_enabled() and _has_onednn():
        then, how = ("gelu", "none") if is_followed_by_gelu else ("none", "")
        made: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, then, [], how)
        return made
    y = F.linear(x, weight, bias) if weight.ndim == 2 else x @ weight.mT
    return gelu(y) if is_followed_by_gelu else y


def gelu(x: Tensor) -> Tensor:
    """In place unless gradients need its input: fresh pages of memory cost as much as the numbers in them."""
    done: Tensor = F.gelu(x) if torch.is_grad_enabled() else torch.ops.aten.gelu_(x)
    return done


@cache
def _has_onednn() -> bool:
    """Whether torch was built with the operator, and it gives what it should."""
    x, bias = torch.linspace(-2, 2, 12).view(3, 4), torch.linspace(0, 1, 3)
    try:
        made = torch.ops.mkldnn._linear_pointwise(x, x, bias, "gelu", [], "none")
    except (AttributeError, RuntimeError):
        return False
    return torch.allclose(made, F.gelu(x @ x.mT + bias), atol=1e-5)


def _by_token(x: Tensor) -> Tensor:
    """What each head has for each token, (.., heads, T, n), as (.., T heads, n)."""
    return x.transpose(-3, -2).flatten(-3, -2)


def is_plain_attention(attention: nn.Module) -> bool:
    """Whether an attention is segment-anything's own, and what is learnt in it can be added into its weights."""
    if type(attention) is not Attention:
        return False
    layers = [attention.get_submodule(f"{name}_proj") for name in ("q", "k", "v", "out")]
    return all(_is_linear(layer) for layer in layers)


def _is_linear(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or (isinstance(layer, LoRALinear) and _is_linear(layer.base))
