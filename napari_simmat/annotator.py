"""One annotator at work: click, accept, erase, train, undo. Window, command line and tests all drive this.

What is slow is handed out as `Job`s to the executor; by default each is run on the spot. A window passes an
executor that runs the slow half of a job on another thread and the fast half back on its own, so nothing here
blocks it. All methods belong to one thread, whichever that is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from torch import get_num_threads

from napari_simmat._annotator.classing import Classing
from napari_simmat._annotator.clicking import Answer
from napari_simmat._annotator.found import Found
from napari_simmat._annotator.jobs import Executor, Job, Progress, run_now
from napari_simmat._annotator.naming import NamingMasks
from napari_simmat._annotator.notes import Note, class_of
from napari_simmat._annotator.objects import ObjectBook
from napari_simmat._annotator.proposing import Proposed, Review
from napari_simmat._annotator.rough import NOTHING_ROUGH, rough_details, rough_labels
from napari_simmat._annotator.session import sentence_for
from napari_simmat._annotator.targets import ArrayTarget, LabelTarget
from napari_simmat._annotator.titles import title_of
from napari_simmat._annotator.versions import Version
from napari_simmat.errors import AdapterError, PromptError, SimmatError, TrainingError
from napari_simmat.exporters import export
from napari_simmat.images import MultiChannelImage
from napari_simmat.inference import Prompt
from napari_simmat.inference.compute import how_computed
from napari_simmat.inference.memory import give_memory_back
from napari_simmat.journal import Journal, Step, Was
from napari_simmat.models import Adapter
from napari_simmat.training import Corrections, Settings, TrainingReport, deep, quick
from napari_simmat.training.experts import refuse_missing
from napari_simmat.training.rough import RoughObject, RoughSettings, adapt_from_rough

__all__ = [
    "Annotator",
    "Answer",
    "ArrayTarget",
    "Found",
    "Job",
    "LabelTarget",
    "Note",
    "Progress",
    "Proposed",
    "Review",
    "Step",
    "Version",
    "run_now",
    "title_of",
]

AUTO_QUICK_FROM = 3
"""Number of objects from which accepting another one trains by itself."""

Mode = Literal["quick", "deep"]


class Annotator(NamingMasks, Classing):
    """An annotator at work on one image after the other.

    Corrections, labels and adapter versions of earlier images are kept when the image is switched.

    Parameters
    ----------
    image : MultiChannelImage, optional
        The first image; `set_image` does the same later.
    adapter : Adapter, optional
        What to start from; by default the untrained adapter of the image's modality.
    journal : Journal, optional
        Where accepted objects are kept from crashes, and come back from; none by default.
    auto_quick : bool
        Train quickly by itself after an object was accepted, once there are three.
    executor : callable
        Runs the slow jobs; by default on the spot.
    device : str, optional
        "cuda", "mps" or "cpu"; the best there is by default.

    Attributes
    ----------
    auto_quick_steps : int or None
        How long such a training is; None: as long as `quick` thinks best.
    auto_quick_settings : Settings or None
        How it learns, as far as quick training can learn so; else as it does by default.
    reports : list of TrainingReport
        One for each training that was finished, also those that were rolled back.

    Examples
    --------
    >>> annotator = Annotator(open_image("scene.tif"))  # doctest: +SKIP
    >>> annotator.click(120, 88)  # doctest: +SKIP
    >>> annotator.accept()  # doctest: +SKIP
    1
    >>> annotator.deep().reason  # doctest: +SKIP
    """

    training_started = Signal(str)  # "quick" or "deep"
    training_step = Signal(int, int, float)  # step, of how many, loss
    training_finished = Signal(object)  # the TrainingReport
    training_stopped = Signal(str)  # why there is no report

    def __init__(
        self,
        image: MultiChannelImage | None = None,
        *,
        adapter: Adapter | None = None,
        journal: Journal | None = None,
        auto_quick: bool = False,
        executor: Executor = run_now,
        device: str | None = None,
    ) -> None:
        super().__init__(adapter=adapter, journal=journal, executor=executor, device=device)
        self.auto_quick = auto_quick
        self.auto_quick_steps: int | None = None
        self.auto_quick_settings: Settings | None = None
        self.reports: list[TrainingReport] = []
        self._label_once_answered: tuple[int | None] | None = None
        self._quick_is_due = False
        if image is not None:
            self.set_image(image)

    # ---------------------------------------------------------------- objects

    @property
    def labels(self) -> NDArray[np.int32]:
        """Label image (Y, X) of what was accepted so far, 0 is background; not to be written to."""
        return self._need_book().known

    @property
    def objects(self) -> dict[int, Note]:
        """What is known of each accepted object of this image, by label."""
        return self.book.in_order() if self.book is not None else {}

    def attach(self, target: LabelTarget) -> None:
        """Write objects of this image into another target; what only the target holds counts as corrections.

        Raises
        ------
        SimmatError
            If the target's labels are not of the image's shape; nothing was changed.
        """
        if self._need_book().attach(target):
            self._did(objects=True)

    def let_go(self, target: LabelTarget) -> None:
        """Write objects into a target no more that is not shown any more; they stay what they are."""
        for book in self._books.values():
            if book.target is target:
                with self.problem.blocked():  # what was done to it at the last moment may be of another shape
                    self.sync_labels()
                book.let_go()

    def accept(self, label: int | None = None) -> int | None:
        """Turn the shown mask into an object and start the next one.

        Parameters
        ----------
        label : int, optional
            The object that gets this mask; a new one by default.

        Returns
        -------
        int or None
            The object's label. None if the answer to the last click is still on its way: the object is
            accepted when it comes.

        Raises
        ------
        PromptError
            If there is no mask, or other objects hold all of it.
        """
        book, answer = self._need_book(), self.answer
        if answer is None or not self.is_answered:
            if self.prompt.is_empty or not {"answer", "encode"} & set(self._jobs):
                raise PromptError("There is no mask to accept yet; click on an object first.")
            self._label_once_answered = (label,)
            return None
        fingerprint = self.segmenter.adapter.fingerprint if self.segmenter is not None else ""
        prompt = answer.prompt
        self._write_version(book)
        number = book.accept(
            answer.mask, label=label, prompt=prompt, adapter=fingerprint, before=self.prompt.to_dict()
        )
        self._take_prompt(Prompt())
        self._did(objects=True)
        if self._works_ahead:
            self._run(Job("tidy", "Tidying up", lambda _: give_memory_back(), lambda _: None))
        self._train_if_wanted()
        self._go_on_by_text(prompt, number)
        return number

    def erase(self, label: int) -> None:
        """Take an accepted object out again; it is no longer learnt from.

        Raises
        ------
        PromptError
            If there is no such object.
        """
        self._need_book().erase(label)
        self._did(objects=True)

    def merge(self, labels: Sequence[int]) -> int:
        """Make one object of several; it keeps the number of the first.

        Returns
        -------
        int
            Its label.

        Raises
        ------
        PromptError
            If there are not two of them, or one is not there.
        """
        label = self._need_book().merge(labels)
        self._did(objects=True)
        return label

    def name_objects(self, labels: Sequence[int], class_name: str | None) -> None:
        """Say what objects are, such as "weed"; None takes their class away.

        Raises
        ------
        PromptError
            If there is no such object, or the name is none.
        """
        self.name_each(dict.fromkeys(labels, class_name))

    def name_each(self, names: Mapping[int, str | None]) -> None:
        """Give each object a class of its own, in one gesture; see `name_objects`."""
        if self._need_book().name({label: class_of(name) for label, name in names.items()}):
            self._did(objects=True)

    def clear(self) -> None:
        """Drop the prompt and its mask; accepted objects stay."""
        self._label_once_answered = None
        prompt = self.prompt
        super().clear()
        self._go_on_by_text(prompt, None)

    def _leave_prompt(self) -> None:
        self._label_once_answered = None
        super()._leave_prompt()

    def sync_labels(self) -> bool:
        """Take over what a brush or an undo changed in the target; True if there was anything."""
        changed = [book.sync() != ([], []) for book in self._books.values()]
        if any(changed):
            self._did(objects=True)
        return any(changed)

    # ---------------------------------------------------------------- history

    @property
    def history(self) -> tuple[list[Step], list[Step]]:
        """What can be undone and what can be redone, each newest last."""
        log = self.book.log if self.book is not None else None
        return (list(log.done), list(log.undone)) if log is not None else ([], [])

    def undo(self) -> Step | None:
        """Take back the last gesture: click, accepted object, brush stroke, erased object, training, ...

        Returns
        -------
        Step or None
            What was undone; None if there is nothing.

        Raises
        ------
        SimmatError
            It cannot be undone now; nothing was changed.
        """
        return self._go("undo")

    def redo(self) -> Step | None:
        """Bring back what was undone last; None if there is nothing."""
        return self._go("redo")

    def _go(self, kind: Literal["undo", "redo"]) -> Step | None:
        self.resume()
        book = self.book
        if book is None:
            return None
        self._label_once_answered = None
        self.sync_labels()
        step = book.log.next_back(kind)
        if step is None:
            return None
        version = None
        if step.version is not None and step.version.after is not None:
            version = self.versions.known(str(step.version.after["fingerprint"]))
            if version is None:
                raise AdapterError(
                    f"The adapter {step.version.after['name']!r} is not there any more, so this cannot be taken back; "
                    "choose another version under Model."
                )
        book.take_back(step)
        if step.prompt is not None:
            told = step.prompt.after
            self._take_prompt(Prompt() if told is None else Prompt.from_dict(told))
        if version is not None:
            self.versions.use(version)
            self._adapter_changed()
        self._did(objects=bool(step.changes))
        return step

    def export(self, path: str | Path, format: str) -> int:
        """Write the labels of this image to a file; see `napari_simmat.exporters.export`."""
        self.sync_labels()
        classes = {n: note.class_name for n, note in self.objects.items() if note.class_name is not None}
        count = export(self.labels, self._need_image(), format, path, classes=classes, colours=self.classes)
        details = {"path": str(path), "format": format, "objects": count}
        self._write(Step("export", details=details))
        return count

    def _nothing_answers(self) -> None:
        self._label_once_answered = None

    def _show(self, answer: Answer | None) -> None:
        super()._show(answer)
        waiting, self._label_once_answered = self._label_once_answered, None
        if waiting is None or answer is None:
            return
        try:
            self.accept(waiting[0])
        except SimmatError as error:  # nobody waits for this call to return
            self.problem.emit(str(error))

    # --------------------------------------------------------------- learning

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
        current = self.versions.current
        return [book for book in self._books.values() if current is None or current.suits(book.image)]

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
