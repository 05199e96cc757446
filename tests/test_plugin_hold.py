"""What is not drawn while a mask is waited for, and that it is drawn again."""

from __future__ import annotations

import pytest

pytest.importorskip("qtpy")

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QMainWindow, QWidget

from napari_simmat.plugin.hold import Hold


class Canvas(QWidget):
    frameSwapped = Signal()


@pytest.fixture
def window(qtbot):
    window = QMainWindow()
    window.setCentralWidget(Canvas())
    qtbot.addWidget(window)
    window.show()
    return window


@pytest.fixture
def hold(window):
    hold = Hold(window)
    hold.enter(window)
    return hold


def test_the_canvas_alone_stands_still_until_the_end(window, hold):
    hold.begin(10_000)
    assert not window.centralWidget().updatesEnabled()
    assert window.updatesEnabled()
    hold.end()
    assert window.centralWidget().updatesEnabled()


@pytest.mark.parametrize("leave", ["end", "close"])
def test_all_of_the_window_stands_still_until_the_end(window, hold, leave):
    hold.begin(10_000, all_of_it=True)
    hold.begin(10_000)  # another click meanwhile
    assert not window.updatesEnabled()
    getattr(hold, leave)()
    assert window.updatesEnabled()
    assert window.centralWidget().updatesEnabled()


def test_it_ends_by_itself(window, hold, qtbot):
    hold.begin(20, all_of_it=True)
    qtbot.waitUntil(lambda: window.updatesEnabled() and window.centralWidget().updatesEnabled())
