"""Leaves the window as it is while a click is answered: drawing it meanwhile would keep the mask waiting.

Every press of the mouse has vispy draw the canvas anew although nothing has changed, and the window puts the canvas
together with everything around it, so that a label that says something else costs as much as a picture. Where that is
done in software it takes all cores, and what the model answers in a twentieth of a second then comes after four times as
long.

The canvas is drawn as soon as there is a mask; what is around it tells of the click right after.
"""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QWidget

SHORT_MS, LONG_MS = 100, 250
"""How long a picture may stand still: so that nobody sees it; and while the very first mask of an image is waited for."""

_AFTER_MS = 50
"""How long what is around the canvas waits for it at most."""


def canvas_of(window: QWidget) -> Any:
    """What napari draws on in a window, or None."""
    return next((each for each in window.findChildren(QWidget) if hasattr(each, "frameSwapped")), None)


class Hold(QObject):
    """Holds back drawing in the window for a moment."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._canvas: Any = None
        self._window: QWidget | None = None
        self._around: list[QWidget] = []
        self._most, self._after = QTimer(self), QTimer(self)
        for timer, act in ((self._most, self.end), (self._after, self._release)):
            timer.setSingleShot(True)
            timer.timeout.connect(act)

    def enter(self, window: QWidget) -> None:
        """Look for the canvas of this window."""
        self._canvas = canvas_of(window)
        if self._canvas is not None:
            self._canvas.destroyed.connect(self._forget)
            self._canvas.frameSwapped.connect(self._on_frame)

    def begin(self, most_ms: int = SHORT_MS) -> None:
        """From now on, for so many milliseconds at most."""
        if self._canvas is None:
            return
        self._after.stop()
        if not self._around:
            self._around = [each for each in self._others() if each.updatesEnabled()]
            for each in self._around:
                each.setUpdatesEnabled(False)
        if self._window is None:
            self._window = self._canvas.window()
            self._window.setUpdatesEnabled(False)
        self._most.start(most_ms)

    def end(self) -> None:
        """Draw what was held back, the canvas first."""
        self._most.stop()
        window, self._window = self._window, None
        if window is not None:
            window.setUpdatesEnabled(True)  # all but what is around the canvas, which is held by itself
            self._after.start(_AFTER_MS)

    def close(self) -> None:
        """Let the window go."""
        self.end()
        self._release()
        self._forget()

    def _others(self) -> list[QWidget]:
        """All of the window but what holds the canvas."""
        window = self._canvas.window()
        parts = window.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly)
        return [each for each in parts if not each.isAncestorOf(self._canvas) and not each.isWindow()]

    def _on_frame(self) -> None:
        if self._after.isActive():
            self._release()

    def _release(self) -> None:
        self._after.stop()
        around, self._around = self._around, []
        for each in around:
            each.setUpdatesEnabled(True)

    def _forget(self) -> None:
        self._most.stop()
        self._after.stop()
        self._canvas, self._window, self._around = None, None, []
