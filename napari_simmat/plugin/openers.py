"""Threads that read files: one, and others where a drive does not answer."""

from __future__ import annotations

from contextlib import suppress

from qtpy.QtCore import QObject, QTimer, Signal

from napari_simmat.annotator import Job
from napari_simmat.plugin.worker import Worker

HELD_UP_MS = 2000
"""A job that takes longer does not keep others waiting any more."""

_MOST_THREADS = 4


class Openers(QObject):
    """Does jobs that read files one after the other, as a `Worker` does; those behind one that hangs, on another thread.

    A drive of the network that hangs may keep a thread for minutes or for ever, and nothing ends that from outside.
    """

    changed = Signal()
    """Another job runs now, or none."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._held_up: list[Worker] = []
        self._worker = self._begin()
        self._before: Job | None = None
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(HELD_UP_MS)
        self._patience.timeout.connect(self._look)

    def submit(self, job: Job) -> None:
        """Do a job when those before it are done, or have taken too long."""
        before = self._worker.current
        self._worker.submit(job)
        if before is not None and not self._patience.isActive():
            self._wait_for(before)

    @property
    def workers(self) -> tuple[Worker, ...]:
        """All threads, the newest first."""
        return self._worker, *reversed(self._held_up)

    @property
    def current(self) -> Job | None:
        """What is being read, the newest of it that is still wanted."""
        jobs = (worker.current for worker in self.workers)
        return next((job for job in jobs if job is not None and not job.cancel.is_set()), None)

    def stop(self) -> None:
        """Cancel everything and end all threads at their next step; returns at once."""
        with suppress(RuntimeError):  # Qt has deleted it: the window is closed
            self._patience.stop()
        for worker in self.workers:
            worker.stop()

    def _begin(self) -> Worker:
        worker = Worker("simmat-opens", self)
        worker.changed.connect(self._on_changed)
        return worker

    def _wait_for(self, job: Job) -> None:
        self._before = job
        self._patience.start()

    def _look(self) -> None:
        now = self._worker.current
        if now is None:
            return
        if now is not self._before or len(self.workers) >= _MOST_THREADS:
            self._wait_for(now)
            return
        waiting = self._worker.take_waiting()
        if waiting:
            self._held_up.append(self._worker)
            self._worker = self._begin()
            for job in waiting:
                self._worker.submit(job)
            self._wait_for(waiting[0])

    def _on_changed(self) -> None:
        for worker in [each for each in self._held_up if each.current is None]:
            self._held_up.remove(worker)
            worker.stop()
            worker.deleteLater()
        self.changed.emit()
