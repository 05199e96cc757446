"""SAM's mask decoder for answering: the same numbers as `MaskDecoder`, with a fraction of the work.

A prompt is a dozen tokens, the image 4,096 places, and every projection of the image's places is linear. So each
attention between them is folded onto the tokens' side: with q = Q t and k = K x, the score q . k is (K' Q t) . x, which
takes one product with the places as they are, instead of projecting all of them first. The upscaling is done place by
place, which turns its transposed convolutions into plain products and its norms into norms over the last axis. What
does not depend on the prompt is computed once for each embedding. Places are kept in the precision that products are
taken in: passes over a million numbers cost more than the products do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor, nn

from napari_simmat.inference.compute import autocast, uses_bfloat16
from napari_simmat.models import Sam

__all__ = ["Ground", "PromptDecoder"]


@dataclass(frozen=True, eq=False)
class Ground:
    """An embedding as prompts are answered on it.

    Attributes
    ----------
    places : Tensor, (N, 256)
        The embedding, one row for each of its N = h w places.
    unmasked : Tensor, (N, 256)
        The same for prompts without a mask to start from.
    position : Tensor, (N, 256)
        Position encoding of each place.
    grid : (int, int)
        h and w.
    """

    places: Tensor
    unmasked: Tensor
    position: Tensor
    grid: tuple[int, int]


class PromptDecoder:
    """Answers one prompt after the other with a model's frozen prompt encoder and mask decoder.

    Parameters
    ----------
    sam : Sam
        Must not be trained meanwhile. Where something is learnt beside the decoder's attentions that cannot be merged
        into them, `Sam.decode` answers.
    """

    def __init__(self, sam: Sam) -> None:
        self._sam = sam
        decoder = sam.mask_decoder
        blocks, last = decoder.transformer.layers, decoder.transformer.final_attn_token_to_image
        self.is_folded = all(_is_plain(block) for block in blocks) and _is_plain_attention(last)
        if not self.is_folded:
            return
        device = decoder.iou_token.weight.device
        self._type = torch.bfloat16 if uses_bfloat16(device.type) else torch.float32
        self._blocks = [_Block(block, self._type) for block in blocks]
        self._last = _ToImage(last, self._type)
        self._upscaling = _Upscaling(decoder.output_upscaling, self._type)
        position = sam.prompt_encoder.get_dense_pe()[0].permute(1, 2, 0)
        self._position = position.to(self._type).contiguous()

    def ground(self, embedding: Tensor) -> Ground:
        """What to keep of an embedding (1, 256, h, w), or of a window of one."""
        _, channels, h, w = embedding.shape
        if not self.is_folded:
            return Ground(embedding, embedding, embedding, (h, w))
        places = embedding[0].permute(1, 2, 0).reshape(-1, channels)
        unmasked = places + self._sam.prompt_encoder.no_mask_embed.weight
        position = self._position[:h, :w].reshape(-1, channels)
        return Ground(places, unmasked.to(self._type), position, (h, w))

    def answer(
        self,
        ground: Ground,
        *,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer one prompt.

        Parameters
        ----------
        ground : Ground
        points : Tensor, (1, N, 2), optional
        labels : Tensor, (1, N), optional
        boxes : Tensor, (1, 4), optional
        masks : Tensor, (1, 1, 4 h, 4 w), optional
            As `Sam.decode` takes them.

        Returns
        -------
        logits : Tensor, (4, 4 h, 4 w), float32
            The single mask first, then the three candidates for an ambiguous prompt.
        scores : Tensor, (4,), float32
            Predicted IoU of each.
        """
        if not self.is_folded:
            with autocast(ground.places.device):
                found = self._sam.decode(
                    ground.places, points=points, labels=labels, boxes=boxes, masks=masks
                )
            return found[0][0].float(), found[1][0].float()
        clicks = None if points is None or labels is None else (points, labels)
        sparse, dense = self._sam.prompt_encoder(clicks, boxes, masks)
        decoder = self._sam.mask_decoder
        start = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, sparse[0]])
        places = ground.unmasked
        if masks is not None:
            places = (ground.places + dense[0].flatten(1).T).to(self._type)
        tokens = start
        for block in self._blocks:
            tokens, places = block(tokens, places, start, ground.position)
        tokens = tokens + self._last(tokens + start, places, ground.position)
        tokens = decoder.transformer.norm_final_attn(tokens)
        own = torch.cat([mlp(tokens[1 + k, None]) for k, mlp in enumerate(decoder.output_hypernetworks_mlps)])
        return self._upscaling(places, own, ground.grid), decoder.iou_prediction_head(tokens[0])


class _ToImage:
    """Tokens attend to places."""

    def __init__(self, attention: Attention, dtype: torch.dtype) -> None:
        self._own, self._type, self._heads = attention, dtype, attention.num_heads
        channels = attention.internal_dim // attention.num_heads
        # The bias of k shifts all scores of a token alike, which its softmax does not see.
        self._k = attention.k_proj.weight.view(self._heads, channels, -1) / math.sqrt(channels)
        self._v = attention.v_proj.weight.view(self._heads, channels, -1).mT

    def __call__(self, tokens: Tensor, places: Tensor, position: Tensor) -> Tensor:
        """Tokens (T, 256) with places (N, 256) to (T, 256)."""
        count = len(tokens)
        q = self._own.q_proj(tokens).view(count, self._heads, -1).transpose(0, 1)
        folded = (q @ self._k).flatten(0, 1).to(self._type)  # (heads T, 256)
        scores = torch.addmm(folded @ places.T, folded, position.T)
        weights = torch.softmax(scores, -1, dtype=torch.float32).to(self._type)
        found = (weights @ places).float().view(self._heads, count, -1) @ self._v
        found = found.transpose(0, 1).reshape(count, -1) + self._own.v_proj.bias
        out: Tensor = self._own.out_proj(found)
        return out


class _ToTokens:
    """Places attend to tokens."""

    def __init__(self, attention: Attention, dtype: torch.dtype) -> None:
        self._own, self._type, self._heads = attention, dtype, attention.num_heads
        channels = attention.internal_dim // attention.num_heads
        self._q = attention.q_proj.weight.view(self._heads, channels, -1) / math.sqrt(channels)
        self._q_bias = attention.q_proj.bias.view(self._heads, channels, 1) / math.sqrt(channels)
        self._out = attention.out_proj.weight.view(-1, self._heads, channels).permute(1, 2, 0).contiguous()
        # A place's weights for the tokens sum to one in each head, so each value carries its share of the bias.
        self._bias = attention.out_proj.bias / self._heads

    def __call__(self, places: Tensor, position: Tensor, queries: Tensor, tokens: Tensor) -> Tensor:
        """Places (N, 256) with what the tokens (T, 256) add; `queries` are the tokens as they are looked for."""
        count = len(tokens)
        k = self._own.k_proj(queries).view(count, self._heads, -1).transpose(0, 1)
        v = self._own.v_proj(tokens).view(count, self._heads, -1).transpose(0, 1)
        folded = (k @ self._q).flatten(0, 1).to(self._type)  # (heads T, 256)
        scores = torch.addmm((k @ self._q_bias).flatten(0, 1).to(self._type), folded, position.T)
        scores = torch.addmm(scores, folded, places.T).view(self._heads, count, -1)
        weights = torch.softmax(scores, 1, dtype=torch.float32).to(self._type).flatten(0, 1)
        values = (v @ self._out + self._bias).flatten(0, 1).to(self._type)  # (heads T, 256)
        return torch.addmm(places, weights.T, values)


class _Block:
    """One block of the two-way transformer."""

    def __init__(self, own: TwoWayAttentionBlock, dtype: torch.dtype) -> None:
        self._own = own
        self._to_image = _ToImage(own.cross_attn_token_to_image, dtype)
        self._to_tokens = _ToTokens(own.cross_attn_image_to_token, dtype)
        self._norm = _Norm(own.norm4, dtype)

    def __call__(
        self, tokens: Tensor, places: Tensor, start: Tensor, position: Tensor
    ) -> tuple[Tensor, Tensor]:
        own = self._own
        q = tokens if own.skip_first_layer_pe else tokens + start
        found = own.self_attn(q=q[None], k=q[None], v=tokens[None])[0]
        tokens = own.norm1(found if own.skip_first_layer_pe else tokens + found)
        tokens = own.norm2(tokens + self._to_image(tokens + start, places, position))
        tokens = own.norm3(tokens + own.mlp(tokens))
        return tokens, self._norm(self._to_tokens(places, position, tokens + start, tokens))


class _Norm:
    """A layer norm over the last axis, in the precision of the places."""

    def __init__(self, own: nn.Module, dtype: torch.dtype) -> None:
        assert isinstance(own.weight, Tensor)
        assert isinstance(own.bias, Tensor)
        self._weight, self._bias, self._eps = own.weight.to(dtype), own.bias.to(dtype), float(own.eps)  # type: ignore[arg-type]

    def __call__(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, (x.shape[-1],), self._weight, self._bias, self._eps)


class _Upscaling:
    """Places to logits: two transposed convolutions of 2 x 2 as products, and the product with the masks' own."""

    def __init__(self, own: nn.Sequential, dtype: torch.dtype) -> None:
        first, norm, _, second, _ = own
        self._type = dtype
        self._first, self._second = _as_product(first, dtype), _as_product(second, dtype)
        self._norm = _Norm(norm, dtype)

    def __call__(self, places: Tensor, masks: Tensor, grid: tuple[int, int]) -> Tensor:
        """Places (N, 256) and what stands for M masks, (M, 32), to logits (M, 4 h, 4 w)."""
        (one, one_bias), (two, two_bias) = self._first, self._second
        x = F.gelu(self._norm(torch.addmm(one_bias, places, one).view(-1, len(two))))
        x = F.gelu(torch.addmm(two_bias, x, two)).view(-1, masks.shape[1])  # (h w 2 2 2 2, 32)
        found = (masks.to(self._type) @ x.T).float()
        ordered = found.index_select(1, _row_by_row(*grid, found.device))
        return ordered.view(-1, 4 * grid[0], 4 * grid[1])


@lru_cache(maxsize=32)
def _row_by_row(h: int, w: int, device: torch.device) -> Tensor:
    """Where each of 4 h x 4 w cells, row by row, stands in the order (h, w, 2, 2, 2, 2) of two upscalings."""
    order = torch.arange(16 * h * w, device=device).view(h, w, 2, 2, 2, 2)
    return order.permute(0, 2, 4, 1, 3, 5).reshape(-1)


def _as_product(layer: nn.Module, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A transposed convolution with stride 2 as (C, 4 D) and (4 D,): its four pixels one after the other."""
    assert isinstance(layer, nn.ConvTranspose2d)
    assert layer.bias is not None
    weight = layer.weight.detach().permute(0, 2, 3, 1).reshape(layer.in_channels, -1)
    return weight.to(dtype).contiguous(), layer.bias.detach().repeat(4).to(dtype)


def _is_plain(block: nn.Module) -> bool:
    """Whether a block is segment-anything's own, without anything learnt beside its attentions to and from places."""
    return type(block) is TwoWayAttentionBlock and all(
        _is_plain_attention(block.get_submodule(name))
        for name in ("cross_attn_token_to_image", "cross_attn_image_to_token")
    )


def _is_plain_attention(attention: nn.Module) -> bool:
    return type(attention) is Attention and all(
        isinstance(attention.get_submodule(f"{name}_proj"), nn.Linear) for name in ("q", "k", "v", "out")
    )
