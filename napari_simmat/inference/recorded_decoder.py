"""The decoder on a GPU: two hundred small kernels a click, asked for at once."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from napari_simmat.inference.recorded import Recorded, record_cuda
from napari_simmat.models.decoder import Ground, Projected, PromptDecoder
from napari_simmat.models.sam import Sam

__all__ = ["RecordedDecoder", "decoder_for"]

_MOST = 12
"""Kinds of prompts of which a recording is kept: so many points, with or without a mask, on a frame or a close-up."""


def decoder_for(sam: Sam, dtype: torch.dtype) -> PromptDecoder:
    """What answers with a model that is not trained any more, where it is."""
    is_gpu = next(sam.parameters()).device.type == "cuda"
    return RecordedDecoder(sam, dtype) if is_gpu else PromptDecoder(sam, dtype)


class RecordedDecoder(PromptDecoder):
    """Answers single prompts by recordings once their kind has come twice.

    Parameters
    ----------
    sam, dtype
        As for `PromptDecoder`.
    """

    def __init__(self, sam: Sam, dtype: torch.dtype) -> None:
        super().__init__(sam, dtype)
        self._recorded: dict[tuple[object, ...], Recorded] = {}
        self.is_warm = False

    def answer(
        self,
        ground: Ground,
        *,
        points: Tensor | None = None,
        labels: Tensor | None = None,
        boxes: Tensor | None = None,
        masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As `PromptDecoder.answer`."""
        prompt = {"points": points, "labels": labels, "boxes": boxes, "masks": masks}
        given = {name: x for name, x in prompt.items() if x is not None}
        if torch.is_grad_enabled() or not self.is_folded or any(len(x) > 1 for x in given.values()):
            return super().answer(ground, points=points, labels=labels, boxes=boxes, masks=masks)
        known = ground.projected
        lasting = [ground.places, ground.unmasked, ground.position, ground.unmasked_seen]
        lasting += [] if known is None else [known.k, known.v, known.q]
        grid = ground.embedding.shape[2], ground.embedding.shape[3]
        key = (grid, known is None, tuple((name, x.shape) for name, x in given.items()))
        if key not in self._recorded:
            if len(self._recorded) >= _MOST:
                return super().answer(ground, points=points, labels=labels, boxes=boxes, masks=masks)
            function = partial(self._of_tensors, grid, tuple(given))
            self._recorded[key] = Recorded(function, record_cuda, lasting=len(lasting), most=1)
        logits, scores = self._recorded[key](*lasting, *given.values())
        return logits, scores

    def warm_up(self, ground: Ground) -> None:
        """Record what is asked first on a whole frame, a click and one more on its mask, so that neither pays for it."""
        self.is_warm = True
        where, side = ground.places.device, 4 * ground.embedding.shape[3]
        for count in (1, 2):
            mask = None if count == 1 else torch.zeros(1, 1, side, side, device=where)
            points, labels = torch.ones(1, count, 2, device=where), torch.ones(1, count, device=where)
            for _ in range(2):
                self.answer(ground, points=points, labels=labels, masks=mask)

    def _of_tensors(
        self, grid: tuple[int, int], names: tuple[str, ...], *tensors: Tensor
    ) -> tuple[Tensor, Tensor]:
        """An answer from the tensors of a ground, and those of a prompt by their names."""
        count = len(tensors) - len(names)
        places, unmasked, position, seen = tensors[:4]
        known = Projected(*tensors[4:count]) if count > 4 else None
        embedding = places.mT.reshape(1, -1, *grid)  # only its size is asked for, so it is never copied
        ground = Ground(embedding, places, unmasked, position, seen, (0, 0), known)
        return super().answer(ground, **dict(zip(names, tensors[count:], strict=True)))
