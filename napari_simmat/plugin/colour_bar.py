"""The legend of a channel in grey or colours: which colour is which value."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_simmat.images.looks.painters import Legend, ramp_colours
from napari_simmat.plugin.spectrum_plot import short

_THICK = 9


class ColourBar(QWidget):
    """A strip of colours with the values of its two ends."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("colour_bar")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._legend: Legend | None = None

    @property
    def words(self) -> tuple[str, str, str]:
        """What stands at the lower end, in the middle and at the upper end."""
        legend = self._legend
        if legend is None:
            return "", "", ""
        title = f"{legend.title} [{legend.unit}]" if legend.unit else legend.title
        return short(float(f"{legend.low:.3g}")), title, short(float(f"{legend.high:.3g}"))

    def set_legend(self, legend: Legend) -> None:
        """Show the scale of another picture."""
        self._legend = legend
        self.update()

    def sizeHint(self) -> QSize:
        """A strip and a line of text."""
        return QSize(200, _THICK + self.fontMetrics().height() + 4)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the strip and the values."""
        if self._legend is None:
            return
        painter = QPainter(self)
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() - 1.5, 6.5))
        painter.setFont(font)
        strip: Any = np.ascontiguousarray(ramp_colours(self._legend.ramp)[None])
        picture = QImage(strip.data, 256, 1, 768, QImage.Format.Format_RGB888)
        bar = QRectF(0.5, 0.5, self.width() - 1, _THICK)
        painter.drawImage(bar, picture)
        text = QColor(self.palette().text().color())
        text.setAlpha(70)
        painter.setPen(text)
        painter.drawRect(bar)
        text.setAlpha(200)
        painter.setPen(text)
        metrics = painter.fontMetrics()
        below = QRectF(0, _THICK + 2, self.width(), metrics.height())
        low, title, high = self.words
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, low)
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, high)
        room = self.width() - 2 * max(metrics.horizontalAdvance(low), metrics.horizontalAdvance(high)) - 8
        fitting = metrics.elidedText(title, Qt.TextElideMode.ElideRight, max(room, 0))
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, fitting)
