"""What is not drawn while a mask is waited for, and that it is drawn again."""

from __future__ import annotations

import pytest

pytest.importorskip("qtpy")

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_simmat.plugin.hold import Hold


class Canvas(QWidget):
    frameSwapped = Signal()


@pytest.fixture
def window(qtbot):
    window = QMainWindow()
    window.setCentralWidget(Canvas())
    window.addDockWidget(Qt.LeftDockWidgetArea, QDockWidget("panel"))
    qtbot.addWidget(window)
    window.show()
    return window


@pytest.fixture
def dock(window):
    return window.findChild(QDockWidget)


@pytest.fixture
def hold(window):
    hold = Hold(window)
    hold.enter(window)
    return hold


def drawn(window):
    return window.updatesEnabled() and window.centralWidget().updatesEnabled()


def test_the_window_stands_still_until_the_end_when_the_canvas_is_drawn_first(window, dock, hold):
    hold.begin(10_000)
    hold.begin(10_000)  # another click meanwhile
    assert not window.updatesEnabled()
    assert not window.centralWidget().updatesEnabled()
    hold.end()
    assert drawn(window)
    assert not dock.updatesEnabled()
    window.centralWidget().frameSwapped.emit()
    assert dock.updatesEnabled()


def test_what_is_around_does_not_wait_for_a_canvas_that_has_nothing_to_draw(window, dock, hold, qtbot):
    hold.begin(10_000)
    hold.end()
    qtbot.waitUntil(dock.updatesEnabled)


def test_a_click_before_the_panel_is_drawn_holds_all_of_it_again(window, dock, hold, qtbot):
    hold.begin(10_000)
    hold.end()
    hold.begin(10_000)
    window.centralWidget().frameSwapped.emit()  # of before
    qtbot.wait(100)
    assert not window.updatesEnabled()
    assert not dock.updatesEnabled()
    hold.end()
    qtbot.waitUntil(lambda: drawn(window) and dock.updatesEnabled())


def test_what_others_hold_stays_held(window, dock, hold, qtbot):
    dock.setUpdatesEnabled(False)
    hold.begin(10_000)
    hold.end()
    window.centralWidget().frameSwapped.emit()
    assert drawn(window)
    assert not dock.updatesEnabled()


def test_it_ends_at_once_when_the_window_is_left(window, dock, hold):
    hold.begin(10_000)
    hold.close()
    assert drawn(window)
    assert dock.updatesEnabled()


def test_it_ends_by_itself(window, dock, hold, qtbot):
    hold.begin(20)
    qtbot.waitUntil(lambda: drawn(window) and dock.updatesEnabled())
