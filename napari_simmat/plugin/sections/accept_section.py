"""From a mask to an object, and back."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QWidget

from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.class_row import ClassBox
from napari_simmat.plugin.sections.object_list import ObjectList
from napari_simmat.plugin.sections.section import Section, button, combo


class AcceptSection(Section):
    """Accepts or rejects the shown mask; lists and erases the objects.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Accept", parent)
        self._controller = controller
        self.accept = button("Accept", tooltips.ACCEPT, action="accept")
        self.reject = button("Reject", tooltips.REJECT, action="reject")
        self.accept.setStyleSheet("QPushButton:enabled { font-weight: bold; }")
        self.objects = combo(tooltips.OBJECT)
        self._list = ObjectList(self)
        self.objects.setModel(self._list)
        self.erase = button("Erase", tooltips.ERASE, action="erase")
        self.merge = button("Merge", tooltips.MERGE, action="merge")
        self.add_row(self.accept, self.reject)
        self.add_row(self.objects)
        self.class_name = ClassBox(controller, lambda: self.chosen)
        self.add_row(self.class_name)
        self.add_row(self.erase, self.merge)
        self.objects.currentIndexChanged.connect(self.class_name.show_class)
        self.accept.clicked.connect(controller.accept)
        self.reject.clicked.connect(controller.reject)
        self.erase.clicked.connect(lambda: controller.erase(self.objects.currentData()))
        self.merge.clicked.connect(lambda: controller.merge(self.chosen))
        controller.chosen_object = lambda: self.chosen
        controller.prompt_shown.connect(self._show_prompt)
        controller.annotator.objects_changed.connect(self._show_objects)
        controller.annotator.image_changed.connect(self._show_objects)
        controller.stage.selected.connect(self._choose)
        self._show_objects()
        self._show_prompt()

    @property
    def chosen(self) -> int | None:
        """Label of the object that is chosen, here or by its label in the objects layer."""
        label: int | None = self.objects.currentData()
        return label

    def _show_prompt(self, *_: Any) -> None:
        has_prompt = not self._controller.annotator.prompt.is_empty
        self.accept.setEnabled(has_prompt)
        self.reject.setEnabled(has_prompt)

    def _show_objects(self, *_: Any) -> None:
        objects = self._controller.annotator.objects
        chosen, before = self.chosen, self._list.rowCount()
        self.objects.blockSignals(True)
        self._list.show(objects)
        last = self._list.rowCount() - 1
        row = self._list.row_of(chosen) if last + 1 == before else None  # a new one is chosen
        self.objects.setCurrentIndex(last if row is None else row)
        self.objects.blockSignals(False)
        self.objects.setEnabled(bool(objects))
        self.erase.setEnabled(bool(objects))
        self.merge.setEnabled(len(objects) > 1)
        self.class_name.show_class()

    def _choose(self, label: int) -> None:
        row = self._list.row_of(label)
        if row is not None:
            self.objects.setCurrentIndex(row)
