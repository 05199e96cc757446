"""What is going on, how far it is, and what was said last."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QVBoxLayout, QWidget

from napari_simmat.annotator import Job
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.section import button, small_text

_PATIENCE_MS = 200
"""A bar that appears for a moment on every click would only flicker."""

_SILENT = ("answer", "look ahead", "show", "draft", "ahead", "preview", "kept")
_FOUND = "There is unfinished work on this image: resume it above, or start empty."
_READY = "Click on an object; right click on what is not."


class Footer(QWidget):
    """Progress bar with a cancel button, and one line of text; always in sight.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self.bar = QProgressBar()
        self.bar.setTextVisible(True)
        self.cancel = button("Cancel", tooltips.CANCEL, action="cancel")
        self.message = small_text()
        self._row = QWidget()
        row = QHBoxLayout(self._row)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 2)
        row.addWidget(self.cancel, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self._row)
        layout.addWidget(self.message)
        self._row.hide()
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(_PATIENCE_MS)
        self._wait.timeout.connect(self._appear)
        self.cancel.clicked.connect(controller.cancel)
        controller.executor.changed.connect(self._show_job)
        controller.said.connect(self.say)
        controller.annotator.training_step.connect(self._show_step)
        controller.annotator.attribution_step.connect(self._show_step)
        controller.annotator.proposing_step.connect(self._show_step)
        controller.annotator.opened.connect(self._show_opened)
        controller.annotator.found.connect(lambda _: self.say(_FOUND, False))
        controller.annotator.training_started.connect(self._show_training)
        controller.annotator.training_finished.connect(self._show_verdict)
        controller.annotator.training_stopped.connect(self._show_stopped)
        self.say("Open a multi-channel image, or choose an image layer above.", False)

    def say(self, text: str, is_problem: bool) -> None:
        """Show one sentence, in a colour that stands out if it is about a problem."""
        self._said = text, is_problem
        self._show_text(text, is_problem)

    def _show_opened(self, restored: int) -> None:
        refusal = self._controller.annotator.refusal
        if refusal:
            self.say(refusal, True)
            return
        objects = "1 object" if restored == 1 else f"{restored} objects"
        back = f"{objects} of earlier sessions came back. " if restored else ""
        self.say(f"{back}{_READY}", False)

    def _show_training(self, mode: str) -> None:
        self.say(f"Learning ({mode}); you can go on clicking.", False)

    def _show_verdict(self, report: Any) -> None:
        self.say("The new version answers now." if report.kept else "The version before answers on.", False)

    def _show_stopped(self, why: str) -> None:
        if self._said != (why, True):  # else it was told as a problem, and looks like one
            self.say(why or "Cancelled; nothing was changed.", False)

    def _show_text(self, text: str, is_problem: bool) -> None:
        style = "QLabel { color: #ffb142; }" if is_problem else ""
        if style != self.message.styleSheet():  # Qt draws a label anew even if it is given what it has
            self.message.setStyleSheet(style)
        self.message.setText(text)

    def _show_job(self) -> None:
        job = self._job()
        if job is None:
            self._wait.stop()
            self._row.hide()
            self._show_text(*self._said)
            return
        self.bar.setRange(0, 0)
        self.bar.setFormat("%v / %m")
        self.bar.setToolTip(job.title)
        if job.kind != "train":
            self._show_text(f"{job.title} …", False)
        if not self._row.isVisible() and not self._wait.isActive():
            self._wait.start()

    def _appear(self) -> None:
        self._row.setVisible(self._job() is not None)

    def _show_step(self, step: int, total: int, loss: float = 0.0) -> None:
        # Left to itself the bar has itself, and with it the window, drawn on the spot; so it comes with the next picture.
        self.bar.setUpdatesEnabled(False)
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(step)
        self.bar.setUpdatesEnabled(True)

    def _job(self) -> Job | None:
        job: Any = self._controller.executor.current
        return None if job is None or job.kind in _SILENT else job
