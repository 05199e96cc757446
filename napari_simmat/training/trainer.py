"""The optimisation itself: samples, losses, gradients, steps."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from napari_simmat.errors import TrainingError
from napari_simmat.models import AdaptedSam
from napari_simmat.training.average import Average
from napari_simmat.training.method import Method, Rates
from napari_simmat.training.regularisers import Adversary, StartingPoint
from napari_simmat.training.samples import Draw, Sample
from napari_simmat.training.stopping import Stopping
from napari_simmat.training.watch import Watch


@dataclass(frozen=True, eq=False)
class Turn:
    """What learns in a step, and from what; several take turns."""

    parameters: Sequence[nn.Parameter]
    draw: Draw


def train(
    model: AdaptedSam,
    turns: Sequence[Turn],
    method: Method,
    *,
    steps: int,
    rates: Rates,
    prompts: int,
    rng: np.random.Generator,
    watch: Watch,
    l2: float = 0.0,
    adversarial: float = 0.0,
    averaged: bool = False,
    stopping: Stopping | None = None,
) -> list[float]:
    """Take optimiser steps on samples; returns the loss of each.

    The model stays in evaluation mode: frozen norms must not drift on small batches. What comes out is in the
    parameters: their average where `averaged`, the best ones where `stopping` has seen them.

    Raises
    ------
    Cancelled
        Within one step of the wish.
    TrainingError
        The loss is no longer a number.
    """
    parameters = list({id(p): p for turn in turns for p in turn.parameters}.values())
    device = parameters[0].device
    optimiser, schedule = method.optimiser(rates, steps, averaged=averaged)
    start, adversary = StartingPoint(parameters, l2), Adversary(model.mat, adversarial)
    average = Average(parameters, steps) if averaged else None
    losses: list[float] = []
    for step in range(steps):
        watch.check()
        turn = turns[step % len(turns)]
        optimiser.zero_grad(set_to_none=True)
        value = 0.0
        for _ in range(method.batch):
            loss = _repeatable(method, model, turn.draw(rng), prompts, int(rng.integers(2**63)), device)
            value += adversary.backward(loss, 1 / method.batch) / method.batch
        _only(turn.parameters, parameters)
        start.pull()
        norm = nn.utils.clip_grad_norm_(parameters, method.largest_norm or math.inf)
        if not math.isfinite(value) or not torch.isfinite(norm):
            raise TrainingError(
                "Training left the range of numbers (the loss is not finite); lower the learning rate and train again."
            )
        optimiser.step()
        schedule.step()
        if average is not None:
            average.update()
        losses.append(value)
        watch.step(value)
        if stopping is not None and _enough(stopping, average, step + 1):
            watch.total -= steps - len(losses)
            break
    if stopping is not None:
        stopping.settle()
    elif average is not None:
        average.settle()
    return losses


def _repeatable(
    method: Method, model: AdaptedSam, sample: Sample, prompts: int, seed: int, device: torch.device
) -> Callable[[], Tensor]:
    """The loss of a sample, with the same clicks each time it is asked for."""
    return lambda: method.loss(model, sample, prompts, np.random.default_rng(seed), device)


def _only(learning: Sequence[nn.Parameter], parameters: Sequence[nn.Parameter]) -> None:
    """Without a gradient a parameter is passed over by the optimiser."""
    kept = {id(p) for p in learning}
    for parameter in parameters:
        if id(parameter) not in kept:
            parameter.grad = None


def _enough(stopping: Stopping, average: Average | None, step: int) -> bool:
    with nullcontext() if average is None else average.in_place():
        return stopping.enough(step)
