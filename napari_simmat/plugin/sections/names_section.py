"""What masks are called: taught by a CLIP, or the nearest of one's own names; and masks found by their name. Folded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from napari_simmat.inference.naming import BY_OWN
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.name_table import NameTable
from napari_simmat.plugin.sections.section import button, calm, combo, folded, reveal, small_text

_ROWS = 6
_ROW = 22
_FILES = "CLIP (*.safetensors *.pt *.pth *.bin)"
_NO_NAMES = "names, such as crop, weed, soil"
_TEXT = "one of the names"


class NamesSection(QWidget):
    """Teaches names, shows what objects may be called, takes that over, and segments by text.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("names")
        self._controller = controller
        self.names = QLineEdit()
        self.names.setPlaceholderText(_NO_NAMES)
        self.names.setToolTip(tooltips.NAMES)
        calm(self.names)
        self.teach = button("Teach from a CLIP…", tooltips.TEACH)
        menu = QMenu(self.teach)
        menu.addAction("Folder of the model…", self._teach_from_folder)
        menu.addAction("Checkpoint…", self._teach_from_file)
        self.teach.setMenu(menu)
        self.known = small_text(tooltips.TAUGHT)
        self.find = button("Find names", tooltips.FIND_NAMES)
        self.take = button("Take over", tooltips.TAKE_NAMES)
        self.how = small_text(tooltips.HOW_NAMED)
        self.model = NameTable(self)
        self.table = _table(self.model)
        self.text = _text_box()
        self.by_text = button("Segment", tooltips.BY_TEXT)
        self.left = small_text()
        self._lay_out()
        self._connect()
        self._show()

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.names)
        column.addLayout(_row(self.teach))
        column.addWidget(self.known)
        column.addLayout(_row(self.find, self.take))
        column.addWidget(self.how)
        column.addWidget(self.table)
        row = _row(self.text, self.by_text)
        row.setStretch(0, 2)
        row.setStretch(1, 1)
        column.addLayout(row)
        column.addWidget(self.left)
        self.fold = folded("Names", inside, tooltips.NAMES_FOLD)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.addWidget(self.fold)

    def _connect(self) -> None:
        annotator = self._controller.annotator
        self.find.clicked.connect(self._find)
        self.take.clicked.connect(self._take)
        self.by_text.clicked.connect(self._segment)
        self.names.returnPressed.connect(self.names.clearFocus)
        self.names.textChanged.connect(self._enable)
        self.text.editTextChanged.connect(self._enable)
        self.table.clicked.connect(self._choose)
        annotator.names_ranked.connect(self._show_ranked)
        annotator.text_went_on.connect(self._show_left)
        for signal in (
            annotator.objects_changed,
            annotator.versions_changed,
            annotator.encoded,
            annotator.image_changed,
            annotator.training_started,
            annotator.training_finished,
            annotator.training_stopped,
        ):
            signal.connect(self._show)

    # ---------------------------------------------------------------- actions

    @property
    def typed(self) -> list[str]:
        """The names in the line."""
        return [name.strip() for name in self.names.text().split(",") if name.strip()]

    def _teach_from_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Folder of a CLIP")
        if path:
            self.teach_from(Path(path))

    def _teach_from_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Checkpoint of a CLIP", "", _FILES)
        if path:
            self.teach_from(Path(path))

    def teach_from(self, path: Path) -> None:
        """Learn the typed names from a CLIP."""
        self._controller.attempt(lambda: self._controller.annotator.teach_names(path, self.typed))

    def _find(self) -> None:
        annotator = self._controller.annotator
        known = {name.casefold() for name in annotator.known_names}
        wanted = [name for name in self.typed if name.casefold() in known]
        self._controller.attempt(lambda: annotator.rank_names(wanted))

    def _take(self) -> None:
        def take() -> None:
            count = self._controller.annotator.take_names()
            self._controller.said.emit(f"{count} object{'s' if count != 1 else ''} named.", False)

        self._controller.attempt(take)

    def _segment(self) -> None:
        text = self.text.currentText()
        self.text.clearFocus()
        self._controller.attempt(lambda: self._controller.annotator.segment_by_text(text))

    def _choose(self, index: Any) -> None:
        label = self.model.data(index, Qt.ItemDataRole.UserRole)
        if label is not None:
            self._controller.stage.selected.emit(label)

    # ---------------------------------------------------------------- showing

    def _show(self, *_: Any) -> None:
        annotator = self._controller.annotator
        names = list(annotator.known_names)
        if annotator.taught_by:
            self.known.setText(f"Taught by {annotator.taught_by}: {', '.join(names)}.")
        elif annotator.image is not None:
            self.known.setText(
                f"A CLIP would see {annotator.teacher_sees()}. Without one, names come from objects that you named."
            )
        else:
            self.known.setText("Without a CLIP, names come from objects that you named.")
        if names != [self.text.itemText(k) for k in range(self.text.count())]:
            before = self.text.currentText()
            self.text.clear()
            self.text.addItems(names)
            self.text.setEditText(before if before in names else "")
        there = set(annotator.objects)
        if any(each.label not in there for each in self.model.rows):
            self.model.show([each for each in self.model.rows if each.label in there])
        self._show_table()
        self._enable()

    def _show_ranked(self, found: Any) -> None:
        self.model.show(found)
        self._show_table()
        self._enable()
        if found and self.fold.isExpanded():
            reveal(self)

    def _show_table(self) -> None:
        count, how = len(self.model.rows), self._controller.annotator.ranked_how
        self.table.setVisible(count > 0)
        self.how.setVisible(count > 0)
        self.table.setFixedHeight((min(count, _ROWS) + 1) * _ROW + 4)
        said = f"{how[0].upper()}{how[1:]}" if how else ""
        self.how.setText(
            f"{said} (cosine of embeddings; no text is involved):" if how == BY_OWN else f"{said}:"
        )

    def _show_left(self) -> None:
        annotator = self._controller.annotator
        if annotator.text:
            more = annotator.text_left
            self.left.setText(
                f"Proposal for {annotator.text!r}: accept or reject it; {more or 'none'} more to come."
            )
        else:
            self.left.setText("")
        self.left.setVisible(bool(annotator.text))

    def _enable(self, *_: Any) -> None:
        annotator = self._controller.annotator
        is_ready = annotator.segmenter is not None
        self.teach.setEnabled(is_ready and bool(self.typed) and annotator.training is None)
        self.find.setEnabled(is_ready and bool(annotator.objects))
        self.take.setEnabled(bool(self.model.rows))
        self.by_text.setEnabled(
            is_ready and bool(annotator.taught_by) and bool(self.text.currentText().strip())
        )
        self.text.setEnabled(bool(annotator.taught_by))
        self._show_left()


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    for widget in widgets:
        row.addWidget(widget)
    return row


def _table(model: NameTable) -> QTableView:
    table = QTableView()
    table.setModel(model)
    table.setToolTip(tooltips.NAME_TABLE)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(_ROW)
    header = table.horizontalHeader()
    header.setFixedHeight(_ROW)
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
    return table


def _text_box() -> QComboBox:
    box = combo(tooltips.TEXT)
    box.setEditable(True)
    box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    calm(box)
    line = box.lineEdit()
    assert line is not None
    line.setPlaceholderText(_TEXT)
    return box
