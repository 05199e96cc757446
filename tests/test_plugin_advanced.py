"""What an expert sets about learning, in the real window."""

from __future__ import annotations

import pytest

pytest.importorskip("napari")

from balls import balls
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QWidget
from test_plugin_panel import journal, open_panel  # noqa: F401

from napari_simmat.plugin.pictures import layer_data


@pytest.fixture
def window(open_panel):  # noqa: F811
    opened = open_panel(layer_data(balls(n_channels=2)))
    opened.ready()
    QTest.mouseClick(opened.panel.train.settings.toggleButton(), Qt.LeftButton)
    return opened


def choose(window, box, text):
    """Choose an entry with the keyboard, as in the open list."""
    box.setFocus()
    box.showPopup()
    view = box.view()
    view.setCurrentIndex(box.model().index(box.findText(text), 0))
    QTest.keyClick(view, Qt.Key_Return)
    window.until(lambda: box.currentText() == text)


def train(window, button):
    before = len(window.annotator.reports)
    QTest.mouseClick(button, Qt.LeftButton)
    window.until(lambda: window.annotator.training is None)
    window.ready()
    return window.annotator.reports[before:]


def turn_wheel(field):
    middle = QPointF(field.rect().center())
    QApplication.sendEvent(
        field,
        QWheelEvent(
            middle,
            QPointF(field.mapToGlobal(field.rect().center())),
            QPoint(),
            QPoint(0, -120),
            Qt.NoButton,
            Qt.NoModifier,
            Qt.NoScrollPhase,
            False,
        ),
    )


def test_another_transfer_layer_starts_a_new_untrained_version(window):
    settings = window.panel.train.settings
    window.accept(1)
    assert settings.transfer.currentText() == "mat"

    choose(window, settings.transfer, "linear")
    window.ready()

    assert window.annotator.transfer == "linear"
    assert [version.name for version in window.annotator.versions.all] == ["untrained", "untrained, linear"]
    assert "transfer layer linear" in window.said
    assert sorted(window.annotator.objects) == [1]
    assert settings.transfer.toolTip().startswith("linear: one 1 x 1 convolution")
    window.controller.use_version(0)
    window.ready()
    assert settings.transfer.currentText() == "mat"


def test_a_strategy_learns_and_one_that_needs_deep_says_so(window):
    settings, section = window.panel.train.settings, window.panel.train
    window.accept(1, 2)
    settings.steps.value = 1
    choose(window, settings.strategy, "decoder")
    (report,) = train(window, section.quick)
    assert report.strategy == "decoder"
    assert window.annotator.auto_quick_settings.strategy == "decoder"
    assert settings.steps.native.specialValueText() == "automatic (last: 1)"

    choose(window, settings.strategy, "full")
    assert not train(window, section.quick)
    assert "Deep" in window.said
    assert window.said == section.verdict.text()
    assert not section.curve.isVisible()
    assert "color" in window.panel.footer.message.styleSheet()  # it looks like a problem


def test_automatic_is_a_word_and_scrolling_the_panel_changes_no_field(window):
    settings = window.panel.train.settings
    window.qtbot.wait(100)
    assert settings.steps.native.text() == settings.learning_rate.native.text() == "automatic"
    assert settings.values()["steps"] is settings.values()["learning_rate"] is None

    before = settings.values()
    window.canvas.setFocus()
    fields = (settings.transfer, settings.strategy, settings.recipe)
    numbers = (settings.steps.native, settings.learning_rate.native, settings.seed.native)
    for field in (*fields, *numbers):
        turn_wheel(field)
    window.qtbot.wait(50)

    assert settings.values() == before
    assert window.annotator.transfer == "mat"
    assert len(window.annotator.versions.all) == 1


def test_what_is_unfolded_is_in_sight_and_not_cut_off(window):
    window.panel.window().resize(1280, 800)
    settings = window.panel.train.settings
    QTest.mouseClick(settings.toggleButton(), Qt.LeftButton)
    window.qtbot.wait(50)
    QTest.mouseClick(settings.toggleButton(), Qt.LeftButton)

    def edge(widget, down):
        return widget.mapTo(window.panel, QPoint(0, down)).y()

    last, footer = settings.seed.native, window.panel.footer
    window.until(lambda: 0 < edge(last, last.height()) <= edge(footer, 0))
    right = window.panel.mapToGlobal(QPoint(window.panel.width(), 0)).x()
    for widget in settings.findChildren(QWidget):
        if widget.isVisible():
            assert widget.mapToGlobal(QPoint(widget.width(), 0)).x() <= right, widget
