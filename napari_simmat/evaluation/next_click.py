"""How good the advice is on what to click next: proposals on unseen images, and doubts against true errors.

Some objects are accepted on training images, as a user would have: image after image. What is learnt from them is put to
the test on other images. A proposal is right if its click is near an object that no surer proposal has; every other
one is false, also one on an object that nobody has labelled.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel as Model
from pydantic import Field
from scipy import ndimage
from scipy.stats import rankdata

from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation.metrics import iou
from napari_simmat.evaluation.protocol import Item, check_labels, objects, segmenter_for
from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.inference.doubt import Doubter
from napari_simmat.inference.everything import everything
from napari_simmat.inference.proposing import Proposal, Proposer, propose
from napari_simmat.models import Adapter, BaseModel
from napari_simmat.training.clicks import first_click
from napari_simmat.training.proposals import Lesson, learn_to_propose, lesson_of

__all__ = ["NextFigures", "ProposalFigures", "benchmark_next", "spearman"]

NEAR = 10.0
"""A proposal is right if it is so many pixels from the object."""

_DRAWS = 2000


class ProposalFigures(Model):
    """One way to propose, judged on unseen images; a list has one number for each seed."""

    name: str
    found: list[float] = Field(description="Share of the objects that were proposed.")
    right: list[float] = Field(description="Share of the proposals that were right.")
    on_object: list[float] = Field(
        description="Share of the objects that a proposal clicked on, not only near."
    )
    proposals: list[float] = Field(description="Proposals per image.")
    threshold: list[float] = Field(
        description="Score from which was proposed, chosen on the training images."
    )
    seconds: list[float] = Field(description="Of learning.")
    found_mean: float
    found_ci95: tuple[float, float] = Field(description="Bootstrap over test images, mean of the seeds.")
    right_mean: float
    right_ci95: tuple[float, float]


class NextFigures(Model):
    """Everything that the benchmark found."""

    dataset: str
    train_images: int
    test_images: int
    test_objects: int
    accepted: int = Field(description="Objects learnt from.")
    near: float = NEAR
    proposals: list[ProposalFigures]
    doubt_spearman: list[float] = Field(
        description="Rank correlation of doubt with one minus IoU of the one-click mask, for each seed."
    )
    doubt_ci95: tuple[float, float] = Field(description="Bootstrap over test images, mean of the seeds.")
    predicted_iou_spearman: float = Field(description="The same of one minus the model's own predicted IoU.")
    one_click_miou: float
    remark: str = ""


@dataclass(frozen=True)
class _Tally:
    """Of one image: objects, proposals, right ones, and objects that were clicked on."""

    objects: int
    proposals: int
    right: int
    on_object: int


Report = Callable[[int, int, str], None]


def benchmark_next(
    train: Sequence[Item],
    test: Sequence[Item],
    *,
    dataset: str = "",
    accepted: int = 20,
    seeds: int = 3,
    steps: int | None = None,
    grid: int | None = None,
    adapter: Adapter | None = None,
    profile: str | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
    progress: Report = lambda done, total, what: None,
    cancel: threading.Event | None = None,
) -> NextFigures:
    """Learn from some objects of training images, and see what is proposed and doubted on test images.

    Parameters
    ----------
    train, test : sequence of (MultiChannelImage, label image)
        Read when they are looked at, so they may load themselves.
    dataset : str
        Its name, for people.
    accepted : int
        Objects to learn from. They are all of one image after the other in an order that the seed draws.
    seeds : int
    steps : int, optional
        Of each training.
    grid : int, optional
        Clicks along the longer side for the masks of everything, to compare with; none by default, since it is slow.
    adapter, profile, base, device : optional
        As for `napari_simmat.evaluation.evaluate`.
    progress : callable (done, total, remark)
    cancel : threading.Event, optional

    Raises
    ------
    SimmatError
        There are not so many objects, or labels and images do not fit.
    Cancelled
    """

    def look(item: Item) -> Segmenter:
        if cancel is not None and cancel.is_set():
            raise Cancelled("The benchmark was cancelled.")
        check_labels(item[0], item[1])
        return segmenter_for(item[0], adapter=adapter, profile=profile, base=base, device=device)

    total = 2 * seeds + len(test)
    learnt: dict[str, list[tuple[Proposer, float]]] = {"complete": [], "partial": []}
    for seed in range(seeds):
        lessons = _lessons(train, look, accepted, seed)
        for k, (name, found) in enumerate(learnt.items()):
            progress(2 * seed + k, total, f"learning, seed {seed}")
            told = [_said(lesson, whole and name == "complete") for lesson, whole in lessons]
            found.append(_timed(told, steps, seed, cancel))
    tallies: dict[str, list[list[_Tally]]] = {name: [[] for _ in range(seeds)] for name in learnt}
    if grid is not None:
        tallies["everything"] = [[]]
    errors: list[tuple[int, float, float, list[float]]] = []
    for number in range(len(test)):
        item = test[number]
        progress(2 * seeds + number, total, item[0].name)
        segmenter = look(item)
        masks = [mask for _, mask in objects(item[1])]
        distances = [ndimage.distance_transform_edt(~mask) for mask in masks]
        for name, proposers in learnt.items():
            for seed, (proposer, _) in enumerate(proposers):
                tallies[name][seed].append(_tally(propose(segmenter, proposer), distances))
        if grid is not None:
            tallies["everything"][0].append(_tally(everything(segmenter, grid=grid), distances))
        doubter = Doubter(segmenter)
        for mask in masks:
            errors += _error(segmenter, doubter, mask, number, seeds)
    progress(total, total, "done")
    if not errors:
        raise SimmatError("Found no object on the test images; give labelled ones.")
    figures = [
        _figures(name, of_seeds, learnt.get(name, []), np.random.default_rng(0))
        for name, of_seeds in tallies.items()
    ]
    images, true, own = (np.array([each[k] for each in errors]) for k in range(3))
    doubts = np.array([each[3] for each in errors])
    return NextFigures(
        dataset=dataset,
        train_images=len(train),
        test_images=len(test),
        test_objects=len(errors),
        accepted=accepted,
        proposals=figures,
        doubt_spearman=[round(spearman(doubts[:, k], true), 4) for k in range(seeds)],
        doubt_ci95=_doubt_interval(images, doubts, true),
        predicted_iou_spearman=round(spearman(1 - own, true), 4),
        one_click_miou=round(float(1 - true.mean()), 4),
    )


def spearman(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Rank correlation; 0 where either is the same everywhere."""
    a, b = rankdata(one), rankdata(other)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _lessons(
    train: Sequence[Item], look: Callable[[Item], Segmenter], accepted: int, seed: int
) -> list[tuple[Lesson, bool]]:
    """So many objects, image after image, and whether they are all of the image."""
    found: list[tuple[Lesson, bool]] = []
    missing = accepted
    rng = np.random.default_rng(seed)
    for number in rng.permutation(len(train)):
        item = train[int(number)]
        labels = np.zeros(item[1].shape, np.int32)
        listed = list(objects(item[1]))
        chosen = rng.permutation(len(listed))[:missing]
        for place, k in enumerate(chosen, 1):
            labels[listed[int(k)][1]] = place
        if len(chosen):
            found.append((lesson_of(look(item), labels), len(chosen) == len(listed)))
        missing -= len(chosen)
        if missing == 0:
            return found
    raise SimmatError(
        f"Found {accepted - missing} objects on {len(train)} training images, expected at least {accepted}; "
        "give more images, or accept fewer."
    )


def _said(lesson: Lesson, is_complete: bool) -> Lesson:
    return Lesson(lesson.seen, lesson.objects, lesson.rejected, is_complete)


def _timed(
    lessons: list[Lesson], steps: int | None, seed: int, cancel: threading.Event | None
) -> tuple[Proposer, float]:
    began = time.perf_counter()
    proposer = learn_to_propose(lessons, steps=steps, seed=seed, cancel=cancel)
    return proposer, time.perf_counter() - began


def _tally(proposals: list[Proposal], distances: list[NDArray[np.float64]]) -> _Tally:
    """Which objects the proposals find, the surest first; each object once."""
    free = set(range(len(distances)))
    right, clicked = 0, 0
    for proposal in proposals:
        y, x = (round(v) for v in proposal.point)
        away = {k: float(distances[k][y, x]) for k in free}
        nearest = min(away, key=lambda k: away[k], default=None)
        if nearest is not None and away[nearest] <= NEAR:
            free.remove(nearest)
            right += 1
            clicked += away[nearest] == 0
    return _Tally(len(distances), len(proposals), right, clicked)


def _error(
    segmenter: Segmenter, doubter: Doubter, mask: NDArray[np.bool_], number: int, seeds: int
) -> list[tuple[int, float, float, list[float]]]:
    """Of the mask of one click: the image, one minus its IoU, its predicted IoU, and the doubt for each seed."""
    answer = segmenter.answer(Prompt().with_point(*first_click(mask)))
    shown = answer.mask()
    if not shown.any():
        return [(number, 1.0, answer.score, [1.0] * seeds)]
    doubts = [doubter.about(shown, seed=seed).value for seed in range(seeds)]
    return [(number, 1.0 - iou(shown, mask), answer.score, doubts)]


def _figures(
    name: str,
    of_seeds: list[list[_Tally]],
    learnt: list[tuple[Proposer, float]],
    rng: np.random.Generator,
) -> ProposalFigures:
    counts = np.array([[(t.objects, t.proposals, t.right, t.on_object) for t in each] for each in of_seeds])

    def shares(picked: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        every, made, right, _ = counts[:, picked].sum(1).T
        return right / np.maximum(every, 1), right / np.maximum(made, 1)

    images = counts.shape[1]
    found, right = shares(np.arange(images))
    drawn = [shares(picked) for picked in rng.integers(images, size=(_DRAWS, images))]
    sums = counts.sum(1)
    return ProposalFigures(
        name=name,
        found=_rounded(found),
        right=_rounded(right),
        on_object=_rounded(sums[:, 3] / np.maximum(sums[:, 0], 1)),
        proposals=_rounded(sums[:, 1] / images),
        threshold=_rounded([proposer.threshold for proposer, _ in learnt]),
        seconds=_rounded([seconds for _, seconds in learnt]),
        found_mean=round(float(found.mean()), 4),
        found_ci95=_interval([float(each[0].mean()) for each in drawn]),
        right_mean=round(float(right.mean()), 4),
        right_ci95=_interval([float(each[1].mean()) for each in drawn]),
    )


def _doubt_interval(
    images: NDArray[np.float64], doubts: NDArray[np.float64], true: NDArray[np.float64]
) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    places = [np.flatnonzero(images == each) for each in np.unique(images)]
    drawn = []
    for _ in range(_DRAWS // 4):
        picked = np.concatenate([places[k] for k in rng.integers(len(places), size=len(places))])
        each = [spearman(doubts[picked, k], true[picked]) for k in range(doubts.shape[1])]
        drawn.append(float(np.mean(each)))
    return _interval(drawn)


def _interval(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.percentile(values, (2.5, 97.5))
    return round(float(low), 4), round(float(high), 4)


def _rounded(values: Sequence[float] | NDArray[np.float64]) -> list[float]:
    return [round(float(each), 4) for each in values]
