"""Five long-lived threads: one opens, one answers, one encodes, one learns, one draws, so that nobody waits to click."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

from qtpy.QtCore import QObject, Signal

from napari_simmat.annotator import Job, Progress
from napari_simmat.inference.compute import take_threads
from napari_simmat.plugin.interpreter import short_turns, small_collections_only
from napari_simmat.plugin.openers import Openers
from napari_simmat.plugin.worker import Worker

DRAWING = ("show", "ranges", "legend", "limits", "spectrum", "statistics", "histograms", "kept", "tidy")
"""Kinds of jobs that only draw: what people look at while the model is busy."""

ENCODING = ("draft", "encode", "ahead")
"""Kinds of jobs that make the model see an image, during which drafts are answered with."""

_SHOWN_S = 0.3
"""How long encoding waits at most for the mask of a draft to be shown."""

READING = ("open", "read")
"""Kinds of jobs that read files, by their first word."""

LONG = ("train", "attribution", "propose")
"""Kinds of jobs that people start and then go on clicking."""


class Executor(QObject):
    """Runs the annotator's jobs off the event loop.

    Parameters
    ----------
    parent : QObject, optional
    """

    changed = Signal()
    """Another job runs now, or none."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # Learning goes on while people click, so it leaves them one core.
        self._opening = Openers(self)  # a drive that hangs must not keep answers waiting, nor other files
        self._answering = Worker("simmat-answers", self, prepare=take_threads)
        self._encoding = Worker("simmat-encodes", self, prepare=take_threads)
        self._learning = Worker("simmat-learns", self, prepare=partial(take_threads, spare=1))
        self._drawing = Worker("simmat-draws", self)
        self._draft_is_shown = threading.Event()
        self._draft_is_shown.set()  # none is under way
        self._opening.changed.connect(self.changed)
        for worker in self._others:
            worker.changed.connect(self.changed)

    def __call__(self, job: Job) -> None:
        """Run a job on the thread for its kind."""
        if job.kind.partition(" ")[0] in READING:
            self._opening.submit(job)
        elif job.kind in DRAWING:
            self._drawing.submit(job)
        elif job.kind == "draft":
            self._draft_is_shown.clear()
            self._encoding.submit(_undisturbed(_and_then(self._draft_is_shown.set, job)))
        elif job.kind == "encode":
            self._encoding.submit(_undisturbed(self._after_draft(job)))
        elif job.kind in ENCODING:
            self._encoding.submit(_undisturbed(job))
        elif job.kind in LONG:
            self._learning.submit(_undisturbed(job))
        else:
            self._answering.submit(job)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """All threads."""
        return (*self._opening.workers, *self._others)

    @property
    def _others(self) -> tuple[Worker, ...]:
        return self._answering, self._encoding, self._learning, self._drawing

    @property
    def current(self) -> Job | None:
        """The job that people wait for most: a long one, else what is encoded, else what is answered."""
        encoding = self._encoding.current
        unasked = encoding is not None and encoding.kind == "ahead"
        return (
            self._learning.current
            or (None if unasked else encoding)
            or self._answering.current
            or self._opening.current
            or encoding
        )

    def stop(self) -> None:
        """Cancel everything and end all threads at their next step; returns at once."""
        self._opening.stop()
        for worker in self._others:
            worker.stop()

    def _after_draft(self, job: Job) -> Job:
        """Encoding would take the cores that the window needs for the mask of a draft, so that comes first."""

        def work(progress: Progress) -> object:
            self._draft_is_shown.wait(_SHOWN_S)
            return job.work(progress)

        return replace(job, work=work)


def _and_then(also: Callable[[], object], job: Job) -> Job:
    """A job after which something else is done, whatever came of it."""

    def take(result: object) -> None:
        try:
            job.take(result)
        finally:
            also()

    def failed(error: Exception) -> None:
        try:
            job.failed(error)
        finally:
            also()

    return replace(job, take=take, failed=failed)


def _undisturbed(job: Job) -> Job:
    def work(progress: Progress) -> object:
        with small_collections_only, short_turns if job.kind == "draft" else nullcontext():
            return job.work(progress)

    return replace(job, work=work)
