"""Bars of what leaving out each channel changes, the most missed one first."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_simmat.evaluation.attribution import Effect

ROW = 20
"""Height of a row in pixels."""

_WORSE = QColor(232, 92, 80)
_BETTER = QColor(140, 140, 140)
_NAME = 0.4
_LEAST = 0.1
"""The smallest change that fills a row, so that noise does not look like much."""


class EffectList(QWidget):
    """One row for each channel: its name, a bar and the change of IoU when it is left out.

    Red where the masks get worse without the channel, grey where they do not.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("effects")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self._effects: tuple[Effect, ...] = ()

    @property
    def effects(self) -> tuple[Effect, ...]:
        """What is drawn, from top to bottom."""
        return self._effects

    def show_effects(self, effects: Sequence[Effect]) -> None:
        """Draw other channels."""
        self._effects = tuple(sorted(effects, key=lambda effect: effect.change))
        self.setFixedHeight(max(ROW * len(self._effects), ROW))
        self.setToolTip("")
        self.update()

    def sizeHint(self) -> QSize:
        """All rows below each other."""
        return QSize(300, max(ROW * len(self._effects), ROW))

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Tell the exact figures of the channel under the mouse."""
        if event is None:
            return
        row = int(event.position().y() // ROW)
        self.setToolTip(in_words(self._effects[row]) if 0 <= row < len(self._effects) else "")

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the rows that are in sight."""
        if event is None or not self._effects:
            return
        painter = QPainter(self)
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() - 1, 7.0))
        painter.setFont(font)
        widest = max(_LEAST, *(abs(effect.change) for effect in self._effects))
        first = max(0, event.rect().top() // ROW)
        last = min(len(self._effects) - 1, event.rect().bottom() // ROW)
        for row in range(first, last + 1):
            self._draw_row(painter, row, widest)

    def _draw_row(self, painter: QPainter, row: int, widest: float) -> None:
        effect, metrics = self._effects[row], painter.fontMetrics()
        line = QRectF(4, row * ROW, self.width() - 8, ROW)
        number, room = metrics.horizontalAdvance("−0.000") + 4, line.width() * _NAME
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.setPen(self.palette().text().color())
        name = QRectF(line.left(), line.top(), room - 6, ROW)
        fitting = metrics.elidedText(effect.name, Qt.TextElideMode.ElideMiddle, int(name.width()))
        painter.drawText(name, middle | Qt.AlignmentFlag.AlignLeft, fitting)
        figure = QRectF(line.right() - number, line.top(), number, ROW)
        painter.drawText(figure, middle | Qt.AlignmentFlag.AlignRight, signed(effect.change))
        length = (line.width() - room - number - 4) * abs(effect.change) / widest
        bar = QRectF(line.left() + room, line.top() + 5, max(length, 1.0), ROW - 10)
        painter.fillRect(bar, _WORSE if effect.change < 0 else _BETTER)


def signed(change: float) -> str:
    """A change of IoU with its sign, which a change that rounds to nothing has not."""
    text = f"{abs(change):.3f}"
    return text if float(text) == 0 else f"{'−' if change < 0 else '+'}{text}"


def in_words(effect: Effect) -> str:
    """The exact figures of a channel."""
    lines = [effect.name, f"IoU {effect.miou_without:.3f} without it, {signed(effect.change)}"]
    if effect.ci95 is not None:
        lines[-1] += f" (95 %: {signed(effect.ci95[0])} to {signed(effect.ci95[1])})"
    if effect.miou_alone is not None:
        lines.append(f"IoU {effect.miou_alone:.3f} with nothing else")
    return "\n".join(lines)
