"""What is left out together: channels that the model sees, those made of one image channel, or neighbouring bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from napari_simmat.errors import SimmatError
from napari_simmat.images import ModalityProfile


@dataclass(frozen=True)
class Part:
    """A name for people, and the channels of the model that it stands for, by their numbers from 0.

    Attributes
    ----------
    name : str
    channels : frozenset of int
        What cannot be had without it.
    own : frozenset of int
        What can be had of it alone.
    """

    name: str
    channels: frozenset[int]
    own: frozenset[int]


def model_parts(profile: ModalityProfile, groups: int | None = None) -> list[Part]:
    """Each channel that the model sees, or `groups` runs of neighbouring ones.

    Raises
    ------
    SimmatError
        Fewer than one group is wanted.
    """
    names = [seen.name for seen in profile.sees]
    runs = _runs(range(len(names)), groups)
    return [Part(_named(names, run), frozenset(run), frozenset(run)) for run in runs]


def image_parts(profile: ModalityProfile, groups: int | None = None) -> list[Part]:
    """Each channel of the image, or `groups` runs of neighbouring ones, with all that the model sees of them.

    A channel that is computed from several, such as the degree of polarization, cannot be had without any one of them.
    Channels of the image of which the model sees nothing are passed over.

    Raises
    ------
    SimmatError
        Fewer than one group is wanted.
    """
    used = sorted({i for seen in profile.sees for i in seen.of})
    sources = [set(seen.of) for seen in profile.sees]
    return [
        Part(
            _named(profile.channels, run),
            frozenset(k for k, of in enumerate(sources) if of & set(run)),
            frozenset(k for k, of in enumerate(sources) if of <= set(run)),
        )
        for run in _runs(used, groups)
    ]


def needed(profile: ModalityProfile, channels: frozenset[int]) -> list[str]:
    """Names of the image's channels that these channels of the model are made of."""
    used = sorted({i for k in channels for i in profile.sees[k].of})
    return [profile.channels[i] for i in used]


def _runs(numbers: Sequence[int], groups: int | None) -> list[Sequence[int]]:
    """`numbers` cut into so many runs of nearly the same length, each number by itself where there are fewer."""
    if groups is None:
        groups = len(numbers)
    if groups < 1:
        raise SimmatError(f"Got {groups} groups of channels, expected at least 1.")
    groups = min(groups, len(numbers))
    cuts = [len(numbers) * k // groups for k in range(groups + 1)]
    return [numbers[a:b] for a, b in pairwise(cuts)]


def _named(names: Sequence[str], run: Sequence[int]) -> str:
    return names[run[0]] if len(run) == 1 else f"{names[run[0]]} to {names[run[-1]]}"
