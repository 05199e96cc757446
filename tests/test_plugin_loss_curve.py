from __future__ import annotations

import math

import pytest

pytest.importorskip("qtpy.QtWidgets")

from qtpy.QtGui import QColor

from napari_simmat.plugin.loss_curve import LossCurve


def _strong_pixels(curve):
    """Pixels in the colour of the running mean."""
    image = curve.grab().toImage()
    found = []
    for x in range(image.width()):
        for y in range(image.height()):
            colour = QColor(image.pixel(x, y))
            if colour.blue() > 200 and colour.red() < 130 and colour.green() < 200:
                found.append((x, y))
    return found


@pytest.fixture
def curve(qtbot):
    made = LossCurve()
    made.resize(200, 62)
    qtbot.addWidget(made)
    return made


def test_it_is_empty_until_something_is_learnt(curve):
    assert curve.losses == ()
    assert not _strong_pixels(curve)


def test_a_falling_loss_falls_from_left_to_right(curve):
    curve.start(20)
    for step in range(20):
        curve.add(step + 1, 20, 2.0 - 0.1 * step)

    drawn = _strong_pixels(curve)

    left = min(y for x, y in drawn if x < 40)
    right = max(y for x, y in drawn if x > 160)
    assert right > left + 10


def test_half_of_the_steps_fill_half_of_the_width(curve):
    curve.start(20)
    for step in range(10):
        curve.add(step + 1, 20, 2.0 - 0.1 * step)

    assert 80 < max(x for x, _ in _strong_pixels(curve)) < 120


def test_a_loss_that_is_no_number_leaves_a_gap(curve):
    curve.start(3)
    for step, loss in enumerate([1.0, math.nan, 0.5], 1):
        curve.add(step, 3, loss)

    assert curve.grab().width() == 200
    assert len(curve.losses) == 3


def test_a_new_training_starts_with_an_empty_curve(curve):
    curve.start(2)
    curve.add(1, 2, 1.0)

    curve.start()

    assert curve.losses == ()
