"""Groups of channels that the model looks at: a tick for each, and how much its gate listens to it in this image."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_simmat.models.experts import TOGETHER, shares_of_groups
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.section import LABEL_WIDTH, small_text

_COLUMNS = 2


class GroupsRow(QWidget):
    """Hidden unless the adapter in use has experts.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("groups")
        self._controller = controller
        self.ticks: dict[str, QCheckBox] = {}
        label = QLabel("Looks at")
        label.setToolTip(tooltips.GROUPS)
        label.setFixedWidth(LABEL_WIDTH)
        self.weights = small_text(tooltips.GATE)
        self._grid = QGridLayout()
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(1)
        self._grid.addWidget(label, 0, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addLayout(self._grid)
        layout.addWidget(self.weights)
        annotator = controller.annotator
        annotator.versions_changed.connect(self._show)
        annotator.encoded.connect(self._show)
        annotator.image_changed.connect(self._show)
        self._show()

    def _show(self, *_: Any) -> None:
        annotator = self._controller.annotator
        groups, there = annotator.groups, annotator.groups_in_image
        if list(groups) != list(self.ticks):
            self._make(list(groups))
        on = [name for name, is_on in groups.items() if is_on and name in there]
        for name, tick in self.ticks.items():
            tick.blockSignals(True)
            tick.setChecked(name in on)
            tick.blockSignals(False)
            tick.setEnabled(name in there and (name not in on or len(on) > 1))
            tick.setToolTip(tooltips.GROUPS if name in there else tooltips.NO_GROUP)
        self._show_weights()
        self.setVisible(len(groups) > 1)

    def _make(self, names: list[str]) -> None:
        for tick in self.ticks.values():
            self._grid.removeWidget(tick)
            tick.deleteLater()
        self.ticks = {name: QCheckBox(name) for name in names}
        for k, (name, tick) in enumerate(self.ticks.items()):
            tick.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            tick.toggled.connect(lambda is_on, name=name: self._toggle(name, is_on))
            self._grid.addWidget(tick, k // _COLUMNS, 1 + k % _COLUMNS)

    def _toggle(self, name: str, is_on: bool) -> None:
        groups = {**self._controller.annotator.groups, name: is_on}
        self._controller.leave_out([each for each, looked_at in groups.items() if not looked_at])
        self._show()

    def _show_weights(self) -> None:
        """How the groups compare, and what of all is left to the expert that sees them together, in per cent."""
        segmenter = self._controller.annotator.segmenter
        weights = segmenter.weights if segmenter is not None else {}
        shares = shares_of_groups(weights)
        told = [f"{name} {100 * share:.0f} %" for name, share in shares.items()]
        left = [name for name, is_on in self._controller.annotator.groups.items() if not is_on]
        words = f"gate: {', '.join(told)}" if len(told) > 1 else ""
        if TOGETHER in weights:
            words += f"; {TOGETHER} {100 * weights[TOGETHER]:.0f} %"
        if left:
            words += f"{'; ' if words else ''}not learning without {', '.join(left)}"
        self.weights.setText(words)
        self.weights.setVisible(bool(words))
        self.weights.setToolTip(tooltips.GATE.format(together=TOGETHER))
