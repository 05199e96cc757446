"""The keys of the panel, bound where they hold.

napari asks the selected layer for a key before it asks the viewer, so a key bound to the viewer alone
does nothing wherever a layer has its own use for it (C on images, A on points). The keys here are bound
to the selected layer, or to the viewer if none is, as long as that layer is in pan/zoom mode: with a
brush in hand all keys are napari's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSpinBox, QLineEdit, QMainWindow, QWidget


@dataclass(frozen=True)
class Key:
    """A key and what it does.

    Attributes
    ----------
    action : str
        Name of the action in `CanvasKeys`.
    binding : str
        As napari writes it.
    text : str
        As it is shown on a button.
    """

    action: str
    binding: str
    text: str


KEYS = (
    Key("flip_sign", "T", "T"),
    Key("accept", "C", "C"),
    Key("accept", "A", "A"),
    Key("reject", "R", "R"),
    Key("clear", "Shift-C", "Shift+C"),
    Key("segment", "S", "S"),
    Key("undo", "Control-Z", "Ctrl+Z"),
    Key("redo", "Control-Shift-Z", "Ctrl+Shift+Z"),
    Key("next_candidate", ".", "."),
    Key("next_candidate", "Tab", "Tab"),
    Key("accept_proposal", "Y", "Y"),
    Key("reject_proposal", "N", "N"),
    Key("erase", "Delete", "Del"),
    Key("merge", "J", "J"),
    Key("cancel", "Escape", "Esc"),
)


def keys_of(action: str) -> str:
    """The keys of an action, as shown to people: "C or A"."""
    return " or ".join(key.text for key in KEYS if key.action == action)


class CanvasKeys(QObject):
    """Binds `KEYS` while the mouse is ours too.

    Parameters
    ----------
    viewer : napari.Viewer
    actions : mapping of str to callable
        What to call for each action.
    is_on : callable
        Whether the keys are wanted at all.
    parent : QObject, optional
    """

    def __init__(
        self,
        viewer: Any,
        actions: Mapping[str, Callable[[], object]],
        is_on: Callable[[], bool],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._actions = actions
        self._is_on = is_on
        self._holder: Any = None
        self._watched: Any = None
        self._before: dict[str, Any] = {}
        viewer.layers.selection.events.active.connect(self.refresh)
        self.refresh()

    def refresh(self, event: Any = None) -> None:
        """Bind to whatever is selected now, or to nothing if the keys are not wanted."""
        active = self._viewer.layers.selection.active
        if self._watched != active:
            if self._watched is not None:
                self._watched.events.mode.disconnect(self.refresh)
            self._watched = active
            if active is not None:
                active.events.mode.connect(self.refresh)
        holder = (self._viewer if active is None else active) if self._is_on() else None
        if holder != self._holder:
            self._unbind()
            self._bind(holder)

    def catch_tab(self, window: QMainWindow) -> None:
        """Let Tab through to the canvas, where Qt would move the focus instead."""
        centre = window.centralWidget()
        if centre is not None:
            for widget in [centre, *centre.findChildren(QWidget)]:
                if not isinstance(widget, (QLineEdit, QAbstractSpinBox)):
                    widget.removeEventFilter(self)
                    widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take Tab on the canvas for the next candidate."""
        if event is not None and event.type() == QEvent.Type.KeyPress:
            plain = event.modifiers() == Qt.KeyboardModifier.NoModifier  # type: ignore[attr-defined]
            if plain and event.key() == Qt.Key.Key_Tab and self._is_on():  # type: ignore[attr-defined]
                self._actions["next_candidate"]()
                return True
        return False

    def close(self) -> None:
        """Give all keys back."""
        self._unbind()
        self._viewer.layers.selection.events.active.disconnect(self.refresh)
        if self._watched is not None:
            self._watched.events.mode.disconnect(self.refresh)
            self._watched = None

    def _bind(self, holder: Any) -> None:
        self._holder = holder
        if holder is None:
            return
        for key in KEYS:
            self._before[key.binding] = holder.bind_key(key.binding, self._caller(key.action), overwrite=True)

    def _unbind(self) -> None:
        if self._holder is not None:
            for key in KEYS:
                self._holder.bind_key(key.binding, self._before.get(key.binding), overwrite=True)
        self._before.clear()
        self._holder = None

    def _caller(self, action: str) -> Callable[[Any], None]:
        def call(holder: Any) -> None:
            self._actions[action]()

        return call
