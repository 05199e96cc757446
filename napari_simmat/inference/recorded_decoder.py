"""The decoder on a GPU: two hundred small kernels a click, asked for at once."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor

from napari_simmat.inference.recorded import Recorded, record_cuda
from napari_simmat.models.decoder import Ground, Projected, PromptDecoder
from napari_simmat.models.sam import Sam

__all__ = ["RecordedDecoder", "decoder_for"]

_MOST = 12
"""Kinds of prompts of which a recording is kept: so many points, with or without a mask, on a frame or a close-up."""


def decoder_for(sam: Sam, dtype: torch.dtype, *, is_shared: bool) -> PromptDecoder:
    """What answers with a model that is not trained any more, where it is.

    Parameters
    ----------
    sam, dtype
        As for `PromptDecoder`.
    is_shared : bool
        Whether it stays for all images, so that recordings pay; another one records once it was warmed up.
    """
    is_gpu = next(sam.parameters()).device.type == "cuda"
    return RecordedDecoder(sam, dtype, is_shared) if is_gpu else PromptDecoder(sam, dtype)


class RecordedDecoder(PromptDecoder):
    """Answers single prompts by recordings once their kind has come twice.

    Parameters
    ----------
    sam, dtype
        As for `PromptDecoder`.
    records : bool
        Whether it does so before it was warmed up.
    """

    def __init__(self, sam: Sam, dtype: torch.dtype, records: bool = True) -> None:
        super().__init__(sam, dtype)
        self._records = records
        self._recorded: OrderedDict[tuple[object, ...], Recorded] = OrderedDict()
        self._warm: set[tuple[int, int]] = set()
        self._lock = threading.Lock()

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
        is_single = all(len(x) == 1 for x in given.values())
        if not self._records or not is_single or not self.is_folded or torch.is_grad_enabled():
            return super().answer(ground, points=points, labels=labels, boxes=boxes, masks=masks)
        known = ground.projected
        lasting = [ground.places, ground.unmasked, ground.position, ground.unmasked_seen]
        lasting += [] if known is None else [known.k, known.v, known.q]
        recorded = self._recording_of(_grid(ground), known is None, given, len(lasting))
        logits, scores = recorded(*lasting, *given.values())
        return logits, scores

    def warm_up(self, ground: Ground) -> None:
        """Record what is asked first on a frame, a click and one more on its mask, so that neither pays for it."""
        if _grid(ground) in self._warm:
            return
        self._warm.add(_grid(ground))
        self._records = True
        where, side = ground.places.device, 4 * ground.embedding.shape[3]
        for count in (1, 2):
            mask = None if count == 1 else torch.zeros(1, 1, side, side, device=where)
            points, labels = torch.ones(1, count, 2, device=where), torch.ones(1, count, device=where)
            for _ in range(2):
                self.answer(ground, points=points, labels=labels, masks=mask)

    def _recording_of(
        self, grid: tuple[int, int], is_plain: bool, given: Mapping[str, Tensor], lasting: int
    ) -> Recorded:
        """That of a kind of prompt; the kinds that were asked for least lately make room."""
        key = (grid, is_plain, tuple((name, x.shape) for name, x in given.items()))
        names = tuple(given)
        own = weakref.ref(self)  # or only the garbage collector would free what a recording holds of the GPU

        def function(*tensors: Tensor) -> tuple[Tensor, Tensor]:
            decoder = own()
            assert decoder is not None
            return decoder._of_tensors(grid, names, *tensors)

        with self._lock:
            if key not in self._recorded:
                self._recorded[key] = Recorded(function, record_cuda, lasting=lasting, most=1)
            self._recorded.move_to_end(key)
            while len(self._recorded) > _MOST:
                self._recorded.popitem(last=False)
            return self._recorded[key]

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


def _grid(ground: Ground) -> tuple[int, int]:
    return ground.embedding.shape[2], ground.embedding.shape[3]
