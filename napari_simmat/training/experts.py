"""How modality experts learn: each as one model alone would, with one decoder for all, then the gate that fuses them.

The member that sees all channels together learns first, exactly as one model on all channels does, with the mask
decoder. Each group's expert learns after it, alone, for as many steps, with the decoder as it is now: so all embeddings
are in the language of one decoder, none is trained less because others are there, and each can answer by itself when
the others are missing. The gate is trained last, on what the members make of some windows, with groups dropped
(`napari_simmat.training.fusing`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari_simmat.errors import TrainingError
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.groups import groups_in
from napari_simmat.models import Adapter, BaseModel
from napari_simmat.models.experts import TOGETHER, Gate, begin_experts, gate_of, member, put_together
from napari_simmat.models.strategies import Strategy
from napari_simmat.training.fusing import WINDOWS
from napari_simmat.training.report import Run
from napari_simmat.training.settings import Settings

__all__ = ["refuse_missing", "steps_of", "train_experts", "with_experts"]

_REFUSED = (
    "The model is not to look at {groups} at present, and what it would learn without would not go together with what it "
    "knows of that; let it look at all groups again, then train."
)

Alone = Callable[[Adapter, Strategy], Run]
"""Trains one member as an adapter of its own."""


def with_experts(
    start: Adapter, settings: Settings, images: Sequence[MultiChannelImage], base: BaseModel
) -> Adapter:
    """The adapter to go on from: with experts, where they are asked for or it has them.

    Raises
    ------
    TrainingError
        A group is left out, an image lacks one, or the settings train what members cannot have for themselves.
    AdapterError
        An image does not have the channels, or the adapter's encoder is its own.
    """
    if not (settings.experts or start.card.members):
        return start
    refuse_missing(start)
    strategy = Strategy.parse(settings.strategy)
    if strategy.name in ("decoder", "full", "scratch") or settings.recipe != "interactive":
        what = (
            f"recipe {settings.recipe!r}"
            if settings.recipe != "interactive"
            else f"strategy {str(strategy)!r}"
        )
        raise TrainingError(
            f"The {what} trains what experts share, expected an addition such as lora and the recipe 'interactive'; "
            "choose these, or train without experts."
        )
    for image in images:
        lacking = [name for name in start.profile.groups if name not in groups_in(start.profile, image)]
        if lacking and start.card.members:
            raise TrainingError(
                f"{image.name!r} has no {' and no '.join(lacking)}, which the experts learn from; leave it out, or "
                "train an adapter for its own channels."
            )
        start.profile.check(image)
    return start if start.card.members else begin_experts(start, images, base)


def refuse_missing(adapter: Adapter) -> None:
    """Refuse to train an adapter while groups are left out.

    Raises
    ------
    TrainingError
    """
    if adapter.card.missing:
        raise TrainingError(_REFUSED.format(groups=" and ".join(adapter.card.missing)))


def steps_of(start: Adapter, steps: int) -> int:
    """Steps in all, where each member takes so many."""
    members = len(start.card.members)
    return members * steps + min(WINDOWS, steps) * (members > 1) if members else steps


def train_experts(
    start: Adapter,
    strategy: Strategy,
    alone: Alone,
    fuse: Callable[[Adapter, Gate], list[float]],
) -> Run:
    """Train the members one after the other, then the gate.

    Parameters
    ----------
    start : Adapter
        Of experts.
    strategy : Strategy
        What is trained of each; the decoder's part with the first alone.
    alone : callable
    fuse : callable (adapter, gate)
        Trains the gate of an adapter in place; gives the loss of each step.
    """
    names = list(start.card.members)
    order = [TOGETHER, *(name for name in names if name != TOGETHER)] if TOGETHER in names else names
    learnt = {name: member(start, name) for name in names}
    runs: list[Run] = []
    decoder: Adapter | None = None
    for name in order:
        own = learnt[name] if decoder is None else _with_decoder_of(learnt[name], decoder)
        if decoder is not None and not _has_learnt(learnt[name]):
            own = _beginning_as(own, decoder)
        runs.append(alone(own, strategy if decoder is None else _without_decoder(strategy)))
        learnt[name] = runs[-1].adapter
        decoder = decoder or learnt[name]
    gate = gate_of(start)
    assert decoder is not None
    # The shared decoder is taken from the last, which has that of the first.
    card = start.card.model_copy(update={"strategy": str(strategy), "rank": decoder.card.rank})
    adapter = put_together(Adapter(start.profile, card, {}, start.heads), learnt, gate)
    losses = [loss for run in runs for loss in run.losses]
    if len(names) > 1:
        losses += fuse(adapter, gate)
        adapter = put_together(adapter, learnt, gate)
    return Run(
        adapter,
        losses,
        sum(run.seconds for run in runs),
        sum(run.parameters for run in runs) + sum(p.numel() for p in gate.parameters()),
        runs[0].watching,
        device=runs[-1].device,
        note=runs[-1].note,
    )


def _has_learnt(adapter: Adapter) -> bool:
    """Whether a member has anything beside its transfer layer and what all share."""
    return any(not name.startswith("mat.") and ".mask_decoder." not in name for name in adapter.tensors)


def _beginning_as(adapter: Adapter, other: Adapter) -> Adapter:
    """A member that begins with what another has learnt in the encoder; its transfer layer is its own."""
    tensors = {k: v for k, v in other.tensors.items() if not k.startswith("mat.")}
    return Adapter(adapter.profile, adapter.card, adapter.tensors | tensors)


def _with_decoder_of(adapter: Adapter, other: Adapter) -> Adapter:
    """A member with what another has learnt in the mask decoder, for which `put_together` tells the two apart."""
    shared = {k: v for k, v in other.tensors.items() if k.partition(".")[2].startswith("mask_decoder.")}
    return Adapter(adapter.profile, adapter.card, adapter.tensors | shared)


def _without_decoder(strategy: Strategy) -> Strategy:
    """The same strategy, the mask decoder left as it is."""
    if strategy.name == "mat":
        return strategy
    given = dict(strategy.given) | {"decoder": "no"}
    return Strategy.parse(f"{strategy.name}:{','.join(f'{k}={v}' for k, v in given.items())}")
