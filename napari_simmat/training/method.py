"""How steps are taken, whatever is trained: on which samples, for which loss, by which optimiser."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from napari_simmat.models import AdaptedSam, Adapter
from napari_simmat.training.corrections import Correction
from napari_simmat.training.recipes import Recipe
from napari_simmat.training.samples import Draw, Sample
from napari_simmat.training.settings import Settings

Rates = Sequence[tuple[Sequence[nn.Parameter], float]]
"""Parameters, and the learning rate of each group of them."""


def param_groups(rates: Rates) -> list[dict[str, Any]]:
    """As optimisers take it; groups without parameters are left out."""
    return [{"params": list(parameters), "lr": rate} for parameters, rate in rates if parameters]


class Method(ABC):
    """How steps are taken.

    Attributes
    ----------
    batch : int
        Samples whose mean loss is one step's.
    largest_norm : float, optional
        Gradients are shortened to this norm.
    ema, early_stopping : bool
        Whether it does so where the settings say nothing.
    """

    batch: int = 1
    largest_norm: float | None = None
    ema: bool = False
    early_stopping: bool = False

    @abstractmethod
    def steps(self, recipe: Recipe, settings: Settings, *, objects: int, images: int) -> int:
        """Number of steps where the settings name none."""

    @abstractmethod
    def learning_rate(self, recipe: Recipe, settings: Settings) -> float:
        """Learning rate where the settings name none."""

    def transfer_rate(self, recipe: Recipe, settings: Settings) -> float:
        """Learning rate of the transfer layer where the settings name none."""
        return self.learning_rate(recipe, settings)

    @abstractmethod
    def sampler(
        self,
        recipe: Recipe,
        model: AdaptedSam,
        start: Adapter,
        corrections: Sequence[Correction],
        rng: np.random.Generator,
    ) -> Draw:
        """What draws the samples."""

    @abstractmethod
    def loss(
        self, model: AdaptedSam, sample: Sample, prompts: int, rng: np.random.Generator, device: torch.device
    ) -> Tensor:
        """Loss of one sample with at most `prompts` clicked objects, a scalar; what it draws comes from `rng` alone."""

    @abstractmethod
    def optimiser(self, rates: Rates, steps: int, *, averaged: bool) -> tuple[Optimizer, LRScheduler]:
        """The optimiser and its schedule; `averaged`: the moving average of the weights is what comes out."""
