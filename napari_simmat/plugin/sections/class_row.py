"""What the chosen object is: one of the classes in use, or a new one that is typed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QComboBox

from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.section import calm, combo

EMPTY = "class, such as weed"


class ClassBox(QComboBox):
    """Shows the class of the chosen object, and gives it another one.

    Parameters
    ----------
    controller : Controller
    chosen : callable
        Gives the label of the chosen object, or None.
    """

    def __init__(self, controller: Controller, chosen: Callable[[], int | None]) -> None:
        super().__init__()
        self._controller, self._chosen = controller, chosen
        self._is_filling = False
        self.setEditable(True)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setToolTip(tooltips.CLASS)
        self.setSizePolicy(combo("").sizePolicy())
        self.setMinimumWidth(60)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        calm(self)
        line = self.lineEdit()
        assert line is not None
        line.setPlaceholderText(EMPTY)
        line.editingFinished.connect(self._take)
        line.returnPressed.connect(self._leave)
        self.activated.connect(self._take)
        self.activated.connect(self._leave)
        self.show_class()

    def show_class(self, *_: Any) -> None:
        """Show what the chosen object is now."""
        annotator, label = self._controller.annotator, self._chosen()
        note = annotator.objects.get(label) if label is not None else None
        self._is_filling = True
        self.clear()
        self.addItems(annotator.class_names)
        self.setCurrentIndex(-1)
        self.setEditText("" if note is None or note.class_name is None else note.class_name)
        self.setEnabled(note is not None)
        self._is_filling = False

    def _take(self, *_: Any) -> None:
        label = self._chosen()
        if self._is_filling or label is None:
            return
        annotator, text = self._controller.annotator, self.currentText()
        note = annotator.objects.get(label)
        if note is None or text.strip() == (note.class_name or ""):
            return
        if not self._controller.attempt(lambda: annotator.name_objects([label], text)):
            self.show_class()

    def _leave(self, *_: Any) -> None:
        """The keys belong to the canvas again."""
        self.clearFocus()
