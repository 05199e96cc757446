"""One trial: train one row with one seed on some images, answer the test images, keep what was found of each object.

A trial is a file, written when it is complete. That makes a benchmark resumable: a trial whose file is there is not run
again.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field, ValidationError

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.accuracy.rows import Row
from napari_simmat.evaluation.protocol import evaluate_objects
from napari_simmat.evaluation.scores import ObjectScore
from napari_simmat.images import MultiChannelImage, profile_for
from napari_simmat.images.dataset import DatasetItem
from napari_simmat.models import Adapter, BaseModel
from napari_simmat.training import finetune

__all__ = ["TRIALS", "Plan", "Trial", "TrialResult", "load_result", "run_trial", "write_result"]

TRIALS = "trials"
"""Folder of the trials in that of the benchmark."""

Report = Callable[[str, int, int], None]
"""Told what is done at the moment, how many of it, and of how many."""


class Plan(Model):
    """What all trials of a benchmark share. A file of it lies beside the results."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str = Field(description="Name of the dataset.")
    fingerprint: str = Field(description="Hash of the names and sizes of all files of the dataset.")
    reading: str = Field(
        description="Hash of the first image as it is read, of what its classes are, and of the profile's file."
    )
    base_model: str = Field(description="Name of the base model.")
    base_sha256: str = Field(description="Hash of its file.")
    software: str = Field(description="napari-simmat and its version.")
    machine: str = Field(description="Processor, cores, operating system, Python, torch.")
    device: str = Field(description="Where it runs.")
    profile: str = Field(
        description="Modality profile, the path of its file or the name of a built-in one; '' for each image's own."
    )
    steps: int | None = Field(description="Training steps of each trial; none: as the training decides.")
    clicks: int = Field(description="Clicks on each object.")
    jitter: float = Field(description="How far from the deepest point clicks may lie.")
    gate: bool = Field(description="Whether trainings hold objects out and roll back, as the window does.")


class Trial(Model):
    """One training and its judgement."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: Row
    seed: int
    train: tuple[str, ...] = Field(
        description="Names of the images that are learnt from; empty if untrained."
    )
    test: tuple[str, ...] = Field(description="Names of the images that judge.")
    all_images: bool = Field(
        default=True, description="Whether all training images of the split are learnt from."
    )
    clicks: int | None = Field(
        default=None, description="Clicks on each object, where they are not those of the plan."
    )

    @property
    def is_the_same_with_any_seed(self) -> bool:
        """Whether nothing in it is drawn, as long as clicks do not jitter."""
        return not self.row.is_trained

    def key(self, plan: Plan) -> str:
        """Hash of all that decides its result, wherever and whenever it runs."""
        shared = plan.model_dump(exclude={"machine", "device", "dataset"})
        text = json.dumps(
            [shared, self.model_dump(exclude={"all_images"}, exclude_none=True)], sort_keys=True
        )
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def file(self, plan: Plan) -> str:
        """Name of its file, which tells people what it is."""
        row = "".join(c if c.isalnum() or c in "-+=." else "_" for c in self.row.name)
        return f"{row}_seed{self.seed}_{len(self.train)}-images_{self.key(plan)}.json"


class TrialResult(Model):
    """What came out of a trial."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    trial: Trial
    seconds_training: float = Field(description="Wall-clock time of the training, gate included.")
    seconds_judging: float = Field(description="Wall-clock time of the clicks on the test images.")
    steps: int = Field(description="Optimiser steps taken.")
    trained_parameters: int = Field(description="How many numbers were trained.")
    objects: int = Field(description="Objects that were learnt from.")
    peak_rss_mb: float = Field(description="Largest memory of the process so far, in MB.")
    scores: tuple[ObjectScore, ...] = Field(description="What was found of each object.")
    adapter: str | None = Field(default=None, description="File name of the adapter, beside the trial's own.")


def load_result(folder: Path, trial: Trial, plan: Plan) -> TrialResult | None:
    """The result of a trial that was run before, if it is there and whole."""
    try:
        return TrialResult.model_validate_json((folder / trial.file(plan)).read_bytes())
    except (OSError, ValidationError):
        return None


def run_trial(
    trial: Trial,
    items: dict[str, DatasetItem],
    plan: Plan,
    folder: Path,
    *,
    base: BaseModel,
    device: str | None = None,
    report: Report | None = None,
    cancel: threading.Event | None = None,
    keep_adapter: bool = False,
) -> TrialResult:
    """Train, judge, and write the result.

    Parameters
    ----------
    trial : Trial
    items : dict of str to DatasetItem
        All images of the dataset by name.
    plan : Plan
    folder : Path
        Where results are kept.
    base : BaseModel
    device : str, optional
    report, cancel : optional
        Who is told, and asked whether to stop.
    keep_adapter : bool
        Write the adapter beside the result.

    Raises
    ------
    SimmatError
        A file cannot be read, or training is not possible.
    Cancelled
    """
    said = report or (lambda what, done, total: None)
    began = time.perf_counter()
    adapter, steps, trained = None, 0, 0
    objects = 0
    if trial.row.is_trained or trial.row.name != "untrained":
        train = [items[name].load() for name in trial.train]
        adapter = _adapted(trial, plan, train, base, device, said, cancel)
        if trial.row.is_trained:
            run = adapter.card.history[-1]
            steps, trained, objects = run.steps, run.trainable_parameters, run.objects
    between = time.perf_counter()
    scores = evaluate_objects(
        _loaded(items, trial.test),
        adapter=adapter,
        profile=plan.profile or None,
        clicks=trial.clicks or plan.clicks,
        jitter=plan.jitter,
        seed=trial.seed,
        class_names=_class_names(items, trial.test),
        on_image=lambda done: said("judging", done, len(trial.test)),
        cancel=cancel,
        base=base,
        device=device,
    )
    name = trial.file(plan)
    kept = None
    if keep_adapter and adapter is not None:
        kept = f"{Path(name).stem}.safetensors"
        adapter.save(folder / kept)
    from napari_simmat.training.learning import peak_rss_mb

    result = TrialResult(
        trial=trial,
        seconds_training=between - began if trial.row.is_trained else 0.0,
        seconds_judging=time.perf_counter() - between,
        steps=steps,
        trained_parameters=trained,
        objects=objects,
        peak_rss_mb=peak_rss_mb(),
        scores=tuple(scores),
        adapter=kept,
    )
    write_result(folder, result, plan)
    return result


def write_result(folder: Path, result: TrialResult, plan: Plan) -> None:
    """Keep a result.

    Raises
    ------
    SimmatError
        It cannot be written.
    """
    content = result.model_dump_json().encode()
    write_atomically(folder / result.trial.file(plan), content, error=SimmatError)


def _adapted(
    trial: Trial,
    plan: Plan,
    train: Sequence[tuple[MultiChannelImage, NDArray[np.int32]]],
    base: BaseModel,
    device: str | None,
    said: Report,
    cancel: threading.Event | None,
) -> Adapter:
    """What the row makes of the base model."""
    from napari_simmat.images import chosen_profile

    images = [image for image, _ in train]
    profile = chosen_profile(plan.profile, images[0]) if plan.profile else profile_for(images[0])
    start = Adapter.untrained(images, profile=profile, mat=trial.row.mat, base=base)
    if not trial.row.is_trained:
        return start
    return finetune(
        train,
        start=start,
        settings=trial.row.settings(steps=plan.steps, seed=trial.seed),
        gate=plan.gate,
        on_step=lambda step, total, loss: said("training", step, total),
        cancel=cancel,
        base=base,
        device=device,
    )


def _loaded(items: dict[str, DatasetItem], names: Iterable[str]) -> Iterator[Any]:
    """Images, labels and classes, one after the other."""
    for name in names:
        image, labels = items[name].load()
        yield image, labels, items[name].load_classes()


def _class_names(items: dict[str, DatasetItem], names: Iterable[str]) -> dict[int, str]:
    known: dict[int, str] = {}
    for name in names:
        known.update(items[name].class_names)
    return known
