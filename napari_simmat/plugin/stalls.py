"""How long an event loop does not come round: a timer that ought to tick each millisecond, and the gaps between ticks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from qtpy.QtCore import QEventLoop, QObject, Qt, QTimer

from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.speed import Phase

_FRAME_MS, _FELT_MS = 16, 50


class Ticks(QObject):
    """Runs the event loop until something has happened, and records its gaps meanwhile.

    Attributes
    ----------
    patience_s : float
        How long to wait for anything at most.
    is_recording : bool
        Each gap takes 32 bytes, so hours of them are a hundred megabytes: who measures memory records none.
    """

    def __init__(self, patience_s: float = 1200.0) -> None:
        super().__init__()
        self.patience_s, self.is_recording = patience_s, True
        self._gaps: dict[str, list[float]] = {}
        self._phase: list[float] | None = None
        self._condition: Callable[[], bool] | None = None
        self._loop = QEventLoop()
        self._last = time.perf_counter()
        self._deadline = self._last
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(1)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """What happens in here belongs to this phase; it may be entered several times.

        What is done in here outside of `until` keeps the event loop waiting, as a handler of a click or key does.
        """
        before = self._phase
        self._phase = self._gaps.setdefault(name, [])
        self._last = time.perf_counter()
        try:
            yield
        finally:
            self._record()
            self._phase = before

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Let the event loop run until the condition holds.

        Raises
        ------
        SimmatError
            It takes too long.
        """
        self._deadline = time.perf_counter() + self.patience_s
        self._condition = condition
        while not condition():
            self._loop.exec()
            if time.perf_counter() > self._deadline:
                raise SimmatError(f"The window was waited for in vain: {what}.")
        self._condition = None

    def rest(self, milliseconds: int) -> None:
        """Let the event loop run for a while."""
        end = time.perf_counter() + milliseconds / 1000
        self.until(lambda: time.perf_counter() >= end, "a rest")

    def phases(self) -> list[Phase]:
        """What was found."""
        return [
            Phase(
                name=name,
                seconds=sum(gaps) / 1000,
                worst_ms=max(gaps),
                p50_ms=float(np.percentile(gaps, 50)),
                p99_ms=float(np.percentile(gaps, 99)),
                over_16_ms=sum(gap > _FRAME_MS for gap in gaps),
                over_50_ms=sum(gap > _FELT_MS for gap in gaps),
            )
            for name, gaps in self._gaps.items()
            if gaps
        ]

    def stop(self) -> None:
        """Stop ticking."""
        self._timer.stop()

    def _record(self) -> None:
        now = time.perf_counter()
        if self._phase is not None and self.is_recording:
            self._phase.append(1000 * (now - self._last))
        self._last = now

    def _tick(self) -> None:
        self._record()
        if self._condition is not None and self._is_over(self._condition) and self._loop.isRunning():
            self._loop.quit()

    def _is_over(self, condition: Callable[[], bool]) -> bool:
        try:
            return condition() or self._last > self._deadline
        except SimmatError:  # Qt would end the process; `until` asks again and raises it
            return True
