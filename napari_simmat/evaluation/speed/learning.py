"""How long learning takes: a whole quick training with its gate, and a step of a deep one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch

from napari_simmat.evaluation.speed.scenes import fresh
from napari_simmat.evaluation.speed.timing import Course, clock
from napari_simmat.inference.cache import forget
from napari_simmat.models import BaseModel
from napari_simmat.training import Correction, Corrections, finetune, quick

__all__ = ["DEEP_STEPS", "HANDFUL", "Learning", "deep_seconds_per_step", "time_learning"]

HANDFUL = 5
"""Objects that are learnt from."""

DEEP_STEPS = 8


@dataclass
class Learning:
    """What each repetition took.

    Attributes
    ----------
    quick_s : list of float
        Seconds from the call of `quick` to its adapter, gate included.
    quick_steps : int
        Steps of one training; the gate of few objects trains once more for each that it holds out.
    deep_s_per_step : list of float
    """

    quick_s: list[float] = field(default_factory=list)
    quick_steps: int = 0
    deep_s_per_step: list[float] = field(default_factory=list)


def time_learning(
    corrections: Sequence[Correction],
    base: BaseModel,
    device: torch.device,
    *,
    repetitions: int,
    course: Course,
    deep_steps: int = DEEP_STEPS,
    quick_steps: int | None = None,
) -> Learning:
    """Learn from the same objects again and again, each time as if the images were new.

    `quick_steps` is for trials; without it quick training takes as many as it thinks best.
    """
    found = Learning()
    for k in range(repetitions):
        work = partial(quick, steps=quick_steps, base=base, device=str(device), cancel=course.cancel)
        (_, report), ms = clock(partial(work, _renewed(corrections, k)), device)
        found.quick_s.append(ms / 1000)
        found.quick_steps = report.steps
        course.step(f"quick training {k + 1}")
        found.deep_s_per_step.append(
            deep_seconds_per_step(_renewed(corrections, k), base, device, deep_steps, course)
        )
        course.step(f"deep training {k + 1}")
    return found


def deep_seconds_per_step(
    corrections: Iterable[Correction], base: BaseModel, device: torch.device, steps: int, course: Course
) -> float:
    """Seconds of a deep step, from a short training without a gate."""
    dataset = []
    for group in Corrections(corrections).by_image():
        labels = np.zeros(group[0].image.shape, np.int32)
        for number, correction in enumerate(group, start=1):
            labels[correction.window][correction.crop] = number
        dataset.append((group[0].image, labels))
    adapter = finetune(
        dataset, mode="deep", steps=steps, gate=False, base=base, device=str(device), cancel=course.cancel
    )
    return float(adapter.card.history[-1].seconds_per_step)


def _renewed(corrections: Sequence[Correction], number: int) -> Corrections:
    """The same objects on images that no cache has seen."""
    forget()
    images = {id(c.image): c.image for c in corrections}
    new = {key: fresh(image, number) for key, image in images.items()}
    return Corrections(replace(c, image=new[id(c.image)]) for c in corrections)
