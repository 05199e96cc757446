"""Learns in seconds where objects like the accepted ones are: a heatmap with a peak in the middle of each.

The idea is that of UOIS-SAM (arXiv 2409.15481): Gaussians in the middle of objects, learnt by a few convolutions on the
embedding that is there already. What nobody has labelled is not the same as nothing: unless an image is said to be
complete, pixels far from accepted objects count little, and the less the more the network believes in an object there.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_simmat.errors import TrainingError
from napari_simmat.inference import Segmenter
from napari_simmat.inference.proposing import Proposer, Seen, heat_of, peaks, seen_by
from napari_simmat.models.heat import CELL, HeatHead
from napari_simmat.models.seeding import seeded
from napari_simmat.training.watch import OnStep, Watch

__all__ = ["STEPS", "Lesson", "learn_to_propose", "lesson_of"]

STEPS = 60
LEARNING_RATE = 4e-3
FOLDS = 3
"""Of so many parts each is once left out to find the threshold by."""

FOUND = 0.6
"""The threshold is the heat above which so many of the objects that were left out have a peak."""

UNKNOWN = 0.1
"""Weight of a pixel about which nothing was said."""

_SPREAD = 0.35
"""Standard deviation of the peak of an object, as a share of the square root of its area."""
_APART = 0.9
"""Objects lie at least so far apart, as a share of the square root of the median area."""
_BLUR = 0.1
"""What is learnt is blurred by so much, as a share of the square root of the median area."""
_MARGIN = 0.25
"""Around an object so much is known to be no other one, as a share of the square root of its area."""
_NEAR = 10.0
"""A peak so many image pixels beside an object is its own."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """One image to learn from.

    Attributes
    ----------
    seen : Seen
        What the model saw of it.
    objects : sequence of (window, crop)
        The accepted objects: bounding box in the image, and the mask in there.
    rejected : sequence of (y, x)
        Where a proposal was rejected, in image pixels.
    is_complete : bool
        Whether all objects of the image are accepted, so that there is none elsewhere.
    """

    seen: Seen
    objects: Sequence[tuple[tuple[slice, slice], NDArray[np.bool_]]]
    rejected: Sequence[tuple[float, float]] = ()
    is_complete: bool = False


@dataclass(frozen=True, eq=False)
class _Goal:
    """What the heatmap of an image should be, and how much each cell counts: (1, rows, columns)."""

    heat: Tensor
    weight: Tensor


def learn_to_propose(
    lessons: Sequence[Lesson],
    *,
    steps: int | None = None,
    threshold: float | None = None,
    seed: int = 0,
    on_step: OnStep | None = None,
    cancel: threading.Event | None = None,
) -> Proposer:
    """Learn from accepted objects where others are.

    Parameters
    ----------
    lessons : sequence of Lesson
        One for each image with accepted objects or rejected proposals.
    steps : int, optional
        Of each training; there is one for each part that is left out once, and one with all.
    threshold : float, optional
        Score from which to propose; without it it is found by objects that are left out.
    seed : int
        Same seed, same proposals.
    on_step : callable (step, total, loss), optional
    cancel : threading.Event, optional
        Set it to stop at the next step.

    Raises
    ------
    TrainingError
        There are fewer than two objects.
    Cancelled
    """
    count = sum(len(lesson.objects) for lesson in lessons)
    if count < 2:
        raise TrainingError(
            f"Found {count} accepted object{'' if count == 1 else 's'}, expected at least 2 to learn from what to "
            "propose; accept one more, or ask for all masks."
        )
    steps = STEPS if steps is None else steps
    size = float(np.median([_size(lesson, crop) for lesson in lessons for _, crop in lesson.objects]))
    radius, blur = _APART * size, _BLUR * size
    parts = _parts(lessons, seed) if threshold is None else []
    watch = Watch(on_step, cancel, total=steps * (len(parts) + 1))
    heats: list[float] = []
    for rest, left_out in parts:
        head = _fit(rest, size, steps, seed, watch)
        heats += [heat for lesson in left_out for heat in _heats_of_objects(head, lesson, radius, blur)]
    head = _fit(lessons, size, steps, seed, watch)
    if threshold is None:
        threshold = float(np.quantile(heats, 1 - FOUND))
    return Proposer(head, threshold, radius, blur, count)


def _parts(lessons: Sequence[Lesson], seed: int) -> list[tuple[list[Lesson], list[Lesson]]]:
    """What to learn from and what to judge by, some times: other images, or other objects of the only one."""
    with_objects = [lesson for lesson in lessons if lesson.objects]
    order = np.random.default_rng(seed).permutation(
        len(with_objects) if len(with_objects) > 1 else len(with_objects[0].objects)
    )
    found = []
    for chosen in np.array_split(order, min(FOLDS, len(order))):
        out = set(chosen.tolist())
        if len(with_objects) > 1:
            left = [with_objects[k] for k in sorted(out)]
            rest = [lesson for lesson in lessons if not any(lesson is each for each in left)]
        else:
            only = with_objects[0]
            listed = list(enumerate(only.objects))
            # What is left out here is no background: the image is not complete without it.
            less = replace(only, objects=[each for k, each in listed if k not in out], is_complete=False)
            rest = [less, *(lesson for lesson in lessons if lesson is not only)]
            left = [replace(only, objects=[each for k, each in listed if k in out])]
        found.append((rest, left))
    return found


def _size(lesson: Lesson, crop: NDArray[np.bool_]) -> float:
    """Square root of the area of an object, in pixels of the frame."""
    sy, sx = lesson.seen.frame.scale
    return float(np.sqrt(np.count_nonzero(crop) * sy * sx))


def _fit(lessons: Sequence[Lesson], size: float, steps: int, seed: int, watch: Watch) -> HeatHead:
    with seeded(seed):
        head = HeatHead(lessons[0].seen.picture.shape[0]).train()
    goals = [_goal(lesson, size) for lesson in lessons]
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    rng = np.random.default_rng(seed)
    for step in range(steps):
        watch.check()
        k = step % len(lessons)
        seen, goal = lessons[k].seen, goals[k]
        given = [seen.embedding[None], seen.picture[None], goal.heat, goal.weight]
        axes = [axis for axis in (-2, -1) if rng.random() < 0.5]
        if axes:  # features of a mirror image are nearly the mirrored features
            given = [each.flip(axes) for each in given]
        embedding, picture, heat, weight = given
        with seeded(seed + step):  # of the dropout
            loss = _loss(head(embedding, picture), heat, weight)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        watch.step(float(loss.detach()))
    return head.eval()


def _loss(logits: Tensor, heat: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy with the heatmap, each cell with its weight, for each object."""
    # What is unknown and looks like an object may be one: its weight goes as the belief in it comes.
    trusted = torch.where(weight < 1, weight * (1 - logits.detach().sigmoid()), weight)
    entropy = F.binary_cross_entropy_with_logits(logits, heat, reduction="none")
    return (trusted * entropy).sum() / heat.sum().clamp_min(1)


def _goal(lesson: Lesson, usual: float) -> _Goal:
    """What is to be learnt of an image, where objects have usually this size in pixels of the frame."""
    seen = lesson.seen
    rows, columns = (2 * n for n in seen.embedding.shape[1:])
    heat = np.zeros((rows, columns), np.float32)
    weight = np.full((rows, columns), 1.0 if lesson.is_complete else UNKNOWN, np.float32)
    inside = seen.cells
    weight[inside[0] :], weight[:, inside[1] :] = 1.0, 1.0  # outside of the image there is nothing
    y, x = np.ogrid[:rows, :columns]
    for window, crop in lesson.objects:
        size = _size(lesson, crop) / CELL
        cy, cx = seen.to_cells(*middle(window, crop))
        squared = (y - cy) ** 2 + (x - cx) ** 2
        heat = np.maximum(heat, np.exp(-squared / (2 * max(1.0, _SPREAD * size) ** 2), dtype=np.float32))
        row, column = min(max(round(cy), 0), inside[0] - 1), min(max(round(cx), 0), inside[1] - 1)
        heat[row, column] = 1.0
        _know(weight, seen, window, crop, _MARGIN * size)
    for point in lesson.rejected:
        cy, cx = seen.to_cells(*point)
        near = (y - cy) ** 2 + (x - cx) ** 2 <= max(2.0, _SPREAD * usual / CELL) ** 2
        weight[near] = 1.0
    return _Goal(torch.from_numpy(heat)[None], torch.from_numpy(weight)[None])


def _know(
    weight: NDArray[np.float32],
    seen: Seen,
    window: tuple[slice, slice],
    crop: NDArray[np.bool_],
    margin: float,
) -> None:
    """Of an object and what is right around it everything is known."""
    ys, xs = np.nonzero(crop)
    cells = np.zeros(weight.shape, bool)
    places = np.array(seen.to_cells(0, 0)), np.array(seen.frame.scale) / CELL
    rows = np.rint((ys + window[0].start) * places[1][0] + places[0][0]).astype(int)
    columns = np.rint((xs + window[1].start) * places[1][1] + places[0][1]).astype(int)
    cells[rows.clip(0, weight.shape[0] - 1), columns.clip(0, weight.shape[1] - 1)] = True
    weight[ndimage.distance_transform_edt(~cells) <= max(1.0, margin)] = 1.0


def middle(window: tuple[slice, slice], crop: NDArray[np.bool_]) -> tuple[float, float]:
    """The pixel of an object that is nearest to its centre of mass, (y, x)."""
    ys, xs = np.nonzero(crop)
    nearest = int(np.argmin((ys - ys.mean()) ** 2 + (xs - xs.mean()) ** 2))
    return float(ys[nearest]) + window[0].start, float(xs[nearest]) + window[1].start


def _heats_of_objects(head: HeatHead, lesson: Lesson, radius: float, blur: float) -> list[float]:
    """The heat of the hottest peak at each object, 0 where it has none."""
    heat = heat_of(head, lesson.seen, blur)
    found = [(score, lesson.seen.to_image(row, column)) for score, row, column in peaks(heat, radius / CELL)]
    best = []
    for window, crop in lesson.objects:
        reach = int(_NEAR)
        near = ndimage.distance_transform_edt(~np.pad(crop, reach)) <= _NEAR
        top, left = window[0].start - reach, window[1].start - reach
        mine = [0.0]
        for score, (y, x) in found:
            row, column = round(y) - top, round(x) - left
            if 0 <= row < near.shape[0] and 0 <= column < near.shape[1] and near[row, column]:
                mine.append(score)
        best.append(max(mine))
    return best


def lesson_of(segmenter: Segmenter, labels: NDArray[np.integer], *, is_complete: bool = False) -> Lesson:
    """What a label image (Y, X) of a segmenter's image teaches; 0 is background, or unknown."""
    boxes = ndimage.find_objects(labels)
    objects = [
        ((box[0], box[1]), labels[box] == number) for number, box in enumerate(boxes, 1) if box is not None
    ]
    return Lesson(seen_by(segmenter), objects, is_complete=is_complete)
