"""What `quick` and `deep` train, and on what."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from napari_simmat.inference import autocast
from napari_simmat.models import AdaptedSam, Adapter, BaseModel
from napari_simmat.models.adapter import TOKENS
from napari_simmat.models.encoders import ImageEncoder
from napari_simmat.models.lora import lora_layers, matches
from napari_simmat.training.corrections import Correction, Corrections
from napari_simmat.training.samples import Draw, Sample
from napari_simmat.training.scenes import WINDOW, Scenes, Window

Mode = Literal["quick", "deep"]

DECODER = ("mask_decoder.transformer.*q_proj", "mask_decoder.transformer.*v_proj")


class Recipe(ABC):
    """Which parameters are trained, and where the samples come from."""

    learning_rate: float
    prompts: int
    """Most clicks answered in one step."""
    judges: tuple[int, int]
    """Most images and most objects that the gate looks at."""

    @abstractmethod
    def steps(self, n_objects: int) -> int:
        """Number of steps for so many objects."""

    @abstractmethod
    def lora_patterns(self, encoder: ImageEncoder) -> tuple[str, ...]:
        """Linear layers whose LoRA is trained."""

    @abstractmethod
    def sampler(
        self,
        model: AdaptedSam,
        start: Adapter,
        corrections: Sequence[Correction],
        rng: np.random.Generator,
    ) -> Draw:
        """What draws the sample of each step."""

    def build(self, start: Adapter, base: BaseModel, seed: int = 0) -> AdaptedSam:
        """The model to train, from where `start` is."""
        return start.build(base, lora=self.lora_patterns(base.sam.encoder), own=TOKENS, seed=seed)

    def unfreeze(self, model: AdaptedSam) -> list[nn.Parameter]:
        """Let the trained parameters require gradients, and list them."""
        parameters = list(self.trained(model))
        for parameter in parameters:
            parameter.requires_grad_(True)
        return parameters

    def trained(self, model: AdaptedSam) -> list[nn.Parameter]:
        """LoRA of the layers that this recipe trains, and the decoder's tokens."""
        patterns = self.lora_patterns(model.sam.encoder)
        layers = [layer for path, layer in lora_layers(model.sam) if matches(path, patterns)]
        lora = [p for layer in layers for p in (layer.a, layer.b)]
        tokens = [p for path in TOKENS for p in model.sam.get_submodule(path).parameters()]
        return lora + tokens


class Deep(Recipe):
    """MAT, LoRA through the whole encoder and in the decoder's attention; windows around the objects."""

    learning_rate = 2e-3
    prompts = 12
    judges = (6, 24)

    def steps(self, n_objects: int) -> int:
        """From 60 for a handful of objects to 160 for many."""
        return int(np.clip(50 + 5 * n_objects, 60, 160))

    def lora_patterns(self, encoder: ImageEncoder) -> tuple[str, ...]:
        """Every linear layer of the encoder, query and value projections of the decoder."""
        return ("encoder.*", *DECODER)

    def trained(self, model: AdaptedSam) -> list[nn.Parameter]:
        """The MAT, too."""
        return [*model.mat.parameters(), *super().trained(model)]

    def sampler(
        self,
        model: AdaptedSam,
        start: Adapter,
        corrections: Sequence[Correction],
        rng: np.random.Generator,
    ) -> Draw:
        """A fresh window around a random object in each step."""
        scenes = scenes_of(model, start, corrections)
        device = next(model.parameters()).device

        def draw(rng: np.random.Generator) -> Sample:
            window = scenes.draw(rng, int(rng.integers(len(scenes))))
            x = window.x[None].to(device, memory_format=torch.channels_last)
            return Sample(lambda: model.late(model.early(x)), window.masks, window.offset)

        return draw


class Quick(Recipe):
    """LoRA in the encoder's last stage and in the decoder's attention, on cached early features."""

    learning_rate = 2e-3
    prompts = 6
    judges = (4, 16)
    most_windows = 32

    def steps(self, n_objects: int) -> int:
        """From 30 for a handful of objects to 60 for many."""
        return int(np.clip(20 + 2 * n_objects, 30, 60))

    def lora_patterns(self, encoder: ImageEncoder) -> tuple[str, ...]:
        """Linear layers of the late half, whose input is cached; query and value projections of the decoder."""
        return (*(f"encoder.{layer}" for layer in encoder.late_layers), *DECODER)

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
        chosen = _spread(len(scenes), self.most_windows, rng)
        cached: dict[int, tuple[Tensor, Window]] = {}

        def draw(rng: np.random.Generator) -> Sample:
            place = int(rng.integers(len(chosen)))
            if place not in cached:
                window = scenes.draw(rng, chosen[place])
                x = window.x[None].to(device, memory_format=torch.channels_last)
                with torch.no_grad(), autocast(device):
                    cached[place] = model.early(x), window
            features, window = cached[place]
            return Sample(lambda: model.late(features), window.masks, window.offset)

        return draw


RECIPES: dict[Mode, Recipe] = {"quick": Quick(), "deep": Deep()}


def scenes_of(model: AdaptedSam, start: Adapter, corrections: Sequence[Correction]) -> Scenes:
    """The images of the corrections as the model and the profile of `start` see them."""
    encoder = model.sam.encoder
    window = WINDOW if encoder.flexible else encoder.side
    return Scenes(Corrections(corrections).by_image(), start.profile, side=encoder.side, window=window)


def _spread(n_objects: int, n_windows: int, rng: np.random.Generator) -> list[int]:
    """Objects to make windows of: each once, few objects several times, at most `n_windows` in all."""
    rounds = max(1, min(4, n_windows // n_objects))
    order = np.concatenate([rng.permutation(n_objects) for _ in range(rounds)])
    return [int(k) for k in order[:n_windows]]
