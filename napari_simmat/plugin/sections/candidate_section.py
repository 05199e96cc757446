"""The model's three proposals side by side."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QSize, Qt, QTimer
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QButtonGroup, QSizePolicy, QToolButton, QWidget

from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.keys import keys_of
from napari_simmat.plugin.sections.section import Section
from napari_simmat.plugin.thumbnails import crop_around, thumbnail

_SIZE = QSize(68, 46)
_COUNT = 3

_LATER_MS = 80


class CandidateSection(Section):
    """Shows the candidates with the IoU that the model expects of each, the shown one marked.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Candidates", parent, hint=f"[{keys_of('next_candidate')}]")
        self._controller = controller
        group = QButtonGroup(self)
        self.buttons = [_candidate() for _ in range(_COUNT)]
        for index, each in enumerate(self.buttons):
            group.addButton(each, index)
            each.clicked.connect(lambda _, index=index: controller.annotator.choose_candidate(index))
        self._group = group
        self.add_row(*self.buttons)
        # Pictures take a moment, and the mask on the canvas comes first.
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_LATER_MS)
        self._later.timeout.connect(self._draw)
        controller.annotator.answered.connect(self._show)
        self._show(None)

    def _show(self, answer: Any) -> None:
        if answer is None or self._controller.images.backdrop is None:
            self._later.stop()
            self._group.setExclusive(False)  # else the last one could not be unchecked
            for each in self.buttons:
                each.setEnabled(False)
                each.setIcon(QIcon())
                each.setText("–")
                each.setChecked(False)
            return
        self._group.setExclusive(True)
        for index, each in enumerate(self.buttons):
            each.setEnabled(True)
            each.setText(f"IoU {min(max(answer.scores[index], 0.0), 1.0):.2f}")
            each.setChecked(index == answer.shown)
        self._later.start()

    def _draw(self) -> None:
        answer: Any = self._controller.annotator.answer
        behind = self._controller.images.backdrop
        if answer is None or behind is None:
            return
        crop = crop_around(answer.masks, behind)
        for index, each in enumerate(self.buttons):
            each.setIcon(thumbnail(answer.masks[index], behind, crop, _SIZE))


def _candidate() -> QToolButton:
    made = QToolButton()
    made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
    made.setIconSize(_SIZE)
    made.setCheckable(True)
    made.setToolTip(f"{tooltips.CANDIDATE}\nKey: {keys_of('next_candidate')}")
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    made.setMinimumWidth(_SIZE.width())
    made.setFixedHeight(_SIZE.height() + 24)
    made.setStyleSheet("QToolButton:checked { border: 2px solid #00d8ff; }")
    return made
