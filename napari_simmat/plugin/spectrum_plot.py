"""Values over channels: of the pixel under the mouse, and mean and spread of objects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_simmat.images import MultiChannelImage
from napari_simmat.images.roles import BAD_BAND

Values = NDArray[np.float64]

_FEW = 12
"""So many channels without wavelengths are written out below the axis; more are numbered."""

_PRIMARIES = (QColor(255, 92, 92), QColor(80, 214, 110), QColor(96, 150, 255))
_LEFT, _RIGHT, _TOP, _BOTTOM = 40, 8, 18, 18


@dataclass(frozen=True, eq=False)
class ObjectSpectrum:
    """Mean and standard deviation over the pixels of an object.

    Attributes
    ----------
    label : int
    colour : (float, float, float)
        Red, green and blue from 0 to 1.
    mean, std : (C,) float64
        Not finite where nothing was measured.
    """

    label: int
    colour: tuple[float, float, float]
    mean: Values
    std: Values


class SpectrumPlot(QWidget):
    """Curves over the channels of one image; a click in it picks a channel.

    Channels with wavelengths lie at them, others side by side. Where units differ, each channel is drawn
    between its own limits. Bad bands are gaps. Drawn by hand, as the loss curve is.
    """

    picked = Signal(int)
    """The channel that was clicked on."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("spectrum_plot")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.MinimumExpanding)
        self.setMinimumHeight(130)
        self._names: list[str] = []
        self._good: NDArray[np.bool_] = np.zeros(0, bool)
        self._places: Values = np.zeros(0)
        self._order: NDArray[np.intp] = np.zeros(0, np.intp)
        self._has_waves = False
        self._unit = ""
        self._is_relative = False
        self._limits: Values = np.zeros((0, 2))
        self._known: Values = np.zeros((0, 2))
        self._pixel: Values | None = None
        self._objects: tuple[ObjectSpectrum, ...] = ()
        self._marked: tuple[int, ...] = ()

    @property
    def pixel(self) -> Values | None:
        """The values that are drawn of the pixel under the mouse."""
        return self._pixel

    @property
    def objects(self) -> tuple[ObjectSpectrum, ...]:
        """The objects that are drawn."""
        return self._objects

    @property
    def places(self) -> Values:
        """Where each channel lies on the axis: nanometres, or numbers from 1."""
        return self._places

    def set_image(self, image: MultiChannelImage | None) -> None:
        """Draw the channels of another image; forgets all curves."""
        channels = () if image is None else image.channels
        self._names = [channel.name for channel in channels]
        self._good = np.array([channel.role != BAD_BAND for channel in channels], bool)
        waves = [channel.wavelength_nm for channel in channels]
        self._has_waves = len(waves) > 1 and all(wave is not None for wave in waves)
        self._places = np.array(waves if self._has_waves else range(1, len(waves) + 1), float)
        self._order = np.argsort(self._places, kind="stable")
        units = {channel.unit for channel in channels}
        self._unit = next(iter(units)) if len(units) == 1 else ""
        self._is_relative = len(units) > 1
        self._known = np.zeros((0, 2))
        self._limits = np.full((len(channels), 2), np.nan)
        self._pixel, self._objects, self._marked = None, (), ()
        self.update()

    def set_limits(self, limits: Values) -> None:
        """What values each channel usually has, (C, 2), so that the axis does not jump about."""
        if limits.shape == self._limits.shape:
            self._known = limits
            self._widen(limits[:, 0], limits[:, 1])
            self.update()

    def set_pixel(self, values: Values | None) -> None:
        """Draw the values (C,) of another pixel, or of none."""
        self._pixel = None if values is None else np.asarray(values, float)
        if self._pixel is not None and not len(self._known):
            self._widen(self._pixel, self._pixel)
        self.update()

    def set_objects(self, objects: Sequence[ObjectSpectrum]) -> None:
        """Draw other objects."""
        self._objects = tuple(objects)
        for each in self._objects:
            self._widen(each.mean - each.std, each.mean + each.std)
        self.update()

    def mark(self, channels: Sequence[int]) -> None:
        """Mark the channels that are on screen: one, or those that stand for red, green and blue."""
        self._marked = tuple(channels)
        self.update()

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(260, 190)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Pick the channel nearest to the click."""
        if event is not None and len(self._places) > 1:
            area = self._area()
            low, high = self._span()
            place = low + (event.position().x() - area.left()) / max(area.width(), 1) * (high - low)
            self.picked.emit(int(np.argmin(np.abs(self._places - place))))

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw axes and curves."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() - 1.5, 6.5))
        painter.setFont(font)
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        text, faint = QColor(self.palette().text().color()), QColor(self.palette().text().color())
        text.setAlpha(190)
        faint.setAlpha(40)
        painter.setPen(QPen(faint, 1))
        painter.drawRoundedRect(frame, 3, 3)
        if len(self._places) < 2 or (self._pixel is None and not self._objects):
            painter.setPen(text)
            few = len(self._places) == 1
            words = "One channel: no spectrum" if few else "Move the mouse over the image:\nits spectrum"
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, words)
            return
        area = self._area()
        low, high = self._range()
        self._draw_axes(painter, area, (low, high), text, faint)
        self._draw_marks(painter, area)
        painter.setClipRect(area.adjusted(0, -2, 0, 2))
        for each in self._objects:
            self._draw_object(painter, area, (low, high), each)
        if self._pixel is not None:
            self._draw_curve(painter, area, (low, high), self._pixel, QPen(self._ink(), 1.6))
        painter.setClipping(False)
        self._draw_key(painter, area, text)

    # ----------------------------------------------------------------- scales

    def _area(self) -> QRectF:
        return QRectF(self.rect()).adjusted(_LEFT, _TOP, -_RIGHT, -_BOTTOM)

    def _span(self) -> tuple[float, float]:
        low, high = float(self._places.min()), float(self._places.max())
        pad = 0.5 if not self._has_waves and len(self._places) <= _FEW else (high - low) * 0.01
        return low - pad, high + pad

    def _widen(self, low: Values, high: Values) -> None:
        with np.errstate(invalid="ignore"):
            self._limits[:, 0] = np.fmin(self._limits[:, 0], low)
            self._limits[:, 1] = np.fmax(self._limits[:, 1], high)

    def _range(self) -> tuple[float, float]:
        if self._is_relative:
            return 0.0, 1.0
        good = self._limits[self._good & np.isfinite(self._limits).all(axis=1)]
        low, high = (float(good[:, 0].min()), float(good[:, 1].max())) if len(good) else (0.0, 1.0)
        if self._pixel is not None:
            shown = self._pixel[self._good & np.isfinite(self._pixel)]
            if shown.size:
                low, high = min(low, float(shown.min())), max(high, float(shown.max()))
        if low >= 0 and low < 0.5 * high:
            low = 0.0  # a spectrum that nearly reaches zero is read more easily from zero
        return (low, high) if high > low else (low - 0.5, low + 0.5)

    def _scaled(self, values: Values) -> Values:
        """Values as drawn: missing and bad channels are no numbers; relative ones between their limits."""
        shown = np.where(self._good & np.isfinite(values), values, np.nan)
        if self._is_relative:
            low, high = self._limits.T
            span = np.where(high > low, high - low, 1.0)
            shown = (shown - np.where(np.isfinite(low), low, 0.0)) / span
        return shown

    def _points(self, area: QRectF, between: tuple[float, float], shown: Values) -> list[QPointF]:
        low, high = between
        left, right = self._span()
        x = area.left() + (self._places - left) / (right - left) * area.width()
        y = area.bottom() - (shown - low) / (high - low) * area.height()
        # Along the axis: red, green and blue are often stored before shorter and longer wavelengths.
        return [
            QPointF(a, b) if math.isfinite(b) else QPointF(a, math.nan)
            for a, b in zip(x[self._order], y[self._order], strict=True)
        ]

    # ---------------------------------------------------------------- drawing

    def _draw_curve(
        self,
        painter: QPainter,
        area: QRectF,
        between: tuple[float, float],
        values: Values,
        pen: QPen,
        dots: bool = True,
    ) -> None:
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        points = self._points(area, between, self._scaled(values))
        for run in _runs(points):
            if len(run) > 1:
                painter.drawPolyline(QPolygonF(run))
        if dots and len(points) <= 2 * _FEW:
            painter.setBrush(pen.color())
            for point in points:
                if math.isfinite(point.y()):
                    painter.drawEllipse(point, 2.2, 2.2)

    def _draw_object(
        self, painter: QPainter, area: QRectF, between: tuple[float, float], each: ObjectSpectrum
    ) -> None:
        colour = self._legible(each.colour)
        band = QColor(colour)
        band.setAlpha(60)
        upper = self._points(area, between, self._scaled(each.mean + each.std))
        lower = self._points(area, between, self._scaled(each.mean - each.std))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(band)
        for top, bottom in zip(_runs(upper), _runs(lower), strict=False):
            painter.drawPolygon(QPolygonF([*top, *reversed(bottom)]))
        self._draw_curve(painter, area, between, each.mean, QPen(colour, 1.4))

    def _draw_axes(
        self, painter: QPainter, area: QRectF, between: tuple[float, float], text: QColor, faint: QColor
    ) -> None:
        low, high = between
        height = painter.fontMetrics().height()
        if not self._is_relative:
            for value in ticks(low, high, 4):
                y = area.bottom() - (value - low) / (high - low) * area.height()
                painter.setPen(QPen(faint, 1))
                painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
                painter.setPen(text)
                box = QRectF(0, y - height / 2, area.left() - 4, height)
                painter.drawText(box, Qt.AlignmentFlag.AlignRight, short(value))
        else:
            painter.setPen(text)
            for word, y in (("high", area.top()), ("low", area.bottom())):
                box = QRectF(0, y - height / 2, area.left() - 4, height)
                painter.drawText(box, Qt.AlignmentFlag.AlignRight, word)
        painter.setPen(QPen(faint, 1))
        painter.drawRect(area)
        painter.setPen(text)
        left, right = self._span()
        top = area.bottom() + 2
        if not self._has_waves and len(self._places) <= _FEW:
            width = area.width() / len(self._places)
            for k, name in enumerate(self._names):
                box = QRectF(area.left() + k * width, top, width, height)
                fitting = painter.fontMetrics().elidedText(name, Qt.TextElideMode.ElideMiddle, int(width) - 2)
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, fitting)
            return
        for k, value in enumerate(ticks(left, right, 5)):
            x = area.left() + (value - left) / (right - left) * area.width()
            word = f"{short(value)} nm" if self._has_waves and not k else short(value)
            painter.drawText(QRectF(x - 30, top, 60, height), Qt.AlignmentFlag.AlignHCenter, word)
        if not self._has_waves:
            painter.drawText(QRectF(0, top, area.left() - 4, height), Qt.AlignmentFlag.AlignRight, "channel")

    def _draw_marks(self, painter: QPainter, area: QRectF) -> None:
        left, right = self._span()
        for k, channel in enumerate(self._marked):
            if not 0 <= channel < len(self._places):
                continue
            colour = QColor(_PRIMARIES[k]) if len(self._marked) == 3 else QColor(self._ink())
            colour.setAlpha(150)
            painter.setPen(QPen(colour, 1.2, Qt.PenStyle.DashLine))
            x = area.left() + (self._places[channel] - left) / (right - left) * area.width()
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))

    def _draw_key(self, painter: QPainter, area: QRectF, text: QColor) -> None:
        """Say which curve is which, above the plot."""
        metrics = painter.fontMetrics()
        x = area.left()
        entries = [("pixel", self._ink())] if self._pixel is not None else []
        entries += [(f"{each.label}", self._legible(each.colour)) for each in self._objects]
        for word, colour in entries:
            painter.setPen(QPen(colour, 2))
            middle = 3 + metrics.height() / 2
            painter.drawLine(QPointF(x, middle), QPointF(x + 9, middle))
            painter.setPen(text)
            width = metrics.horizontalAdvance(word)
            painter.drawText(QRectF(x + 12, 3, width + 2, metrics.height()), Qt.AlignmentFlag.AlignLeft, word)
            x += 12 + width + 8
        painter.setPen(text)
        unit = "each from its low to its high" if self._is_relative else self._unit
        rest = QRectF(x, 3, area.right() - x, metrics.height())
        if metrics.horizontalAdvance(unit) <= rest.width():
            painter.drawText(rest, Qt.AlignmentFlag.AlignRight, unit)

    def _legible(self, colour: tuple[float, float, float]) -> QColor:
        """The colour of an object, as light or dark as it must be on this ground."""
        shown = QColor.fromRgbF(*colour)
        lightness = shown.lightnessF()
        between = (0.45, 1.0) if self._ink().lightnessF() > 0.5 else (0.0, 0.6)
        shown.setHslF(
            max(0.0, shown.hslHueF()), shown.hslSaturationF(), min(max(lightness, between[0]), between[1])
        )
        return shown

    def _ink(self) -> QColor:
        return self.palette().text().color()


def _runs(points: list[QPointF]) -> list[list[QPointF]]:
    """The stretches between gaps."""
    runs: list[list[QPointF]] = [[]]
    for point in points:
        if math.isfinite(point.y()):
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def ticks(low: float, high: float, count: int) -> list[float]:
    """About so many round numbers between two values.

    >>> ticks(380, 2500, 4)
    [500.0, 1000.0, 1500.0, 2000.0, 2500.0]
    """
    if not (math.isfinite(low) and math.isfinite(high) and high > low):
        return []
    rough = (high - low) / count
    size = 10.0 ** math.floor(math.log10(rough))
    step = min((factor * size for factor in (1, 2, 2.5, 5, 10)), key=lambda step: abs(step - rough))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(k * step, 12) for k in range(first, last + 1)]


def short(value: float) -> str:
    """A number in few letters."""
    if value == 0:
        return "0"
    return f"{value:.0e}" if abs(value) >= 1e6 or abs(value) < 1e-3 else f"{value:.4g}"
