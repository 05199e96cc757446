"""The part of "Learn" that needs no masks."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.section import button, folded
from napari_simmat.training.rough import RoughSettings


class RoughPart(QWidget):
    """Adapts from points, boxes, lines and outlines in the user's layers; the section tells the verdict and the drift.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self._controller = controller
        self.adapt = button("Adapt from rough labels", tooltips.ROUGH)
        self.accepted = QCheckBox("also the clicks of accepted objects")
        self.accepted.setToolTip(tooltips.ROUGH_ACCEPTED)
        self.accepted.setChecked(True)
        self.robust = QCheckBox("for worse images, too")
        self.robust.setToolTip(tooltips.ROBUST)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        for widget in (self.adapt, self.accepted, self.robust):
            column.addWidget(widget)
        self.adapt.clicked.connect(self._adapt)
        annotator = controller.annotator
        annotator.training_started.connect(lambda _: self.adapt.setEnabled(False))
        annotator.training_finished.connect(self._enable)
        annotator.training_stopped.connect(self._enable)
        annotator.image_changed.connect(self._enable)
        self._enable()

    def folded(self) -> Any:
        """Under a heading of its own."""
        return folded("Without masks", self, tooltips.ROUGH)

    def _adapt(self) -> None:
        settings = RoughSettings(robust=self.robust.isChecked())
        self._controller.adapt_from_rough(with_accepted=self.accepted.isChecked(), settings=settings)

    def _enable(self, *_: Any) -> None:
        annotator = self._controller.annotator
        self.adapt.setEnabled(annotator.image is not None and annotator.training is None)
