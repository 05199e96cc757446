"""Histograms of what the model sees, with the limits between which it sees it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_simmat.images import ModalityProfile, MultiChannelImage, Normalisation
from napari_simmat.images.physics.derived import FORMULAS
from napari_simmat.images.statistics import sample
from napari_simmat.plugin.spectrum_plot import short

ROW = 32
_BINS = 64
_SIDE = 512
_VALUES = 1 << 12
_BAR = QColor(90, 170, 255)
_LIMIT = QColor(255, 177, 66)


@dataclass(frozen=True, eq=False)
class ChannelSample:
    """Values of one channel that the model sees, before they are normalised.

    Attributes
    ----------
    name, formula, unit : str
        What people call it, how it is computed ("" for a channel of the image) and in what unit.
    values : (n,) float64
        Some of the measured values, ascending; none where nothing was measured.
    missing : float
        Share of the pixels that were not measured.
    """

    name: str
    formula: str
    unit: str
    values: NDArray[np.float64]
    missing: float

    def limits(self, how: Normalisation) -> tuple[float, float]:
        """The two values that become 0 and 1."""
        if how.method == "range" or not self.values.size:
            return how.low, how.high
        low, high = np.percentile(self.values, (how.low, how.high))
        return float(low), float(high)

    @property
    def span(self) -> tuple[float, float]:
        """What the histogram covers: all values but a few at both ends."""
        if not self.values.size:
            return 0.0, 1.0
        low, high = (float(v) for v in np.percentile(self.values, (0.1, 99.9)))
        return low, high


def sample_channels(
    profile: ModalityProfile, image: MultiChannelImage, is_cancelled: Callable[[], bool] = lambda: False
) -> list[ChannelSample]:
    """A sample of each channel that the model sees; slow.

    Of a large image every so manieth pixel is looked at.
    """
    if max(image.shape) > _SIDE and (image.is_lazy or image.data.nbytes > 1 << 26):
        image = replace(image, data=image.overview(_SIDE), levels=())
    found = []
    for seen, plane in zip(profile.sees, profile.planes(image), strict=True):
        if is_cancelled():
            break
        values = np.sort(sample(plane))
        measured = float(np.isfinite(plane).mean()) if plane.dtype.kind == "f" else 1.0
        if values.size > _VALUES:
            values = values[np.linspace(0, values.size - 1, _VALUES).round().astype(int)]
        is_own = seen.formula == "value"
        unit = image.channels[seen.of[0]].unit if is_own else FORMULAS[seen.formula].unit
        names = ", ".join(image.channels[i].name for i in seen.of)
        words = "" if is_own else f"{seen.formula} of {names}"
        found.append(ChannelSample(seen.name, words, unit, values, 1.0 - measured))
    return found


class HistogramList(QWidget):
    """One row for each channel that the model sees; a click chooses one.

    A row has its name, and a histogram in which what lies beyond the limits is grey: the model does not tell it apart.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("histograms")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._samples: tuple[ChannelSample, ...] = ()
        self._rules: tuple[Normalisation, ...] = ()
        self._current = 0
        self.setMouseTracking(True)

    @property
    def samples(self) -> tuple[ChannelSample, ...]:
        """What is drawn."""
        return self._samples

    @property
    def current(self) -> int:
        """The channel that is chosen."""
        return self._current

    def show_samples(self, samples: Sequence[ChannelSample], rules: Sequence[Normalisation]) -> None:
        """Draw other channels with their limits."""
        self._samples, self._rules = tuple(samples), tuple(rules)
        self._current = min(self._current, max(len(self._samples) - 1, 0))
        self.setFixedHeight(max(ROW * len(self._samples), ROW))
        self.update()

    def show_rules(self, rules: Sequence[Normalisation]) -> None:
        """Draw other limits."""
        self._rules = tuple(rules)
        self.update()

    def choose(self, channel: int) -> None:
        """Choose a channel."""
        if 0 <= channel < len(self._samples):
            self._current = channel
            self.update()
            self.chosen.emit(channel)

    def sizeHint(self) -> QSize:
        """All rows below each other."""
        return QSize(300, max(ROW * len(self._samples), ROW))

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Choose the channel that was clicked on."""
        if event is not None:
            self.choose(int(event.position().y() // ROW))

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Tell of the channel under the mouse what its row has no place for."""
        if event is None:
            return
        row = int(event.position().y() // ROW)
        if 0 <= row < len(self._samples):
            self.setToolTip(_in_words(self._samples[row], self._rules[row]))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the rows that are in sight."""
        if event is None:
            return
        painter = QPainter(self)
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() - 1, 7.0))
        painter.setFont(font)
        if not self._samples:
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "…")
            return
        first = max(0, event.rect().top() // ROW)
        last = min(len(self._samples) - 1, event.rect().bottom() // ROW)
        for row in range(first, last + 1):
            self._draw_row(painter, row)

    def _draw_row(self, painter: QPainter, row: int) -> None:
        each, how = self._samples[row], self._rules[row]
        frame = QRectF(0, row * ROW, self.width(), ROW)
        text = QColor(self.palette().text().color())
        if row == self._current:
            back = QColor(_BAR)
            back.setAlpha(45)
            painter.fillRect(frame, back)
        metrics = painter.fontMetrics()
        room = frame.width() * 0.36
        words = [each.name, _range_words(each, how)]
        painter.setPen(text)
        for k, word in enumerate(words):
            box = QRectF(4, frame.top() + 2 + k * (ROW - 4) / 2, room - 6, (ROW - 4) / 2)
            fitting = metrics.elidedText(word, Qt.TextElideMode.ElideRight, int(box.width()))
            painter.drawText(box, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, fitting)
            text.setAlpha(150)
            painter.setPen(text)
        area = QRectF(room, frame.top() + 3, frame.width() - room - 4, ROW - 6)
        self._draw_histogram(painter, area, each, how, text)

    def _draw_histogram(
        self, painter: QPainter, area: QRectF, each: ChannelSample, how: Normalisation, text: QColor
    ) -> None:
        if not each.values.size:
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "nothing measured")
            return
        low, high = each.limits(how)
        start, stop = min(low, each.span[0]), max(high, each.span[1])
        if not stop > start:
            start, stop = start - 0.5, start + 0.5
        counts, edges = np.histogram(each.values, _BINS, (start, stop))
        # The root shows rare values beside common ones, which matter as much for what is cut off.
        heights = np.sqrt(counts / max(counts.max(), 1))
        width = area.width() / _BINS
        cut, inside = QColor(text), QColor(_BAR)
        cut.setAlpha(90)
        inside.setAlpha(200)
        middles = (edges[:-1] + edges[1:]) / 2
        for k, (tall, middle) in enumerate(zip(heights, middles, strict=True)):
            bar = QRectF(
                area.left() + k * width, area.bottom() - tall * area.height(), width, tall * area.height()
            )
            painter.fillRect(bar, inside if low <= middle <= high else cut)
        painter.setPen(QPen(_LIMIT, 1))
        for value in (low, high):
            x = area.left() + (value - start) / (stop - start) * area.width()
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))


def _range_words(each: ChannelSample, how: Normalisation) -> str:
    low, high = (short(float(f"{v:.3g}")) for v in each.limits(how))
    unit = each.unit if len(each.unit) <= 3 else ""  # the tooltip has the long ones
    return f"{low} – {high} {unit}".rstrip()


def _in_words(each: ChannelSample, how: Normalisation) -> str:
    low, high = (f"{v:.5g}" for v in each.limits(how))
    unit = f" {each.unit}" if each.unit else ""
    rule = f"{how.low:g} % and {how.high:g} % of the pixels" if how.method == "percentile" else "fixed values"
    lines = [each.name, each.formula, f"The model sees {low} to {high}{unit} ({rule}); beyond, all is alike."]
    if each.missing > 0:
        lines.append(f"{100 * each.missing:.1f} % of the pixels were not measured.")
    return "\n".join(line for line in lines if line)
