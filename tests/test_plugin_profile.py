"""What the model sees, channel by channel, and how a user changes it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")

from balls import balls
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton, QWidget
from test_plugin_panel import journal, open_panel  # noqa: F401

from napari_simmat.images import Channel, MultiChannelImage, Normalisation, profile_for
from napari_simmat.images.profile_files import load_profile
from napari_simmat.plugin.histograms import ROW, HistogramList, sample_channels
from napari_simmat.plugin.pictures import layer_data


@pytest.fixture
def window(open_panel):  # noqa: F811
    opened = open_panel(layer_data(balls()))
    opened.ready()
    opened.panel.profile.fold.expand()
    opened.until(lambda: len(opened.panel.profile.list.samples) == 4)
    return opened


def set_limits(section, low, high):
    for field, value in ((section.low, low), (section.high, high)):
        field.setValue(value)
        field.editingFinished.emit()


def test_a_row_has_the_limits_that_the_model_uses():
    image = balls()
    for sample, plane in zip(sample_channels(profile_for(image), image), image.data, strict=True):
        low, high = sample.limits(Normalisation(method="percentile", low=0.5, high=99.5))
        np.testing.assert_allclose((low, high), np.percentile(plane, (0.5, 99.5)), rtol=0.01)
        assert sample.limits(Normalisation(method="range", low=-1, high=7)) == (-1, 7)
        assert sample.missing == 0


def test_computed_channels_are_named_with_their_formula():
    rng = np.random.default_rng(0)
    channels = [Channel(f"S{k}", role=f"s{k}") for k in range(3)]
    data = np.stack([rng.random((20, 30)) + 1, *rng.normal(0, 0.1, (2, 20, 30))]).astype(np.float32)
    image = MultiChannelImage(data, channels, modality="polarization")
    found = {sample.name: sample for sample in sample_channels(profile_for(image), image)}
    assert found["S0"].formula == ""
    assert found["S1/S0"].formula == "s1/s0 of S1, S0"
    np.testing.assert_allclose(np.median(found["S1/S0"].values), np.median(data[1] / data[0]), atol=0.01)


def test_what_was_not_measured_is_counted_and_not_drawn(qtbot):
    data = np.ones((1, 20, 20), np.float32)
    data[0, :5] = np.nan
    data[0, 5:10] = 3
    image = MultiChannelImage(data, [Channel("heat")])
    (sample,) = sample_channels(profile_for(image), image)
    assert sample.missing == pytest.approx(0.25)
    assert np.isfinite(sample.values).all()
    empty = MultiChannelImage(np.full((1, 5, 5), np.nan), [Channel("nothing")])
    rows = HistogramList()
    qtbot.addWidget(rows)
    samples = sample_channels(profile_for(empty), empty)
    rows.show_samples(samples, [Normalisation(method="percentile", low=1, high=99)])
    assert rows.grab().height() == ROW


def test_changed_limits_make_a_new_untrained_version(window):
    section, before = window.panel.profile, window.annotator.profile
    fingerprint = window.annotator.segmenter.adapter.fingerprint
    QTest.mouseClick(section.list, Qt.LeftButton, pos=QPoint(20, ROW + 5))
    assert section.list.current == 1
    section.method.setCurrentIndex(1)
    section.method.activated.emit(1)
    assert section.high.value() > 100  # the same limits, as values
    set_limits(section, 10.0, 250.0)
    assert window.annotator.profile is before

    QTest.mouseClick(section.apply, Qt.LeftButton)
    window.until(lambda: window.annotator.profile is not before)
    window.ready()

    now = window.annotator.profile
    assert now.sees[1].normalisation == Normalisation(method="range", low=10, high=250)
    assert [now.sees[i] for i in (0, 2, 3)] == [before.sees[i] for i in (0, 2, 3)]
    assert window.annotator.segmenter.adapter.fingerprint != fingerprint
    assert len(window.annotator.versions.all) == 2
    assert not section.apply.isEnabled()

    QTest.mouseClick(section.builtin, Qt.LeftButton)
    window.until(lambda: window.annotator.profile.sees == before.sees)


def test_limits_for_all_channels_and_limits_that_do_not_go_together(window):
    section = window.panel.profile
    set_limits(section, 99.9, 99.5)
    assert "must be below" in window.said
    assert section.edited.sees == window.annotator.profile.sees
    assert section.low.value() == pytest.approx(0.5)
    set_limits(section, 0.5, 150.0)
    assert "between 0 and 100" in window.said
    _assert_nothing_is_cut_off(window)

    set_limits(section, 2.0, 98.0)
    QTest.mouseClick(section.everywhere, Qt.LeftButton)
    assert {(seen.normalisation.low, seen.normalisation.high) for seen in section.edited.sees} == {(2, 98)}
    assert section.apply.isEnabled()


def test_a_profile_is_saved_and_used_again(window, tmp_path, monkeypatch):
    from qtpy.QtWidgets import QFileDialog

    section, path = window.panel.profile, tmp_path / "mine.json"
    set_limits(section, 3.0, 97.0)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    QTest.mouseClick(section.save, Qt.LeftButton)
    assert load_profile(path) == section.edited
    assert window.annotator.profile.sees[0].normalisation.low == 0.5  # saving changes nothing

    QTest.mouseClick(section.load, Qt.LeftButton)
    window.until(lambda: window.annotator.profile.sees[0].normalisation.low == 3)
    window.until(lambda: section.edited == window.annotator.profile)


def test_a_profile_for_other_channels_is_refused_and_without_an_image_there_is_none(window, tmp_path):
    window.controller.save_profile(profile_for(balls(n_channels=6)), tmp_path / "six.json")
    before = window.annotator.profile
    window.controller.load_profile(tmp_path / "six.json")
    assert "6 channels" in window.said
    assert window.annotator.profile is before
    (tmp_path / "broken.json").write_text("{}")
    window.controller.load_profile(tmp_path / "broken.json")
    assert "no profile" in window.said

    window.viewer.layers.clear()
    window.qtbot.wait(50)
    assert window.panel.profile.list.samples == ()
    assert not window.panel.profile.save.isEnabled()


def _assert_nothing_is_cut_off(window):
    right = window.panel.mapToGlobal(QPoint(window.panel.width(), 0)).x()
    for widget in window.panel.profile.findChildren(QWidget):
        if widget.isVisible():
            assert widget.mapToGlobal(QPoint(widget.width(), 0)).x() <= right, widget
    for button in window.panel.profile.findChildren(QPushButton):
        if button.isVisible():
            assert button.fontMetrics().horizontalAdvance(button.text()) <= button.width(), button.text()
