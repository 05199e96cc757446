"""The gate of modality experts: what it learns from, and how.

The members are done, so what they make of some windows is computed once, as it is for answering; only answers are
computed in each step. In half of the windows the sensor of one group fails by so much, which is what the gate is to
notice. In each step groups are dropped at random, never all (modality dropout), so the weights are right whatever is
missing; all together is there only in steps where all groups are. One group alone needs no gate: its expert has learnt
so from the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_simmat.inference import autocast
from napari_simmat.inference.frozen import freeze
from napari_simmat.models import AdaptedSam, Adapter, BaseModel
from napari_simmat.models.experts import TOGETHER, Gate, channels_of, member
from napari_simmat.training.corrections import Correction
from napari_simmat.training.method import Method
from napari_simmat.training.recipes import scenes_of
from napari_simmat.training.samples import Draw, Sample
from napari_simmat.training.scenes import Window
from napari_simmat.training.trainer import Turn, train
from napari_simmat.training.watch import Watch

__all__ = ["DROPOUT", "STEPS", "at_hand", "failing", "fuse"]

STEPS = 60
DROPOUT = 0.3
"""How often each group is dropped."""

_WINDOWS = 24
_RATE = 5e-3
_FAILING = 0.5  # share of the windows in which a sensor fails
_NOISE = (0.3, 3.0)  # its noise, in standard deviations of its signal
_GRAINS = (1, 2, 4)  # pixels of the frame for one of the sensor


def fuse(
    adapter: Adapter,
    gate: Gate,
    method: Method,
    corrections: Sequence[Correction],
    *,
    steps: int = STEPS,
    prompts: int,
    rng: np.random.Generator,
    watch: Watch,
    base: BaseModel,
) -> list[float]:
    """Train the gate of an adapter, in place.

    Parameters
    ----------
    adapter : Adapter
        Of experts that have learnt.
    gate : Gate
    method : Method
        How steps are taken.
    corrections : sequence of Correction
    steps : int
        There are no more windows than steps.
    prompts : int
        Most clicks answered in one step.
    rng, watch : optional
    base : BaseModel
        On the device where it is to be trained.

    Returns
    -------
    list of float
        Loss of each step.
    """
    names = adapter.card.members
    built = {name: member(adapter, name).build(base) for name in names}
    answering = built[names[-1]]
    device = next(answering.parameters()).device
    gate.to(device)
    seen = _seen(adapter, built, corrections, min(_WINDOWS, steps), rng, watch)
    draw = _drawing(adapter, gate, seen)
    parameters = list(gate.parameters())
    losses = train(
        answering,
        [Turn(parameters, draw)],
        method,
        steps=steps,
        rates=[(parameters, _RATE)],
        prompts=prompts,
        rng=rng,
        watch=watch,
    )
    gate.cpu()
    return losses


def _seen(
    adapter: Adapter,
    built: dict[str, AdaptedSam],
    corrections: Sequence[Correction],
    count: int,
    rng: np.random.Generator,
    watch: Watch,
) -> list[tuple[Window, dict[str, Tensor]]]:
    """Windows, and the embedding of each by each member."""
    profile, names = adapter.profile, list(built)
    scenes = scenes_of(built[names[-1]], adapter, corrections)
    device = next(built[names[-1]].parameters()).device
    chosen = [int(k) for k in np.resize(rng.permutation(len(scenes)), count)]
    windows = [scenes.draw(rng, k) for k in chosen]
    inputs = [
        w.x if rng.random() >= _FAILING else failing(w.x, _any_group(adapter, rng), rng) for w in windows
    ]
    found: list[dict[str, Tensor]] = [{} for _ in windows]
    for name in names:  # one after the other: each frozen encoder has weights of its own
        model = built[name]
        encoder = model.sam.encoder
        freeze(model)
        for x, each in zip(inputs, found, strict=True):
            watch.check()
            part = x[list(channels_of(profile, name))][None]
            part = part.to(device, memory_format=torch.channels_last)
            with torch.no_grad(), autocast(device):
                each[name] = model.late(model.early(part)).float()
        model.sam.encoder = encoder
    return list(zip(windows, found, strict=True))


def _any_group(adapter: Adapter, rng: np.random.Generator) -> tuple[int, ...]:
    groups = list(adapter.profile.groups.values())
    return groups[int(rng.integers(len(groups)))]


def failing(x: Tensor, channels: Sequence[int], rng: np.random.Generator) -> Tensor:
    """Model input (C, H, W) in which some channels are noisy by a random amount; their spread stays what it was."""
    amount = float(np.exp(rng.uniform(*np.log(_NOISE))))
    grain = int(rng.choice(_GRAINS))
    height, width = x.shape[1:]
    coarse = rng.standard_normal((len(channels), -(-height // grain), -(-width // grain)))
    noise = F.interpolate(torch.from_numpy(coarse.astype(np.float32))[None], scale_factor=grain)[0]
    noisy = x.clone()
    index = list(channels)
    noisy[index] = (x[index] + amount * noise[:, :height, :width]) / float(np.hypot(1.0, amount))
    return noisy


def at_hand(groups: Sequence[str], rng: np.random.Generator) -> list[str]:
    """The groups that are not dropped in a step: at least one."""
    kept = [name for name in groups if rng.random() >= DROPOUT]
    return kept or [groups[int(rng.integers(len(groups)))]]


def _drawing(adapter: Adapter, gate: Gate, seen: Sequence[tuple[Window, dict[str, Tensor]]]) -> Draw:
    groups = list(adapter.profile.groups)

    def draw(rng: np.random.Generator) -> Sample:
        window, embeddings = seen[int(rng.integers(len(seen)))]
        names = at_hand(groups, rng)
        while len(names) == 1:  # one group alone needs no gate
            names = at_hand(groups, rng)
        if len(names) == len(groups) and TOGETHER in embeddings:
            names = [*names, TOGETHER]
        embed: Callable[[], Tensor] = lambda: gate({name: embeddings[name] for name in names})  # noqa: E731
        return Sample(embed, window.masks, window.offset)

    return draw
