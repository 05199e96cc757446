"""The channel browser in a real window: what is shown, and that the model does not care."""

from __future__ import annotations

import threading

import numpy as np
import pytest

pytest.importorskip("napari")

from balls import BALLS, ball, pixels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QDockWidget
from test_plugin_panel import journal, open_panel  # noqa: F401

from napari_simmat.images import Channel, MultiChannelImage, screen_rgb
from napari_simmat.plugin import image_choice
from napari_simmat.plugin.browser import value_text
from napari_simmat.plugin.colour_wheel import ColourWheel, wheel_pixels
from napari_simmat.plugin.pictures import layer_data
from napari_simmat.plugin.spectrum_plot import ObjectSpectrum, SpectrumPlot, ticks

WAVES = (450, 550, 650, 750, 850, 950)


def cube():
    channels = [
        Channel(f"{wave} nm", unit="reflectance", wavelength_nm=float(wave), role="bad band" * (wave == 750))
        for wave in WAVES
    ]
    return MultiChannelImage(pixels(6) / 255, channels, modality="hyperspectral", name="cube")


def stokes():
    s0 = pixels(1)[0]
    angle = np.linspace(0, np.pi, s0.shape[1])
    data = np.stack([s0, 0.4 * s0 * np.cos(2 * angle), 0.4 * s0 * np.sin(2 * angle)])
    channels = [Channel(f"S{k}", role=f"s{k}") for k in range(3)]
    return MultiChannelImage(data.astype(np.float32), channels, modality="polarization", name="stokes")


@pytest.fixture
def window(open_panel):  # noqa: F811
    opened = open_panel(layer_data(cube()))
    opened.ready()
    opened.until(lambda: opened.panel.browser.isVisible())
    return opened


def choose(box, text):
    index = next(i for i in range(box.count()) if text in box.itemText(i))
    box.setCurrentIndex(index)
    box.activated.emit(index)


def shows(window, spec):
    """Wait until the layer shows this."""
    expected = screen_rgb(window.annotator.image, spec)
    expected = np.repeat(expected[..., None], 3, axis=-1) if expected.ndim == 2 else expected
    layer = window.controller.stage.image_layer
    window.until(lambda: np.array_equal(np.asarray(layer.data), expected))


def test_one_layer_shows_any_channel_and_any_three_and_the_model_sees_the_same(window):
    browser, segmenter = window.panel.browser, window.annotator.segmenter
    layers = len(window.viewer.layers)
    seen = segmenter.adapter.profile.model_input(segmenter.image)
    window.segment(*BALLS[1][:2])
    mask = window.annotator.answer.mask
    assert browser.view.currentText() == "true colour (650, 550, 450 nm)"

    browser.slider.setValue(4)
    shows(window, (4,))
    assert browser.band.text() == "band 5 of 6 · 850 nm"
    assert browser.bar.isVisible()
    for box, channel in zip(browser.composer.boxes, (5, 2, 0), strict=True):
        box.setCurrentIndex(channel)
        box.activated.emit(channel)
    shows(window, (5, 2, 0))
    for text in ("principal", "colour infrared"):
        choose(browser.view, text)
    shows(window, "colour infrared")
    assert window.panel.image.shown.currentText() == browser.view.currentText()

    assert len(window.viewer.layers) == layers
    assert window.annotator.segmenter is segmenter
    np.testing.assert_array_equal(segmenter.adapter.profile.model_input(window.annotator.image), seen)
    window.annotator.clear()
    window.segment(*BALLS[1][:2])
    np.testing.assert_array_equal(window.annotator.answer.mask, mask)


def test_the_view_of_the_model_is_its_three_channels_as_a_picture(window):
    choose(window.panel.browser.view, "what the model sees")
    layer, before = window.controller.stage.image_layer, screen_rgb(cube(), "true colour")
    window.until(lambda: not np.array_equal(np.asarray(layer.data), before))

    view = window.annotator.segmenter.model_view()
    shown = np.asarray(layer.data)
    assert shown.shape == (*cube().shape, 3)
    step = view.shape[0] / shown.shape[0]
    rows = (np.arange(shown.shape[0]) * step + step / 2).astype(int)
    columns = (np.arange(shown.shape[1]) * step + step / 2).astype(int)
    assert np.abs(shown.astype(int) - view[rows][:, columns]).mean() < 6


def test_sliding_draws_off_the_event_loop_and_leaves_out_what_nobody_waits_for(window, monkeypatch):
    drawn, render = [], image_choice.render
    waiting = threading.Event()

    def watched(image, spec):
        waiting.wait(10)
        drawn.append((spec, threading.current_thread().name))
        return render(image, spec)

    monkeypatch.setattr(image_choice, "render", watched)
    for channel in (1, 2, 3, 4, 5):
        window.panel.browser.slider.setValue(channel)
    waiting.set()
    shows(window, (5,))

    assert drawn[-1][0] == (5,)
    assert len(drawn) <= 3
    assert {name for _, name in drawn} == {"simmat-draws"}


def test_the_spectrum_follows_the_mouse(window):
    for row, column in ((40, 50), (90, 112)):
        QTest.mouseMove(window.canvas, window.place(row, column))
        window.until(lambda: window.panel.browser.plot.pixel is not None)
        window.qtbot.wait(120)
        y, x = (
            round(v) for v in window.controller.stage.image_layer.world_to_data(window.viewer.cursor.position)
        )
        assert abs(y - row) <= 1
        assert abs(x - column) <= 1
        np.testing.assert_allclose(window.panel.browser.plot.pixel, cube().data[:, y, x], rtol=1e-6)
        assert f"[{y}, {x}]" in window.panel.browser.readout.text()


def test_objects_are_shown_by_mean_and_spread_in_the_colour_of_their_label(window):
    window.accept(1)
    plot = window.panel.browser.plot
    window.until(lambda: len(plot.objects) == 1)

    (shown,), mask = plot.objects, window.layer.data == 1
    inside = cube().data[:, mask].astype(float)
    np.testing.assert_allclose(shown.mean, inside.mean(axis=1), rtol=1e-6)
    np.testing.assert_allclose(shown.std, inside.std(axis=1), rtol=1e-5)
    np.testing.assert_allclose(shown.colour, window.layer.get_color(1)[:3], atol=1e-6)

    window.layer.data[ball(2)] = 7
    window.layer.refresh()
    window.layer.events.data()
    window.until(lambda: [each.label for each in plot.objects] == [1, 7])
    window.controller.erase(1)
    window.until(lambda: [each.label for each in plot.objects] == [7])


def test_polarization_comes_with_a_wheel_and_a_channel_with_a_scale(open_panel):  # noqa: F811
    window = open_panel(layer_data(stokes()))
    window.ready()
    browser = window.panel.browser
    window.until(lambda: browser.wheel.isVisible())
    assert browser.wheel.degree == pytest.approx(0.4, abs=0.01)
    assert not browser.bar.isVisible()

    choose(browser.view, "DoLP, degree")
    window.until(lambda: browser.bar.isVisible())
    assert not browser.wheel.isVisible()
    assert browser.bar.words[:2] == ("0", "DoLP")
    choose(browser.view, "AoLP, angle")
    window.until(lambda: browser.wheel.isVisible() and browser.wheel.degree == 0)


def test_the_browser_can_be_hidden_comes_back_and_goes_with_the_panel(window):
    browser = window.panel.browser
    QTest.mouseClick(window.panel.image.browse, Qt.LeftButton)
    assert not browser.isVisible()
    QTest.mouseMove(window.canvas, window.place(40, 50))
    window.qtbot.wait(100)
    assert browser.plot.pixel is None

    QTest.mouseClick(window.panel.image.browse, Qt.LeftButton)
    window.until(lambda: browser.isVisible())
    main = window.panel.window()
    window.viewer.window.remove_dock_widget(window.panel)
    window.qtbot.wait(50)
    assert "Channels" not in [dock.windowTitle() for dock in main.findChildren(QDockWidget)]


# ------------------------------------------------------------------ the widgets by themselves


@pytest.fixture
def plot(qtbot):
    made = SpectrumPlot()
    qtbot.addWidget(made)
    made.resize(300, 180)
    made.set_image(cube())
    return made


def columns_of(widget, colour):
    """Columns in which there are pixels of about this colour."""
    image = widget.grab().toImage()
    return {
        x
        for x in range(image.width())
        for y in range(25, image.height() - 22)
        if max(
            abs(a - b)
            for a, b in zip(QColor(image.pixel(x, y)).getRgb()[:3], colour.getRgb()[:3], strict=True)
        )
        < 60
    }


def test_a_bad_band_is_a_gap(plot):
    red = ObjectSpectrum(1, (1.0, 0.0, 0.0), np.linspace(0.2, 0.8, 6), np.full(6, 0.01))
    plot.set_objects([red])
    drawn = columns_of(plot, QColor(255, 0, 0))
    left, right = min(drawn), max(drawn)
    bad = round(left + (750 - 450) / (950 - 450) * (right - left))
    assert not drawn & set(range(bad - 25, bad + 26))
    assert len(drawn) > (right - left) / 2


def test_wavelengths_are_the_axis_and_a_click_picks_the_nearest(plot, qtbot):
    np.testing.assert_array_equal(plot.places, WAVES)
    with qtbot.waitSignal(plot.picked) as picked:
        QTest.mouseClick(plot, Qt.LeftButton, pos=QPoint(plot.width() - 12, 90))
    assert picked.args == [5]


def test_a_curve_follows_the_wavelengths_however_channels_are_stored(plot):
    waves, values = np.array([650.0, 550.0, 450.0, 840.0]), np.array([0.2, 0.9, 0.1, 0.5])

    def drawn(order):
        channels = [Channel(f"{wave:.0f}", wavelength_nm=wave) for wave in waves[order]]
        plot.set_image(MultiChannelImage(np.zeros((4, 3, 4), np.float32), channels))
        plot.set_objects([ObjectSpectrum(1, (1.0, 0.0, 0.0), values[order], np.full(4, 0.05))])
        plot.set_pixel(values[order] / 2)
        return plot.grab().toImage()

    assert drawn(np.arange(4)) == drawn(np.argsort(waves))


def test_channels_of_different_units_are_drawn_between_their_own_limits(plot):
    channels = [Channel("grey"), Channel("depth", unit="m")]
    data = np.stack([np.linspace(0, 65535, 12), np.linspace(0.5, 3, 12)]).reshape(2, 3, 4)
    plot.set_image(MultiChannelImage(data, channels))
    plot.set_limits(np.array([[0.0, 65535.0], [0.5, 3.0]]))
    plot.set_pixel(np.array([65535.0, 3.0]))
    assert plot.grab().width() == 300
    np.testing.assert_array_equal(plot.places, (1, 2))


def test_values_that_are_no_numbers_do_no_harm(plot):
    plot.set_pixel(np.array([np.nan, np.inf, 0.2, -np.inf, np.nan, np.nan]))
    plot.set_objects([ObjectSpectrum(1, (1, 0, 0), np.full(6, np.nan), np.full(6, np.nan))])
    assert plot.grab().width() == 300
    plot.set_image(None)
    assert plot.grab().width() == 300


def test_ticks_are_round_and_inside():
    assert ticks(380, 2500, 4) == [500, 1000, 1500, 2000, 2500]
    assert ticks(0, 1, 5) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(1, 1, 5) == []


def test_the_readout_has_what_the_sensor_measures():
    values = np.array([200.0, 0.0, -50.0])  # Stokes parameters: a quarter, at 135 degrees
    assert value_text(stokes(), "hsv", values) == "S0 200 · DoLP 0.250 · AoLP 135°"
    assert value_text(stokes(), (0, 2, 2), values) == "200 · -50 · -50"
    assert value_text(stokes(), "principal components", values) == ""
    assert value_text(cube(), (4,), np.arange(6.0)) == "4 reflectance"


def test_opposite_points_of_the_wheel_have_one_colour_and_quarters_differ():
    wheel = wheel_pixels(True)
    opposite = wheel[::-1, ::-1]
    assert np.abs(wheel[..., :3].astype(int) - opposite[..., :3]).max() <= 2
    side = len(wheel)
    right, top = wheel[side // 2, -6, :3], wheel[5, side // 2, :3]
    assert right.argmax() == 0  # 0 degrees: red
    assert top[0] < 60 < 200 < top[1]  # 90 degrees: cyan
    assert wheel[side // 2, side // 2, :3].min() > 240  # unpolarized: no colour


def test_the_wheel_tells_the_degree_at_its_rim(qtbot):
    made = ColourWheel()
    qtbot.addWidget(made)
    made.set_degree(0.35)
    assert made.grab().height() > 60
    assert made.degree == 0.35
