"""Learns what each pixel is from objects that have a class: cross-entropy on the hardest pixels, and Dice.

Pixels about which nobody said anything are left out, unless an image is said to be complete: then they are background.
Right around an object is taken as background in any case, as far as it is not another object.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_simmat.errors import TrainingError
from napari_simmat.inference.proposing import Seen
from napari_simmat.models.class_head import CLASS_CELL, KIND, MOST_CLASSES, ClassHead
from napari_simmat.models.heads import Head
from napari_simmat.models.seeding import seeded
from napari_simmat.training.watch import OnStep, Watch

__all__ = ["CLASS_STEPS", "ClassLesson", "class_lesson", "learn_classes"]

CLASS_STEPS = 150
"""Of few images, which takes seconds. Each step sees one image, so more take `_STEPS_OF_IMAGE` each, up to a bound."""
_STEPS_OF_IMAGE = 20
_MOST_STEPS = 1000
LEARNING_RATE = 4e-3
UNKNOWN = 255

_HARDEST = 0.3
"""The cross-entropy is that of this share of the pixels, the hardest (OHEM, arXiv 1604.03540)."""
_RING = 0.25
"""Around an object so much is background, as a share of the square root of its area."""


@dataclass(frozen=True, eq=False)
class ClassLesson:
    """One image to learn from.

    Attributes
    ----------
    seen : Seen
        What the model saw of it.
    numbers : ndarray of uint8, (Y, X)
        Number of the class of each pixel from 1, 0 background, `UNKNOWN` where nothing is known.
    """

    seen: Seen
    numbers: NDArray[np.uint8]


def class_lesson(
    seen: Seen,
    objects: Sequence[tuple[tuple[slice, slice], NDArray[np.bool_], int]],
    *,
    is_complete: bool = False,
) -> ClassLesson:
    """What objects with a class teach.

    Parameters
    ----------
    seen : Seen
    objects : sequence of (window, crop, number)
        Bounding box, mask in there, and number of the class from 1; 0 for an object without a class, about whose
        pixels nothing is known.
    is_complete : bool
        Whether all objects of the image are among them.
    """
    numbers = np.full(seen.frame.image_shape, 0 if is_complete else UNKNOWN, np.uint8)
    if not is_complete:
        for window, crop, number in objects:
            if number:
                _surround(numbers, window, crop)
    for window, crop, number in objects:
        numbers[window][crop] = number or UNKNOWN
    return ClassLesson(seen, numbers)


def _surround(numbers: NDArray[np.uint8], window: tuple[slice, slice], crop: NDArray[np.bool_]) -> None:
    reach = max(2, round(_RING * float(np.sqrt(np.count_nonzero(crop)))))
    near = ndimage.distance_transform_edt(~np.pad(crop, reach)) <= reach
    top, left = window[0].start - reach, window[1].start - reach
    rows = slice(max(0, top), min(numbers.shape[0], window[0].stop + reach))
    columns = slice(max(0, left), min(numbers.shape[1], window[1].stop + reach))
    part = near[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    numbers[rows, columns][part] = 0


def learn_classes(
    lessons: Sequence[ClassLesson],
    names: Sequence[str],
    colours: Sequence[str],
    *,
    steps: int | None = None,
    seed: int = 0,
    on_step: OnStep | None = None,
    cancel: threading.Event | None = None,
) -> Head:
    """Learn classes, as a head for an adapter.

    Parameters
    ----------
    lessons : sequence of ClassLesson
    names, colours : sequence of str
        Of the classes, in the order of their numbers from 1; colours as "#rrggbb".
    steps : int, optional
        By default more for more images.
    seed : int
        Same seed, same head.
    on_step : callable (step, total, loss), optional
    cancel : threading.Event, optional
        Set it to stop at the next step.

    Raises
    ------
    TrainingError
        There is no class, too many, or nothing of one.
    Cancelled
    """
    if not 1 <= len(names) <= MOST_CLASSES:
        raise TrainingError(
            f"Found {len(names)} classes, expected 1 to {MOST_CLASSES}; give your objects a class first."
        )
    there = set(np.unique(np.concatenate([np.unique(lesson.numbers) for lesson in lessons])).tolist())
    missing = [name for number, name in enumerate(names, 1) if number not in there]
    if missing:
        raise TrainingError(f"Nothing is of the class {missing[0]!r}; label some of it, or leave it out.")
    if 0 not in there:
        raise TrainingError("Everything has a class, so there is no background to tell it from; label less.")
    if steps is None:
        steps = max(CLASS_STEPS, min(_STEPS_OF_IMAGE * len(lessons), _MOST_STEPS))
    watch = Watch(on_step, cancel, total=steps)
    channels = lessons[0].seen.picture.shape[0]
    with seeded(seed):
        head = ClassHead(len(names), channels).train()
    goals = [_goal(lesson) for lesson in lessons]
    optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    rng = np.random.default_rng(seed)
    for step in range(steps):
        watch.check()
        if step % len(lessons) == 0:
            order = rng.permutation(len(lessons))
        k = int(order[step % len(lessons)])
        given = [lessons[k].seen.embedding[None], lessons[k].seen.picture[None], goals[k]]
        axes = [axis for axis in (-2, -1) if rng.random() < 0.5]
        if axes:  # features of a mirror image are nearly the mirrored features
            given = [each.flip(axes) for each in given]
        embedding, picture, goal = given
        with seeded(seed + step):  # of the dropout
            loss = _loss(head(embedding, picture), goal)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        watch.step(float(loss.detach()))
    config = {"names": list(names), "colours": list(colours), "channels": channels}
    return Head.of(KIND, config, head.state_dict())


def _goal(lesson: ClassLesson) -> Tensor:
    """The class of each cell, (1, rows, columns): that of the pixel in its middle."""
    seen = lesson.seen
    rows, columns = (n * 16 // CLASS_CELL for n in seen.embedding.shape[1:])
    goal = np.full((rows, columns), UNKNOWN, np.uint8)
    inside = tuple(-(-n // CLASS_CELL) for n in seen.frame.shape)
    places = [
        np.rint([seen.frame.to_image((k + 0.5) * CLASS_CELL, (k + 0.5) * CLASS_CELL)[axis] for k in range(n)])
        for axis, n in enumerate(inside)
    ]
    ys, xs = (np.clip(p, 0, n - 1).astype(int) for p, n in zip(places, lesson.numbers.shape, strict=True))
    goal[: inside[0], : inside[1]] = lesson.numbers[np.ix_(ys, xs)]
    return torch.from_numpy(goal.astype(np.int64))[None]


def _loss(logits: Tensor, goal: Tensor) -> Tensor:
    """Cross-entropy of the hardest known cells, and one minus the mean Dice of the classes that occur."""
    known = goal != UNKNOWN
    chosen, wanted = logits.permute(0, 2, 3, 1)[known], goal[known]
    if not len(wanted):
        return logits.sum() * 0
    entropy = F.cross_entropy(chosen, wanted, reduction="none")
    hardest = entropy.topk(max(1, round(_HARDEST * len(entropy)))).values.mean()
    shares, truth = chosen.softmax(1), F.one_hot(wanted, chosen.shape[1]).to(chosen.dtype)
    overlap, sizes = (shares * truth).sum(0), shares.sum(0) + truth.sum(0)
    occurs = truth.sum(0) > 0
    dice = (2 * overlap + 1) / (sizes + 1)
    return hardest + 1 - dice[occurs].mean()
