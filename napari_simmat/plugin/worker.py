"""One long-lived thread for slow jobs, on which the newest job of a kind wins."""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_simmat.annotator import Job
from napari_simmat.errors import Cancelled

_GRACE_S = 20.0
"""How long leaving Python waits for a step that is under way: torch crashes if it is torn down at work."""


class Worker(QObject):
    """Runs the slow half of jobs on its own thread and the fast half on the thread it lives in.

    A job that waits is replaced by a newer one of its kind; one that runs is let finish, and whoever gave
    it decides in `Job.take` if its result is still wanted. A thread made anew for each job would cost a
    click some milliseconds and let results overtake each other.

    Parameters
    ----------
    name : str
        Of the thread, for debuggers.
    parent : QObject, optional
    prepare : callable, optional
        Called on the thread before each job.
    """

    changed = Signal()
    """Another job runs now, or none."""

    _finished = Signal(object, object)
    _raised = Signal(object, object)
    _reported = Signal(object, int, int, float)

    def __init__(
        self, name: str, parent: QObject | None = None, *, prepare: Callable[[], None] | None = None
    ) -> None:
        super().__init__(parent)
        self.current: Job | None = None
        self._is_stopped = False
        self._finished.connect(self._on_finished)
        self._raised.connect(self._on_raised)
        self._reported.connect(self._on_reported)
        self._thread = _Thread(name, weakref.ref(self), prepare)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Run a job as soon as the thread is free, unless a newer one of its kind comes before."""
        self._thread.submit(job)
        if self.current is None:
            self.current = job
            self.changed.emit()

    def take_waiting(self) -> list[Job]:
        """What waits behind the job that runs, which is to be done elsewhere."""
        return self._thread.take_waiting()

    def stop(self) -> None:
        """Cancel everything and end the thread at its next step; returns at once.

        No job is told of anything any more, not even of a result that is on its way: who would take it may be gone.
        """
        self._is_stopped = True
        self._thread.stop()

    @property
    def is_alive(self) -> bool:
        """Whether the thread has not ended yet."""
        return self._thread.is_alive()

    def _on_finished(self, job: Job, result: Any) -> None:
        if self._is_stopped:
            return
        self._next()
        job.take(result)

    def _on_raised(self, job: Job, error: Exception) -> None:
        if self._is_stopped:
            return
        self._next()
        job.failed(error)

    def _on_reported(self, job: Job, step: int, total: int, value: float) -> None:
        if not self._is_stopped and not job.cancel.is_set():
            job.progress(step, total, value)

    def _next(self) -> None:
        self.current = self._thread.busy_with
        self.changed.emit()


class _Thread(threading.Thread):
    """The thread behind a `Worker`; it may outlive the worker by one step, so it only holds it weakly."""

    def __init__(
        self, name: str, owner: weakref.ref[Worker], prepare: Callable[[], None] | None = None
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._owner, self._prepare = owner, prepare
        self._waiting: dict[str, Job] = {}
        self._running: Job | None = None
        self._stopped = False
        self._condition = threading.Condition()
        _threads.add(self)

    @property
    def busy_with(self) -> Job | None:
        with self._condition:
            return self._running or next(iter(self._waiting.values()), None)

    def submit(self, job: Job) -> None:
        with self._condition:
            self._waiting.pop(job.kind, None)
            self._waiting[job.kind] = job
            self._condition.notify()

    def take_waiting(self) -> list[Job]:
        with self._condition:
            waiting = list(self._waiting.values())
            self._waiting.clear()
            return waiting

    def stop(self) -> None:
        with self._condition:
            self._stopped = True
            for job in [*self._waiting.values(), *filter(None, [self._running])]:
                job.cancel.set()
            self._waiting.clear()
            self._condition.notify()

    def run(self) -> None:
        while (job := self._take_next()) is not None:
            self._do(job)
            del job  # what it learnt from, and what came of it, may be large

    def _take_next(self) -> Job | None:
        with self._condition:
            self._running = None
            while not self._waiting and not self._stopped:
                self._condition.wait()
            if self._stopped:
                return None
            self._running = self._waiting.pop(next(iter(self._waiting)))
            return self._running

    def _do(self, job: Job) -> None:
        try:
            if job.cancel.is_set():
                raise Cancelled(f"{job.title} was cancelled.")
            if self._prepare is not None:
                self._prepare()
            result = job.work(lambda *report: self._tell(lambda o: o._reported.emit(job, *report)))
        except BaseException as error:  # whatever it is, the thread must live on: others wait for their jobs
            is_usual = isinstance(error, Exception)
            failure = (
                error if is_usual else RuntimeError(f"it was ended by {type(error).__name__} {error}".strip())
            )
            self._running = None
            self._tell(lambda o: o._raised.emit(job, failure))
        else:
            self._running = None
            self._tell(lambda o: o._finished.emit(job, result))

    def _tell(self, emit: Callable[[Worker], None]) -> None:
        owner = self._owner()
        if owner is None or self._stopped:
            return
        try:
            emit(owner)
        except RuntimeError:  # Qt has deleted its half of the worker: the window is closed and nobody listens
            self._stopped = True


_threads: weakref.WeakSet[_Thread] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    threads = [thread for thread in _threads if thread.is_alive()]
    for thread in threads:
        thread.stop()
    until = time.monotonic() + _GRACE_S
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
