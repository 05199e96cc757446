"""What the parts of the panel share: a heading, little space, buttons that leave the keyboard alone."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_simmat.plugin.keys import keys_of

LABEL_WIDTH = 90
"""Of "Candidates" in the bold of napari's themes, which are only known once the panel is docked."""

_SETTLED_MS = 60
"""Qt lays out what was shown or unfolded a few turns of the event loop later."""


class Section(QWidget):
    """One part of the panel; its heading stands in front of its first row, which saves a line.

    Parameters
    ----------
    title : str
    parent : QWidget, optional
    hint : str
        Something in small print below the heading.
    """

    def __init__(self, title: str, parent: QWidget | None = None, *, hint: str = "") -> None:
        super().__init__(parent)
        self.setObjectName(title.lower())
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(0, 2, 0, 2)
        self.body.setSpacing(3)
        self._heading: QLabel | None = _bold(title)
        if hint:
            self._heading.setText(f"{title}<br><small style='font-weight: normal'>{hint}</small>")

    def add_row(self, *widgets: QWidget, label: str | QLabel = "") -> QHBoxLayout:
        """Put widgets beside each other, behind the heading in the first row, then behind a label if any."""
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        first = self._heading or (QLabel(label) if isinstance(label, str) else label)
        self._heading = None
        if first.text():
            first.setFixedWidth(LABEL_WIDTH)
            row.addWidget(first)
        for widget in widgets:
            row.addWidget(widget)
        self.body.addLayout(row)
        return row


def _bold(text: str) -> QLabel:
    label = QLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label


def button(text: str, tooltip: str, *, action: str = "", checkable: bool = False) -> QPushButton:
    """A button that shows the key of its action and does not take the keyboard away from the canvas."""
    keys = keys_of(action) if action else ""
    made = QPushButton(f"{text}  [{keys}]" if keys else text)
    made.setToolTip(f"{tooltip}\nKey: {keys}" if keys else tooltip)
    made.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    made.setCheckable(checkable)
    made.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return made


def combo(tooltip: str) -> QComboBox:
    """A combo box as wide as the panel allows, however long its entries are."""
    made = QComboBox()
    made.setToolTip(tooltip)
    made.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    made.setMinimumWidth(60)
    # As wide as the panel allows, so nobody need ask each of thousands of entries for its width.
    made.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    calm(made)
    # After a choice the keys belong to the canvas again, else the letters would go on choosing.
    made.activated.connect(lambda *_: made.clearFocus())
    return made


class _Calm(QObject):
    """Leaves the mouse wheel to what scrolls the panel, until a field was clicked on."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Pass a turn of the wheel on to the parent of a field without the keyboard."""
        if event is None or event.type() != QEvent.Type.Wheel:
            return False
        if isinstance(watched, QWidget) and watched.hasFocus():
            return False
        event.ignore()
        return True


def calm(field: QWidget) -> None:
    """Keep a field from changing when somebody scrolls the panel with the mouse over it."""
    field.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
    field.installEventFilter(_Calm(field))


def fill(box: QComboBox, entries: list[tuple[str, Any]], index: int) -> None:
    """Show other entries without telling anybody that the choice changed."""
    box.blockSignals(True)
    box.clear()
    for text, data in entries:
        box.addItem(text, data)
    box.setCurrentIndex(index)
    box.blockSignals(False)


def small_text(tooltip: str = "") -> QLabel:
    """A line of secondary text that wraps instead of widening the panel."""
    label = QLabel()
    label.setWordWrap(True)
    label.setToolTip(tooltip)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    font = label.font()
    font.setPointSizeF(max(font.pointSizeF() - 1, 7.0))
    label.setFont(font)
    return label


def folded(title: str, inside: QWidget, tooltip: str) -> QCollapsible:
    """A heading that unfolds what an expert wants to see."""
    fold = QCollapsible(title)
    put_inside(fold, inside, tooltip)
    return fold


def put_inside(fold: QCollapsible, inside: QWidget, tooltip: str) -> None:
    """Have a heading unfold something, and bring that into sight."""
    fold.setDuration(0)
    fold.addWidget(inside)
    fold.layout().setContentsMargins(0, 0, 0, 0)
    fold.content().layout().setContentsMargins(0, 0, 0, 0)
    fold.toggleButton().setFocusPolicy(Qt.FocusPolicy.NoFocus)
    fold.toggleButton().setToolTip(tooltip)
    fold.toggled.connect(lambda is_open: reveal(fold) if is_open else None)


def reveal(widget: QWidget) -> None:
    """Scroll the panel until something is in sight, once it has its place there."""

    def scroll(height: int) -> None:
        with suppress(RuntimeError):  # closed meanwhile
            area = widget.parentWidget()
            while area is not None and not isinstance(area, QScrollArea):
                area = area.parentWidget()
            if area is None or not widget.isVisible():
                return
            area.ensureWidgetVisible(widget, 0, 6)
            if widget.height() != height:  # it was still growing, or it was looked at for the first time
                QTimer.singleShot(_SETTLED_MS, partial(scroll, widget.height()))

    QTimer.singleShot(_SETTLED_MS, partial(scroll, -1))


class RowScroll(QScrollArea):
    """Scrolls rows below each other; as low as it was made, since the panel scrolls by itself.

    Parameters
    ----------
    inside : QWidget
    """

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def sizeHint(self) -> QSize:
        """As high as it was fixed to."""
        return QSize(300, self.height())
