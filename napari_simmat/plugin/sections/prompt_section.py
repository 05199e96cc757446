"""How to point at an object: points with a sign, or a box."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QButtonGroup, QCheckBox, QPushButton, QWidget

from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.section import Section, button
from napari_simmat.plugin.stage import NEGATIVE, POSITIVE


class PromptSection(Section):
    """What the mouse does, and the sign of the next click.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__("Prompt", parent)
        self._controller = controller
        self.modes = {
            "points": button("Points", tooltips.POINTS, checkable=True),
            "box": button("Box", tooltips.BOX, checkable=True),
            "off": button("Off", tooltips.OFF, checkable=True),
        }
        self.signs = {
            1: button("+ Object", tooltips.POSITIVE, action="flip_sign", checkable=True),
            0: button("− Background", tooltips.NEGATIVE, action="flip_sign", checkable=True),
        }
        self.clear = button("Clear", tooltips.CLEAR, action="clear")
        self.segment = button("Ask", tooltips.SEGMENT, action="segment")
        self._groups = [self._exclusive(*self.modes.values()), self._exclusive(*self.signs.values())]
        for sign, colour in ((1, POSITIVE), (0, NEGATIVE)):
            self.signs[sign].setStyleSheet(f"QPushButton:checked {{ border: 2px solid {colour}; }}")
        self.add_row(*self.modes.values())
        self.add_row(*self.signs.values())
        self.add_row(self.clear, self.segment)
        self.hover = QCheckBox("preview under the mouse")
        self.hover.setToolTip(tooltips.HOVER)
        self.hover.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.hover.setChecked(controller.hover.is_on)
        self.hover.toggled.connect(controller.hover.switch)
        self.body.addWidget(self.hover)
        for mode, chosen in self.modes.items():
            chosen.clicked.connect(lambda _, mode=mode: controller.set_mode(mode))
        for sign, chosen in self.signs.items():
            chosen.clicked.connect(lambda _, sign=sign: controller.set_sign(sign))
        self.clear.clicked.connect(controller.reject)
        self.segment.clicked.connect(controller.segment)
        controller.tools_changed.connect(self._show)
        controller.prompt_shown.connect(self._show)
        self._show()

    def _show(self, *_: Any) -> None:
        self.modes[self._controller.mode].setChecked(True)
        self.signs[self._controller.sign].setChecked(True)
        self.clear.setEnabled(not self._controller.annotator.prompt.is_empty)

    def _exclusive(self, *buttons: QPushButton) -> QButtonGroup:
        group = QButtonGroup(self)
        for each in buttons:
            group.addButton(each)
        return group
