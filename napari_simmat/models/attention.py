"""The attentions of the encoders and of the mask decoder, with further keys and values.

Each of the three is its package's own, with one change: keys and values of T tokens that are no part of the image
stand behind those of the image. A place in the image is what biases and relative positions are about, so these tokens
get none.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from segment_anything.modeling.image_encoder import Attention as VitAttention
from segment_anything.modeling.image_encoder import add_decomposed_rel_pos
from segment_anything.modeling.transformer import Attention as DecoderAttention
from timm.models.tiny_vit import Attention as TinyVitAttention
from torch import Tensor, nn

from napari_simmat.models.additions import innermost

__all__ = ["Layout", "WindowAttention", "layout_of"]


class WindowAttention(TinyVitAttention):
    """timm's windowed attention with its biases given once for each window.

    As one table for all windows, torch would not take its fused attention on a CPU, which is eight times as fast. Its
    way back through many small windows is slower than that of plain products, so these are taken where there is one.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Windows (B, N, width) to (B, N, width)."""
        windows, places, _ = x.shape
        qkv = self.qkv(self.norm(x)).view(windows, places, self.num_heads, -1).transpose(1, 2)
        q, k, v = qkv.split([self.key_dim, self.key_dim, self.val_dim], dim=-1)
        bias = self.get_attention_biases(x.device).to(q.dtype)
        if x.device.type == "cpu" and torch.is_grad_enabled() and (q.requires_grad or bias.requires_grad):
            scores = (q * self.scale) @ k.mT + bias
            found = torch.softmax(scores, -1, dtype=scores.dtype) @ v
        else:
            found = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.expand(windows, -1, -1, -1))
        out: Tensor = self.proj(found.transpose(1, 2).flatten(2))
        return out


class Layout(ABC):
    """How one kind of attention stores queries, keys and values.

    Parameters
    ----------
    attention : nn.Module
        Is not changed.
    """

    def __init__(self, attention: nn.Module) -> None:
        self.attention = attention

    @property
    @abstractmethod
    def width(self) -> int:
        """Channels of what the projections of keys and values take."""

    @property
    @abstractmethod
    def heads(self) -> int:
        """Number of heads."""

    @abstractmethod
    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (T, width) to their keys and values (heads, T, channels of a head)."""

    @abstractmethod
    def attend(self, keys: Tensor, values: Tensor, *inputs: Tensor) -> Tensor:
        """What the attention gives for its inputs with further keys and values (heads, T, channels of a head)."""


class TinyVit(Layout):
    """timm's windowed attention of TinyViT: a norm of its own, qkv packed head by head, a bias for each offset."""

    attention: WindowAttention

    @property
    def width(self) -> int:
        """Channels of the block."""
        return int(self.attention.norm.normalized_shape[0])

    @property
    def heads(self) -> int:
        """Number of heads."""
        return int(self.attention.num_heads)

    def _split(self, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(.., N, all) to three of (.., heads, N, channels of a head)."""
        own = self.attention
        packed = qkv.reshape(*qkv.shape[:-1], own.num_heads, -1).transpose(-3, -2)
        q, k, v = torch.split(packed, [own.key_dim, own.key_dim, own.val_dim], dim=-1)
        return q, k, v

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Behind the norm, in front of qkv."""
        _, k, v = self._split(self.attention.qkv(tokens))
        return k, v

    def attend(self, keys: Tensor, values: Tensor, *inputs: Tensor) -> Tensor:
        """Windows (B, N, width) to (B, N, width)."""
        own, (x,) = self.attention, inputs
        q, k, v = self._split(own.qkv(own.norm(x)))
        bias = F.pad(own.get_attention_biases(x.device), (0, keys.shape[1])).to(q.dtype)
        bias = bias.expand(len(x), -1, -1, -1)  # else torch would not take its fused attention on a CPU
        found = F.scaled_dot_product_attention(q, _behind(k, keys), _behind(v, values), attn_mask=bias)
        out: Tensor = own.proj(found.transpose(1, 2).flatten(2))
        return out


class Vit(Layout):
    """segment-anything's attention of the ViT encoder: qkv packed one after the other, relative positions."""

    attention: VitAttention

    @property
    def width(self) -> int:
        """Channels of the block."""
        return int(innermost(self.attention.qkv).in_features)  # type: ignore[arg-type]

    @property
    def heads(self) -> int:
        """Number of heads."""
        return int(self.attention.num_heads)

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Through qkv."""
        _, k, v = self.attention.qkv(tokens).reshape(len(tokens), 3, self.heads, -1).permute(1, 2, 0, 3)
        return k, v

    def attend(self, keys: Tensor, values: Tensor, *inputs: Tensor) -> Tensor:
        """Windows (B, H, W, width) to (B, H, W, width)."""
        own, (x,) = self.attention, inputs
        batch, height, width, _ = x.shape
        qkv = own.qkv(x).reshape(batch, height * width, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.flatten(1, 2)  # each (B heads, N, channels of a head)
        near = (q * own.scale) @ k.mT
        if own.use_rel_pos:
            size = (height, width)
            near = add_decomposed_rel_pos(near, q, own.rel_pos_h, own.rel_pos_w, size, size)
        further = (q * own.scale) @ keys.to(q.dtype).repeat(batch, 1, 1).mT
        weights = torch.cat([near, further], -1).softmax(-1).to(v.dtype)
        found = weights @ torch.cat([v, values.to(v.dtype).repeat(batch, 1, 1)], 1)
        merged = found.reshape(batch, self.heads, height * width, -1).transpose(1, 2)
        out: Tensor = own.proj(merged.reshape(batch, height, width, -1))
        return out


class Decoder(Layout):
    """segment-anything's attention of the mask decoder: three projections, for self and cross attention."""

    attention: DecoderAttention

    @property
    def width(self) -> int:
        """Channels of the embedding."""
        return int(self.attention.embedding_dim)

    @property
    def heads(self) -> int:
        """Number of heads."""
        return int(self.attention.num_heads)

    def _separate(self, x: Tensor) -> Tensor:
        """(.., N, all) to (.., heads, N, channels of a head)."""
        return x.reshape(*x.shape[:-1], self.heads, -1).transpose(-3, -2)

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Through the projections of keys and of values."""
        own = self.attention
        return self._separate(own.k_proj(tokens)), self._separate(own.v_proj(tokens))

    def attend(self, keys: Tensor, values: Tensor, *inputs: Tensor) -> Tensor:
        """Queries (B, N, width), keys and values (B, M, width) to (B, N, width)."""
        own, (q, k, v) = self.attention, inputs
        q, k, v = (self._separate(p(x)) for p, x in ((own.q_proj, q), (own.k_proj, k), (own.v_proj, v)))
        weights = (q @ _behind(k, keys).mT / math.sqrt(q.shape[-1])).softmax(-1)
        found = weights.to(v.dtype) @ _behind(v, values)
        out: Tensor = own.out_proj(found.transpose(1, 2).flatten(2))
        return out


def _behind(present: Tensor, further: Tensor) -> Tensor:
    """(B, heads, N, c) and (heads, T, c) to (B, heads, N + T, c)."""
    return torch.cat([present, further.to(present.dtype).expand(len(present), -1, -1, -1)], 2)


_LAYOUTS: dict[type[nn.Module], type[Layout]] = {
    TinyVitAttention: TinyVit,
    WindowAttention: TinyVit,
    VitAttention: Vit,
    DecoderAttention: Decoder,
}


def layout_of(module: nn.Module) -> Layout | None:
    """How an attention, also behind additions, stores what it has; None for other modules."""
    attention = innermost(module)
    found = _LAYOUTS.get(type(attention))
    return None if found is None else found(attention)
