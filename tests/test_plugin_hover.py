"""What a click would give, shown under the mouse."""

from __future__ import annotations

import numpy as np
import pytest
from balls import BALLS, ball, balls, iou
from qtpy.QtTest import QTest
from test_plugin_panel import journal, open_panel  # noqa: F401 (fixtures)

from napari_simmat.plugin.pictures import layer_data


@pytest.fixture
def window(open_panel):  # noqa: F811
    opened = open_panel(layer_data(balls()))
    opened.ready()
    opened.panel.prompt.hover.setChecked(True)
    return opened


def shown(window):
    found = [layer for layer in window.viewer.layers if layer.name == "proposed mask"]
    return np.asarray(found[0].data).astype(bool) if found else np.zeros(balls().shape, bool)


def move(window, row, column):
    QTest.mouseMove(window.canvas, window.place(row, column) / 2)
    QTest.mouseMove(window.canvas, window.place(row, column))


def move_until(window, row, column, condition):
    """Move the mouse to a place, again and again with a rest, until something is the case."""
    for attempt in range(40):
        QTest.mouseMove(window.canvas, window.place(row, column + attempt % 2))
        window.qtbot.wait(400)
        if condition():
            return
    pytest.fail("the preview did not come")


def test_the_mask_of_a_click_that_was_not_done_is_shown_faintly_and_goes_again(window):
    move_until(window, *BALLS[1][:2], lambda: iou(shown(window), ball(1)) > 0.7)
    preview = next(layer for layer in window.viewer.layers if layer.name == "proposed mask")
    assert preview.opacity == 0.25
    assert window.annotator.prompt.is_empty
    assert window.annotator.answer is None

    move_until(window, *BALLS[2][:2], lambda: iou(shown(window), ball(2)) > 0.7)
    window.panel.prompt.hover.setChecked(False)
    assert not shown(window).any()


def test_a_click_takes_the_place_of_the_preview_and_is_not_disturbed_by_it(window):
    move_until(window, *BALLS[1][:2], lambda: shown(window).any())
    window.segment(*BALLS[1][:2])
    preview = next(layer for layer in window.viewer.layers if layer.name == "proposed mask")
    assert preview.opacity == 0.5
    mask = shown(window).copy()
    move(window, *BALLS[2][:2])
    window.qtbot.wait(300)
    np.testing.assert_array_equal(shown(window), mask)
    assert window.annotator.prompt.points == window.annotator.answer.prompt.points


def test_outside_of_the_image_nothing_is_shown(window):
    move_until(window, *BALLS[1][:2], lambda: shown(window).any())
    move_until(window, -3, 5, lambda: not shown(window).any())
    assert window.annotator.prompt.is_empty


def test_it_is_off_where_answers_take_their_time(open_panel, monkeypatch):  # noqa: F811
    monkeypatch.setenv("NAPARI_SIMMAT_THREADS", "2")
    monkeypatch.setenv("NAPARI_SIMMAT_DEVICE", "cpu")
    slow = open_panel(layer_data(balls()))
    slow.ready()
    assert not slow.panel.prompt.hover.isChecked()
    move(slow, *BALLS[1][:2])
    slow.qtbot.wait(300)
    assert not shown(slow).any()
    monkeypatch.setenv("NAPARI_SIMMAT_THREADS", "16")
    fast = open_panel()
    assert fast.panel.prompt.hover.isChecked()
