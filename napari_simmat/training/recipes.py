"""What `quick` and `deep` train, and on what."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from napari_simmat.errors import TrainingError
from napari_simmat.inference import autocast
from napari_simmat.inference.frozen import freeze
from napari_simmat.models import AdaptedSam, Adapter, AdapterCard, BaseModel
from napari_simmat.models.additions import sharing_copy
from napari_simmat.models.encoders import keep_biases_fresh
from napari_simmat.models.scratch import random_start
from napari_simmat.models.strategies import Plan, Strategy
from napari_simmat.training.corrections import Correction, Corrections
from napari_simmat.training.gate import Split, split
from napari_simmat.training.samples import Draw, Sample
from napari_simmat.training.scenes import WINDOW, Scenes, Window

Mode = Literal["quick", "deep"]


class Recipe(ABC):
    """Which parameters are trained, and where the samples come from.

    Parameters
    ----------
    strategy : Strategy
        What is trained, as far as the mode can.
    """

    usual_rate: float
    prompts: int
    """Most clicks answered in one step."""
    judges: tuple[int, int]
    """Most images and most objects that the gate looks at."""
    late_only: bool
    """Whether what comes before the early features is left as it is."""

    def __init__(self, strategy: Strategy) -> None:
        self.strategy = strategy

    @property
    def learning_rate(self) -> float:
        """Peak learning rate: the strategy's, else the mode's own."""
        return self.strategy.learning_rate or self.usual_rate

    @abstractmethod
    def steps(self, n_objects: int) -> int:
        """Number of steps for so many objects."""

    @abstractmethod
    def sampler(
        self,
        model: AdaptedSam,
        start: Adapter,
        corrections: Sequence[Correction],
        rng: np.random.Generator,
    ) -> Draw:
        """What draws the sample of each step."""

    def split(self, corrections: Corrections) -> Split | None:
        """What is held out to judge by, see `gate.split`."""
        images, objects = self.judges
        return split(corrections, most_images=images, most_objects=objects)

    def begin(self, start: Adapter, base: BaseModel, seed: int = 0) -> Adapter:
        """The adapter to go on from: `start`, or random weights where the strategy begins with them.

        Raises
        ------
        TrainingError
            Random weights were asked for, and an adapter that has been trained.
        """
        if self.strategy.name != "scratch" or start.card.strategy == "scratch":
            return start
        if start.is_trained:
            raise TrainingError(
                f"The strategy 'scratch' begins with random weights, got the trained adapter {start.card.name!r} to go "
                "on from; leave it out or choose another strategy."
            )
        return random_start(start, base, seed)

    def build(self, start: Adapter, base: BaseModel, seed: int = 0) -> AdaptedSam:
        """The model to train, from where `start` is."""
        return start.build(base, plan=self.plan(base), seed=seed)

    def plan(self, base: BaseModel) -> Plan:
        """What of a model is trained."""
        return self.strategy.plan(base.sam.encoder, late_only=self.late_only)

    def card(self, before: AdapterCard) -> AdapterCard:
        """What an adapter says of itself once it has learnt so."""
        changes: dict[str, object] = {"strategy": str(self.strategy)}
        if self.strategy.name == "lora":
            changes["rank"] = int(self.strategy["rank"])
        return before.model_copy(update=changes)

    def unfreeze(self, model: AdaptedSam) -> list[nn.Parameter]:
        """Let the trained parameters require gradients, and list them.

        Raises
        ------
        TrainingError
            There is nothing to train.
        """
        parameters = self.strategy.plan(model.sam.encoder, late_only=self.late_only).parameters(model)
        if not parameters:
            raise TrainingError(
                f"The strategy {str(self.strategy)!r} trains the transfer layer alone, and this one has no parameters; "
                "choose another transfer layer or another strategy."
            )
        for parameter in parameters:
            parameter.requires_grad_(True)
        keep_biases_fresh(model)
        return parameters


class Deep(Recipe):
    """All that the strategy trains, through the whole encoder; windows around the objects."""

    usual_rate = 2e-3
    prompts = 12
    judges = (6, 24)
    late_only = False
    most_corrections = 4  # with one, masks got no better from the tenth click on

    def steps(self, n_objects: int) -> int:
        """From 60 for a handful of objects to 320 for hundreds, the first of them counting most."""
        return int(np.clip(50 + 5 * n_objects, 60, 160) + np.clip(n_objects - 22, 0, 160))

    def sampler(
        self,
        model: AdaptedSam,
        start: Adapter,
        corrections: Sequence[Correction],
        rng: np.random.Generator,
    ) -> Draw:
        """A fresh window around a random object in each step."""
        scenes = scenes_of(model, start, corrections)
        device, most = next(model.parameters()).device, self.most_corrections

        def draw(rng: np.random.Generator) -> Sample:
            window = scenes.draw(rng, int(rng.integers(len(scenes))))
            x = window.x[None].to(device, memory_format=torch.channels_last)
            return Sample(
                lambda: model.late(model.early(x)), window.masks, window.offset, most_corrections=most
            )

        return draw


class Quick(Recipe):
    """What the strategy trains in the encoder's last stage and in the decoder, on cached early features."""

    usual_rate = 2e-3
    prompts = 4
    judges = (4, 16)
    late_only = True
    most_windows = 32

    def steps(self, n_objects: int) -> int:
        """From 16 for a handful of objects, which more steps would learn by heart, to 60 for many."""
        return int(np.clip(6 + 2 * n_objects, 16, 60))

    def sampler(
        self,
        model: AdaptedSam,
        start: Adapter,
        corrections: Sequence[Correction],
        rng: np.random.Generator,
    ) -> Draw:
        """One of some dozen windows, whose early features are computed when it is first drawn."""
        scenes = scenes_of(model, start, corrections)
        device = next(model.parameters()).device
        # What comes before the features is not trained, so it may be computed as for answering.
        looking = sharing_copy(model)
        assert isinstance(looking, AdaptedSam)
        freeze(looking)
        chosen = _spread(len(scenes), self.most_windows, rng)
        cached: dict[int, tuple[Tensor, Window]] = {}

        def draw(rng: np.random.Generator) -> Sample:
            place = int(rng.integers(len(chosen)))
            if place not in cached:
                window = scenes.draw(rng, chosen[place])
                x = window.x[None].to(device, memory_format=torch.channels_last)
                with torch.no_grad(), autocast(device):
                    cached[place] = looking.early(x), window
            features, window = cached[place]
            return Sample(lambda: model.late(features), window.masks, window.offset)

        return draw


def recipe_for(mode: Mode, strategy: str = "lora") -> Recipe:
    """How a mode trains with a strategy.

    Raises
    ------
    TrainingError
        The mode cannot train it.
    AdapterError
        There is no such strategy.
    """
    chosen = Strategy.parse(strategy)
    recipe: Recipe = Quick(chosen) if mode == "quick" else Deep(chosen)
    if recipe.late_only and not chosen.has_late_part:
        raise TrainingError(
            f"The strategy {strategy!r} trains what comes before the features that quick training keeps; train it with "
            "Deep."
        )
    return recipe


def scenes_of(model: AdaptedSam, start: Adapter, corrections: Sequence[Correction]) -> Scenes:
    """The images of the corrections as the model and the profile of `start` see them."""
    encoder = model.sam.encoder
    window = min(WINDOW, encoder.side // 2) if encoder.flexible else encoder.side
    return Scenes(Corrections(corrections).by_image(), start.profile, side=encoder.side, window=window)


def _spread(n_objects: int, n_windows: int, rng: np.random.Generator) -> list[int]:
    """Objects to make windows of: each once, few objects several times, at most `n_windows` in all."""
    rounds = max(1, min(4, n_windows // n_objects))
    order = np.concatenate([rng.permutation(n_objects) for _ in range(rounds)])
    return [int(k) for k in order[:n_windows]]
