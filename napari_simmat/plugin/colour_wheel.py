"""The legend of polarization in colours: which hue is which angle, how full a colour is which degree."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_simmat.images.looks.painters import hsv

_SIDE = 192
_RADIUS = 31.0
_ANGLES = (0, 45, 90, 135)


class ColourWheel(QWidget):
    """A disc in which each direction has the colour of that orientation.

    An orientation is the same after half a turn, so opposite points have one colour. Outwards the degree of
    polarization grows up to what is written below it.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("colour_wheel")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._degree = 0.0
        self._disc: Any = wheel_pixels(True)

    @property
    def degree(self) -> float:
        """Degree of polarization at the rim; 0 where all colours are full."""
        return self._degree

    def set_degree(self, degree: float) -> None:
        """What degree of polarization the rim stands for, 0 if none is shown."""
        if (degree > 0) != (self._degree > 0) or not degree:
            self._disc = wheel_pixels(degree > 0)
        self._degree = degree
        self.update()

    def sizeHint(self) -> QSize:
        """Large enough to tell the hues apart."""
        return QSize(200, 92)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the disc, its angles, and what they mean beside it."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() - 1.5, 6.5))
        painter.setFont(font)
        metrics = painter.fontMetrics()
        room = metrics.horizontalAdvance("135°") + 2
        centre = QPointF(room + _RADIUS, self.height() / 2)
        height, width = self._disc.shape[:2]
        picture = QImage(self._disc.data, width, height, 4 * width, QImage.Format.Format_RGBA8888)
        painter.drawImage(
            QRectF(centre.x() - _RADIUS, centre.y() - _RADIUS, 2 * _RADIUS, 2 * _RADIUS), picture
        )
        text = QColor(self.palette().text().color())
        text.setAlpha(200)
        painter.setPen(text)
        for angle in _ANGLES:
            turn = np.deg2rad(angle)
            box = QRectF(0, 0, room, metrics.height())
            away = _RADIUS + (room if angle == 0 else room * 0.75 if angle in (45, 135) else 9) / 2 + 1
            box.moveCenter(QPointF(centre.x() + away * np.cos(turn), centre.y() - away * np.sin(turn)))
            painter.drawText(box, Qt.AlignmentFlag.AlignCenter, f"{angle}°")
        left = centre.x() + _RADIUS + room + 8
        words = ["hue: angle of polarization"]
        if self._degree:
            words += [f"saturation: degree, rim {self._degree:.2f}", "brightness: intensity S0"]
        top = self.height() / 2 - len(words) * metrics.height() / 2
        for k, word in enumerate(words):
            box = QRectF(left, top + k * metrics.height(), self.width() - left, metrics.height())
            painter.drawText(
                box,
                Qt.AlignmentFlag.AlignLeft,
                metrics.elidedText(word, Qt.TextElideMode.ElideRight, int(box.width())),
            )


def wheel_pixels(fades: bool) -> Any:
    """The disc, (side, side, 4) uint8 with opacity; colours fade to white in its centre if `fades`.

    A ring where they do not: all of its radii mean the same.
    """
    y, x = np.mgrid[1 : -1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]  # up is positive, as in the labels
    radius = np.hypot(y, x)
    one = np.ones(1, np.float32)
    colours = hsv(np.arctan2(y, x), np.clip(radius, 0, 1) if fades else one, one)
    inner = 0.0 if fades else 0.45
    edge = 2.0 / _SIDE
    opacity = np.clip((1 - radius) / edge, 0, 1) * np.clip((radius - inner) / edge, 0, 1)
    return np.ascontiguousarray(np.dstack([colours, (255 * opacity).astype(np.uint8)]))
