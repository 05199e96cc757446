"""Which channels the model finds the objects by: each left out in turn, and those that suffice. Folded away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_simmat.evaluation import Attribution
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.effects import ROW, EffectList
from napari_simmat.plugin.sections.section import RowScroll, button, folded, reveal, small_text

_ROWS = 8
"""So many channels are in sight at once; more are scrolled to."""

_HINT = "Leaves one channel out after the other; it can take a minute."
_NONE_YET = "Accept an object first."


class AttributionSection(QWidget):
    """Asks for an attribution and shows it until the image or the adapter is another one.

    Parameters
    ----------
    controller : Controller
    chosen : callable
        Tells the label of the object that is chosen, None if there is none.
    """

    def __init__(
        self, controller: Controller, chosen: Callable[[], int | None], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setObjectName("attribution")
        self._controller = controller
        self._chosen = chosen
        self._found: Attribution | None = None
        self._label: int | None = None
        self._version: Any = None
        self._is_asking = False
        self.this = button("This object", tooltips.ATTRIBUTE_OBJECT)
        self.all = button("All objects", tooltips.ATTRIBUTE_ALL)
        self.heading = small_text(tooltips.ATTRIBUTION)
        self.list = EffectList()
        self.scroll = RowScroll(self.list)
        self.suffice = small_text(tooltips.SUFFICE)
        self._lay_out()
        self._connect()
        self._show()

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.this)
        buttons.addWidget(self.all)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(4)
        column.addLayout(buttons)
        for widget in (self.heading, self.scroll, self.suffice):
            column.addWidget(widget)
        self.fold = folded("Which channels matter", inside, tooltips.ATTRIBUTION)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.addWidget(self.fold)

    def _connect(self) -> None:
        controller, annotator = self._controller, self._controller.annotator
        self.this.clicked.connect(lambda: controller.attribute(self._chosen()))
        self.all.clicked.connect(lambda: controller.attribute())
        annotator.attribution_started.connect(self._start)
        annotator.attribution_ready.connect(self._finish)
        annotator.attribution_stopped.connect(self._stop)
        annotator.objects_changed.connect(self._refresh)
        annotator.versions_changed.connect(self._refresh)
        annotator.training_started.connect(self._refresh)
        annotator.training_finished.connect(self._refresh)
        annotator.training_stopped.connect(self._refresh)
        annotator.encoded.connect(self._refresh)
        annotator.image_changed.connect(self._clear)

    # ---------------------------------------------------------------- following

    def _start(self, label: int | None) -> None:
        self._found, self._label, self._is_asking = None, label, True
        self._version = self._controller.annotator.versions.current
        self._show()

    def _finish(self, found: Attribution) -> None:
        self._found, self._is_asking = found, False
        self._show()
        if self.fold.isExpanded():
            reveal(self)

    def _stop(self, why: str) -> None:
        self._is_asking = False
        self._show()

    def _clear(self, *_: Any) -> None:
        self._found, self._is_asking = None, False
        self._show()

    def _refresh(self, *_: Any) -> None:
        """Forget what another adapter said, or what was said of an object that is gone."""
        annotator = self._controller.annotator
        is_gone = self._label is not None and self._label not in annotator.objects
        if annotator.versions.current is not self._version or is_gone:
            self._found = None
        self._show()

    # ------------------------------------------------------------------ showing

    def _show(self) -> None:
        annotator, found = self._controller.annotator, self._found
        can_ask = bool(annotator.objects) and annotator.segmenter is not None and annotator.training is None
        self.this.setEnabled(can_ask and not self._is_asking)
        self.all.setEnabled(can_ask and not self._is_asking)
        self.scroll.setVisible(found is not None)
        self.suffice.setVisible(found is not None)
        if found is None:
            self.heading.setText(_HINT if annotator.objects else _NONE_YET)
            self.list.show_effects(())
            return
        self.heading.setText(_heading(found, self._label))
        self.list.show_effects(found.model_channels)
        self.scroll.setFixedHeight(min(len(found.model_channels), _ROWS) * ROW + 2)
        self.suffice.setText(in_words(found))


def _heading(found: Attribution, label: int | None) -> str:
    if label is None:
        which = "1 object" if found.objects == 1 else f"{found.objects} objects"
        return f"{which}, one click each: IoU {found.miou:.2f} with all channels; without each of them:"
    return f"Object {label}, same clicks: IoU {found.miou:.2f} with all channels; without each of them:"


def in_words(found: Attribution) -> str:
    """Which channels suffice."""
    if found.sufficient is None:
        return ""
    chosen, count = [step.name for step in found.sufficient.steps], len(found.model_channels)
    is_grouped = any(len(effect.channels) > 1 for effect in found.model_channels)
    what = "runs of channels" if is_grouped else "channels"
    near = f"within {found.sufficient.tolerance:g} of all"
    if not chosen:
        return "An empty image does as well: the clicks alone say where it is."
    if count == 1:
        return "There is only one channel."
    if len(chosen) == count:
        # Added one by one it took all of them, but to leave one out was tried as well.
        spare = max(found.model_channels, key=lambda effect: effect.change)
        if spare.change < -found.sufficient.tolerance:
            return f"None of the {count} {what} can be spared."
        return f"{count - 1} of {count} {what} come {near}: all but {spare.name}."
    verb = "comes" if len(chosen) == 1 else "come"
    return f"{len(chosen)} of {count} {what} {verb} {near}: {', '.join(chosen)}."
