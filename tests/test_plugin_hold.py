"""What is not drawn while a mask is waited for, and that it is drawn again."""

from __future__ import annotations

import pytest

pytest.importorskip("qtpy")

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_simmat.plugin.hold import Hold


class Drawn(QWidget):
    """Counts how often it was drawn."""

    frameSwapped = Signal()

    def __init__(self):
        super().__init__()
        self.times = 0

    def paintEvent(self, event):
        self.times += 1


class Plain(QWidget):
    """No canvas."""


@pytest.fixture
def window(qtbot):
    window = QMainWindow()
    window.setCentralWidget(Drawn())
    dock = QDockWidget("panel")
    dock.setWidget(Drawn())
    window.addDockWidget(Qt.LeftDockWidgetArea, dock)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitUntil(lambda: dock.widget().times > 0 and window.centralWidget().times > 0)
    qtbot.wait(50)
    return window


@pytest.fixture
def canvas(window):
    return window.centralWidget()


@pytest.fixture
def panel(window):
    return window.findChild(QDockWidget).widget()


@pytest.fixture
def hold(window):
    hold = Hold(window)
    hold.enter(window)
    return hold


@pytest.mark.parametrize("leave", ["end", "close"])
def test_what_changes_meanwhile_is_drawn_at_the_end_and_nothing_else(canvas, panel, hold, qtbot, leave):
    before, around = canvas.times, panel.times
    hold.begin(10_000)
    canvas.update()
    qtbot.wait(50)
    assert canvas.times == before
    getattr(hold, leave)()
    qtbot.waitUntil(lambda: canvas.times == before + 1)
    qtbot.wait(50)
    assert (canvas.times, panel.times) == (before + 1, around)


def test_what_was_to_be_drawn_before_waits_too(canvas, hold, qtbot):
    before = canvas.times
    canvas.update()
    hold.begin(10_000)
    qtbot.wait(50)
    assert canvas.times == before
    hold.end()
    qtbot.waitUntil(lambda: canvas.times == before + 1)


def test_it_ends_by_itself_however_often_it_begins_meanwhile(canvas, hold, qtbot):
    before = canvas.times
    hold.begin(100)
    canvas.update()
    for _ in range(5):
        qtbot.wait(40)
        hold.begin(10_000 if canvas.times == before else 1)  # another click
    assert canvas.times > before


def test_a_window_that_others_hold_stays_held(window, canvas, hold, qtbot):
    window.setUpdatesEnabled(False)
    hold.begin(10_000)
    hold.end()
    assert not window.updatesEnabled()


def test_a_window_without_a_canvas_or_that_is_gone_is_left_alone(qtbot, window, hold):
    bare = QMainWindow()
    bare.setCentralWidget(Plain())
    qtbot.addWidget(bare)
    other = Hold(None)
    other.enter(bare)
    other.begin(10_000)
    assert bare.updatesEnabled()

    gone = QMainWindow()
    gone.setCentralWidget(Drawn())
    other.enter(gone)
    other.begin(10_000)
    gone.deleteLater()
    qtbot.wait(50)
    other.end()
    other.close()


def test_coming_into_the_same_window_again_changes_nothing(window, canvas, hold, qtbot):
    hold.begin(10_000)
    hold.enter(window)
    assert not window.updatesEnabled()
    hold.end()
    assert window.updatesEnabled()


def test_a_held_window_goes_when_it_is_let_go_of(qtbot):
    window = QMainWindow()
    window.setCentralWidget(Drawn())
    hold, gone = Hold(None), []
    window.destroyed.connect(lambda: gone.append(True))
    hold.enter(window)
    hold.begin(10_000)
    del window
    assert gone
    hold.end()

    other = QMainWindow()
    other.setCentralWidget(Drawn())
    hold.enter(other)
    hold.begin(10_000)
    assert not other.updatesEnabled()
    hold.close()
    assert other.updatesEnabled()
