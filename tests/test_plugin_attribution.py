"""Which channels matter, asked and shown in the real window."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")

from balls import BALLS, ball, balls
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton, QWidget
from test_plugin_panel import journal, open_panel  # noqa: F401

from napari_simmat.evaluation.attribution import Attribution, Chosen, Effect, Sufficient
from napari_simmat.plugin.effects import ROW, EffectList, signed
from napari_simmat.plugin.pictures import add_layer, layer_data
from napari_simmat.plugin.sections.attribution_section import in_words


@pytest.fixture
def window(open_panel):  # noqa: F811
    opened = open_panel(layer_data(balls(n_channels=2)))
    opened.ready()
    opened.panel.attribution.fold.expand()
    return opened


def ask(window, button):
    QTest.mouseClick(button, Qt.LeftButton)
    window.until(lambda: not window.annotator.is_busy)


def effect(name, change, channels=(0,)):
    return Effect(name=name, channels=list(channels), miou_without=0.9 + change, change=change, ci95=None)


def attribution(names, chosen, channels=(0,)):
    steps = [Chosen(name=name, channels=[0], miou=0.89) for name in chosen]
    effects = [effect(name, -0.1, channels) for name in names]
    return Attribution(
        images=1,
        objects=1,
        miou=0.9,
        miou_of_none=0.2,
        model_channels=effects,
        image_channels=effects,
        sufficient=Sufficient(tolerance=0.02, steps=steps, image_channels=chosen),
        seconds=1.0,
    )


def test_an_object_and_all_of_them(window):
    section = window.panel.attribution
    assert not section.this.isEnabled()
    assert section.heading.text() == "Accept an object first."
    window.accept(1, 2, 3)
    window.layer.selected_label = 2
    assert window.panel.accept.chosen == 2

    ask(window, section.this)
    assert section.heading.text().startswith("Object 2,")
    assert sorted(each.name for each in section.list.effects) == ["channel 0", "channel 1"]
    assert section.scroll.isVisible()
    assert section.suffice.text()
    assert "object 2" not in window.panel.footer.message.text()

    ask(window, section.all)
    assert section.heading.text().startswith("3 objects,")
    _assert_nothing_is_cut_off(window)

    window.annotator.use_transfer("linear")
    window.ready()
    assert section.list.effects == ()
    assert not section.scroll.isVisible()


def test_what_was_found_goes_with_the_object_and_with_the_image(window):
    section = window.panel.attribution
    window.accept(1, 2)
    ask(window, section.this)
    window.controller.erase(1)
    assert section.list.effects
    window.controller.erase(2)
    assert section.list.effects == ()

    window.accept(3)
    ask(window, section.this)
    assert section.list.effects
    other = add_layer(window.viewer, layer_data(balls(n_channels=2, seed=1, name="others")))
    window.controller.images.choose(other)
    window.until(lambda: window.annotator.image is not None and window.annotator.image.name == "others")
    assert section.list.effects == ()


def test_escape_cancels_it_and_clicks_go_on(window):
    section = window.panel.attribution
    window.accept(1)
    reports = []
    window.annotator.attribution_step.connect(lambda *step: reports.append(step))
    QTest.mouseClick(section.all, Qt.LeftButton)
    assert not section.all.isEnabled()
    window.until(lambda: bool(reports))
    assert window.panel.footer.bar.maximum() >= 1
    window.segment(*BALLS[2][:2])
    assert window.annotator.answer is not None

    if "attribution" in window.annotator._jobs:  # it may be done already
        window.key(Qt.Key_Escape)
        assert section.list.effects == ()
    window.until(lambda: window.controller.executor.current is None)
    assert section.all.isEnabled()


def test_the_choice_of_an_object_stays_while_others_are_painted(window):
    window.accept(1, 2)
    window.layer.selected_label = 2
    window.layer.selected_label = 1
    window.layer.data_setitem(np.nonzero(ball(2)), 2)
    window.until(lambda: window.annotator.objects[2].source == "brush")
    assert window.panel.accept.chosen == 1
    window.accept(3)
    assert window.panel.accept.chosen == 3


def test_the_most_missed_channel_is_on_top_and_tells_its_figures(qtbot):
    rows = EffectList()
    qtbot.addWidget(rows)
    rows.resize(300, 100)
    rows.show_effects([effect("red", 0.02), effect("near infrared", -0.31), effect("green", 0.0)])
    assert [each.name for each in rows.effects] == ["near infrared", "green", "red"]
    assert rows.height() == 3 * ROW

    place = QPointF(20, 5)
    rows.mouseMoveEvent(
        QMouseEvent(QMouseEvent.Type.MouseMove, place, place, Qt.NoButton, Qt.NoButton, Qt.NoModifier)
    )
    assert rows.toolTip().splitlines() == ["near infrared", "IoU 0.590 without it, −0.310"]


def test_a_bar_is_red_where_the_channel_is_missed_and_grey_where_not(qtbot):
    rows = EffectList()
    qtbot.addWidget(rows)
    rows.resize(300, 100)
    rows.show_effects([effect("missed", -0.3), effect("not missed", 0.3)])
    picture = rows.grab().toImage()
    missed, other = (picture.pixelColor(150, ROW // 2 + k * ROW) for k in (0, 1))
    assert missed.red() > missed.green() + 80
    assert other.red() == other.green() == other.blue()


def test_a_change_that_rounds_to_nothing_has_no_sign():
    assert [signed(v) for v in (-0.0004, -0.25, 0.031)] == ["0.000", "−0.250", "+0.031"]


def test_a_sentence_says_which_channels_suffice():
    five = ["red", "green", "blue", "near infrared", "SWIR"]
    assert (
        in_words(attribution(five, ["near infrared", "red"]))
        == "2 of 5 channels come within 0.02 of all: near infrared, red."
    )
    assert in_words(attribution(five, ["red"])).startswith("1 of 5 channels comes within")
    assert in_words(attribution(five, five)) == "None of the 5 channels can be spared."
    spared = attribution(five, five)
    spared.model_channels[3] = effect("near infrared", 0.0)
    assert in_words(spared) == "4 of 5 channels come within 0.02 of all: all but near infrared."
    assert in_words(attribution(["grey"], ["grey"])) == "There is only one channel."
    assert "the clicks alone" in in_words(attribution(five, []))
    assert "1 of 2 runs of channels" in in_words(attribution(["a to b", "c to d"], ["a to b"], (0, 1)))


def test_more_rows_than_there_is_place_for_are_scrolled_to(window):
    section = window.panel.attribution
    window.accept(1)
    names = [f"a channel with rather a long name {k}" for k in range(12)]
    window.annotator.attribution_started.emit(1)
    window.annotator.attribution_ready.emit(attribution(names, names[:1]))
    window.qtbot.wait(50)

    assert section.list.height() == 12 * ROW
    assert section.scroll.height() < 9 * ROW
    assert section.scroll.verticalScrollBar().maximum() > 0
    _assert_nothing_is_cut_off(window)


def _assert_nothing_is_cut_off(window):
    right = window.panel.mapToGlobal(QPoint(window.panel.width(), 0)).x()
    for widget in window.panel.attribution.findChildren(QWidget):
        if widget.isVisible():
            assert widget.mapToGlobal(QPoint(widget.width(), 0)).x() <= right, widget
    for each in window.panel.attribution.findChildren(QPushButton):
        if each.isVisible():
            assert each.fontMetrics().horizontalAdvance(each.text()) <= each.width(), each.text()
