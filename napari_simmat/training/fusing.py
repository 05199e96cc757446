"""The gate of modality experts: what it learns from, and how.

It learns how good each member's own answers are. The members are done, so they answer clicks in some windows once, as
they are and again with the sensor of each group failing by a random amount, which is what the gate is to notice. Of
the members at hand the gate is to trust each by exp(20 IoU): one that is better by a twentieth gets e times as much. It
looks at the mean embeddings alone, so the fit itself takes no time. In each of its steps groups are dropped at random,
never all (modality dropout); all together is there only where all groups are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_simmat.inference import autocast, products
from napari_simmat.inference.frozen import freeze
from napari_simmat.models import AdaptedSam, Adapter, BaseModel
from napari_simmat.models.decoder import PromptDecoder
from napari_simmat.models.experts import TOGETHER, Gate, channels_of, member
from napari_simmat.training.clicks import first_click
from napari_simmat.training.corrections import Correction
from napari_simmat.training.recipes import scenes_of
from napari_simmat.training.samples import in_frame, targets_of
from napari_simmat.training.scenes import Window
from napari_simmat.training.watch import Watch

__all__ = ["DROPOUT", "WINDOWS", "at_hand", "failing", "fit", "fuse"]

WINDOWS = 16
DROPOUT = 0.3
"""How often each group is dropped."""

_TRUST = 20.0
_FIT = 300  # steps
_RATE = 0.02
_DECAY = 1e-3
_NOISE = (0.3, 3.0)  # of a failing sensor, in standard deviations of its signal
_GRAINS = (1, 2, 4)  # pixels of the frame for one of the sensor


@dataclass(eq=False)
class _Seen:
    """A window, its sensors as they are or one failing, and what the members made of it."""

    window: Window
    x: Tensor
    means: dict[str, Tensor] = field(default_factory=dict)
    ious: dict[str, float] = field(default_factory=dict)


def fuse(
    adapter: Adapter,
    gate: Gate,
    corrections: Sequence[Correction],
    *,
    windows: int = WINDOWS,
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
    corrections : sequence of Correction
    windows : int
        How many are looked at; one step each for whoever watches.
    prompts : int
        Most objects that are clicked in each.
    rng, watch : optional
    base : BaseModel
        On the device where it is to be trained.

    Returns
    -------
    list of float
        For each window how far the members are off, 1 - IoU.
    """
    names = list(adapter.card.members)
    groups = list(adapter.profile.groups)
    built = {name: member(adapter, name).build(base) for name in names}
    scenes = scenes_of(built[names[-1]], adapter, corrections)
    chosen = np.resize(rng.permutation(len(scenes)), windows)
    pairs: list[tuple[_Seen, dict[str, _Seen]]] = []
    for k in chosen:
        window = scenes.draw(rng, int(k))
        window = Window(window.x, window.masks[:prompts], window.offset)
        noisy = {g: failing(window.x, channels_of(adapter.profile, g), rng) for g in groups}
        pairs.append((_Seen(window, window.x), {g: _Seen(window, x) for g, x in noisy.items()}))
    for model in built.values():
        freeze(model)
    losses = []
    for clean, broken in pairs:
        watch.check()
        for name, model in built.items():
            channels = channels_of(adapter.profile, name)
            _ask(model, name, channels, clean)
            for group, seen in broken.items():
                if name in (group, TOGETHER):
                    _ask(model, name, channels, seen)
                else:
                    seen.means[name], seen.ious[name] = clean.means[name], clean.ious[name]
        losses.append(1 - float(np.mean(list(clean.ious.values()))))
        watch.step(losses[-1])
    everything = [each for clean, broken in pairs for each in (clean, *broken.values())]
    fit(gate, [each.means for each in everything], [each.ious for each in everything], rng)
    return losses


def _ask(model: AdaptedSam, name: str, channels: Sequence[int], seen: _Seen) -> None:
    """Have a member answer one click on each object of a window; note its mean embedding and IoU."""
    device = next(model.sam.mask_decoder.parameters()).device
    window = seen.window
    x = seen.x[list(channels)][None].to(device, memory_format=torch.channels_last)
    with torch.no_grad(), autocast(device):
        embedding = model.late(model.early(x)).float()
        decoder = PromptDecoder(model.sam, products(device))
        points = in_frame([first_click(mask) for mask in window.masks], window.offset, device)
        labels = torch.ones(len(window.masks), 1, device=device)
        logits, _ = decoder.answer(decoder.ground(embedding, window.offset), points=points, labels=labels)
        found, wanted = logits[:, :1] > 0, targets_of(window.masks, device) > 0.5
        overlap = (found & wanted).sum((1, 2, 3))
        union = (found | wanted).sum((1, 2, 3)).clamp_min(1)
    seen.means[name] = embedding.mean((2, 3))[..., None, None].cpu()
    seen.ious[name] = float((overlap / union).mean())


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
    """The groups that are not dropped: at least one."""
    kept = [name for name in groups if rng.random() >= DROPOUT]
    return kept or [groups[int(rng.integers(len(groups)))]]


def fit(
    gate: Gate,
    means: Sequence[dict[str, Tensor]],
    ious: Sequence[dict[str, float]],
    rng: np.random.Generator,
) -> None:
    """Fit a gate, in place, to how good members are.

    Parameters
    ----------
    gate : Gate
    means : sequence of dict of str to Tensor, (1, 256, 1, 1)
        Mean embedding of each member in each window.
    ious : sequence of dict of str to float
        How good its answers were there.
    rng : Generator
        Of the groups that are dropped.
    """
    groups = [name for name in gate.members if name != TOGETHER]
    features = torch.stack([torch.cat([each[name][:, :, 0, 0] for name in gate.members]) for each in means])
    trust = torch.tensor([[each[name] for name in gate.members] for each in ious]) * _TRUST
    optimiser = torch.optim.AdamW(gate.parameters(), lr=_RATE, weight_decay=_DECAY)
    for _ in range(_FIT):
        kept = [at_hand(groups, rng) for _ in means]
        there = torch.tensor(
            [
                [name in names or (name == TOGETHER and len(names) == len(groups)) for name in gate.members]
                for names in kept
            ]
        )
        logits = (gate.weight * features).sum(2) + gate.bias
        target = trust.masked_fill(~there, -torch.inf).softmax(1)
        found = logits.masked_fill(~there, -1e9).log_softmax(1)
        loss = -(target * found).sum(1).mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
