"""The trials: each row trained with each seed, judged by one click on each object of the test images, kept as a file.

One point for each object of the training images, at its deepest place, is all that rough rows get; it is computed once
from the labels, before any training, and never again. Rows differ in what learns from it. A trial whose file is there is
not run again, so a benchmark that was interrupted goes on.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field, ValidationError

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import SimmatError, TrainingError
from napari_simmat.evaluation.accuracy.trials import Plan
from napari_simmat.evaluation.protocol import evaluate_objects, objects
from napari_simmat.evaluation.scores import ObjectScore
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.dataset import DatasetItem
from napari_simmat.inference.cache import EARLY
from napari_simmat.models import Adapter, BaseModel, load_base_model
from napari_simmat.training import finetune
from napari_simmat.training.clicks import first_click
from napari_simmat.training.rough import RoughLabels, RoughObject, RoughSettings
from napari_simmat.training.rough.rough import Prepared, adapt, prepare
from napari_simmat.training.watch import Watch

__all__ = ["ROWS", "RoughTrial", "benchmark_rough"]

ROWS: dict[str, str] = {
    "untrained": "the model as it is",
    "rough": "one point for each object",
    "self-training": "the same points and views, the model's own answers alone",
    "masks": "quick training with masks: the same images, as many steps",
    "no anchor": "rough without the anchor loss",
    "no prototypes": "rough without the prototype loss",
    "no gate": "rough, every answer believed",
    "no clicks": "rough, points as prompts only",
    "no channels": "rough without asking the channels, the model's own masks alone",
    "shuffled": "rough, each image with the points of another one",
    "shuffled unchecked": "shuffled, without asking first whether the points belong to the images",
}
"""Name of each row, and what it is trained on."""

TRIALS = "trials"
_BYTES_OF_EARLY = 14 * 2**20  # early features of an image, at most

Report = Callable[[int, int, str], None]


class RoughTrial(Model):
    """What came out of one trial."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: str
    seed: int
    train: tuple[str, ...] = Field(description="Names of the images that were learnt from.")
    test: tuple[str, ...] = Field(description="Names of the images that judged.")
    steps: int = Field(description="Optimiser steps taken.")
    seconds: float = Field(description="Of the training, in wall-clock time.")
    refused: str = Field(default="", description="Why nothing was learnt, if the prompts were refused.")
    prompts_fit: float | None = Field(default=None, description="As in the training's report.")
    prompts_kept: tuple[float, float] | None = Field(default=None, description="The same, before and after.")
    anchor_iou: float | None = Field(default=None, description="The same.")
    kept: bool = Field(default=True, description="Whether the training kept the new version.")
    scores: tuple[ObjectScore, ...] = Field(description="What was found of each object of the test images.")


def benchmark_rough(
    train: Sequence[DatasetItem],
    test: Sequence[DatasetItem],
    plan: Plan,
    out: Path,
    *,
    rows: Sequence[str] = tuple(ROWS),
    seeds: int = 3,
    steps: int = 40,
    base: BaseModel | None = None,
    device: str | None = None,
    progress: Report = lambda done, total, what: None,
    cancel: threading.Event | None = None,
) -> list[RoughTrial]:
    """Run what has not been run, and give all trials.

    Parameters
    ----------
    train, test : sequence of DatasetItem
        Labelled images; the labels of the training images are looked at by the row "masks" and to place one point in each
        object.
    plan : Plan
        What all trials share; part of the key of their files.
    out : Path
        Folder of the results.
    rows : sequence of str
        Keys of `ROWS`; "untrained", over which gains are taken, is there in any case.
    seeds, steps : int
    base, device : optional
    progress, cancel : optional

    Raises
    ------
    SimmatError
        There is no such row, a file cannot be read or written, or training is not possible.
    Cancelled
        What was finished is kept.
    """
    for row in rows:
        if row not in ROWS:
            raise SimmatError(f"There is no row {row!r} in this benchmark; choose from {', '.join(ROWS)}.")
    base = base or load_base_model()
    folder = out / TRIALS
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SimmatError(
            f"The folder {folder} cannot be made ({error.strerror}); choose another one."
        ) from error
    trained = [row for row in rows if row != "untrained"]
    wanted = [("untrained", 0), *((row, seed) for seed in range(seeds) for row in trained)]
    trials = _Trials(train, test, steps, base, device, cancel)
    found: list[RoughTrial] = []
    with _room_for(len(test)):
        for done, (row, seed) in enumerate(wanted):
            progress(done, len(wanted), f"{row}, seed {seed}")
            file = folder / _name(row, seed, steps, train, test, plan)
            known = _load(file)
            if known is None:
                untrained = next((each for each in found if each.row == "untrained"), None)
                known = trials.run(row, seed, untrained)
                write_atomically(file, known.model_dump_json().encode(), error=SimmatError)
            found.append(known)
    progress(len(wanted), len(wanted), "done")
    return found


@contextmanager
def _room_for(images: int) -> Iterator[None]:
    """Early features of all test images stay in memory: they are the same in every row."""
    before = EARLY.max_bytes
    EARLY.max_bytes = max(before, images * _BYTES_OF_EARLY)
    try:
        yield
    finally:
        EARLY.max_bytes = before


class _Trials:
    """Runs single trials; what rows of one seed have in common is computed once."""

    def __init__(
        self,
        train: Sequence[DatasetItem],
        test: Sequence[DatasetItem],
        steps: int,
        base: BaseModel,
        device: str | None,
        cancel: threading.Event | None,
    ) -> None:
        self._train, self._test, self._steps = train, test, steps
        self._base, self._device, self._cancel = base, device, cancel
        self._ready: tuple[object, Prepared, float] | None = None

    @cached_property
    def _learnt(self) -> list[tuple[MultiChannelImage, NDArray[np.int32]]]:
        return [item.load() for item in self._train]

    @cached_property
    def _start(self) -> Adapter:
        return Adapter.untrained([image for image, _ in self._learnt], base=self._base)

    def run(self, row: str, seed: int, untrained: RoughTrial | None) -> RoughTrial:
        """Train and judge; where the prompts are refused, the figures are those of the untrained model."""
        adapter, told, refused, seconds = self._start, None, "", 0.0
        began = time.perf_counter()
        if row == "masks":
            adapter = finetune(
                self._learnt,
                mode="quick",
                steps=self._steps,
                seed=seed,
                start=self._start,
                gate=False,
                cancel=self._cancel,
                base=self._base,
                device=self._device,
            )
            told, seconds = adapter.card.history[-1], time.perf_counter() - began
        elif row != "untrained":
            settings = _settings(row, seed, self._steps)
            try:
                ready, shared = self._prepared(settings, seed if row.startswith("shuffled") else None)
                began = time.perf_counter()
                adapter, told = adapt(ready, settings, watch=Watch(None, self._cancel), began=began)
                seconds = shared + time.perf_counter() - began
            except TrainingError as error:
                refused, seconds = str(error), time.perf_counter() - began
        if untrained is not None and (refused or adapter is self._start):
            scores: Sequence[ObjectScore] = untrained.scores
        else:
            scores = evaluate_objects(
                (item.load() for item in self._test),
                adapter=adapter,
                cancel=self._cancel,
                base=self._base,
                device=self._device,
            )
        kept = None
        if told is not None and told.prompts_kept_before is not None and told.prompts_kept_after is not None:
            kept = told.prompts_kept_before, told.prompts_kept_after
        return RoughTrial(
            row=row,
            seed=seed,
            train=tuple(item.stem for item in self._train),
            test=tuple(item.stem for item in self._test),
            steps=0 if told is None else told.steps,
            seconds=seconds,
            refused=refused,
            prompts_fit=None if told is None else told.prompts_fit,
            prompts_kept=kept,
            anchor_iou=None if told is None else told.anchor_iou,
            kept=told is None or told.kept,
            scores=tuple(scores),
        )

    def _prepared(self, settings: RoughSettings, shuffle: int | None) -> tuple[Prepared, float]:
        """Views of the training images, and the seconds that they took; those looked at last are kept."""
        key = (settings.seed, shuffle, settings.check)
        if self._ready is None or self._ready[0] != key:
            began = time.perf_counter()
            ready = prepare(
                _labels(self._learnt, shuffle),
                settings=settings,
                watch=Watch(None, self._cancel),
                start=self._start,
                base=self._base,
                device=self._device,
            )
            self._ready = key, ready, time.perf_counter() - began
        return self._ready[1], self._ready[2]


def _settings(row: str, seed: int, steps: int) -> RoughSettings:
    common = {"seed": seed, "steps": steps}
    if row == "self-training":
        return RoughSettings.self_training(**common)
    parts = {f"no {part}": part for part in ("anchor", "prototypes", "gate", "clicks", "channels")}
    left_out = {parts[row]: False} if row in parts else {}
    return RoughSettings(**common, **left_out, check=row != "shuffled unchecked")  # type: ignore[arg-type]


def _labels(learnt: Sequence[Any], shuffle: int | None) -> list[RoughLabels]:
    """One point in each object; shuffled: each image gets those of another one."""
    points = [[first_click(mask) for _, mask in objects(instances)] for _, instances in learnt]
    order = list(range(len(learnt)))
    if shuffle is not None:
        stretch = 1 + shuffle % max(1, len(order) - 1)
        order = [*order[stretch:], *order[:stretch]]
    found = []
    for (image, _), source in zip(learnt, order, strict=True):
        height, width = image.shape
        inside = [(y, x) for y, x in points[source] if y < height and x < width]
        found.append(RoughLabels(image, tuple(RoughObject(points=(point,)) for point in inside)))
    return found


def _name(
    row: str, seed: int, steps: int, train: Sequence[DatasetItem], test: Sequence[DatasetItem], plan: Plan
) -> str:
    shared = plan.model_dump(exclude={"machine", "device", "dataset"})
    names = [[item.stem for item in each] for each in (train, test)]
    text = json.dumps([shared, row, seed, steps, names], sort_keys=True)
    key = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{row.replace(' ', '-')}_seed{seed}_{key}.json"


def _load(file: Path) -> RoughTrial | None:
    try:
        return RoughTrial.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
