"""SAM's mask decoder with a fraction of the work: the same numbers as `MaskDecoder` gives, to learn by and to answer.

A prompt is a dozen tokens, the image 4,096 places, and every projection of the image's places is linear. So each
attention between them is folded onto the tokens' side: with q = Q t and k = K x, the score q . k is (K' Q t) . x, which
takes one product with the places as they are, instead of projecting all of them first. What is added to them before
they are compared, their position, is added once for two such products. The upscaling is done place by place, which
turns its transposed convolutions into plain products and its norms into norms over the last axis. What does not depend
on the prompt is computed once for each embedding: to answer, also the projections of its places that the first block
asks for, which then cost a sixteenth of the folded products. Places are kept in the precision that products are
taken in: passes over a million numbers cost more than the products do.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from segment_anything.modeling.transformer import TwoWayAttentionBlock
from torch import Tensor, nn

from napari_simmat.models.folding import (
    FoldedToImage,
    FoldedToTokens,
    gelu,
    is_plain_attention,
    linear,
    split,
)
from napari_simmat.models.prompt_tokens import prompt_tokens
from napari_simmat.models.sam import Sam

__all__ = ["Ground", "PromptDecoder"]


@dataclass(frozen=True, eq=False)
class Projected:
    """Places as a block's attentions project them.

    Attributes
    ----------
    k : Tensor, (heads, c, N)
        What tokens compare themselves with; the scale of the scores is in it.
    v : Tensor, (heads, N, c)
        What they take with them.
    q : Tensor, (heads, c, N)
        As what the places compare themselves with tokens, again with the scale.
    """

    k: Tensor
    v: Tensor
    q: Tensor


@dataclass(frozen=True, eq=False)
class Ground:
    """An embedding, or a window of one, as prompts are answered on it.

    Attributes
    ----------
    embedding : Tensor, (1, 256, h, w)
        As it was given.
    places : Tensor, (N, 256)
        One row for each of its N = h w places.
    unmasked : Tensor, (N, 256)
        The same for prompts without a mask to start from.
    position : Tensor, (N, 256)
        Position encoding of each place.
    unmasked_seen : Tensor, (N, 256)
        Both together: what tokens are compared with first, unless there is a mask to start from.
    offset : (int, int)
        Row and column of the first place in the grid of the whole frame.
    projected : Projected, optional
        What the first block of the decoder that made this makes of the places, for single prompts without a mask.
    """

    embedding: Tensor
    places: Tensor
    unmasked: Tensor
    position: Tensor
    unmasked_seen: Tensor
    offset: tuple[int, int]
    projected: Projected | None = None


class PromptDecoder:
    """Answers prompts with a model's prompt encoder and mask decoder.

    Parameters
    ----------
    sam : Sam
        Gradients flow to whatever of it is trained. Its weights are taken as they are now, so after a step of training
        another one must be made. Where something is learnt beside the decoder's attentions that cannot be added into
        their weights, `Sam.decode` answers.
    dtype : torch.dtype
        Of products: float32 or bfloat16.
    """

    def __init__(self, sam: Sam, dtype: torch.dtype) -> None:
        self._sam, self._type = sam, dtype
        decoder = sam.mask_decoder
        blocks, last = decoder.transformer.layers, decoder.transformer.final_attn_token_to_image
        self.is_folded = all(_is_plain(block) for block in blocks) and is_plain_attention(last)
        with _as_they_are(decoder.iou_token.weight):
            position = sam.prompt_encoder.get_dense_pe()[0].permute(1, 2, 0)
            self._positions = position.to(dtype).contiguous()
            if not self.is_folded:
                return
            self._blocks = [_Block(block, dtype) for block in blocks]
            self._last = FoldedToImage(last, dtype)
            self._upscaling = _Upscaling(decoder.output_upscaling, dtype)

    def ground(
        self, embedding: Tensor, offset: tuple[int, int] = (0, 0), *, projects: bool = False
    ) -> Ground:
        """What to keep of an embedding (1, 256, h, w), or of a window of one that begins at a place of the grid.

        Where many single prompts without a mask are to come, it also projects: that costs as much as one answer, of
        which each is then a tenth faster.
        """
        _, channels, h, w = embedding.shape
        with _as_they_are(embedding):
            places = embedding[0].float().permute(1, 2, 0).reshape(h * w, channels)
            unmasked = (places + self._sam.prompt_encoder.no_mask_embed.weight).to(self._type)
            row, column = offset
            position = self._positions[row : row + h, column : column + w].reshape(h * w, channels)
            seen = unmasked + position
            known = self._blocks[0].project(unmasked, seen) if projects and self.is_folded else None
        return Ground(embedding, places, unmasked, position, seen, offset, known)

    def answer(
        self,
        ground: Ground,
        *,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer B prompts.

        Parameters
        ----------
        ground : Ground
        points : Tensor, (B, N, 2), optional
        labels : Tensor, (B, N), optional
        boxes : Tensor, (B, 4), optional
        masks : Tensor, (B, 1, 4 h, 4 w), optional
            As `Sam.decode` takes them.

        Returns
        -------
        logits : Tensor, (B, 4, 4 h, 4 w), float32
            The single mask first, then the three candidates for an ambiguous prompt.
        scores : Tensor, (B, 4), float32
            Predicted IoU of each.
        """
        if not self.is_folded:
            with torch.autocast(ground.places.device.type, self._type, self._type != torch.float32):
                logits, scores = self._sam.decode(
                    ground.embedding,
                    points=points,
                    labels=labels,
                    boxes=boxes,
                    masks=masks,
                    offset=ground.offset,
                )
            return logits.float(), scores.float()
        with _as_they_are(ground.places):
            return self._answer(
                ground, None if points is None or labels is None else (points, labels), boxes, masks
            )

    def _answer(
        self,
        ground: Ground,
        clicks: tuple[Tensor, Tensor] | None,
        boxes: Tensor | None,
        masks: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        sparse = prompt_tokens(self._sam.prompt_encoder, clicks, boxes)
        if masks is not None and len(sparse) != len(masks):  # a mask alone
            sparse = sparse.expand(len(masks), -1, -1)
        decoder = self._sam.mask_decoder
        own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        start = torch.cat([own.expand(len(sparse), -1, -1), sparse], 1)
        # For several prompts they would be copied for each, and what is learnt must reach the weights behind them.
        is_known = masks is None and len(start) == 1 and not torch.is_grad_enabled()
        known = ground.projected if is_known else None
        places, seen = ground.unmasked, ground.unmasked_seen
        if masks is not None:
            dense: Tensor = self._sam.prompt_encoder.mask_downscaling(masks)
            places = (ground.places + dense.flatten(2).mT).to(self._type)
            seen = places + ground.position
        if len(start) == 1:  # products of two dimensions need no copies
            start = start[0]
            places, seen = (x.reshape(-1, x.shape[-1]) for x in (places, seen))
        tokens = start
        for block in self._blocks:
            tokens, places = block(tokens, places, seen, start, known)
            seen, known = places + ground.position, None
        # The tokens of the prompt have told their part.
        tokens, start = tokens[..., : own.shape[-2], :], start[..., : own.shape[-2], :]
        tokens = tokens + self._last(tokens + start, places, seen)
        tokens = decoder.transformer.norm_final_attn(tokens)
        wanted = [mlp(tokens[..., 1 + k, :]) for k, mlp in enumerate(decoder.output_hypernetworks_mlps)]
        h, w = ground.embedding.shape[2:]
        logits = self._upscaling(places, torch.stack(wanted, -2), (h, w))
        scores: Tensor = decoder.iou_prediction_head(tokens[..., 0, :])
        return (logits[None], scores[None]) if scores.ndim == 1 else (logits, scores)


def _as_they_are(tensor: Tensor) -> AbstractContextManager[object]:
    """Products here are taken in the precision of their operands, whatever is usual outside."""
    return torch.autocast(tensor.device.type, enabled=False)


class _Block:
    """One block of the two-way transformer."""

    def __init__(self, own: TwoWayAttentionBlock, dtype: torch.dtype) -> None:
        self._own = own
        self._to_image = FoldedToImage(own.cross_attn_token_to_image, dtype)
        self._to_tokens = FoldedToTokens(own.cross_attn_image_to_token, dtype)
        self._norm = _Norm(own.norm4, dtype)

    def project(self, places: Tensor, seen: Tensor) -> Projected:
        """What its attentions make of places (N, 256), `seen` with their position."""
        return Projected(*self._to_image.project(places, seen), self._to_tokens.project(seen))

    def __call__(
        self, tokens: Tensor, places: Tensor, seen: Tensor, start: Tensor, known: Projected | None
    ) -> tuple[Tensor, Tensor]:
        own = self._own
        keys, queries = (None, None) if known is None else ((known.k, known.v), known.q)
        q = tokens if own.skip_first_layer_pe else tokens + start
        batched = [x if x.ndim == 3 else x[None] for x in (q, tokens)]
        found = own.self_attn(q=batched[0], k=batched[0], v=batched[1]).view(tokens.shape)
        tokens = own.norm1(found if own.skip_first_layer_pe else tokens + found)
        tokens = own.norm2(tokens + self._to_image(tokens + start, places, seen, keys))
        tokens = own.norm3(tokens + own.mlp(tokens))
        return tokens, self._norm(self._to_tokens(places, seen, tokens + start, tokens, queries))


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
        self._orders: dict[
            tuple[int, int], Tensor
        ] = {}  # a recording reads them where they are, so they stay

    def __call__(self, places: Tensor, masks: Tensor, grid: tuple[int, int]) -> Tensor:
        """Places (.., N, 256) and what stands for M masks, (.., M, 32), to logits (.., M, 4 h, 4 w)."""
        (one, one_bias), (two, two_bias) = self._first, self._second
        x = linear(places.reshape(-1, places.shape[-1]), one, one_bias)
        x = gelu(self._norm(x.view(-1, two.shape[-1])))
        x = linear(x, two, two_bias, is_followed_by_gelu=True)
        x = x.view(*masks.shape[:-2], -1, masks.shape[-1])
        found = (x @ masks.to(self._type).mT).mT.float()  # (.., M, h w 2 2 2 2)
        if grid not in self._orders:
            self._orders[grid] = _row_by_row(*grid, found.device)
        ordered = found.index_select(-1, self._orders[grid])
        return split(ordered, -1, (4 * grid[0], 4 * grid[1]))


@lru_cache(maxsize=32)
def _row_by_row(h: int, w: int, device: torch.device) -> Tensor:
    """Where each of 4 h x 4 w cells, row by row, stands in the order (h, w, 2, 2, 2, 2) of two upscalings."""
    with torch.inference_mode(False):  # who learns by it later must be able to
        order = torch.arange(16 * h * w, device=device).view(h, w, 2, 2, 2, 2)
        return order.permute(0, 2, 4, 1, 3, 5).reshape(-1)


def _as_product(layer: nn.Module, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """A transposed convolution with stride 2 as (4 D, C) and (4 D,): its four pixels one after the other."""
    assert isinstance(layer, nn.ConvTranspose2d)
    assert layer.bias is not None
    weight = layer.weight.permute(2, 3, 1, 0).reshape(-1, layer.in_channels)
    return weight.to(dtype).contiguous(), layer.bias.repeat(4).to(dtype)


def _is_plain(block: nn.Module) -> bool:
    """Whether a block is segment-anything's own, without anything learnt beside its attentions to and from places."""
    return type(block) is TwoWayAttentionBlock and all(
        is_plain_attention(block.get_submodule(name))
        for name in ("cross_attn_token_to_image", "cross_attn_image_to_token")
    )
