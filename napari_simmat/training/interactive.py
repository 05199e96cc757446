"""How this product learns: clicks and corrective clicks with the mask fed back, on windows around the objects.

Each step draws a window around an object, mirrored and turned as far as the physics of its channels allows
(`ModalityProfile.mirrored`), and clicks on the objects in it: half of the first clicks at the deepest point, the others
anywhere, likelier the deeper. Corrective clicks follow, none to four of them (quick: none or one) on a few of the
objects, each in the middle of the largest error of the shown mask, which is fed back as it is when people click (RITM,
arXiv 2102.06583, and SAM, arXiv 2304.02643, train so).
AdamW without weight decay, one cycle of the learning rate, gradients clipped to norm 1, in the precision of the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from napari_simmat.inference import autocast, products
from napari_simmat.models import AdaptedSam, Adapter
from napari_simmat.models.decoder import PromptDecoder
from napari_simmat.training.clicks import first_click, random_click
from napari_simmat.training.corrections import Correction
from napari_simmat.training.corrective import corrective_clicks
from napari_simmat.training.losses import answer_loss
from napari_simmat.training.method import Method, Rates, param_groups
from napari_simmat.training.recipes import Recipe
from napari_simmat.training.samples import Draw, Sample, in_frame, targets_of
from napari_simmat.training.settings import Settings

_REPEATS = 3  # clicks on one object in one step, at different places
_CENTRED = 0.5  # share of first clicks at the deepest point; users are not that exact
_CORRECTED = (
    4  # objects of a step that are corrected: decoding is half of a step's time, and all are no better
)
_WARM_UP = 0.15


class Interactive(Method):
    """The default."""

    largest_norm = 1.0

    def steps(self, recipe: Recipe, settings: Settings, *, objects: int, images: int) -> int:
        """As the mode has it."""
        return recipe.steps(objects)

    def learning_rate(self, recipe: Recipe, settings: Settings) -> float:
        """As the mode has it."""
        return recipe.learning_rate

    def transfer_rate(self, recipe: Recipe, settings: Settings) -> float:
        """The mode's own, also where the strategy goes slowly: what is new has far to go, what was pretrained has not."""
        return recipe.usual_rate

    def sampler(
        self,
        recipe: Recipe,
        model: AdaptedSam,
        start: Adapter,
        corrections: Sequence[Correction],
        rng: np.random.Generator,
    ) -> Draw:
        """The mode's windows."""
        return recipe.sampler(model, start, corrections, rng)

    def loss(
        self, model: AdaptedSam, sample: Sample, prompts: int, rng: np.random.Generator, device: torch.device
    ) -> Tensor:
        """Loss of first clicks, and the mean of those of the corrective clicks after them."""
        masks = _choose(sample.masks, prompts, rng)
        clicks = [first_click(m) if rng.random() < _CENTRED else random_click(m, rng) for m in masks]
        targets = targets_of(masks, device)
        points = in_frame(clicks, sample.offset, device)
        labels = torch.ones(len(masks), 1, device=device)
        decoder = PromptDecoder(model.sam, products(device))
        with autocast(device):
            embedding = sample.embed()
        ground = decoder.ground(embedding, sample.offset)
        logits, scores = decoder.answer(ground, points=points, labels=labels)
        loss = answer_loss(logits, scores, targets)
        later: list[Tensor] = []
        for _ in range(int(rng.integers(sample.most_corrections + 1))):
            shown = logits[:, :1].detach()
            corrections = corrective_clicks(masks, shown, _CORRECTED, rng)
            if not corrections:
                break
            wrong, found = list(corrections), list(corrections.values())
            next_points = in_frame([(y, x) for y, x, _ in found], sample.offset, device)
            signs = torch.tensor([[float(sign)] for *_, sign in found], device=device)
            masks, targets = masks[wrong], targets[wrong]
            points = torch.cat([points[wrong], next_points], 1)
            labels = torch.cat([labels[wrong], signs], 1)
            logits, scores = decoder.answer(ground, points=points, labels=labels, masks=shown[wrong])
            later.append(answer_loss(logits, scores, targets))
        return loss + torch.stack(later).mean() if later else loss

    def optimiser(self, rates: Rates, steps: int, *, averaged: bool) -> tuple[Optimizer, LRScheduler]:
        """AdamW by one cycle; at a constant rate after warming up where an average takes the place of cooling down."""
        groups = param_groups(rates)
        is_gpu = groups[0]["params"][0].device.type == "cuda"
        optimiser = AdamW(groups, weight_decay=0.0, fused=is_gpu)
        if averaged:
            warm = max(1, round(_WARM_UP * steps))
            return optimiser, LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / warm))
        return optimiser, OneCycleLR(
            optimiser, [group["lr"] for group in groups], total_steps=max(2, steps), pct_start=_WARM_UP
        )


def _choose(masks: NDArray[np.bool_], prompts: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """The objects to click in this step, the first always among them; a few objects are clicked repeatedly."""
    if len(masks) > prompts:
        others = 1 + rng.permutation(len(masks) - 1)[: prompts - 1]
        few: NDArray[np.bool_] = masks[np.concatenate([[0], others])]
        return few
    repeats = min(_REPEATS, max(1, prompts // len(masks)))
    repeated: NDArray[np.bool_] = np.repeat(masks, repeats, axis=0)
    return repeated
