"""Learning from corrections and from rough labels: trainings beside the window, whose adapters become versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from torch import get_num_threads

from napari_simmat._annotator.classing import Classing
from napari_simmat._annotator.jobs import Executor, Job, Progress, run_now
from napari_simmat._annotator.naming import NamingMasks
from napari_simmat._annotator.rough import NOTHING_ROUGH, rough_details, rough_labels
from napari_simmat._annotator.session import sentence_for
from napari_simmat.errors import SimmatError, TrainingError
from napari_simmat.inference.compute import how_computed
from napari_simmat.inference.memory import give_memory_back
from napari_simmat.journal import Journal, Step, Was
from napari_simmat.models import Adapter
from napari_simmat.training import Corrections, Settings, TrainingReport, deep, quick
from napari_simmat.training.experts import refuse_missing
from napari_simmat.training.recipes import Mode
from napari_simmat.training.rough import RoughObject, RoughSettings, adapt_from_rough

if TYPE_CHECKING:
    from napari_simmat._annotator.objects import ObjectBook
    from napari_simmat._annotator.versions import Version

__all__ = ["AUTO_QUICK_FROM", "Learning"]

AUTO_QUICK_FROM = 3
"""Number of objects from which accepting another one trains by itself."""


class Learning(NamingMasks, Classing):
    """Trains, one training at a time.

    Attributes
    ----------
    auto_quick : bool
        Train quickly by itself after an object was accepted, once there are three.
    auto_quick_steps, auto_quick_settings, reports
        As in `Annotator`.
    """

    training_started = Signal(str)  # "quick" or "deep"
    training_step = Signal(int, int, float)  # step, of how many, loss
    training_finished = Signal(object)  # the TrainingReport
    training_stopped = Signal(str)  # why there is no report

    auto_quick = False

    def __init__(
        self,
        *,
        adapter: Adapter | None,
        journal: Journal | None,
        executor: Executor = run_now,
        device: str | None = None,
    ) -> None:
        super().__init__(adapter=adapter, journal=journal, executor=executor, device=device)
        self.auto_quick_steps: int | None = None
        self.auto_quick_settings: Settings | None = None
        self.reports: list[TrainingReport] = []
        self._quick_is_due = False

    @property
    def training(self) -> Job | None:
        """The training that is under way."""
        return self._jobs.get("train")

    def corrections(self) -> Corrections:
        """All objects of all images that the adapter in use fits, to learn from."""
        self.sync_labels()
        found = Corrections()
        for book in self._fitting_books():
            for correction in book.corrections():
                found.add(correction)
        return found

    def quick(
        self,
        *,
        steps: int | None = None,
        learning_rate: float | None = None,
        seed: int | None = None,
        settings: Settings | None = None,
    ) -> TrainingReport | None:
        """Learn from the corrections within seconds; see `napari_simmat.training.quick`."""
        return self._train("quick", steps=steps, learning_rate=learning_rate, seed=seed, settings=settings)

    def deep(
        self,
        *,
        steps: int | None = None,
        learning_rate: float | None = None,
        seed: int | None = None,
        settings: Settings | None = None,
    ) -> TrainingReport | None:
        """Learn from the corrections through the whole encoder; see `napari_simmat.training.deep`."""
        return self._train("deep", steps=steps, learning_rate=learning_rate, seed=seed, settings=settings)

    def adapt_from_rough(
        self,
        objects: Sequence[RoughObject] = (),
        *,
        with_accepted: bool = True,
        mode: Mode = "quick",
        settings: RoughSettings | None = None,
    ) -> TrainingReport | None:
        """Learn from points, boxes, scribbles and coarse outlines; see `napari_simmat.training.rough.adapt_from_rough`.

        Parameters
        ----------
        objects : sequence of RoughObject
            What was shown of objects in this image.
        with_accepted : bool
            Also learn from the clicks of accepted objects, in all images that the adapter in use fits; not from their
            masks.
        mode : {"quick", "deep"}
        settings : RoughSettings, optional
        """
        if self.training is not None:
            raise TrainingError("A training is under way; cancel it or wait until it is done.")
        image, start = self._need_image(), self.versions.current
        self.sync_labels()
        books = self._fitting_books() if with_accepted else []
        labels = rough_labels(image, objects, books)
        if start is None or not labels:
            raise TrainingError(NOTHING_ROUGH)
        number = self.book.log.number if self.book is not None else 0
        details = rough_details(labels, image, mode=mode, settings=settings, after=number)

        def learn(progress: Progress, job: Job) -> tuple[Adapter, TrainingReport]:
            return adapt_from_rough(
                labels, start=start.adapter, mode=mode, settings=settings, on_step=progress, cancel=job.cancel
            )

        return self._learn("rough", start, details, learn)

    def cancel_training(self) -> None:
        """Stop the training at its next step; the adapter in use stays."""
        self._quick_is_due = False
        if self.training is not None:
            self.training.cancel.set()

    def _fitting_books(self) -> list[ObjectBook]:
        return [book for book in self._books.values() if self._suits(book)]

    def _accepted(self) -> None:
        self._train_if_wanted()

    def _train_if_wanted(self) -> None:
        enough = sum(len(book.notes) for book in self._fitting_books()) >= AUTO_QUICK_FROM
        if self.auto_quick and enough and all(self.groups.values()):
            self._quick_is_due = self.training is not None
            if not self._quick_is_due:
                wanted = self.auto_quick_settings
                possible = wanted if wanted is not None and wanted.can_be_quick else None
                try:
                    self._train("quick", steps=self.auto_quick_steps, settings=possible)
                except SimmatError as error:  # the object was accepted; only learning from it failed
                    self.problem.emit(str(error))

    def _train(
        self,
        mode: Mode,
        *,
        steps: int | None = None,
        learning_rate: float | None = None,
        seed: int | None = None,
        settings: Settings | None = None,
    ) -> TrainingReport | None:
        """Start a training; its report where it is over when this returns, which needs `run_now`."""
        if self.training is not None:
            raise TrainingError("A training is under way; cancel it or wait until it is done.")
        start, corrections = self.versions.current, self.corrections()
        if start is None or not len(corrections):
            raise TrainingError("There is nothing to learn from yet; accept an object first.")
        refuse_missing(start.adapter)
        trainer = quick if mode == "quick" else deep
        details: dict[str, Any] = {
            "mode": mode,
            "steps": steps,
            "learning_rate": learning_rate,
            "seed": seed,
            "settings": None if settings is None else asdict(settings),
            "after": self.book.log.number if self.book is not None else 0,
            "images": sorted(book.image.identity for book in self._fitting_books() if book.notes),
        }

        def learn(progress: Progress, job: Job) -> tuple[Adapter, TrainingReport]:
            return trainer(
                corrections,
                start=start.adapter,
                steps=steps,
                learning_rate=learning_rate,
                seed=seed,
                settings=settings,
                on_step=progress,
                cancel=job.cancel,
            )

        return self._learn(mode, start, details, learn)

    def _learn(
        self,
        mode: str,
        start: Version,
        details: dict[str, Any],
        learn: Callable[[Progress, Job], tuple[Adapter, TrainingReport]],
    ) -> TrainingReport | None:
        """Have something learnt, beside the window; its report where it is over when this returns."""

        def work(progress: Progress) -> tuple[Adapter, TrainingReport]:
            details["computed"] = how_computed(get_num_threads())
            try:
                return learn(progress, job)
            finally:
                give_memory_back()

        job = Job(
            "train",
            f"Learning ({mode})",
            work=work,
            take=partial(self._trained, start, details),
            progress=self.training_step.emit,
        )
        done = len(self.reports)
        self.training_started.emit(mode)
        self._run(job)
        return self.reports[-1] if len(self.reports) > done else None

    def _begin_training(self, mode: str) -> None:
        self.training_started.emit(mode)

    def _tell_training(self, step: int, total: int, loss: float) -> None:
        self.training_step.emit(step, total, loss)

    def _end_training(self) -> None:
        self.training_stopped.emit("Other names are kept now; nothing had to be learnt.")

    def _trained(
        self, start: Version, details: dict[str, Any], result: tuple[Adapter, TrainingReport]
    ) -> None:
        adapter, report = result
        self.reports.append(report)
        details = {**details, "kept": report.kept}
        if not report.kept:
            self._write(Step("train", details={**details, "by itself": True}))
        else:
            name = self.versions.training_name(report.mode)
            version = self.versions.add(adapter, name, report=report, parent=start)
            if self.versions.current is start:  # else the user went elsewhere meanwhile
                was = Was(start.to_dict(), version.to_dict())
                self._write(Step("train", version=was, details=details))
                self.versions.use(version)
                self._adapter_changed()
            else:
                self.versions_changed.emit()
        self.training_finished.emit(report)
        if self._quick_is_due:
            self._quick_is_due = False
            self._train_if_wanted()

    def _job_failed(self, job: Job, error: Exception) -> None:
        super()._job_failed(job, error)
        if job.kind == "train":
            self._quick_is_due = False
            self.training_stopped.emit(sentence_for(job, error))
