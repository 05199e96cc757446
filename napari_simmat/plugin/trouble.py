"""A banner that stays until everything is written, and there is space for more."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFrame, QVBoxLayout, QWidget

from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.section import button, small_text

_AGAIN_MS = 5000
"""How often it is tried to write what could not be written."""


class TroubleBanner(QFrame):
    """Says what cannot be written, or soon cannot, above everything else, as long as that is so.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("trouble")
        self.setStyleSheet("#trouble { background: #8e2430; border-radius: 3px; } QLabel { color: white; }")
        self._annotator = controller.annotator
        self.text = small_text()
        self.again = button("Try again", tooltips.TRY_AGAIN)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 5, 8, 5)
        layout.addWidget(self.text)
        layout.addWidget(self.again)
        self._timer = QTimer(self)
        self._timer.setInterval(_AGAIN_MS)
        self._timer.timeout.connect(self._annotator.try_writing_again)
        self.again.clicked.connect(lambda: self._annotator.try_writing_again())
        self._annotator.trouble_changed.connect(self._show)
        controller.closed.connect(self._timer.stop)
        self._show(self._annotator.trouble)

    def _show(self, trouble: str) -> None:
        self.text.setText(trouble)
        self.setVisible(bool(trouble))
        if trouble:
            self._timer.start()
        else:
            self._timer.stop()
