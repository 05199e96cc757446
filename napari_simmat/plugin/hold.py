"""Leaves the canvas as it is while a click is answered: drawing it meanwhile would keep its mask waiting.

Every press of the mouse has vispy draw the canvas anew although nothing has changed. Where that is done in software it
takes all cores, and what the model answers in a fiftieth of a second then comes after four times as long.

While a draft is made this goes for the whole window: it puts the canvas together with everything around it, so a label
that says something else costs as much as a picture.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QWidget

SHORT_MS, LONG_MS = 60, 250
"""How long a picture may stand still: so that nobody sees it; and while the very first mask of an image is waited for."""


def canvas_of(window: QWidget) -> Any:
    """What napari draws on in a window, or None."""
    return next((each for each in window.findChildren(QWidget) if hasattr(each, "frameSwapped")), None)


class Hold(QObject):
    """Holds back drawing on the canvas for a moment."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._canvas: Any = None
        self._window: QWidget | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.end)

    def enter(self, window: QWidget) -> None:
        """Look for the canvas of this window."""
        self._canvas = canvas_of(window)
        if self._canvas is not None:
            self._canvas.destroyed.connect(self._forget)

    def begin(self, most_ms: int = SHORT_MS, *, all_of_it: bool = False) -> None:
        """From now on, for so many milliseconds at most; the canvas, or all of the window."""
        if self._canvas is None:
            return
        self._canvas.setUpdatesEnabled(False)
        if all_of_it and self._window is None:
            self._window = self._canvas.window()
            self._window.setUpdatesEnabled(False)
        self._timer.start(most_ms)

    def end(self) -> None:
        """Draw what was held back."""
        if self._timer.isActive():
            self._timer.stop()
        window, self._window = self._window, None
        if window is not None:
            window.setUpdatesEnabled(True)  # first: as long as it is held, the canvas is as well
        if self._canvas is not None and not self._canvas.updatesEnabled():
            self._canvas.setUpdatesEnabled(True)

    def close(self) -> None:
        """Let the canvas go."""
        self.end()
        self._forget()

    def _forget(self) -> None:
        self._timer.stop()
        self._canvas = self._window = None
