"""How SimMAT was trained (arXiv 2409.08083), so that its figures can be measured anew.

Adam without weight decay, learning rate 3e-4 (3e-5 where everything is trained), halved after every 10 of 51 epochs,
batches of four whole images in the encoder's frame, float32, no augmentation. In each image one region at random is shown
by one click at random inside it; the loss is Dice + cross-entropy of the single mask's logits, a quarter of the frame
wide (256 x 256), so the three candidates and the predicted IoU are not trained.

Other numbers of epochs or steps are scaled: the rate is halved after the same shares, 10/51, of the training.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from napari_simmat.models import AdaptedSam, Adapter
from napari_simmat.training.clicks import even_click
from napari_simmat.training.corrections import Correction
from napari_simmat.training.losses import mask_loss
from napari_simmat.training.method import Method, Rates, param_groups
from napari_simmat.training.recipes import Recipe, scenes_of
from napari_simmat.training.samples import Draw, Sample, in_frame, targets_of
from napari_simmat.training.settings import Settings

EPOCHS = 51
HALVED_EVERY = 10
LEARNING_RATE = 3e-4
OF_EVERYTHING = 3e-5


class Paper(Method):
    """The published recipe."""

    batch = 4

    def steps(self, recipe: Recipe, settings: Settings, *, objects: int, images: int) -> int:
        """The epochs in batches; a last batch goes on into the next epoch."""
        return math.ceil((settings.epochs or EPOCHS) * images / self.batch)

    def learning_rate(self, recipe: Recipe, settings: Settings) -> float:
        """3e-4, or 3e-5 where everything is trained."""
        return OF_EVERYTHING if recipe.strategy.name == "full" else LEARNING_RATE

    def sampler(
        self,
        recipe: Recipe,
        model: AdaptedSam,
        start: Adapter,
        corrections: Sequence[Correction],
        rng: np.random.Generator,
    ) -> Draw:
        """Whole images, each once before any comes again."""
        scenes = scenes_of(model, start, corrections)
        device = next(model.parameters()).device
        waiting: list[int] = []

        def draw(rng: np.random.Generator) -> Sample:
            if not waiting:
                waiting.extend(int(k) for k in rng.permutation(list(scenes.of_scene)))
            window = scenes.whole(waiting.pop(), rng)
            x = window.x[None].to(device, memory_format=torch.channels_last)
            return Sample(lambda: model.encode(x), window.masks, window.offset)

        return draw

    def loss(
        self, model: AdaptedSam, sample: Sample, prompts: int, rng: np.random.Generator, device: torch.device
    ) -> Tensor:
        """Dice + cross-entropy of the single mask after one click."""
        points = in_frame([even_click(sample.masks[0], rng)], sample.offset, device)
        labels = torch.ones(1, 1, device=device)
        logits, _ = model.sam.decode(sample.embed(), points=points, labels=labels, offset=sample.offset)
        return mask_loss(logits[:, :1], targets_of(sample.masks[:1], device), cross_entropy=1.0).mean()

    def optimiser(self, rates: Rates, steps: int, *, averaged: bool) -> tuple[Optimizer, LRScheduler]:
        """Adam with the rate halved at each 10/51 of the training."""
        optimiser = Adam(param_groups(rates))
        return optimiser, LambdaLR(optimiser, lambda step: 0.5 ** (step * EPOCHS // (steps * HALVED_EVERY)))
