"""Modality experts: one transfer layer and LoRA for each group of channels, whose embeddings are fused by a gate.

After MLE-SAM (arXiv 2412.04220), which gives each modality a LoRA of its own in the frozen encoder. The members are the
groups, and one that sees all channels together, which is there only while all groups are. Each member is an adapter
like any other, so a group that is missing is not looked at: nothing of it is read. Of the members at hand,

    E = 1/2 mean E_m + 1/2 sum_m w_m E_m,    w = softmax over the members at hand of W_m . GAP(E_m) + b_m

where all together counts three times as much in the mean as all M groups do, for it knows what each of them knows. W
starts at zero, b at zero for groups and at ln M for all together, so that it counts as much as the rest in w. One member
alone gives E = E_m, so a single untrained group is the base model.

In an adapter's tensors those of a member begin with ``expert.<name>.``; the mask decoder is shared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_simmat.errors import AdapterError
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.groups import chosen_groups, groups_in, only
from napari_simmat.models.encoders import EMBEDDING_CHANNELS
from napari_simmat.models.learnt import EXPERT, GATE

if TYPE_CHECKING:
    from napari_simmat.images import ModalityProfile
    from napari_simmat.models.adapter import Adapter
    from napari_simmat.models.base import BaseModel

__all__ = [
    "TOGETHER",
    "Gate",
    "begin_experts",
    "channels_of",
    "check_members",
    "gate_of",
    "groups_at_hand",
    "member",
    "members_at_hand",
    "missing_in_words",
    "put_together",
    "shares_of_groups",
    "without",
]

TOGETHER = "all together"
"""The member that sees all channels at once."""

_OF_TOGETHER = 0.75
"""Its share in the mean. On fresh scenes the IoU grew with it: averaging costs what the weaker experts lack."""


class Gate(nn.Module):
    """Fuses the embeddings of the members at hand.

    Parameters
    ----------
    members : sequence of str
        All that there may be.
    """

    def __init__(self, members: Sequence[str]) -> None:
        super().__init__()
        self.members = tuple(members)
        self.weight = nn.Parameter(torch.zeros(len(self.members), EMBEDDING_CHANNELS))
        self.bias = nn.Parameter(torch.zeros(len(self.members)))
        if TOGETHER in self.members:
            groups = len(self.members) - 1
            self.bias.data[self.members.index(TOGETHER)] = math.log(groups)

    def weights(self, embeddings: Mapping[str, Tensor], shown: tuple[int, int] | None = None) -> Tensor:
        """What the gate gives each member at hand, in their order; they sum to one.

        Parameters
        ----------
        embeddings : mapping of str to Tensor, (1, 256, h, w)
            Of the members at hand.
        shown : (int, int), optional
            So many rows and columns of them show the image; beyond, the frame is filled up with nothing.
        """
        height, width = shown or (None, None)
        rows = [self.members.index(name) for name in embeddings]
        means = torch.stack([e[..., :height, :width].float().mean((0, 2, 3)) for e in embeddings.values()])
        return torch.softmax((self.weight[rows] * means).sum(1) + self.bias[rows], 0)

    def forward(self, embeddings: Mapping[str, Tensor], shown: tuple[int, int] | None = None) -> Tensor:
        """The embedding (1, 256, h, w) that is answered on."""
        names, listed = list(embeddings), list(embeddings.values())
        if len(listed) == 1:
            return listed[0]
        mean = listed[0].new_full((len(names),), 1 / len(names))
        if TOGETHER in names:
            mean.fill_((1 - _OF_TOGETHER) / (len(names) - 1))
            mean[names.index(TOGETHER)] = _OF_TOGETHER
        shares = 0.5 * mean + 0.5 * self.weights(embeddings, shown)
        return torch.stack([s * e for s, e in zip(shares, listed, strict=True)]).sum(0)


def shares_of_groups(weights: Mapping[str, float]) -> dict[str, float]:
    """How a gate's weights are shared among the groups; they sum to one.

    The softmax over the groups that are there, as if all together were not. It tells how sensors compare: all together
    sees every one of them, and what it loses when one fails goes to all groups, also to that one.

    Parameters
    ----------
    weights : mapping of str to float
        Of the members at hand.
    """
    groups = {name: weight for name, weight in weights.items() if name != TOGETHER}
    whole = sum(groups.values())
    # Where all together takes all, down to the last digit, nothing is known of the groups.
    return {n: w / whole if whole > 0 else 1 / len(groups) for n, w in groups.items()}


def begin_experts(
    start: Adapter, images: Sequence[MultiChannelImage], base: BaseModel, *, mat: str | None = None
) -> Adapter:
    """Experts that are not trained yet, beside an adapter that is: it becomes the member that sees all together.

    Parameters
    ----------
    start : Adapter
        Trained or not; its profile says which groups there are.
    images : sequence of MultiChannelImage
        What the experts of groups without colours start from, see `Adapter.untrained`.
    base : BaseModel
    mat : str, optional
        Transfer layer of the experts; by default that of `start`.

    Raises
    ------
    AdapterError
        What `start` has learnt is no addition beside the encoder, so groups cannot have their own.
    """
    from napari_simmat.models.adapter import Adapter

    own = next((name for name in start.tensors if name.startswith("weight.encoder.")), None)
    if own is not None:
        raise AdapterError(
            f"The adapter {start.card.name!r} has an encoder of its own ({start.card.strategy}), but experts share a "
            "frozen one; begin without it, or with an adapter of the strategy lora."
        )
    groups = start.profile.groups
    members = {
        name: Adapter.untrained(
            list(images), profile=only(start.profile, channels), mat=mat or start.card.mat, base=base
        )
        for name, channels in groups.items()
    }
    if len(members) == 1:
        return put_together(start, dict.fromkeys(groups, start), Gate(list(groups)))
    members[TOGETHER] = start
    return put_together(start, members, Gate(list(members)))


def put_together(like: Adapter, members: Mapping[str, Adapter], gate: Gate) -> Adapter:
    """An adapter of these members; the decoder is that of the last one.

    Parameters
    ----------
    like : Adapter
        Whose profile and card are taken.
    members : mapping of str to Adapter
    gate : Gate
        Of the same members.
    """
    from napari_simmat.models.adapter import Adapter

    last = list(members.values())[-1]
    tensors = {name: tensor for name, tensor in last.tensors.items() if _is_shared(name)}
    for name, each in members.items():
        tensors |= {f"{EXPERT}.{name}.{k}": v for k, v in each.tensors.items() if not _is_shared(k)}
    tensors |= {f"{GATE}.{k}": v for k, v in gate.state_dict().items()}
    card = like.card.model_copy(update={"members": tuple(members), "missing": ()})
    return Adapter(like.profile, card, tensors, like.heads)


def _is_shared(name: str) -> bool:
    """Whether a tensor belongs to the mask decoder, which all members share."""
    return name.partition(".")[2].startswith("mask_decoder.") and not name.startswith("mat.")


def gate_of(adapter: Adapter) -> Gate:
    """The gate of an adapter of experts."""
    gate = Gate(adapter.card.members)
    gate.load_state_dict({name: adapter.tensors[f"{GATE}.{name}"] for name in gate.state_dict()})
    return gate


def member(adapter: Adapter, name: str, image: MultiChannelImage | None = None) -> Adapter:
    """One member as an adapter of its own, for an image that may lack what others look at."""
    from napari_simmat.models.adapter import Adapter

    prefix = f"{EXPERT}.{name}."
    tensors = {k.removeprefix(prefix): v for k, v in adapter.tensors.items() if k.startswith(prefix)}
    tensors |= {k: v for k, v in adapter.tensors.items() if not k.startswith((f"{EXPERT}.", f"{GATE}."))}
    card = adapter.card.model_copy(update={"members": (), "missing": ()})
    return Adapter(_profile_of(adapter.profile, name, image), card, tensors)


def _profile_of(profile: ModalityProfile, name: str, image: MultiChannelImage | None) -> ModalityProfile:
    return only(profile, channels_of(profile, name), image)


def channels_of(profile: ModalityProfile, name: str) -> Sequence[int]:
    """What a member sees, by the numbers of the channels."""
    return range(profile.n_channels) if name == TOGETHER else profile.groups[name]


def without(adapter: Adapter, groups: Sequence[str]) -> Adapter:
    """The same adapter that does not look at some groups; those it did without before come back.

    Raises
    ------
    AdapterError
        It has no experts, there is no such group, or none would be left.
    """
    if not adapter.card.members:
        raise AdapterError(
            f"The adapter {adapter.card.name!r} looks at all channels at once, so none of its groups can be left out; "
            "train one with experts."
        )
    return adapter.with_card(missing=chosen_groups(groups, tuple(adapter.profile.groups)))


def groups_at_hand(adapter: Adapter, image: MultiChannelImage) -> tuple[str, ...]:
    """The groups that an adapter of experts looks at in an image: that are in it, and are not to be left out.

    Raises
    ------
    AdapterError
        There is none.
    """
    found = [name for name in groups_in(adapter.profile, image) if name not in adapter.card.missing]
    if not found:
        adapter.profile.check(image)
        raise AdapterError(
            f"The model is to look at no group of channels of {image.name!r}; let it see at least one."
        )
    return tuple(found)


def members_at_hand(adapter: Adapter, image: MultiChannelImage) -> tuple[str, ...]:
    """The members that see an image: the groups at hand, and all together where none is missing."""
    groups = groups_at_hand(adapter, image)
    for name in groups:
        _profile_of(adapter.profile, name, image).check(image)
    whole = TOGETHER in adapter.card.members and len(groups) == len(adapter.profile.groups)
    return (*groups, TOGETHER) if whole else groups


def missing_in_words(adapter: Adapter, image: MultiChannelImage) -> str:
    """A sentence on what an image lacks of the groups of an adapter of experts; '' if nothing, or it has none."""
    found = groups_in(adapter.profile, image) if adapter.card.members else ()
    lacking = [name for name in adapter.profile.groups if name not in found]
    if not adapter.card.members or not lacking:
        return ""
    return (
        f"{image.name!r} has no {' and no '.join(lacking)}, so the model looks at {', '.join(found)} alone."
    )


def check_members(profile: ModalityProfile, members: Sequence[str], tensors: Mapping[str, Tensor]) -> None:
    """Refuse members that are not those of a profile, and a gate or names of tensors that are not theirs.

    Raises
    ------
    RuntimeError
        In a few words.
    """
    groups = list(profile.groups)
    expected = [groups, [*groups, TOGETHER]]
    if list(members) not in expected or TOGETHER in groups:
        raise RuntimeError(f"its members are {', '.join(members)[:60]}, its groups {', '.join(groups)[:60]}")
    prefixes = tuple(f"{EXPERT}.{name}." for name in members)
    for name in tensors:
        if name.startswith(f"{EXPERT}.") and not name.startswith(prefixes):
            raise RuntimeError(f"{name[:60]!r} belongs to no member")
    gate = Gate(members)
    gate.load_state_dict({k: tensors[f"{GATE}.{k}"] for k in gate.state_dict() if f"{GATE}.{k}" in tensors})
