"""Whether prompts belong to their images, asked before anything is learnt from them.

Objects that people point at look more like each other than like any place. So each pointed place is compared with the
places pointed at in the other images (in an only image with the others in it), and it is asked how often it is more like
them than a place drawn at random from its own image is. Prompts of other images point at any places, for which that is a
toss of a coin. How sure that is follows from the prompts themselves: the same is asked after the images have exchanged
their prompts (few images: after all points of an image were moved by one stretch), again and again. Prompts that fit
their images no better than exchanged ones teach nothing, and are refused.

It is asked twice, of what the frozen model sees and of the channels' values themselves: the model may be blind to what
tells objects apart, as in camouflage. Each is asked at half of the level, and one that fits is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_simmat.training.rough.labels import RoughLabels

CHANCE = 0.025
"""Share of exchanges that may fit as well: 5 % for both looks together."""

LEAST_OBJECTS = 5
"""Of fewer objects nothing can be told."""

_TRIALS = 199
_RANDOM = 64  # places of each image
_NEAREST = 3
_TO_EXCHANGE = 5  # images


@dataclass(frozen=True, eq=False)
class Look:
    """An image, cell by cell.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the image.
    directions : ndarray, (h, w, C)
        What each cell that shows the image looks like, of unit length; the mean direction over the image taken off.
    """

    shape: tuple[int, int]
    directions: NDArray[np.float32]

    def at(self, points: NDArray[np.float64]) -> NDArray[np.float32]:
        """Directions (N, C) at places (N, 2), given as shares of the image's height and width."""
        h, w, _ = self.directions.shape
        rows = np.clip((points[:, 0] * h).astype(int), 0, h - 1)
        columns = np.clip((points[:, 1] * w).astype(int), 0, w - 1)
        found: NDArray[np.float32] = self.directions[rows, columns]
        return found


@dataclass(frozen=True)
class Fit:
    """How well prompts fit their images.

    Attributes
    ----------
    likeness : float
        How often a pointed place is more like the others than a random place is: 0.5 is chance, 1 always.
    chance : float or None
        Share of exchanged prompts that fit as well; None where there are too few objects to tell.
    """

    likeness: float
    chance: float | None

    @property
    def is_refused(self) -> bool:
        """Whether the prompts fit no better than those of other images would."""
        return self.chance is not None and self.chance > CHANCE


def places_of(labels: RoughLabels) -> NDArray[np.float64]:
    """One place for each object, as shares of height and width: its first positive point, else the middle of its box."""
    found = []
    for each in labels.objects:
        if each.inside:
            place = each.inside[0] if each.points else each.inside[len(each.inside) // 2]
        else:
            around = each.around
            assert around is not None
            place = (around[0] + around[2]) / 2, (around[1] + around[3]) / 2
        found.append(place)
    shares: NDArray[np.float64] = (np.array(found, float).reshape(-1, 2) + 0.5) / np.array(labels.image.shape)
    return shares


def fit_of(looks: Sequence[Look], places: Sequence[NDArray[np.float64]], *, seed: int = 0) -> Fit:
    """Compare prompts with the same prompts exchanged between the images."""
    rng = np.random.default_rng(seed)
    count = sum(len(p) for p in places)
    if count < LEAST_OBJECTS:
        return Fit(0.5, None)
    random = [look.at(rng.random((_RANDOM, 2))) for look in looks]
    likeness = _likeness(looks, places, random)
    as_well = 0
    for _ in range(_TRIALS):
        if len(looks) >= _TO_EXCHANGE:
            order = rng.permutation(len(looks))
            while (order == np.arange(len(looks))).all():  # no exchange at all
                order = rng.permutation(len(looks))
            moved = [places[int(k)] for k in order]
        else:
            moved = [_moved(each, rng) for each in places]
        as_well += _likeness(looks, moved, random) >= likeness
    return Fit(likeness, (1 + as_well) / (1 + _TRIALS))


def better(one: Fit, other: Fit) -> Fit:
    """That of two which fewer exchanges reach; of equals the first."""
    if one.chance is None or other.chance is None:
        return one
    return other if other.chance < one.chance else one


def _moved(places: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """All places by the same stretch, round the borders, and perhaps mirrored."""
    turned = np.where(rng.random(2) < 0.5, places, 1 - places)
    moved: NDArray[np.float64] = np.asarray((turned + rng.random(2)) % 1.0)
    return moved


def _likeness(
    looks: Sequence[Look], places: Sequence[NDArray[np.float64]], random: Sequence[NDArray[np.float32]]
) -> float:
    """Mean over objects of the share of random places that are less like the other objects."""
    shown = [look.at(each) for look, each in zip(looks, places, strict=True)]
    owner = np.concatenate([np.full(len(each), k) for k, each in enumerate(shown)])
    everything = np.concatenate(shown)
    shares: list[float] = []
    for k, own in enumerate(shown):
        others = everything[owner != k]
        if len(others) >= _NEAREST:
            shares += _shares(own, others, random[k])
        else:
            for n in range(len(own)):
                among = np.concatenate([others, np.delete(own, n, 0)])
                shares += _shares(own[n : n + 1], among, random[k])
    return float(np.mean(shares))


def _shares(
    own: NDArray[np.float32], others: NDArray[np.float32], random: NDArray[np.float32]
) -> list[float]:
    """For each of some places the share of random places that are less like the nearest of the others; ties by half."""
    alike = np.concatenate([own, random]) @ others.T
    nearest = np.sort(alike, axis=1)[:, -_NEAREST:].mean(1)
    mine, theirs = nearest[: len(own), None], nearest[None, len(own) :]
    found: list[float] = ((mine > theirs).mean(1) + 0.5 * (mine == theirs).mean(1)).tolist()
    return found
