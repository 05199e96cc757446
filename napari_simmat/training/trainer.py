"""The optimisation itself: clicks on windows, answers, losses, steps."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_simmat.errors import Cancelled, TrainingError
from napari_simmat.inference import autocast
from napari_simmat.models import AdaptedSam
from napari_simmat.models.encoders import STRIDE
from napari_simmat.training.clicks import first_click, next_click, random_click
from napari_simmat.training.losses import answer_loss

OnStep = Callable[[int, int, float], None]

_REPEATS = 3  # clicks on one object in one step, at different places
_CENTRED = 0.5  # share of first clicks at the deepest point; users are not that exact
_CORRECTIVE = 0.5  # share of steps with a second, corrective click
_WARM_UP = 0.15
_MAX_NORM = 1.0


@dataclass
class Watch:
    """Who follows a training: told of each step, asked before each step whether to stop."""

    on_step: OnStep | None = None
    cancel: threading.Event | None = None
    total: int = 0
    done: int = 0

    def check(self) -> None:
        """Stop here if asked to.

        Raises
        ------
        Cancelled
        """
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled("Training was cancelled; the adapter is as it was before.")

    def step(self, loss: float) -> None:
        """One more step is done."""
        self.done += 1
        if self.on_step is not None:
            self.on_step(self.done, self.total, loss)


@dataclass(eq=False)
class Sample:
    """One step's worth: how to get the embedding, and the objects on it.

    Attributes
    ----------
    embed : callable
        Gives the embedding (1, 256, h, w), with gradients.
    masks : ndarray of bool, (N, H, W)
        Objects in the window.
    offset : (int, int)
        The window's first cell in the frame's grid.
    """

    embed: Callable[[], Tensor]
    masks: NDArray[np.bool_]
    offset: tuple[int, int]


def train(
    model: AdaptedSam,
    parameters: Sequence[nn.Parameter],
    draw: Callable[[np.random.Generator], Sample],
    *,
    steps: int,
    learning_rate: float,
    prompts: int,
    rng: np.random.Generator,
    watch: Watch,
) -> list[float]:
    """Take optimiser steps on samples; returns the loss of each.

    AdamW without weight decay, learning rate by one cycle, gradients clipped to norm 1. The model stays in
    evaluation mode: frozen norms must not drift on batches of one image.

    Raises
    ------
    Cancelled
        Within one step of the wish.
    TrainingError
        The loss is no longer a number.
    """
    device = parameters[0].device
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, learning_rate, total_steps=max(2, steps), pct_start=_WARM_UP
    )
    losses: list[float] = []
    for _ in range(steps):
        watch.check()
        loss = sample_loss(model, draw(rng), prompts, rng, device)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(parameters, _MAX_NORM)
        value = float(loss.detach())
        if not np.isfinite(value) or not torch.isfinite(norm):
            raise TrainingError(
                "Training left the range of numbers (the loss is not finite); lower the learning rate and train again."
            )
        optimiser.step()
        schedule.step()
        losses.append(value)
        watch.step(value)
    return losses


def sample_loss(
    model: AdaptedSam, sample: Sample, prompts: int, rng: np.random.Generator, device: torch.device
) -> Tensor:
    """Loss of first clicks, and in half of the cases of a corrective click after them."""
    masks = _choose(sample.masks, prompts, rng)
    clicks = [first_click(m) if rng.random() < _CENTRED else random_click(m, rng) for m in masks]
    targets = F.avg_pool2d(torch.from_numpy(masks[:, None].astype(np.float32)), 4).to(device)
    points = _in_frame(clicks, sample.offset, device)
    labels = torch.ones(len(masks), 1, device=device)
    with autocast(device):
        embedding = sample.embed()
        logits, scores = model.sam.decode(embedding, points=points, labels=labels, offset=sample.offset)
    logits, scores = logits.float(), scores.float()
    loss = answer_loss(logits, scores, targets)
    if rng.random() >= _CORRECTIVE:
        return loss
    shown = logits[:, :1].detach()
    large = F.interpolate(shown, masks.shape[1:], mode="bilinear", align_corners=False)[:, 0]
    corrections = [next_click(m, p) for m, p in zip(masks, (large > 0).cpu().numpy(), strict=True)]
    wrong = [k for k, c in enumerate(corrections) if c is not None]
    if not wrong:
        return loss
    found = [c for c in corrections if c is not None]
    second = _in_frame([(y, x) for y, x, _ in found], sample.offset, device)
    signs = torch.tensor([[float(sign)] for *_, sign in found], device=device)
    with autocast(device):
        logits, scores = model.sam.decode(
            embedding,
            points=torch.cat([points[wrong], second], 1),
            labels=torch.cat([labels[wrong], signs], 1),
            masks=shown[wrong],
            offset=sample.offset,
        )
    return loss + answer_loss(logits.float(), scores.float(), targets[wrong])


def _choose(masks: NDArray[np.bool_], prompts: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The objects to click in this step, the first always among them; a few objects are clicked repeatedly."""
    if len(masks) > prompts:
        others = 1 + rng.permutation(len(masks) - 1)[: prompts - 1]
        few: NDArray[np.bool_] = masks[np.concatenate([[0], others])]
        return few
    repeats = min(_REPEATS, max(1, prompts // len(masks)))
    repeated: NDArray[np.bool_] = np.repeat(masks, repeats, axis=0)
    return repeated


def _in_frame(clicks: Sequence[tuple[float, float]], offset: tuple[int, int], device: torch.device) -> Tensor:
    """Clicks (y, x) in a window as points (B, 1, 2) = (x, y) in the frame."""
    row, column = offset
    return torch.tensor([[[x + column * STRIDE, y + row * STRIDE]] for y, x in clicks], device=device).float()
