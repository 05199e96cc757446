"""Steps of learning on a GPU, played back: three thousand kernels a step, asked for by a few launches.

A GPU of today is done with each kernel before Python has asked for the next one; a step of 10 ms took 200. So the encoder
with the first answer and its loss is recorded as one function, each corrective round as another, both with their way
back. All of them are asked about equally many objects, the missing ones without weight, so that few recordings do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from napari_simmat.inference import autocast, products
from napari_simmat.models import AdaptedSam
from napari_simmat.models.decoder import PromptDecoder
from napari_simmat.training.answering import Answering
from napari_simmat.training.losses import answer_loss

__all__ = ["RecordedSteps", "Recorder", "record_both_ways"]

Tensors = tuple[Tensor, ...]
Recorder = Callable[[nn.Module, Tensors], Callable[..., Tensors]]

_MOST = 10
"""Recordings of one training: some sizes of windows, and so many corrective clicks."""


class RecordedSteps:
    """Recordings for one training.

    Parameters
    ----------
    model : AdaptedSam
    embed : callable
        From what a step begins with, the picture of a window or early features, to the embedding (1, 256, h, w).
    most : int
        Objects of a step.
    record : callable, optional
        Makes a function that does what a module does for inputs of the same shapes, by default on a CUDA device.

    Attributes
    ----------
    refused : list of str
        Why something could not be recorded and is asked for as ever.
    """

    def __init__(
        self,
        model: AdaptedSam,
        embed: Callable[[Tensor], Tensor],
        most: int,
        record: Recorder | None = None,
    ) -> None:
        self.model, self.embed, self.most = model, embed, most
        self._record = record_both_ways if record is None else record
        self.refused: list[str] = []
        self._asked: dict[object, int] = {}
        self._made: dict[object, Callable[..., Tensors]] = {}

    def on(self, x: Tensor, offset: tuple[int, int]) -> Answering:
        """What answers on one window."""
        return _Played(self, x, offset)

    def ask(self, key: object, module: Callable[[], nn.Module], inputs: Tensors) -> Tensors:
        """What a module says; from the second time on by a recording, if one can be made."""
        key = (key, *((x.shape, x.stride(), x.dtype) for x in inputs))
        self._asked[key] = self._asked.get(key, 0) + 1
        if key not in self._made:
            plain = module()
            if self._asked[key] < 2 or len(self._made) >= _MOST:
                found: Tensors = plain(*inputs)
                return found
            try:
                self._made[key] = self._record(plain, inputs)
            except RuntimeError as error:  # something in it cannot be recorded, or there is no memory for it
                self._made[key] = plain
                self.refused.append(str(error))
        return self._made[key](*inputs)


class _Played(Answering):
    def __init__(self, steps: RecordedSteps, x: Tensor, offset: tuple[int, int]) -> None:
        self._steps, self._x, self._offset = steps, x, offset
        self._embedding, self._position = x, x  # until the first answer

    def first(self, points: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """See `Answering.first`."""
        steps, count = self._steps, len(points)
        h, w = targets.shape[2] // 4, targets.shape[3] // 4
        row, column = self._offset
        with torch.no_grad():
            whole = steps.model.sam.prompt_encoder.get_dense_pe()[0].permute(1, 2, 0)
            self._position = whole[row : row + h, column : column + w].reshape(h * w, -1)
        inputs = self._filled_up(points, labels, targets)
        self._embedding, shown, loss = steps.ask(
            "first", lambda: _First(steps.model, steps.embed), (self._x, self._position, *inputs)
        )
        return shown[:count], loss

    def again(self, points: Tensor, labels: Tensor, masks: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """See `Answering.again`."""
        steps, count = self._steps, len(points)
        inputs = self._filled_up(points, labels, targets)
        shown, loss = steps.ask(
            "again",
            lambda: _Again(steps.model),
            (self._embedding, self._position, _to(masks, steps.most), *inputs),
        )
        return shown[:count], loss

    def _filled_up(self, points: Tensor, labels: Tensor, targets: Tensor) -> Tensors:
        """Points, labels and targets of as many objects as are asked about at most, and the weight of each."""
        most = self._steps.most
        weights = _to(points.new_ones(len(points)), most)
        return _to(points, most), _to(labels, most), _to(targets, most), weights


def _to(x: Tensor, count: int) -> Tensor:
    return F.pad(x, (0, 0) * (x.ndim - 1) + (0, count - len(x)))


class _Again(nn.Module):
    """Embedding, position, masks and clicks to shown logits and the loss."""

    def __init__(self, model: AdaptedSam) -> None:
        super().__init__()
        # What it learns by is found through these; the rest of the model is none of its own.
        self.prompt_encoder, self.mask_decoder = model.sam.prompt_encoder, model.sam.mask_decoder
        self._sam = (model.sam,)

    def forward(
        self,
        embedding: Tensor,
        position: Tensor,
        masks: Tensor | None,
        points: Tensor,
        labels: Tensor,
        targets: Tensor,
        weights: Tensor,
    ) -> Tensors:
        """As the class says."""
        decoder = PromptDecoder(self._sam[0], products(embedding.device))
        ground = decoder.ground(embedding)
        position = position.to(ground.position.dtype)
        ground = replace(ground, position=position, unmasked_seen=ground.unmasked + position)
        logits, scores = decoder.answer(ground, points=points, labels=labels, masks=masks)
        return logits[:, :1].detach(), answer_loss(logits, scores, targets, weights)


class _First(nn.Module):
    """What a step begins with, position and clicks to embedding, shown logits and the loss."""

    def __init__(self, model: AdaptedSam, embed: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.model, self._embed = model, embed
        self._answer = _Again(model)

    def forward(
        self, x: Tensor, position: Tensor, points: Tensor, labels: Tensor, targets: Tensor, weights: Tensor
    ) -> Tensors:
        """As the class says."""
        with autocast(x.device):
            embedding = self._embed(x)
        return embedding, *self._answer(embedding, position, None, points, labels, targets, weights)


class _BothWays(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, recording: _Recording, *inputs: Tensor) -> Tensors:
        ctx.recording = recording
        found = recording.there(inputs)
        ctx.mark_non_differentiable(
            *(x for x, y in zip(found, recording.found, strict=True) if not y.requires_grad)
        )
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, *ctx.recording.back(gradients)


class _Recording:
    """A module's way there and back, each as a CUDA graph over memory of its own."""

    def __init__(self, module: nn.Module, inputs: Tensors) -> None:
        learning = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self._parameters = tuple(learning.values())
        # Others over the same memory: the ways back that are under way tie those themselves to the stream of all.
        places = {name: p.detach().requires_grad_() for name, p in learning.items()}
        self._given = tuple(x.detach().clone().requires_grad_(x.requires_grad) for x in inputs)
        wanted = [*self._given, *places.values()]
        device = inputs[0].device
        aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.device(device), torch.cuda.stream(aside):
            for _ in range(2):  # whatever is set up on first calls must not become part of it
                found = functional_call(module, places, self._given)
                _way_back(found, wanted, tuple(torch.ones_like(x) for x in found if x.requires_grad))
            del found
            self._there, self._back = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._there, stream=aside, capture_error_mode="thread_local"):
                self.found: Tensors = functional_call(module, places, self._given)
            self._gradients = tuple(torch.zeros_like(x) for x in self.found if x.requires_grad)
            with torch.cuda.graph(
                self._back, pool=self._there.pool(), stream=aside, capture_error_mode="thread_local"
            ):
                self._result = _way_back(self.found, wanted, self._gradients)
        torch.cuda.current_stream(device).wait_stream(aside)

    def __call__(self, *inputs: Tensor) -> Tensors:
        found: Tensors = _BothWays.apply(self, *inputs, *self._parameters)
        return found

    def there(self, inputs: Tensors) -> Tensors:
        """What the module says of inputs, of which the parameters behind them are where they always are."""
        with torch.no_grad():
            for place, x in zip(self._given, inputs, strict=False):
                place.copy_(x)
        self._there.replay()
        return tuple(x.detach().clone() for x in self.found)

    def back(self, gradients: Tensors) -> tuple[Tensor | None, ...]:
        """Gradients of the inputs and parameters from those of what was found."""
        wanted = [g for g, x in zip(gradients, self.found, strict=True) if x.requires_grad]
        for place, gradient in zip(self._gradients, wanted, strict=True):
            place.copy_(gradient)
        self._back.replay()
        return tuple(None if x is None else x.clone() for x in self._result)


def _way_back(found: Tensors, wanted: Sequence[Tensor], gradients: Tensors) -> list[Tensor | None]:
    """Gradients of what is wanted, None where it does not learn or has no part in it."""
    learning = [x for x in wanted if x.requires_grad]
    outputs = [x for x in found if x.requires_grad]
    computed = iter(torch.autograd.grad(outputs, learning, gradients, allow_unused=True))
    return [next(computed) if x.requires_grad else None for x in wanted]


def record_both_ways(module: nn.Module, inputs: Tensors) -> Callable[..., Tensors]:
    """A function that does what a module does, with gradients, by two launches; other threads may use the GPU meanwhile.

    Raises
    ------
    RuntimeError
        The module does something that cannot be recorded, or there is no memory for it.
    """
    return _Recording(module, inputs)
