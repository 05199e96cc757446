"""Learning from what was accepted, watched live and judged."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QWidget

from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.loss_curve import LossCurve
from napari_simmat.plugin.sections.advanced import Advanced
from napari_simmat.plugin.sections.rough_part import RoughPart
from napari_simmat.plugin.sections.section import Section, button, small_text


class TrainSection(Section):
    """Starts trainings; shows the loss while they run and the verdict when they are done.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Learn", parent)
        self._controller = controller
        annotator = controller.annotator
        self.auto = QCheckBox("quick after each accept")
        self.auto.setToolTip(tooltips.AUTO_QUICK)
        self.auto.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.auto.setChecked(annotator.auto_quick)
        self.quick = button("Quick (seconds)", tooltips.QUICK)
        self.deep = button("Deep (minutes)", tooltips.DEEP)
        self.settings = Advanced(controller)
        self.rough = RoughPart(controller)
        self.curve = LossCurve()
        self.curve.setToolTip(tooltips.CURVE)
        self.verdict = small_text(tooltips.VERDICT)
        self.curve.hide()
        self.verdict.hide()
        self.add_row(self.auto)
        self.add_row(self.quick, self.deep)
        self.without_masks = self.rough.folded()
        self.body.addWidget(self.without_masks)
        self.body.addWidget(self.settings)
        self.body.addWidget(self.curve)
        self.body.addWidget(self.verdict)
        self.auto.toggled.connect(lambda on: setattr(annotator, "auto_quick", on))
        for choice in (self.settings.strategy, self.settings.recipe):
            choice.currentIndexChanged.connect(self._choose_for_auto)
        self.settings.experts.toggled.connect(self._choose_for_auto)
        self.quick.clicked.connect(lambda: controller.train("quick", **self.settings.values()))
        self.deep.clicked.connect(lambda: controller.train("deep", **self.settings.values()))
        annotator.training_started.connect(self._start)
        annotator.training_step.connect(self.curve.add)
        annotator.training_finished.connect(self._finish)
        annotator.training_stopped.connect(self._stop)
        annotator.objects_changed.connect(self._enable)
        annotator.image_changed.connect(self._enable)
        self._enable()

    def _choose_for_auto(self, *_: Any) -> None:
        self._controller.annotator.auto_quick_settings = self.settings.values()["settings"]

    def _enable(self, *_: Any) -> None:
        annotator = self._controller.annotator
        can_train = bool(annotator.objects) and annotator.training is None
        self.quick.setEnabled(can_train)
        self.deep.setEnabled(can_train)

    def _start(self, mode: str) -> None:
        self.curve.start()
        self.curve.show()
        self.verdict.hide()
        self.quick.setEnabled(False)
        self.deep.setEnabled(False)

    def _finish(self, report: Any) -> None:
        self.curve.start(len(report.losses))
        for step, loss in enumerate(report.losses, 1):
            self.curve.add(step, len(report.losses), loss)
        self.settings.show_used(report)
        self._say(report.reason, "#2ecc71" if report.kept else "#ffb142")
        self.verdict.setToolTip(
            f"{report.mode.capitalize()}: {report.steps} steps in {report.seconds:.0f} s, learning rate "
            f"{report.learning_rate:g}, seed {report.seed}, {report.objects} objects.\n{tooltips.VERDICT}"
        )

    def _stop(self, why: str) -> None:
        self.curve.setVisible(bool(self.curve.losses))  # what was refused has none
        self._say(why or "Stopped; nothing was changed.", "#ffb142")

    def _say(self, text: str, colour: str) -> None:
        self.verdict.setText(text)
        self.verdict.setStyleSheet(f"QLabel {{ border-left: 3px solid {colour}; padding-left: 5px; }}")
        self.verdict.show()
        self._enable()
