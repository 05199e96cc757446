"""What the model sees: every channel with its histogram and limits, which an expert may change. Folded away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_simmat.annotator import Job
from napari_simmat.images import ModalityProfile, MultiChannelImage, Normalisation, profile_for
from napari_simmat.images.groups import group_of_each, own_groups
from napari_simmat.images.modality import ModelChannel
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.histograms import ROW, HistogramList, sample_channels
from napari_simmat.plugin.saving import ask_where_to_save
from napari_simmat.plugin.sections.section import RowScroll, button, calm, combo, fill, folded, small_text

_FILES = "Profile (*.json)"
_ROWS = 6
"""So many channels are in sight at once; more are scrolled to."""

_METHODS = (("percentile", "percentile"), ("range", "range"))


class ProfileSection(QWidget):
    """Shows and changes the profile of the model in use; a changed one starts a new, untrained version.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("profile")
        self._controller = controller
        self._profile: ModalityProfile | None = None
        self._image: MultiChannelImage | None = None
        self._rules: list[Normalisation] = []
        self._groups: list[str] = []
        self.list = HistogramList()
        self.scroll = RowScroll(self.list)
        self.method = combo(tooltips.METHOD)
        for text, data in _METHODS:
            self.method.addItem(text, data)
        self.low, self.high = _number(tooltips.LOW), _number(tooltips.HIGH)
        self.everywhere = button("All", tooltips.EVERYWHERE)
        self.group = combo(tooltips.GROUP)
        self.group.setEditable(True)
        self.apply = button("Apply", tooltips.APPLY_PROFILE)
        self.builtin = button("Built-in", tooltips.BUILTIN_PROFILE)
        self.load = button("Load…", tooltips.LOAD_PROFILE)
        self.save = button("Save…", tooltips.SAVE_PROFILE)
        self.note = small_text()
        self._lay_out()
        self._connect()
        self._show()

    @property
    def edited(self) -> ModalityProfile:
        """The profile with the limits as they are set now.

        Raises
        ------
        ValueError
            If limits do not go together, in words.
        """
        assert self._profile is not None
        try:
            sees = tuple(
                ModelChannel.model_validate({**seen.model_dump(), "normalisation": rule, "group": group})
                for seen, rule, group in zip(
                    self._profile.sees, self._rules, own_groups(self._profile, self._groups), strict=True
                )
            )
        except ValidationError as error:
            raise ValueError(_reason(error)) from None
        return self._profile.model_copy(update={"sees": sees})

    def _lay_out(self) -> None:
        limits, grouping, actions = QHBoxLayout(), QHBoxLayout(), QHBoxLayout()
        for row, widgets in (
            (limits, (self.method, self.low, self.high, self.everywhere)),
            (grouping, (QLabel("Group"), self.group)),
            (actions, (self.apply, self.builtin, self.load, self.save)),
        ):
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(4)
            for widget in widgets:
                row.addWidget(widget)
        limits.setStretch(0, 3)
        limits.setStretch(1, 3)
        limits.setStretch(2, 3)
        self.method.setMinimumWidth(104)
        self.everywhere.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(4)
        column.addWidget(self.scroll)
        column.addLayout(limits)
        grouping.setStretch(1, 1)
        column.addLayout(grouping)
        column.addWidget(self.note)
        column.addLayout(actions)
        self.fold = folded("What the model sees", inside, tooltips.PROFILE)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.addWidget(self.fold)

    def _connect(self) -> None:
        annotator = self._controller.annotator
        annotator.versions_changed.connect(self._show)
        annotator.encoded.connect(self._show)
        annotator.image_changed.connect(self._show)
        self.fold.toggled.connect(self._show)
        self.list.chosen.connect(self._show_rule)
        self.method.activated.connect(self._change_method)
        self.low.editingFinished.connect(self._change)
        self.high.editingFinished.connect(self._change)
        self.everywhere.clicked.connect(self._change_all)
        self.group.activated.connect(self._change_group)
        self.group.lineEdit().editingFinished.connect(self._change_group)
        self.apply.clicked.connect(self._apply)
        self.builtin.clicked.connect(self._use_builtin)
        self.load.clicked.connect(self._load)
        self.save.clicked.connect(self._save)

    # ---------------------------------------------------------------- showing

    def _show(self, *_: Any) -> None:
        annotator = self._controller.annotator
        image = annotator.image
        # Until the image is encoded the version in use may still be that of the image before.
        profile = annotator.profile if annotator.segmenter is not None else None
        is_new = profile is not self._profile or image is not self._image
        fields = (self.method, self.low, self.high, self.everywhere, self.group)
        for widget in (*fields, self.builtin, self.load, self.save):
            widget.setEnabled(image is not None and profile is not None)
        if image is None or profile is None:
            self._profile = self._image = None
            self._rules, self._groups = [], []
            self.list.show_samples((), ())
            self._resize()
            self._show_state()
            return
        if not self.fold.isExpanded():
            return
        if is_new:
            self._profile, self._image = profile, image
            self._rules = [seen.normalisation for seen in profile.sees]
            self._groups = group_of_each(profile)
            self.list.show_samples((), ())
            self._resize()
            self._ask(profile, image)
        self._show_state()

    def _ask(self, profile: ModalityProfile, image: MultiChannelImage) -> None:
        def take(samples: Any) -> None:
            if profile is self._profile and image is self._image:
                self.list.show_samples(samples, self._rules)
                self._resize()
                self._show_rule()

        job = Job(
            "histograms",
            image.name,
            work=lambda _: sample_channels(profile, image, job.cancel.is_set),
            take=take,
            failed=lambda error: self._controller.said.emit(str(error), True),
        )
        self._controller.executor(job)

    def _resize(self) -> None:
        rows = min(max(len(self._rules), 1), _ROWS)
        self.scroll.setFixedHeight(rows * ROW + 2)

    def _show_rule(self, *_: Any) -> None:
        """Show the limits of the chosen channel in the fields."""
        if not self._rules or not self.list.samples:
            return
        rule, chosen = self._rules[self.list.current], self.list.samples[self.list.current]
        for widget in (self.method, self.low, self.high):
            widget.blockSignals(True)
        self.method.setCurrentIndex([data for _, data in _METHODS].index(rule.method))
        is_percentile = rule.method == "percentile"
        low, high = chosen.span
        for field, value in ((self.low, rule.low), (self.high, rule.high)):
            field.setSuffix(" %" if is_percentile else f" {chosen.unit}".rstrip())
            step = 0.1 if is_percentile else max((high - low) / 50, 1e-6)
            field.setDecimals(2 if is_percentile or step >= 1 else 4)
            field.setSingleStep(step)
            field.setValue(value)
        for widget in (self.method, self.low, self.high):
            widget.blockSignals(False)
        names = list(dict.fromkeys(self._groups))
        own = self._groups[self.list.current]
        fill(self.group, [(name, name) for name in names], names.index(own))
        self.everywhere.setEnabled(is_percentile and len(self._rules) > 1)
        self._show_state()

    def _show_state(self) -> None:
        is_edited = self._profile is not None and (
            self._rules != [seen.normalisation for seen in self._profile.sees]
            or self._groups != group_of_each(self._profile)
        )
        self.apply.setEnabled(is_edited)
        count = len(self._rules)
        many = f"{count} channels" if count != 1 else "1 channel"
        self.note.setText(
            "Apply starts a new, untrained version with these limits and groups."
            if is_edited
            else f"{many}; what lies beyond the limits is all alike to the model."
            if count
            else "Open an image first."
        )

    # --------------------------------------------------------------- changing

    def _change_method(self, index: int) -> None:
        """Take the same limits in the other way, so that nothing jumps."""
        if not self.list.samples:
            return
        rule, chosen = self._rules[self.list.current], self.list.samples[self.list.current]
        method = self.method.itemData(index)
        if method == rule.method:
            return
        low, high = chosen.limits(rule) if method == "range" else (0.5, 99.5)
        self._set_rule(method, float(f"{low:.4g}"), float(f"{high:.4g}"))

    def _change(self) -> None:
        self._set_rule(self.method.currentData(), self.low.value(), self.high.value())

    def _set_rule(self, method: str, low: float, high: float) -> None:
        if not self._rules or self._profile is None:
            return
        channel = self.list.current
        before = self._rules[channel]
        if (method, low, high) == (before.method, before.low, before.high):
            return
        try:
            self._rules[channel] = Normalisation.model_validate({"method": method, "low": low, "high": high})
            _ = self.edited
        except ValueError as error:
            self._rules[channel] = before
            words = _reason(error) if isinstance(error, ValidationError) else str(error)
            self._controller.said.emit(f"These limits do not go together: {words}.", True)
        self.list.show_rules(self._rules)
        self._show_rule()

    def _change_all(self) -> None:
        """Give all channels that are scaled by percentiles those of the chosen one."""
        if not self._rules:
            return
        rule = self._rules[self.list.current]
        self._rules = [rule if each.method == rule.method else each for each in self._rules]
        self.list.show_rules(self._rules)
        self._show_state()

    def _change_group(self, *_told: Any) -> None:
        """Put the chosen channel into the group that was chosen or typed."""
        if not self._groups or self._profile is None or not self.list.samples:
            return
        channel, name = self.list.current, self.group.currentText().strip()
        before = self._groups[channel]
        if name in ("", before):
            return
        self._groups[channel] = name
        try:
            _ = self.edited
        except ValueError:
            self._groups[channel] = before
            self._controller.said.emit(
                f"A group cannot be called {name[:40]!r}; take a short name without points and commas.", True
            )
        self._show_rule()

    def _apply(self) -> None:
        self._controller.use_profile(self.edited)

    def _use_builtin(self) -> None:
        image = self._controller.annotator.image
        if image is not None:
            self._controller.use_profile(profile_for(image))

    def _load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load a profile", "", _FILES)
        if path:
            self._controller.load_profile(Path(path))

    def _save(self) -> None:
        if self._profile is None:
            return
        name = f"{self._profile.modality}.json"
        path = ask_where_to_save(
            self, "Save the profile", name, "Profile", ".json", say=self._controller.said.emit
        )
        if path is not None:
            self._controller.save_profile(self.edited, path)


def _number(tooltip: str) -> QDoubleSpinBox:
    made = QDoubleSpinBox()
    made.setRange(-1e9, 1e9)
    made.setToolTip(tooltip)
    made.setKeyboardTracking(False)
    calm(made)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    made.setMinimumWidth(54)
    made.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
    return made


def _reason(error: ValidationError) -> str:
    return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
