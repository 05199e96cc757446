"""What was done to this image, as a list to go back and forth in, and where it is kept."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QAbstractListModel, QModelIndex, QObject, Qt, QTimer
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QListView, QSizePolicy, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_simmat.annotator import Step, title_of
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.keys import keys_of
from napari_simmat.plugin.sections.section import Section, button, folded, small_text

_HEIGHT = 140
_BEGIN = "as it was opened first"


class HistoryList(QAbstractListModel):
    """One row for each gesture, the newest on top; those that were undone stand above in grey."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._done: list[Step] = []
        self._undone: list[Step] = []

    def show(self, done: list[Step], undone: list[Step]) -> None:
        """List another history."""
        self.beginResetModel()
        self._done, self._undone = done, undone
        self.endResetModel()

    @property
    def current(self) -> int:
        """Row of the last gesture that was not undone."""
        return len(self._undone)

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Number of rows; the last one is the beginning."""
        return len(self._undone) + len(self._done) + 1

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Title of a gesture, described when somebody looks."""
        row = index.row()
        if role == Qt.ItemDataRole.DisplayRole:
            if row < len(self._undone):
                return f"undone: {title_of(self._undone[row])}"
            place = row - len(self._undone)
            return title_of(self._done[-1 - place]) if place < len(self._done) else _BEGIN
        if role == Qt.ItemDataRole.ForegroundRole and row < len(self._undone):
            return QColor(128, 128, 128)
        return None


class HistorySection(Section):
    """Undo, redo, the list of gestures, and the project folder.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("History", parent)
        self._controller = controller
        self._left = 0  # so many steps are still to be undone, or if negative redone
        self.undo = button("Undo", tooltips.UNDO, action="undo")
        self.redo = button("Redo", f"{tooltips.REDO}\nKey: {keys_of('redo')}")
        self.add_row(self.undo, self.redo)
        self.place = QElidingLabel()
        self.place.setElideMode(Qt.TextElideMode.ElideLeft)
        self.place.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.add_row(self.place, label="Kept in")
        self.note = small_text(tooltips.READ_ONLY)
        self.note.setText("Only shown here: another window works on it.")
        self.note.hide()
        self.body.addWidget(self.note)
        self.steps = HistoryList(self)
        self.list = QListView()
        self.list.setModel(self.steps)
        self.list.setUniformItemSizes(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setFixedHeight(_HEIGHT)
        self.list.setToolTip(tooltips.HISTORY)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.list)
        self.fold = folded("Steps", inside, tooltips.HISTORY)
        self.body.addWidget(self.fold)
        self.undo.clicked.connect(controller.undo)
        self.redo.clicked.connect(controller.redo)
        self.list.clicked.connect(lambda index: self.go_to(index.row()))
        self.fold.toggled.connect(self._show)
        annotator = controller.annotator
        annotator.history_changed.connect(self._show)
        annotator.image_changed.connect(self._show)
        annotator.opened.connect(self._show)
        self._show()

    def go_to(self, row: int) -> None:
        """Undo or redo until the gesture of this row is the last one, one in each turn of the event loop."""
        self._left = row - self.steps.current
        self._go_on()

    def _go_on(self) -> None:
        if not self._left or self._controller.is_closed:
            return
        is_back = self._left > 0
        self._left += -1 if is_back else 1
        if self._controller.undo() if is_back else self._controller.redo():
            QTimer.singleShot(0, self._go_on)

    def _show(self, *_: Any) -> None:
        annotator = self._controller.annotator
        done, undone = annotator.history
        self.undo.setEnabled(bool(done))
        self.redo.setEnabled(bool(undone))
        if self.fold.isExpanded():
            self.steps.show(done, undone)
            index = self.steps.index(self.steps.current)
            self.list.setCurrentIndex(index)
            self.list.scrollTo(index)
        folder = annotator.project_folder
        text = "–" if folder is None else str(folder)
        self.note.setVisible(bool(annotator.refusal))
        if text != self.place.text():
            self.place.setText(text)
            self.place.setToolTip(f"{tooltips.PROJECT}\n{text}")
