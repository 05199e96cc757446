"""Which adapter answers, and where it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_simmat.annotator import Version
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.saving import ask_where_to_save
from napari_simmat.plugin.sections.computing import Computing
from napari_simmat.plugin.sections.groups_row import GroupsRow
from napari_simmat.plugin.sections.section import Section, button, combo, fill, small_text

_SUFFIX = ".safetensors"
_FILES = f"Adapter (*{_SUFFIX})"


class ModelSection(Section):
    """Shows the device and the adapter versions; loads, saves, goes back and forth.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Model", parent)
        self._controller = controller
        self.device = small_text(tooltips.DEVICE)
        self.version = combo(tooltips.VERSION)
        self.undo = button("Undo training", tooltips.UNDO_TRAINING)
        self.redo = button("Redo", tooltips.REDO_TRAINING)
        self.load = button("Load…", tooltips.LOAD)
        self.save = button("Save…", tooltips.SAVE)
        self.add_row(self.device)
        self.add_row(self.version, label="Adapter")
        self.add_row(self.undo, self.redo, self.load, self.save)
        self.groups = GroupsRow(controller)
        self.body.addWidget(self.groups)
        self.computing = Computing(controller)
        self.body.addWidget(self.computing)
        annotator = controller.annotator
        self.version.activated.connect(controller.use_version)
        self.undo.clicked.connect(lambda: annotator.undo_training())
        self.redo.clicked.connect(lambda: annotator.redo_training())
        self.load.clicked.connect(self._load)
        self.save.clicked.connect(self._save)
        annotator.versions_changed.connect(self._show)
        annotator.encoded.connect(self._show)
        annotator.image_changed.connect(self._show)
        self._show()

    def _show(self, *_: Any) -> None:
        annotator, versions = self._controller.annotator, self._controller.annotator.versions
        segmenter = annotator.segmenter
        if segmenter is None:
            self.device.setText("no image yet" if annotator.image is None else "encoding the image …")
        else:
            self.device.setText(segmenter.device_name)
            model = segmenter.adapter.card.base_model
            self.device.setToolTip(f"{model} on {segmenter.device_name}.\n{tooltips.DEVICE}")
        fill(self.version, [(_describe(version), version) for version in versions.all], versions.index)
        self.version.setEnabled(len(versions.all) > 1)
        self.undo.setEnabled(versions.can_undo)
        self.redo.setEnabled(versions.can_redo)
        self.save.setEnabled(versions.current is not None)

    def _load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load an adapter", "", _FILES)
        if path:
            self._controller.load_adapter(Path(path))

    def _save(self) -> None:
        path = ask_where_to_save(
            self,
            "Save the adapter",
            f"adapter{_SUFFIX}",
            "Adapter",
            _SUFFIX,
            say=self._controller.said.emit,
        )
        if path is not None:
            self._controller.save_adapter(path)


def _describe(version: Version) -> str:
    """Its name, and what the training was worth that made it, which its card tells after a restart, too."""
    runs = version.adapter.card.history
    earlier = () if version.parent is None else version.parent.adapter.card.history
    if len(runs) > len(earlier) and runs[-1].kept:
        before, after = runs[-1].held_out_before, runs[-1].held_out_after
        if before is not None and after is not None:
            return f"{version.name} (IoU {before:.2f} → {after:.2f})"
    return version.name
