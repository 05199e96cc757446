"""Leaves the window as it is while a click is answered: drawing it meanwhile would keep the mask waiting.

Every press of the mouse has vispy draw the canvas anew although nothing has changed, and the window puts the canvas
together with everything around it, so that a label that says something else costs as much as a picture. Where that is
done in software it takes all cores, and what the model answers in a twentieth of a second then comes after four times as
long.

`QWidget.setUpdatesEnabled` is not used: when it enables a window it has all of it drawn anew. With the attribute alone,
what becomes dirty meanwhile is kept, and nothing else is drawn when the window goes on.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from weakref import ref

from qtpy.QtCore import QCoreApplication, QEvent, QObject, Qt, QTimer
from qtpy.QtWidgets import QWidget

SHORT_MS, LONG_MS = 100, 250
"""How long the window may stand still: so that nobody sees it; and while the first mask of an image is waited for."""

_HELD = Qt.WidgetAttribute.WA_UpdatesDisabled


def canvas_of(window: QWidget) -> Any:
    """What napari draws on in a window, or None."""
    return next((each for each in window.findChildren(QWidget) if hasattr(each, "frameSwapped")), None)


class Hold(QObject):
    """Holds back drawing in the window for a moment."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        # Weak: napari closes a window by letting go of it, and who still held it would keep it and its panel alive.
        self._window: ref[QWidget] | None = None
        self._is_held = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.end)

    def enter(self, window: QWidget) -> None:
        """Hold this window from now on; one without a canvas has nothing worth it."""
        if window is not self._held() and canvas_of(window) is not None:
            self.close()
            self._window = ref(window)

    def begin(self, most_ms: int = SHORT_MS) -> None:
        """From now on, for so many milliseconds at most, however often it begins meanwhile."""
        window = self._held()
        if window is None or self._is_held:
            return
        with suppress(RuntimeError):  # Qt has deleted its half of the window already
            if window.updatesEnabled():
                window.setAttribute(_HELD, True)
                self._is_held = True
                self._timer.start(most_ms)

    def end(self) -> None:
        """Draw what was held back."""
        self._timer.stop()
        window, was_held = self._held(), self._is_held
        self._is_held = False
        if window is None or not was_held:
            return
        with suppress(RuntimeError):
            window.setAttribute(_HELD, False)
            QCoreApplication.postEvent(window, QEvent(QEvent.Type.UpdateRequest))

    def close(self) -> None:
        """Let the window go."""
        self.end()
        self._window = None

    def _held(self) -> QWidget | None:
        return None if self._window is None else self._window()
