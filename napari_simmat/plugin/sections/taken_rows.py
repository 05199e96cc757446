"""How the file is taken: which array of it, which axis for the channels, what its numbers mean, and what was assumed."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_simmat.errors import ImageError
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.physics.sample_formats import SAMPLE_FORMATS
from napari_simmat.inference.regions import is_large
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.image_choice import ImageChoice
from napari_simmat.plugin.sections.section import LABEL_WIDTH, combo, fill, small_text
from napari_simmat.plugin.taken import Taken, choices_of

LARGE = "Large image: the model works on the region in the frame; click elsewhere to move it."


class TakenRows(QWidget):
    """Shows a row for each thing that could be taken otherwise, and only for those.

    Parameters
    ----------
    images : ImageChoice
    """

    def __init__(self, images: ImageChoice) -> None:
        super().__init__()
        self._images = images
        self._taken: Taken | None = None
        self._formats: list[str] = []
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        self.part, self._part_row = _row(column, "Part", tooltips.PART)
        self.axis, self._axis_row = _row(column, "Channels on", tooltips.AXIS)
        self.format, self._format_row = _row(column, "Stored as", tooltips.SAMPLE_FORMAT)
        self.assumed = QElidingLabel()
        self.assumed.setElideMode(Qt.TextElideMode.ElideRight)
        self.assumed.setFont(small_text().font())
        self.large = small_text(tooltips.LARGE)
        self.large.setText(LARGE)
        column.addWidget(self.assumed)
        column.addWidget(self.large)
        self.part.activated.connect(lambda index: images.set_part(self.part.itemData(index)))
        self.axis.activated.connect(lambda index: images.set_channel_axis(self.axis.itemData(index)))
        self.format.activated.connect(lambda index: images.set_sample_format(self.format.itemData(index)))
        images.opened.connect(self._show)
        images.layers_changed.connect(self._show)  # also after something could not be taken so
        images.ranges_known.connect(self._show_ranges)
        self._show()

    def _show(self, *_: Any) -> None:
        image, taken = self._images.image, self._images.taken
        self.assumed.setVisible(image is not None and bool(image.assumptions))
        self.large.setVisible(image is not None and is_large(image))
        if image is not None:
            self._show_assumptions(image)
        if image is None or taken is None:
            for row in (self._part_row, self._axis_row, self._format_row):
                row.hide()
            return
        raw = taken.opened.raw
        _offer(self._part_row, self.part, [(name, name) for name in raw.parts], raw.part)
        axes = choices_of(taken)
        known = taken.channel_axis if taken.channel_axis in [axis for _, axis in axes] else None
        _offer(self._axis_row, self.axis, axes, known)
        self._show_formats(taken)

    def _show_assumptions(self, image: MultiChannelImage) -> None:
        said = [sentence for sentence in image.assumptions if sentence]
        more = f" (+{len(said) - 1})" if len(said) > 1 else ""
        self.assumed.setText(f"Assumed{more}: {said[0]}" if said else "")
        self.assumed.setToolTip(tooltips.ASSUMED + "".join(f"\n• {sentence}" for sentence in said))

    def _show_formats(self, taken: Taken) -> None:
        if taken != self._taken:
            self._taken = taken
            try:
                self._formats = taken.opened.sample_formats(taken.channel_axis)
            except ImageError:
                self._formats = []
        current = self._images.sample_format
        entries = [(key, key) for key in self._formats]
        _offer(self._format_row, self.format, entries, current)
        for i, key in enumerate(self._formats):
            self.format.setItemData(i, SAMPLE_FORMATS[key].text, Qt.ItemDataRole.ToolTipRole)
        self._show_ranges()

    def _show_ranges(self) -> None:
        for i, key in enumerate(self._formats):
            found = self._images.ranges.get(key, "")
            if found and i < self.format.count():
                self.format.setItemText(i, f"{key} · {found}")
                self.format.setItemData(
                    i, f"{SAMPLE_FORMATS[key].text}\nHere: {found}", Qt.ItemDataRole.ToolTipRole
                )


def _row(column: QVBoxLayout, label: str, tooltip: str) -> tuple[QComboBox, QWidget]:
    row, box = QWidget(), combo(tooltip)
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    text = QLabel(label)
    text.setFixedWidth(LABEL_WIDTH)
    layout.addWidget(text)
    layout.addWidget(box)
    column.addWidget(row)
    row.hide()
    return box, row


def _offer(row: QWidget, box: QComboBox, entries: list[tuple[str, Any]], current: Any) -> None:
    """Show what there is to choose from, if that is more than one thing."""
    row.setVisible(len(entries) > 1)
    values = [value for _, value in entries]
    fill(box, entries, values.index(current) if current in values else -1)
