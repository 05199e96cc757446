"""From the scores of objects to figures: means, clicks to reach an IoU, intervals, by size and by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field

from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.metrics import bootstrap_interval, clicks_to_reach
from napari_simmat.evaluation.scores import SIZES, ObjectScore

CAP = 20
"""Clicks at which the number of clicks to reach an IoU is given."""


class Figures(Model):
    """Figures of some objects."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: int = Field(description="Images looked at; of a group of objects those that hold one.")
    objects: int = Field(description="Objects clicked; those under 30 pixels are skipped.")
    miou: list[float] = Field(description="Mean IoU over objects of the shown mask after 1..N clicks.")
    miou_best_of_candidates: float = Field(
        description="Mean IoU of the best of the three candidates after 1 click."
    )
    noc80: float | None = Field(
        default=None, description="Mean clicks to an IoU of 0.80, at most 20; only if N = 20."
    )
    noc85: float | None = Field(
        default=None, description="Mean clicks to an IoU of 0.85, at most 20; only if N = 20."
    )
    noc90: float | None = Field(
        default=None, description="Mean clicks to an IoU of 0.90, at most 20; only if N = 20."
    )
    ci95: tuple[float, float] = Field(
        description="95 % bootstrap interval over images of the one-click mean IoU."
    )


class Group(Figures):
    """Figures of the objects of one size or class."""

    name: str = Field(description="The size or the name of the class.")


class Evaluation(Figures):
    """Figures of one evaluation."""

    clicks: int = Field(description="Clicks on each object.")
    jitter: float = Field(
        default=0.0, description="How far from the deepest point clicks may lie, in depths of the region."
    )
    seed: int = Field(default=0, description="Of the jitter.")
    by_size: list[Group] = Field(
        default=[],
        description="Of the sizes that occur; small: under 32 x 32 pixels of the image, medium: under 96 x 96, large.",
    )
    by_class: list[Group] = Field(
        default=[],
        description="Of the classes that occur, in the order of their numbers; empty without classes.",
    )
    seconds: float = Field(description="Wall-clock time.")


def summarise(
    scores: Sequence[ObjectScore],
    *,
    images: int | None = None,
    jitter: float = 0.0,
    seed: int = 0,
    seconds: float = 0.0,
) -> Evaluation:
    """Figures from the scores of objects, such as `evaluate_objects` gives or a file kept.

    Parameters
    ----------
    scores : sequence of ObjectScore
        At least one, all after the same number of clicks.
    images : int, optional
        Images looked at; by default those in which an object was clicked.
    jitter, seed, seconds : optional
        As they shall be told in the result.

    Raises
    ------
    SimmatError
        There are no scores, or the numbers of clicks differ.
    """
    counts = sorted({len(score.ious) for score in scores})
    if len(counts) != 1:
        found = f"scores after {', '.join(map(str, counts))} clicks" if counts else "no scores"
        raise SimmatError(
            f"Got {found}, expected those of one evaluation with an object in it; evaluate again."
        )
    sizes = {size: [s for s in scores if s.size == size] for size in SIZES}
    classes: dict[str, list[ObjectScore]] = {}
    for score in sorted(scores, key=lambda s: -1 if s.class_number is None else s.class_number):
        if score.class_name is not None:
            classes.setdefault(score.class_name, []).append(score)
    figures = _figures(scores)
    if images is not None:
        figures["images"] = images
    return Evaluation(
        **figures,
        clicks=counts[0],
        jitter=jitter,
        seed=seed,
        by_size=[Group(name=name, **_figures(those)) for name, those in sizes.items() if those],
        by_class=[Group(name=name, **_figures(those)) for name, those in classes.items()],
        seconds=seconds,
    )


def by_image(scores: Sequence[ObjectScore]) -> list[list[ObjectScore]]:
    """The scores of each image, in the order of the dataset: what a bootstrap draws from."""
    groups: dict[tuple[int, str], list[ObjectScore]] = {}
    for score in scores:
        groups.setdefault((score.image_number, score.image), []).append(score)
    return [groups[key] for key in sorted(groups)]


def _figures(scores: Sequence[ObjectScore]) -> dict[str, Any]:
    curves = [score.ious for score in scores]
    images = by_image(scores)
    found: dict[str, Any] = {
        "images": len(images),
        "objects": len(scores),
        "miou": [float(value) for value in np.mean(curves, axis=0)],
        "miou_best_of_candidates": float(np.mean([score.best_candidate for score in scores])),
        "ci95": bootstrap_interval([[score.ious[0] for score in image] for image in images]),
    }
    if len(curves[0]) == CAP:
        for percent in (80, 85, 90):
            found[f"noc{percent}"] = float(np.mean([clicks_to_reach(c, percent / 100) for c in curves]))
    return found
