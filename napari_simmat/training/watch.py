"""Who follows a training, and may end it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from napari_simmat.errors import Cancelled

OnStep = Callable[[int, int, float], None]


@dataclass
class Watch:
    """Who follows a training: told of each step, asked before each step whether to stop."""

    on_step: OnStep | None = None
    cancel: threading.Event | None = None
    total: int = 0
    done: int = 0

    def check(self) -> None:
        """Stop here if asked to.

        Raises
        ------
        Cancelled
        """
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled("Training was cancelled; the adapter is as it was before.")

    def step(self, loss: float) -> None:
        """One more step is done."""
        self.done += 1
        if self.on_step is not None:
            self.on_step(self.done, self.total, loss)
