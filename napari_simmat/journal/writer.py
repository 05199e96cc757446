"""A thread for a drive that may be slow, full or gone: whoever hands it work waits for as long as they like."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future


class Writer:
    """One thread that does one thing after the other; it ends with the process, even if a drive hangs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: queue.SimpleQueue[tuple[Future[object], Callable[[], object]] | None] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[], object]) -> Future[object]:
        """Have something done after all that was submitted before."""
        future: Future[object] = Future()
        self._waiting.put((future, work))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        return future

    def stop(self, patience: float) -> bool:
        """End the thread after all that was submitted; False if it did not end within so many seconds."""
        if self._thread is None:
            return True
        self._waiting.put(None)
        self._thread.join(patience)
        ended = not self._thread.is_alive()
        if ended:
            self._thread = None
        return ended

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            future, work = item
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
