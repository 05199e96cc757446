"""The accuracy benchmark: rows x seeds x numbers of training images, resumable, with an honest estimate of the time."""

from __future__ import annotations

import hashlib
import os
import platform
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch

from napari_simmat import __version__
from napari_simmat.atomic import write_atomically
from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.accuracy.rows import UNTRAINED, Row, parse_rows
from napari_simmat.evaluation.accuracy.splits import Split
from napari_simmat.evaluation.accuracy.trials import (
    TRIALS,
    Plan,
    Report,
    Trial,
    TrialResult,
    load_result,
    run_trial,
    write_result,
)
from napari_simmat.images.dataset import DatasetItem
from napari_simmat.inference import describe_device, device_choice
from napari_simmat.models import BaseModel, load_base_model

__all__ = ["Progress", "benchmark_accuracy", "make_plan", "trials_of"]

Progress = Callable[[int, int, str], None]
"""Told how many trials are done, of how many, and a remark with the time that is left."""


def make_plan(
    name: str,
    items: Sequence[DatasetItem],
    *,
    steps: int | None = None,
    clicks: int = 20,
    jitter: float = 0.0,
    gate: bool = False,
    profile: str = "",
    base: BaseModel | None = None,
    device: str | None = None,
) -> Plan:
    """What all trials share, from the dataset and this machine."""
    base = base or load_base_model()
    if profile and Path(profile).is_file():
        profile = str(Path(profile).resolve())
    return Plan(
        dataset=name,
        fingerprint=_fingerprint(items),
        reading=_reading(items, profile),
        base_model=base.name,
        base_sha256=base.sha256,
        software=f"napari-simmat {__version__}",
        machine=_machine(),
        device=describe_device(torch.device(device or device_choice())),
        profile=profile,
        steps=steps,
        clicks=clicks,
        jitter=jitter,
        gate=gate,
    )


def trials_of(
    rows: Sequence[Row],
    splits: Sequence[Split],
    seeds: Sequence[int],
    *,
    counts: Sequence[int] = (),
    count_rows: Sequence[str] = (),
) -> list[Trial]:
    """All trials in the order in which they are worth most: each row once, then again with the next seed.

    Parameters
    ----------
    rows : sequence of Row
        The untrained one is always among the trials, since gains are taken over it.
    splits : sequence of Split
        One for each seed.
    seeds : sequence of int
    counts : sequence of int
        Numbers of training images to try beside all of them, drawn by the seed, fewer within more.
    count_rows : sequence of str
        Names of the rows that are tried with them.
    """
    listed = list(rows)
    if all(row.name != UNTRAINED for row in listed):
        listed = [*parse_rows([UNTRAINED]), *listed]
    trials: dict[str, Trial] = {}

    def add(trial: Trial) -> None:
        trials.setdefault(trial.model_dump_json(), trial)

    for seed, split in zip(seeds, splits, strict=True):
        for row in listed:
            # Without training the seed changes nothing but the split and the jitter of clicks.
            add(
                Trial(row=row, seed=seed, train=() if row.name == UNTRAINED else split.train, test=split.test)
            )
        order = np.random.default_rng(seed).permutation(len(split.train))
        for count in sorted(set(counts)):
            if not 1 <= count < len(split.train):
                continue
            chosen = tuple(split.train[k] for k in sorted(order[:count]))
            for row in listed:
                if row.name in count_rows and row.is_trained:
                    # One click is what is plotted against their number.
                    add(Trial(row=row, seed=seed, train=chosen, test=split.test, all_images=False, clicks=1))
    return list(trials.values())


def benchmark_accuracy(
    trials: Sequence[Trial],
    items: Sequence[DatasetItem],
    plan: Plan,
    out: str | os.PathLike[str],
    *,
    base: BaseModel | None = None,
    device: str | None = None,
    keep_adapters: Sequence[str] = (),
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> list[TrialResult]:
    """Run what has not been run, and give all results.

    Parameters
    ----------
    trials : sequence of Trial
    items : sequence of DatasetItem
        All images of the dataset.
    plan : Plan
    out : path
        Folder of the results; made where it is missing. Trials that lie there already are taken from there.
    base, device : optional
    keep_adapters : sequence of str
        Names of the rows whose adapters are kept beside the results.
    progress, cancel : optional

    Raises
    ------
    SimmatError
        A file cannot be read or written, or training is not possible.
    Cancelled
        What was finished is kept, and the next run goes on from there.
    """
    base = base or load_base_model()
    folder = Path(out) / TRIALS
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SimmatError(
            f"The folder {folder} cannot be made ({error.strerror}); choose another one."
        ) from error
    write_atomically(Path(out) / "plan.json", plan.model_dump_json(indent=1).encode(), error=SimmatError)
    by_name = {item.stem: item for item in items}
    results = {k: load_result(folder, trial, plan) for k, trial in enumerate(trials)}
    clock = _Clock([result for result in results.values() if result is not None])
    for k, trial in enumerate(trials):
        if results[k] is None:
            results[k] = load_result(folder, trial, plan)  # another process may work in the same folder
        if results[k] is not None:
            continue
        known = _known(trial, results.values(), plan)
        if known is not None:
            write_result(folder, known, plan)
            results[k] = known
            continue
        waiting = [t for j, t in enumerate(trials) if results[j] is None and j != k]
        results[k] = run_trial(
            trial,
            by_name,
            plan,
            folder,
            base=base,
            device=device,
            report=_teller(trial, waiting, len(trials), clock, progress),
            cancel=cancel,
            keep_adapter=trial.row.name in keep_adapters and trial.all_images,
        )
        clock.add(results[k])
    if progress is not None:
        progress(len(trials), len(trials), "done")
    return [result for result in results.values() if result is not None]


class _Clock:
    """Estimates from finished trials how long the others will take; says nothing before there is one."""

    def __init__(self, finished: Sequence[TrialResult]) -> None:
        self._by_row: dict[str, list[float]] = defaultdict(list)
        self._judging: list[float] = []
        self._training: list[float] = []
        for result in finished:
            self.add(result)

    def add(self, result: TrialResult | None) -> None:
        if result is None:
            return
        row = result.trial.row
        self._by_row[row.name].append(result.seconds_training + result.seconds_judging)
        self._judging.append(result.seconds_judging)
        if row.is_trained:
            self._training.append(result.seconds_training)

    def seconds(self, trial: Trial) -> float | None:
        """Of one trial: those of its row before, else what a trial takes on the average."""
        known = self._by_row.get(trial.row.name)
        if known:
            return float(np.mean(known))
        if not self._judging or (trial.row.is_trained and not self._training):
            return None
        return float(np.mean(self._judging)) + (
            float(np.mean(self._training)) if trial.row.is_trained else 0.0
        )

    def left(self, now: Trial, waiting: Sequence[Trial], spent: float) -> str:
        each = [self.seconds(trial) for trial in (now, *waiting)]
        if any(seconds is None for seconds in each):
            return ""
        total = sum(seconds for seconds in each if seconds is not None)
        minutes = max(total - min(spent, each[0] or 0.0), 0.0) / 60
        return f", about {minutes:.0f} min left" if minutes >= 1.5 else ", about a minute left"


def _known(trial: Trial, results: Iterable[TrialResult | None], plan: Plan) -> TrialResult | None:
    """The result of the same trial with another seed, where the seed changes nothing."""
    if plan.jitter or not trial.is_the_same_with_any_seed:
        return None
    for result in results:
        if result is not None and result.trial.model_copy(update={"seed": trial.seed}) == trial:
            return result.model_copy(update={"trial": trial})
    return None


def _teller(
    trial: Trial, waiting: Sequence[Trial], total: int, clock: _Clock, progress: Progress | None
) -> Report | None:
    """What tells of a running trial how far it and the benchmark are."""
    if progress is None:
        return None
    began = time.perf_counter()

    def tell(what: str, part: int, whole: int) -> None:
        left = clock.left(trial, waiting, time.perf_counter() - began)
        remark = f"{trial.row.name}, seed {trial.seed}: {what} {part}/{whole}{left}"
        progress(total - len(waiting) - 1, total, remark)

    return tell


def _fingerprint(items: Sequence[DatasetItem]) -> str:
    """Changes when a file of the dataset is exchanged for one of another size or name."""
    digest = hashlib.sha256()
    for item in sorted(items, key=lambda item: item.stem):
        digest.update(item.stem.encode())
        for path in (item.image_path, item.instances_path):
            size = path.stat().st_size if path.is_file() else 0
            digest.update(f"{path.name}:{size}".encode())
    return digest.hexdigest()[:16]


def _reading(items: Sequence[DatasetItem], profile: str) -> str:
    """Changes when the same files are read in another way, or the file of the profile is changed."""
    digest = hashlib.sha256()
    if items:
        image, _ = items[0].load()
        described = [(channel.name, channel.role, channel.unit) for channel in image.channels]
        classes = [str(item.classes_path) for item in items if item.classes_path is not None]
        digest.update(repr((image.content_key(), image.modality, described, classes)).encode())
    if Path(profile).is_file():
        digest.update(Path(profile).read_bytes())
    return digest.hexdigest()[:16]


def _machine() -> str:
    cores = os.cpu_count() or 1
    parts = (platform.machine(), f"{cores} cores", platform.system(), f"Python {platform.python_version()}")
    return ", ".join((*parts, f"torch {torch.__version__}"))
