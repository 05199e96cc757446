"""What an expert may set about learning: transfer layer, strategy, recipe, steps. Folded away."""

from __future__ import annotations

from functools import partial
from typing import Any

from magicgui.widgets import FloatSpinBox, SpinBox
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QComboBox, QFormLayout, QWidget
from superqt import QCollapsible

from napari_simmat.models import TRANSFERS
from napari_simmat.models.strategies import STRATEGIES
from napari_simmat.models.transfer import canonical_name
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.sections.section import calm, combo, fill, put_inside
from napari_simmat.training import Settings

_RECIPES = {"interactive": "as people click (default)", "paper": "as SimMAT was trained"}


class Advanced(QCollapsible):
    """Settings of the next training. Another transfer layer starts a new, untrained version at once.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__("Advanced")
        self._controller = controller
        self.transfer = combo(tooltips.TRANSFER)
        self.strategy = combo(tooltips.STRATEGY)
        self.recipe = combo(tooltips.RECIPE)
        self.experts = QCheckBox("one for each group")
        self.experts.setToolTip(tooltips.EXPERTS)
        self.experts.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        fill(self.transfer, [(name, name) for name in map(canonical_name, _layers())], 0)
        # From scratch is for comparisons: nobody wants to lose the model behind a menu entry.
        fill(self.strategy, [(name, name) for name in STRATEGIES if name != "scratch"], 1)
        fill(self.recipe, [(name, name) for name in _RECIPES], 0)
        for box, texts in (
            (self.transfer, list(TRANSFERS.values())),
            (self.strategy, [text for name, text in STRATEGIES.items() if name != "scratch"]),
            (self.recipe, list(_RECIPES.values())),
        ):
            for i, text in enumerate(texts):
                box.setItemData(i, text[0].upper() + text[1:], Qt.ItemDataRole.ToolTipRole)
            box.currentIndexChanged.connect(partial(_explain, box, box.toolTip()))
            _explain(box, box.toolTip())
        # Whole numbers, but magicgui's box for those cannot show a word in place of one.
        self.steps = FloatSpinBox(
            name="steps", label="Steps", min=0, max=100_000, step=10, value=0, tooltip=tooltips.STEPS
        )
        self.learning_rate = FloatSpinBox(
            name="learning_rate",
            label="Learning rate",
            min=0.0,
            max=0.1,
            step=1e-4,
            value=0.0,
            tooltip=tooltips.LEARNING_RATE,
        )
        self.seed = SpinBox(name="seed", label="Seed", min=0, max=2**31 - 1, value=0, tooltip=tooltips.SEED)
        self.steps.native.setDecimals(0)
        self.learning_rate.native.setDecimals(5)
        for automatic in (self.steps, self.learning_rate):
            automatic.native.setSpecialValueText("automatic")
        self._lay_out()
        self.transfer.activated.connect(self._change_transfer)
        controller.annotator.versions_changed.connect(self._show_transfer)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setContentsMargins(8, 0, 8, 0)
        form.setVerticalSpacing(3)
        for label, box in (
            ("Transfer layer", self.transfer),
            ("Strategy", self.strategy),
            ("Recipe", self.recipe),
        ):
            form.addRow(label, box)
        form.addRow("Experts", self.experts)
        for field in (self.steps, self.learning_rate, self.seed):
            calm(field.native)
            form.addRow(field.label, field.native)
        inside = QWidget()
        inside.setLayout(form)
        put_inside(self, inside, tooltips.ADVANCED)

    def _change_transfer(self, index: int) -> None:
        self._controller.use_transfer(self.transfer.itemData(index))
        self._show_transfer()

    def _show_transfer(self) -> None:
        """The layer of the adapter in use, also one that is no entry of the list, such as a longer conv-stack."""
        name = self._controller.annotator.transfer
        index = self.transfer.findData(name)
        if index < 0:
            self.transfer.addItem(name, name)
            index = self.transfer.count() - 1
        self.transfer.setCurrentIndex(index)

    def show_used(self, report: Any) -> None:
        """Tell what automatic came down to in the last training."""
        self.steps.native.setSpecialValueText(f"automatic (last: {report.steps})")
        self.learning_rate.native.setSpecialValueText(f"automatic (last: {report.learning_rate:g})")

    def values(self) -> dict[str, Any]:
        """The settings as the annotator takes them; None where it decides."""
        return {
            "steps": int(self.steps.value) or None,
            "learning_rate": self.learning_rate.value or None,
            "seed": self.seed.value,
            "settings": Settings(
                strategy=self.strategy.currentData(),
                recipe=self.recipe.currentData(),
                experts=self.experts.isChecked(),
            ),
        }


def _explain(box: QComboBox, general: str, *_: Any) -> None:
    """Tell in the tooltip of a box what its entry means: the names are short."""
    words = box.currentData(Qt.ItemDataRole.ToolTipRole)
    box.setToolTip(f"{box.currentText()}: {words[0].lower()}{words[1:]}.\n{general}" if words else general)


def _layers() -> list[str]:
    return ["conv-stack" if name.startswith("conv-stack") else name for name in TRANSFERS]
