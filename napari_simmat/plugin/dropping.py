"""Files dropped on napari's window while the panel is docked: opened by this plugin where it can, else by napari.

napari itself asks which of several readers to use the first time that a kind of file is dropped, and opens a picture
without what is special about it. Nothing in the user's settings is changed, and a drop with Alt (choose a reader) or
Shift (stack) held is napari's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from napari.qt import QtViewer
from napari.utils.notifications import show_error
from qtpy.QtCore import QEvent, QMimeData, QObject, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDragLeaveEvent, QDropEvent, QGuiApplication
from qtpy.QtWidgets import QApplication, QLineEdit, QMainWindow, QWidget

from napari_simmat.annotator import Job
from napari_simmat.plugin.contributions import LayerData, get_reader, read_files
from napari_simmat.plugin.executor import Executor
from napari_simmat.plugin.pictures import add_layer

_NAPARIS = Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.ShiftModifier


@dataclass(frozen=True)
class _Dropped:
    """What became of a drop."""

    layers: list[LayerData]
    problem: str
    others: list[Path]
    """What is left to napari."""


class Drops(QObject):
    """Opens what is dropped on the canvas.

    Parameters
    ----------
    viewer : napari.Viewer
    executor : Executor
        Reads the files off the event loop.
    on_problem : callable
        Told one sentence about what could not be opened.
    parent : QObject, optional
    """

    def __init__(
        self,
        viewer: Any,
        executor: Executor,
        on_problem: Callable[[str], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._execute = executor
        self._on_problem = on_problem
        self._watched: list[QWidget] = []
        self._canvas: QWidget | None = None
        self._is_handing_on = False
        self._numbers = count()

    def catch(self, window: QMainWindow) -> None:
        """Begin to take drops on the viewer in this window."""
        self.close()
        for canvas in window.findChildren(QtViewer):
            self._canvas = canvas
            # While there is no layer, a welcome widget lies above the canvas.
            self._watched = [
                each
                for each in (canvas, *canvas.findChildren(QWidget))
                if each.acceptDrops() and not isinstance(each, QLineEdit)
            ]
        for widget in self._watched:
            widget.installEventFilter(self)

    def close(self) -> None:
        """Leave all drops to napari again."""
        for widget in self._watched:
            with suppress(RuntimeError):  # Qt has deleted it already
                widget.removeEventFilter(self)
        self._watched, self._canvas = [], None

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Take the drop of files."""
        if event is None or event.type() != QEvent.Type.Drop or self._is_handing_on or not self._watched:
            return False
        drop: Any = event
        urls = drop.mimeData().urls()
        held = QGuiApplication.keyboardModifiers() | _modifiers(drop)
        if held & _NAPARIS or not urls or not all(url.isLocalFile() for url in urls):
            return False
        drop.acceptProposedAction()
        QApplication.sendEvent(
            watched, QDragLeaveEvent()
        )  # the welcome widget is lit while files are over it
        self._open([Path(url.toLocalFile()) for url in urls])
        return True

    def _open(self, paths: list[Path]) -> None:
        title = paths[0].name if len(paths) == 1 else f"{len(paths)} files"

        def failed(error: Exception) -> None:
            self._tell(str(error) or type(error).__name__)

        # Of jobs of one kind only the newest is done, but each drop counts.
        kind = f"open {next(self._numbers)}"
        self._execute(
            Job(kind, f"Opening {title}", work=lambda _: _read(paths), take=self._take, failed=failed)
        )

    def _take(self, dropped: _Dropped) -> None:
        if self._canvas is None:
            return
        for layer in dropped.layers:
            add_layer(self._viewer, layer)
        if dropped.problem:
            self._tell(dropped.problem)
        if dropped.others:
            self._hand_on(dropped.others)

    def _tell(self, sentence: str) -> None:
        if self._canvas is not None:
            self._on_problem(sentence)
            show_error(sentence)

    def _hand_on(self, paths: list[Path]) -> None:
        """Let napari have the rest, as if only that had been dropped."""
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
        how = Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        self._is_handing_on = True
        try:
            QApplication.sendEvent(self._canvas, QDragEnterEvent(QPoint(0, 0), *how))  # Qt asks for it first
            QApplication.sendEvent(self._canvas, QDropEvent(QPointF(0, 0), *how))
        finally:
            self._is_handing_on = False


def _modifiers(drop: Any) -> Any:
    return drop.modifiers() if hasattr(drop, "modifiers") else drop.keyboardModifiers()


def _read(paths: list[Path]) -> _Dropped:
    """Open what is ours; runs on a thread."""
    ours = [path for path in paths if get_reader(str(path)) is not None]
    others = [path for path in paths if path not in ours]
    layers, problems = read_files(ours) if ours else ([], [])
    return _Dropped(layers, " ".join(problems), others)
