"""Which image, what it is, and what is shown of it."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_simmat.images import MODALITIES
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.image_choice import ImageChoice
from napari_simmat.plugin.sections.section import Section, button, combo, fill, small_text
from napari_simmat.plugin.sections.taken_rows import TakenRows


class ImageSection(Section):
    """Chooses the image layer, its modality and what is shown; asks for the channel axis where it must.

    Parameters
    ----------
    images : ImageChoice
    """

    def __init__(self, images: ImageChoice, parent: QWidget | None = None) -> None:
        super().__init__("Image", parent)
        self._images = images
        self.layer = combo(tooltips.LAYER)
        self.modality = combo(tooltips.MODALITY)
        self.shown = combo(tooltips.SHOWN)
        self.browse = button("Channels", tooltips.BROWSE)
        self.browse.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.channels = QElidingLabel()
        self.channels.setElideMode(Qt.TextElideMode.ElideRight)
        self.question = _AxisQuestion(images)
        self.add_row(self.layer)
        self.body.addWidget(self.question)
        self.add_row(self.modality, label="Modality")
        self.taken = TakenRows(images)
        self.body.addWidget(self.taken)
        self.add_row(self.channels, label="Channels")
        self.add_row(self.shown, self.browse, label="Shown")
        self.layer.activated.connect(self._choose_layer)
        self.modality.activated.connect(lambda index: images.set_modality(self.modality.itemData(index)))
        self.shown.activated.connect(lambda index: images.show_picture(self.shown.itemData(index)))
        images.layers_changed.connect(self._show_layers)
        images.opened.connect(self._show_image)
        images.picture_changed.connect(self._show_picture)
        images.asked.connect(self._show_layers)
        self._show_layers()
        self._show_image()

    def _choose_layer(self, index: int) -> None:
        layer = self.layer.itemData(index)
        if layer != self._images.layer:
            self._images.show(layer)

    def _show_layers(self, *_: Any) -> None:
        layers = self._images.layers
        entries = [(layer.name, layer) for layer in layers]
        current = self._images.layer
        index = next((i for i, layer in enumerate(layers) if layer == current), -1)
        if index < 0:
            entries.insert(0, ("choose an image layer" if layers else "open an image first", None))
            index = 0
        fill(self.layer, entries, index)

    def _show_image(self, *_: Any) -> None:
        self._show_layers()
        image = self._images.image
        self.modality.setEnabled(image is not None)
        self.shown.setEnabled(image is not None)
        self._show_picture()
        if image is None:
            self.channels.setText("–")
            fill(self.modality, [], -1)
            return
        names = ", ".join(channel.name for channel in image.channels)
        self.channels.setText(f"{image.n_channels}: {names}")
        self.channels.setToolTip(f"{tooltips.CHANNELS}\n{names}")
        modalities = list(MODALITIES)
        fill(self.modality, [(name, name) for name in modalities], modalities.index(image.modality))
        for i, name in enumerate(modalities):
            self.modality.setItemData(i, MODALITIES[name], Qt.ItemDataRole.ToolTipRole)

    def _show_picture(self) -> None:
        pictures, picture = list(self._images.pictures), self._images.picture
        if picture is not None and picture not in pictures:
            pictures.append(picture)
        index = pictures.index(picture) if picture is not None else -1
        fill(self.shown, [(each.text, each) for each in pictures], index)


class _AxisQuestion(QFrame):
    """Asks which axis holds the channels, where neither file nor array says so."""

    def __init__(self, images: ImageChoice) -> None:
        super().__init__()
        self.setObjectName("axis_question")
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._images = images
        self._text = small_text(tooltips.AXIS)
        self._answers = QHBoxLayout()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.addWidget(self._text)
        layout.addLayout(self._answers)
        images.asked.connect(self._show)
        self.hide()

    def _show(self, question: Any) -> None:
        while (item := self._answers.takeAt(0)) is not None:
            if (answer := item.widget()) is not None:
                answer.deleteLater()
        self.setVisible(question is not None)
        if question is None:
            return
        self._text.setText(
            f"Which axis of this array of shape {' x '.join(map(str, question.shape))} holds the channels?"
        )
        for axis in sorted(question.candidates):
            place = {0: "first", len(question.shape) - 1: "last"}.get(axis, f"axis {axis}")
            answer = button(f"{place} ({question.shape[axis]})", tooltips.AXIS)
            answer.clicked.connect(lambda _, axis=axis: self._images.answer(axis))
            self._answers.addWidget(answer)
