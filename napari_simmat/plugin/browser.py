"""The channel browser: what is on screen, channel by channel, in false colour, with its legend and the spectra."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSlider, QVBoxLayout, QWidget
from superqt import QElidingLabel

from napari_simmat.annotator import Job
from napari_simmat.images import Channel, MultiChannelImage
from napari_simmat.images.looks.composites import painter_for
from napari_simmat.images.looks.painters import Legend
from napari_simmat.images.physics.polarization import aolp, dolp
from napari_simmat.images.roles import BAD_BAND, stokes_sets
from napari_simmat.plugin import tooltips
from napari_simmat.plugin.colour_bar import ColourBar
from napari_simmat.plugin.colour_wheel import ColourWheel
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.painting import FEW_CHANNELS, painting_of
from napari_simmat.plugin.pictures import MODEL_PICTURE, Picture, picture_of
from napari_simmat.plugin.sections.section import combo, fill
from napari_simmat.plugin.spectra import Spectra
from napari_simmat.plugin.spectrum_plot import SpectrumPlot, short

_COLOURS = (("R", "#ff5c5c"), ("G", "#50d66e"), ("B", "#6096ff"))
_SHOWN_ROLES = {
    "temperature": "thermal",
    "depth": "depth",
    "relief": "depth",
    "normals": "depth",
    "disparity": "disparity",
}
"""Of presets that show one channel: what that measures."""

_OWN = "own choice of channels"


class ChannelBrowser(QWidget):
    """Shows one channel or three of the image, or what its sensor is best seen in; and the spectra.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("channel_browser")
        self._controller = controller
        self._images = controller.images
        self._image: MultiChannelImage | None = None
        self._under_mouse: tuple[tuple[int, int] | None, Any] = (None, None)
        self.view = combo(tooltips.SHOWN)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setToolTip(tooltips.BAND)
        self.slider.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.slider.setPageStep(10)
        self.band = QLabel()
        self.band.setToolTip(tooltips.BAND)
        self.composer = _Composer()
        self.wheel = ColourWheel()
        self.bar = ColourBar()
        self.plot = SpectrumPlot()
        self.plot.setToolTip(tooltips.SPECTRUM)
        self.readout = QElidingLabel()
        self.readout.setToolTip(tooltips.SPECTRUM)
        self.spectra = Spectra(controller, self)
        self._lay_out()
        self._connect()
        self._show_image()

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        layout.addWidget(self.view)
        band = QHBoxLayout()
        band.setSpacing(6)
        band.addWidget(self.slider, 1)
        band.addWidget(self.band)
        layout.addLayout(band)
        layout.addWidget(self.composer)
        layout.addWidget(self.wheel)
        layout.addWidget(self.bar)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.readout)

    def _connect(self) -> None:
        self.view.activated.connect(self._choose)
        self.slider.valueChanged.connect(self._slide)
        self.composer.changed.connect(self._compose)
        self.plot.picked.connect(self._pick)
        self._controller.closed.connect(self.spectra.close)
        self._images.opened.connect(self._show_image)
        self._images.picture_changed.connect(self._show_picture)
        self._images.model_picture_wanted.connect(self._ask_for_model_view)
        annotator = self._controller.annotator
        annotator.encoded.connect(self._on_encoded)
        annotator.model_view_ready.connect(self._show_model_view)
        self.spectra.pixel_changed.connect(self._show_pixel)
        self.spectra.objects_changed.connect(self.plot.set_objects)
        self.spectra.limits_known.connect(self.plot.set_limits)

    def sizeHint(self) -> QSize:
        """As narrow as napari's own docks."""
        return QSize(270, 340)

    def showEvent(self, event: Any) -> None:
        """Spectra are only followed while they are seen."""
        super().showEvent(event)
        self.spectra.is_watched = True
        self.spectra.refresh()

    def hideEvent(self, event: Any) -> None:
        """See `showEvent`."""
        super().hideEvent(event)
        self.spectra.is_watched = False

    # ------------------------------------------------------------------ image

    def _show_image(self, *_: Any) -> None:
        image = self._images.image
        if image is not self._image:
            self._image = image
            self.plot.set_image(image)
            self.composer.set_image(image)
            self.readout.setText("")
            self._under_mouse = None, None
        many = image is not None and image.n_channels > 1
        self.setEnabled(image is not None)
        for widget in (self.slider, self.band):
            widget.setVisible(many)
        self.composer.setVisible(many)
        if image is not None:
            self.slider.blockSignals(True)
            self.slider.setRange(0, image.n_channels - 1)
            self.slider.blockSignals(False)
        self._show_picture()

    def _show_picture(self) -> None:
        """Show which picture is on screen, and what its colours mean."""
        picture, image = self._images.picture, self._image
        pictures = self._images.pictures
        if image is None or picture is None or image is not self._images.image:
            fill(self.view, [], -1)
            self._set_legend(None)
            return
        entries = [(each.text, each) for each in pictures]
        index = next((i for i, each in enumerate(pictures) if each.spec == picture.spec), -1)
        if index < 0:
            entries.append((picture.text if len(picture.spec) == 1 else _OWN, picture))
            index = len(entries) - 1
        fill(self.view, entries, index)
        channels = () if isinstance(picture.spec, str) else picture.spec
        if len(channels) == 1:
            self.slider.blockSignals(True)
            self.slider.setValue(channels[0])
            self.slider.blockSignals(False)
        elif channels:
            self.composer.show_channels(channels)
        self.plot.mark(channels)
        self._read_out(*self._under_mouse)
        self._name_band()
        self._ask_for_legend(image, picture)

    def _name_band(self) -> None:
        image, i = self._image, self.slider.value()
        if image is None or not 0 <= i < image.n_channels:
            return
        self.band.setText(band_text(image, i))

    # ---------------------------------------------------------------- choices

    def _choose(self, index: int) -> None:
        picture = self.view.itemData(index)
        if picture is not None:
            self._images.show_picture(picture)

    def _slide(self, channel: int) -> None:
        if self._image is not None:
            self._images.show_picture(picture_of(self._image, (channel,)))

    def _pick(self, channel: int) -> None:
        """Show a channel, also if the slider stands there already and three others are on screen."""
        self.slider.blockSignals(True)
        self.slider.setValue(channel)
        self.slider.blockSignals(False)
        self._slide(channel)

    def _compose(self, *_: Any) -> None:
        if self._image is not None:
            self._images.show_picture(picture_of(self._image, self.composer.channels))

    # ------------------------------------------------------ what the model sees

    def _on_encoded(self, *_: Any) -> None:
        if self._images.picture == MODEL_PICTURE:
            self._ask_for_model_view()

    def _ask_for_model_view(self) -> None:
        """Have it drawn now, or once the image is encoded."""
        if self._controller.annotator.segmenter is not None:
            self._controller.annotator.ask_model_view()

    def _show_model_view(self, rgb: Any) -> None:
        image = self._controller.annotator.image
        if image is not None:
            rows, columns = image.shape
            size = (columns, rows)
            self._images.show_drawn(
                image, lambda: np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))
            )

    # ----------------------------------------------------------------- legend

    def _ask_for_legend(self, image: MultiChannelImage, picture: Picture) -> None:
        if picture == MODEL_PICTURE:
            self._set_legend(None)
            return

        def take(legend: Legend | None) -> None:
            if self._images.picture is picture and self._images.image is image:
                self._set_legend(legend)

        painting, index = painting_of(self._images.layer), self._images.index

        def work(_: Any) -> Legend | None:
            # Of a large image there is a small copy already, where there is one at all.
            few = painting is not None and image.n_channels <= FEW_CHANNELS
            small = painting.small(index) if painting is not None and few else image
            return painter_for(small, picture.spec).legend

        job = Job("legend", image.name, work=work, take=take)
        self._controller.executor(job)

    def _set_legend(self, legend: Legend | None) -> None:
        self.wheel.setVisible(legend is not None and legend.kind == "wheel")
        self.bar.setVisible(legend is not None and legend.kind == "bar")
        if legend is None:
            return
        if legend.kind == "wheel":
            self.wheel.set_degree(legend.high)
        else:
            self.bar.set_legend(legend)

    # ------------------------------------------------------------------ pixel

    def _show_pixel(self, place: tuple[int, int] | None, values: Any) -> None:
        self._under_mouse = place, values
        self.plot.set_pixel(values)
        self._read_out(place, values)

    def _read_out(self, place: tuple[int, int] | None, values: Any) -> None:
        """The real numbers of what is on screen; napari's status bar only has those of the picture."""
        if place is None or self._image is None:
            self.readout.setText("")
            return
        picture = self._images.picture
        words = "" if picture is None else value_text(self._image, picture.spec, values)
        self.readout.setText(f"[{place[0]}, {place[1]}]  {words}".rstrip())


class _Composer(QWidget):
    """Which channels are red, green and blue."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.boxes = [combo(tooltips.COMPOSER) for _ in _COLOURS]
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        for box, (letter, colour) in zip(self.boxes, _COLOURS, strict=True):
            row.addWidget(QLabel(f"<b style='color: {colour}'>{letter}</b>"))
            row.addWidget(box, 1)
            box.setMinimumWidth(40)
            box.activated.connect(lambda *_: self.changed.emit())

    @property
    def channels(self) -> tuple[int, int, int]:
        """The channels for red, green and blue."""
        red, green, blue = (max(box.currentIndex(), 0) for box in self.boxes)
        return red, green, blue

    def set_image(self, image: MultiChannelImage | None) -> None:
        """Offer the channels of another image."""
        names = [] if image is None else [(_brief(channel), i) for i, channel in enumerate(image.channels)]
        last = len(names) - 1
        for k, box in enumerate(self.boxes):
            fill(box, names, round(last * (2 - k) / 2) if last > 2 else min(k, last))
            for i, channel in enumerate(image.channels if image is not None else ()):
                box.setItemData(i, channel.name, Qt.ItemDataRole.ToolTipRole)
            box.view().setMinimumWidth(box.view().sizeHintForColumn(0) + 24)

    def show_channels(self, channels: Any) -> None:
        """Show which channels are on screen."""
        for box, channel in zip(self.boxes, channels, strict=True):
            box.blockSignals(True)
            box.setCurrentIndex(channel)
            box.blockSignals(False)


def _brief(channel: Channel) -> str:
    """A name for narrow places: the wavelength alone where the name says no more."""
    wave = channel.wavelength_nm
    return (
        channel.name.removesuffix(" nm") if wave is not None and channel.name.endswith("nm") else channel.name
    )


def value_text(image: MultiChannelImage, spec: Any, values: Any) -> str:
    """The values of a pixel (C,) that a picture shows: of its channels, or what its sensor measures.

    Angles are in degrees here, as on the colour wheel.
    """
    sets = stokes_sets(image.roles)
    if isinstance(spec, str) and sets and spec in ("hsv", "dolp", "aolp"):
        s0, s1, s2 = (np.array([sum(values[each[k]] for each in sets)]) for k in range(3))
        degree, angle = float(dolp(s0, s1, s2)[0]), float(np.rad2deg(aolp(s1, s2)[0])) % 180
        return f"S0 {short(float(f'{s0[0]:.4g}'))} · DoLP {degree:.3f} · AoLP {angle:.0f}°"
    role = _SHOWN_ROLES.get(spec, "") if isinstance(spec, str) else ""
    channels = (image.roles.index(role),) if role in image.roles and role else spec
    if isinstance(channels, str):
        return ""
    numbers = " · ".join(short(float(f"{values[i]:.4g}")) for i in channels)
    return f"{numbers} {image.channels[channels[0]].unit}".rstrip()


def band_text(image: MultiChannelImage, i: int) -> str:
    """Which channel of how many, its name and wavelength: "band 32 of 198 · 707 nm"."""
    channel = image.channels[i]
    words = [f"band {i + 1} of {image.n_channels}"]
    wave = "" if channel.wavelength_nm is None else f"{channel.wavelength_nm:.0f} nm"
    plain = "".join(channel.name.split()).casefold()
    if channel.name and not (wave and plain in (wave.replace(" ", ""), f"{channel.wavelength_nm:g}nm")):
        words.append(channel.name)
    if (wave and wave not in channel.name) or (wave and len(words) == 1):
        words.append(wave)
    if channel.role == BAD_BAND:
        words.append("bad")
    return " · ".join(words)
