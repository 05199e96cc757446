"""Results out."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QWidget

from napari_simmat.inference.regions import is_large
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.saving import ask_where_to_save
from napari_simmat.plugin.sections.section import Section, button, combo, fill, small_text

_FORMATS = {
    "tiff": ("TIFF label image", ".tif"),
    "coco": ("COCO JSON with run-lengths", ".json"),
    "csv": ("CSV of measurements", ".csv"),
    "geojson": ("GeoJSON outlines", ".geojson"),
    "yolo": ("YOLO outlines", ".txt"),
    "envi": ("ENVI classification", ".img"),
    "classes": ("class map (TIFF, JSON)", ".tif"),
}


class ExportSection(Section):
    """Writes the objects of the image to a file.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Export", parent)
        self._controller = controller
        self.format = combo(tooltips.FORMAT)
        self.export = button("Export…", tooltips.EXPORT)
        fill(self.format, [(text, name) for name, (text, _) in _FORMATS.items()], 0)
        row = self.add_row(self.format, self.export)
        row.setStretch(0, 2)
        row.setStretch(1, 1)
        self.export.clicked.connect(self._export)
        controller.annotator.objects_changed.connect(self._show)
        controller.annotator.image_changed.connect(self._show)
        self.scope = small_text(tooltips.SCOPE)
        self.body.addWidget(self.scope)
        self._show()

    def _show(self, *_: Any) -> None:
        self.export.setEnabled(bool(self._controller.annotator.objects))
        image, images = self._controller.annotator.image, self._controller.images
        is_region = image is not None and images.image is not None and is_large(images.image)
        self.scope.setVisible(is_region or (image is not None and bool(images.index)))
        what = "region in the frame" if is_region else "slice that is shown"
        self.scope.setText(f"Writes the objects of the {what}.")

    def _export(self) -> None:
        name = self.format.currentData()
        text, suffix = _FORMATS[name]
        image = self._controller.annotator.image
        proposal = f"{image.name}-objects{suffix}" if image is not None else f"objects{suffix}"
        path = ask_where_to_save(
            self,
            "Export the objects",
            proposal,
            text,
            suffix,
            say=self._controller.said.emit,
            other_suffixes=True,
        )
        if path is not None:
            self._controller.export(path, name)
