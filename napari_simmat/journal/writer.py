"""A thread for a drive that may be slow, full or gone: whoever hands it work waits for as long as they like."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future

_Item = tuple[Future[object], Callable[[], object]]


class Writer:
    """One thread that does one thing after the other; it ends with the process, even if a drive hangs.

    It begins with the first work, and again with the first after `finish`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._before: threading.Thread | None = None
        self._lock = threading.Lock()  # who submits and who finishes may be on different threads

    def submit(self, work: Callable[[], object], *, last: bool = False) -> Future[object]:
        """Have something done after all that was submitted before; as the last thing, the thread ends after it."""
        future: Future[object] = Future()
        with self._lock:
            self._waiting.put((future, work))
            if self._thread is None:
                before, self._before = self._before, None
                self._thread = threading.Thread(
                    target=self._run, args=(self._waiting, before), name=self._name, daemon=True
                )
                self._thread.start()
            if last:
                self._finish()
        return future

    def finish(self) -> None:
        """Have the thread end after all that was submitted; returns at once."""
        with self._lock:
            self._finish()

    def _finish(self) -> None:
        if self._thread is not None:
            self._waiting.put(None)
            self._before, self._thread = self._thread, None
            self._waiting = queue.SimpleQueue()

    def join(self, patience: float) -> bool:
        """Wait until it has ended, so many seconds at most; False if it has not."""
        with self._lock:
            before, is_at_rest = self._before, self._thread is None
        if before is not None:
            before.join(patience)
            return not before.is_alive()
        return is_at_rest

    @staticmethod
    def _run(waiting: queue.SimpleQueue[_Item | None], before: threading.Thread | None) -> None:
        if before is not None:
            before.join()  # one thing after the other, also across a rest
        while (item := waiting.get()) is not None:
            future, work = item
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
