"""Classes: their table, and painting them over the image. Folded away."""

from __future__ import annotations

from typing import Any

from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QCheckBox, QColorDialog, QHBoxLayout, QInputDialog, QVBoxLayout, QWidget

from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.section import button, combo, folded

_NONE = "no classes yet"
_WITHOUT = "#9aa0a6"
_SIDE = 12


class ClassesSection(QWidget):
    """Lists the classes, changes them, learns and paints them.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("classes")
        self._controller = controller
        self._usual: Any = None  # the objects layer and its colours before they were those of classes
        self.table = combo(tooltips.CLASS_TABLE)
        self.add = button("Add…", tooltips.ADD_CLASS)
        self.recolour = button("Colour…", tooltips.RECOLOUR)
        self.rename = button("Rename…", tooltips.RENAME_CLASS)
        self.learn = button("Learn classes", tooltips.LEARN_CLASSES)
        self.paint = button("Paint", tooltips.PAINT)
        self.accept = button("Accept painted", tooltips.ACCEPT_PAINTED)
        self.drop = button("Drop", tooltips.DROP_PAINTED)
        self.by_class = QCheckBox("objects in the colours of classes")
        self.by_class.setToolTip(tooltips.BY_CLASS)
        self.by_class.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._lay_out()
        self._connect()
        self._show()

    @property
    def chosen(self) -> str | None:
        """The class that is chosen in the table."""
        name: str | None = self.table.currentData()
        return name

    def _lay_out(self) -> None:
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(3)
        for widgets in (
            (self.table,),
            (self.add, self.recolour, self.rename),
            (self.learn, self.paint),
            (self.accept, self.drop),
            (self.by_class,),
        ):
            row = QHBoxLayout()
            row.setSpacing(4)
            for widget in widgets:
                row.addWidget(widget)
            column.addLayout(row)
        self.fold = folded("Classes", inside, tooltips.CLASSES)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.addWidget(self.fold)

    def _connect(self) -> None:
        controller, annotator = self._controller, self._controller.annotator
        self.add.clicked.connect(self._add)
        self.recolour.clicked.connect(self._recolour)
        self.rename.clicked.connect(self._rename)
        self.learn.clicked.connect(lambda: controller.attempt(annotator.learn_classes))
        self.paint.clicked.connect(lambda: controller.attempt(annotator.paint_classes))
        self.accept.clicked.connect(self._accept)
        self.drop.clicked.connect(annotator.drop_class_map)
        self.by_class.toggled.connect(self._colour_objects)
        annotator.painted.connect(self._show_painted)
        for signal in (
            annotator.objects_changed,
            annotator.history_changed,
            annotator.versions_changed,
            annotator.encoded,
            annotator.image_changed,
            annotator.proposing_started,
            annotator.proposing_stopped,
            annotator.painted,
        ):
            signal.connect(self._show)

    # ----------------------------------------------------------------- gestures

    def _add(self) -> None:
        name, is_done = QInputDialog.getText(self, "A new class", "Name, such as weed:")
        if is_done:
            self._controller.attempt(lambda: self._controller.annotator.add_class(name))

    def _recolour(self) -> None:
        chosen = self.chosen
        if chosen is None:
            return
        before = QColor(self._controller.annotator.classes[chosen])
        colour = QColorDialog.getColor(before, self, f"Colour of {chosen}")
        if colour.isValid():
            self._controller.attempt(lambda: self._controller.annotator.recolour_class(chosen, colour.name()))

    def _rename(self) -> None:
        chosen = self.chosen
        if chosen is None:
            return
        name, is_done = QInputDialog.getText(self, f"Rename {chosen}", "Name:", text=chosen)
        if is_done:
            self._controller.attempt(lambda: self._controller.annotator.rename_class(chosen, name))

    def _accept(self) -> None:
        controller = self._controller

        def accept() -> None:
            controller._show_objects()
            count = controller.annotator.accept_painted()
            controller.annotator.drop_class_map()
            controller.said.emit(
                f"{count} object{'' if count == 1 else 's'} made of what was painted.", False
            )

        controller.attempt(accept)

    # ------------------------------------------------------------------ showing

    def _show(self, *_: Any) -> None:
        annotator = self._controller.annotator
        classes, chosen = annotator.classes, self.chosen
        self.table.blockSignals(True)
        self.table.clear()
        for name, colour in classes.items():
            self.table.addItem(_square(colour), name, name)
        if not classes:
            self.table.addItem(_NONE, None)
        if chosen in classes:
            self.table.setCurrentIndex(list(classes).index(chosen))
        self.table.blockSignals(False)
        is_ready = annotator.segmenter is not None and annotator.book is not None
        is_free = is_ready and not annotator.is_proposing
        has_named = bool(classes) and any(n.class_name is not None for n in annotator.objects.values())
        self.add.setEnabled(is_ready)
        self.recolour.setEnabled(is_ready and bool(classes))
        self.rename.setEnabled(is_ready and bool(classes))
        self.learn.setEnabled(is_free and has_named)
        self.paint.setEnabled(is_free and annotator.can_paint)
        self.accept.setEnabled(annotator.class_map is not None)
        self.drop.setEnabled(annotator.class_map is not None)
        self._colour_objects()

    def _show_painted(self, painted: Any) -> None:
        if self._controller.stage.image_layer is not None:
            self._controller.advice.ghosts.show_classes(painted, self._controller.annotator.classes)

    def _colour_objects(self, *_: Any) -> None:
        """Give the objects layer the colours of classes, or those that it had."""
        layer, annotator = self._controller.stage.objects, self._controller.annotator
        if not self.by_class.isChecked() or layer is None:
            if self._usual is not None:
                before, colours = self._usual
                self._usual = None
                before.colormap = colours
            return
        if self._usual is None or self._usual[0] is not layer:
            self._usual = layer, layer.colormap
        classes = annotator.classes
        table: dict[int | None, Any] = {
            label: classes.get(note.class_name or "", _WITHOUT) for label, note in annotator.objects.items()
        }
        layer.colormap = DirectLabelColormap(color_dict={None: _WITHOUT, 0: "transparent", **table})


def _square(colour: str) -> QIcon:
    picture = QPixmap(_SIDE, _SIDE)
    picture.fill(QColor(colour))
    return QIcon(picture)
