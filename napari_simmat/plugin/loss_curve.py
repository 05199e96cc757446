"""The live loss curve of a training."""

from __future__ import annotations

import math

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPainterPath, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

_RAW = QColor(90, 170, 255, 90)
_SMOOTH = QColor(90, 170, 255)
_MARGIN = 6
_SMOOTHING = 0.85


class LossCurve(QWidget):
    """Loss over steps: each step in pale, the running mean in strong colour, both ends in numbers.

    It is drawn by hand because a plotting library would cost the panel a second of start-up for one line.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._losses: list[float] = []
        self._total = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setObjectName("loss_curve")

    @property
    def losses(self) -> tuple[float, ...]:
        """What is drawn."""
        return tuple(self._losses)

    def start(self, total: int = 0) -> None:
        """Empty the curve for a training of so many steps, 0 if not known yet."""
        self._losses, self._total = [], total
        self.update()

    def add(self, step: int, total: int, loss: float) -> None:
        """Draw one more step; values that are no numbers leave a gap."""
        self._total = total
        self._losses.append(float(loss))
        self.update()

    def sizeHint(self) -> QSize:
        """Low enough to leave the rest of the panel its place."""
        return QSize(200, 62)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the curve, or what will be here."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text = self.palette().text().color()
        frame = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        faint = QColor(text)
        faint.setAlpha(40)
        painter.setPen(QPen(faint, 1))
        painter.drawRoundedRect(frame, 3, 3)
        values = [v for v in self._losses if math.isfinite(v)]
        faint.setAlpha(150)
        painter.setPen(faint)
        if not values:
            painter.drawText(frame, Qt.AlignmentFlag.AlignCenter, "The loss appears here while it learns")
            return
        line = painter.fontMetrics().height()
        plot = frame.adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN - line)
        low, high = min(values), max(values)
        self._draw(painter, self._losses, plot, low, high, QPen(_RAW, 1))
        smooth = _running_mean(self._losses)
        self._draw(painter, smooth, plot, low, high, QPen(_SMOOTH, 2))
        painter.setPen(faint)
        below = QRectF(plot.left(), frame.bottom() - line - 2, plot.width(), line)
        step = f"step {len(self._losses)}" + (f" of {self._total}" if self._total else "")
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, step)
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, f"loss {smooth[0]:.3f} → {smooth[-1]:.3f}")

    def _draw(
        self, painter: QPainter, values: list[float], plot: QRectF, low: float, high: float, pen: QPen
    ) -> None:
        span = high - low or 1.0
        across = max(self._total, len(values), 2) - 1
        path, is_drawing = QPainterPath(), False
        for i, value in enumerate(values):
            if not math.isfinite(value):
                is_drawing = False
                continue
            y = plot.bottom() - (value - low) / span * plot.height()
            point = QPointF(plot.left() + i / across * plot.width(), y)
            if is_drawing:
                path.lineTo(point)
            else:
                path.moveTo(point)
            is_drawing = True
        painter.setPen(pen)
        painter.drawPath(path)


def _running_mean(values: list[float]) -> list[float]:
    mean, means = math.nan, []
    for value in values:
        if math.isfinite(value):
            mean = value if math.isnan(mean) else _SMOOTHING * mean + (1 - _SMOOTHING) * value
        means.append(mean)
    return means
