"""Leaves the canvas as it is while a click is answered: drawing it meanwhile would keep its mask waiting.

Every press of the mouse has vispy draw the canvas anew although nothing has changed. Where that is done in software it
takes all cores, and what the model answers in a fiftieth of a second then comes after four times as long.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QWidget

_MOST_MS = 60
"""Nobody sees that a picture stood still for so long."""


class Hold(QObject):
    """Holds back drawing on the canvas for a moment."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._canvas: Any = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_MOST_MS)
        self._timer.timeout.connect(self.end)

    def enter(self, window: QWidget) -> None:
        """Look for the canvas of this window."""
        found = (each for each in window.findChildren(QWidget) if hasattr(each, "frameSwapped"))
        self._canvas = next(found, None)
        if self._canvas is not None:
            self._canvas.destroyed.connect(self._forget)

    def begin(self) -> None:
        """From now on, for `_MOST_MS` milliseconds at most."""
        if self._canvas is not None:
            self._canvas.setUpdatesEnabled(False)
            self._timer.start()

    def end(self) -> None:
        """Draw what was held back."""
        if self._timer.isActive():
            self._timer.stop()
        if self._canvas is not None and not self._canvas.updatesEnabled():
            self._canvas.setUpdatesEnabled(True)

    def close(self) -> None:
        """Let the canvas go."""
        self.end()
        self._forget()

    def _forget(self) -> None:
        self._timer.stop()
        self._canvas = None
