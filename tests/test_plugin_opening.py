"""Opening files in the real window: every way of dropping them, and taking them otherwise afterwards."""

from __future__ import annotations

import gc
import os
import sys

import numpy as np
import pytest
import tifffile
from balls import balls, pixels
from PIL import Image

pytest.importorskip("napari")
if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("needs a display", allow_module_level=True)

import napari
import yaml
from napari.qt import QtViewer
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QApplication, QWidget

import napari_simmat
from napari_simmat.errors import ImageError
from napari_simmat.images.files.contents import SUFFIXES
from napari_simmat.images.files.envi_header import DATA_SUFFIXES
from napari_simmat.journal import Journal
from napari_simmat.plugin import dock_panel, get_reader
from napari_simmat.plugin.painting import painting_of
from napari_simmat.plugin.pictures import IMAGE, TAKEN, add_layer, layer_data

PATIENCE_MS = 120_000


@pytest.fixture(scope="module")
def shared(qapp, tmp_path_factory):
    """A window with the panel, which opens images but does not encode them: that is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_simmat.annotator.Annotator._encode", lambda self, **_: None)
        viewer = napari.Viewer()
        patch.setattr(viewer.window._qt_window, "_save_current_window_settings", lambda: None)
        panel = dock_panel(viewer, journal=Journal(tmp_path_factory.mktemp("journal")))
        yield viewer, panel
        panel.controller.close()
        for worker in panel.controller.executor.workers:
            worker._thread.join(PATIENCE_MS / 1000)
        viewer.close()
    del viewer, panel
    gc.collect()


@pytest.fixture
def window(shared, qtbot):
    """The window without any layer: a new one for each test would take most of the time."""
    viewer, panel = shared
    viewer.layers.clear()
    opening = Opening(viewer, panel, qtbot)
    opening.until(lambda: opening.images.image is None and panel.controller.executor.current is None)
    yield opening
    panel.controller.said.disconnect(opening.hear)


class Opening:
    def __init__(self, viewer, panel, qtbot):
        self.viewer, self.panel, self.qtbot = viewer, panel, qtbot
        self.images, self.section = panel.controller.images, panel.image
        self.said = []
        panel.controller.said.connect(self.hear)

    def hear(self, text, is_problem):
        self.said.append(text)

    def until(self, condition):
        self.qtbot.waitUntil(condition, timeout=PATIENCE_MS)

    def open(self, *paths, stack=False):
        self.viewer.open([str(path) for path in paths], plugin="napari-simmat", stack=stack)
        self.settled()

    @property
    def canvas(self):
        """What takes drops: the welcome widget while there is no layer, else napari's viewer."""
        (viewer,) = self.panel.window().findChildren(QtViewer)
        (welcome,) = (
            each for each in viewer.findChildren(QWidget) if type(each).__name__ == "QtWelcomeWidget"
        )
        return viewer if self.viewer.layers else welcome

    def drop(self, *paths):
        enter, drop, _data = drop_of(*paths)
        canvas = self.canvas
        QApplication.sendEvent(canvas, enter)
        QApplication.sendEvent(canvas, drop)
        assert not canvas.property("drag")
        self.until(lambda: self.panel.controller.executor.current is None)

    def settled(self):
        self.until(
            lambda: (
                (self.images.image is not None or self.images.question is not None)
                and not self.images.is_moving
            )
        )

    def pick(self, box, value):
        index = next(i for i in range(box.count()) if box.itemData(i) == value)
        before = self.images.image
        box.setCurrentIndex(index)
        box.activated.emit(index)
        self.until(lambda: self.images.image is not before and not self.images.is_moving)


def drop_of(*paths, held=Qt.KeyboardModifier.NoModifier):
    """Files come over a widget and are dropped: both events, and their data, which must live as long."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    how = Qt.CopyAction, data, Qt.LeftButton, held
    return QDragEnterEvent(QPoint(50, 50), *how), QDropEvent(QPointF(50, 50), *how), data


def polarized(folder, shape=(24, 32)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    for angle in (0, 45, 90, 135):
        plane = 20000 + 50 * y + 9000 * np.cos(2 * (np.deg2rad(angle) - 0.3)) * (x > 10)
        tifffile.imwrite(folder / f"glass_{angle:03d}.tif", plane.astype(np.uint16))
    return sorted(folder.glob("*.tif"))


def test_the_manifest_names_every_suffix_that_can_be_opened():
    text = os.path.dirname(napari_simmat.__file__) + "/napari.yaml"
    with open(text) as file:
        (reader,) = yaml.safe_load(file)["contributions"]["readers"]

    assert reader["accepts_directories"] is True
    wanted = {f"*{suffix}" for suffix in SUFFIXES if suffix.count(".") == 1}
    wanted |= {f"*.{suffix}" for suffix in DATA_SUFFIXES}
    assert wanted - set(reader["filename_patterns"]) <= {"*.sli"}


def test_what_is_not_ours_is_left_to_others(tmp_path):
    (tmp_path / "notes.raw").write_text("no image")
    (tmp_path / "empty").mkdir()
    (tmp_path / "photos").mkdir()
    for name in ("holiday", "garden"):
        tifffile.imwrite(tmp_path / "photos" / f"{name}.tif", np.zeros((4, 5), np.uint8))

    for name in ("notes.raw", "empty", "photos"):
        assert get_reader(str(tmp_path / name)) is None
    assert get_reader(str(tmp_path / "missing.tif")) is not None


def test_a_folder_of_four_angles_is_one_image(window, tmp_path):
    folder = tmp_path / "glass"
    folder.mkdir()
    polarized(folder)

    window.open(folder)

    assert len(window.images.layers) == 1
    assert window.images.image.roles[:3] == ("s0", "s1", "s2")
    assert window.section.taken.assumed.isVisible()


@pytest.mark.parametrize("stack", [True, False])
def test_four_angles_dropped_together_become_one_image(window, tmp_path, stack):
    """napari gives files that were dropped to the reader one by one, unless Shift was held."""
    window.open(*polarized(tmp_path), stack=stack)
    window.until(lambda: len(window.images.layers) == 1 and not window.images.is_moving)
    window.settled()

    assert window.images.image.roles[:3] == ("s0", "s1", "s2")
    assert window.images.layer == window.images.layers[0]


def test_files_that_are_no_one_image_stay_several(window, tmp_path):
    for name in ("holiday", "garden"):
        np.save(tmp_path / f"{name}.npy", pixels(1)[0])

    window.open(tmp_path / "holiday.npy", tmp_path / "garden.npy")
    window.qtbot.wait(300)

    assert sorted(layer.name for layer in window.images.layers) == ["garden", "holiday"]


def test_a_broken_file_is_an_error_in_one_sentence_and_the_window_lives_on(window, tmp_path):
    (tmp_path / "broken.tif").write_bytes(b"II*\0 and nothing more")

    with pytest.raises(ImageError, match=r"broken\.tif is truncated"):
        window.viewer.open(str(tmp_path / "broken.tif"), plugin="napari-simmat")

    np.save(tmp_path / "good.npy", pixels(1)[0])
    window.open(tmp_path / "good.npy")
    assert window.images.image.name == "good"


def test_files_dropped_on_the_window_are_opened_without_a_question(window, tmp_path):
    Image.fromarray(np.moveaxis(pixels(3), 0, -1).astype(np.uint8)).save(tmp_path / "photo.png")
    (tmp_path / "points.csv").write_text("index,axis-0,axis-1\n0.0,5.0,7.0\n")
    readers = dict(get_settings().plugins.extension2reader)
    window.drop(tmp_path / "photo.png", tmp_path / "points.csv")  # the second one is nothing for us
    window.settled()

    assert window.viewer.layers["points"].data.shape == (1, 2)
    assert window.viewer.layers[0].metadata[IMAGE].modality == "rgb"
    assert get_settings().plugins.extension2reader == readers

    window.drop(*polarized(tmp_path))
    photo, polarized_layer = window.images.layers
    assert photo.name == "photo"
    assert polarized_layer.metadata[IMAGE].roles[:3] == ("s0", "s1", "s2")


def test_a_drop_that_cannot_be_opened_is_a_sentence_and_the_window_lives_on(window, tmp_path):
    (tmp_path / "broken.tif").write_bytes(b"II*\0 and nothing more")
    folder = tmp_path / "angles"
    folder.mkdir()
    first, *_ = polarized(folder)
    tifffile.imwrite(first, np.ones((8, 9), np.uint16))
    records = len(notification_manager.records)

    window.drop(tmp_path / "broken.tif")
    assert "broken.tif is truncated" in window.panel.footer.message.text()
    window.drop(folder)  # four angles, one of another size: no folder of somebody else's
    assert first.name in window.panel.footer.message.text()
    said = [record.message for record in notification_manager.records[records:]]
    assert len(said) == 2
    assert "broken.tif is truncated" in said[0]
    assert not window.viewer.layers

    np.save(tmp_path / "good.npy", pixels(1)[0])
    window.drop(tmp_path / "good.npy")
    window.settled()
    assert window.images.image.name == "good"


def test_with_alt_or_shift_and_after_the_panel_has_gone_drops_are_naparis(window, tmp_path):
    np.save(tmp_path / "good.npy", pixels(1)[0])
    drops = window.panel.controller._drops
    assert drops._watched
    for held in (Qt.AltModifier, Qt.ShiftModifier):
        _, event, _data = drop_of(tmp_path / "good.npy", held=held)
        assert not drops.eventFilter(window.canvas, event)
    _, event, data = drop_of()
    data.setUrls([QUrl("https://example.org/image.tif")])
    assert not drops.eventFilter(window.canvas, event)

    drops.close()
    _, event, _data = drop_of(tmp_path / "good.npy")
    assert not drops.eventFilter(window.canvas, event)
    drops.catch(window.panel.window())
    assert window.panel.controller.executor.current is None


def test_temperatures_are_chosen_by_their_range_without_reopening(window, tmp_path):
    kelvin = np.linspace(285.45, 311.25, 40 * 50).reshape(40, 50)
    path = tmp_path / "warm.tif"
    tifffile.imwrite(path, np.round(kelvin * 100).astype(np.uint16))
    window.open(path)
    box = window.section.taken.format
    window.until(lambda: "centikelvin" in window.images.ranges)
    path.unlink()  # nothing is opened again

    texts = [box.itemText(i) for i in range(box.count())]
    assert any("centikelvin · 12.43 to 37.97 °C" in text for text in texts), texts
    window.pick(box, "centikelvin")

    image = window.images.image
    assert image.modality == "thermal"
    assert image.plane(0)[0, 0] == pytest.approx(12.3, abs=0.01)
    assert window.section.modality.currentText() == "thermal"
    assert box.currentData() == "centikelvin"
    assert "centikelvin" in window.section.taken.assumed.toolTip()
    assert window.images.layers == [window.images.layer]

    window.pick(box, "as stored")
    assert window.images.image.data.dtype == np.uint16


def test_a_sample_format_that_does_not_fit_is_a_sentence(window, tmp_path):
    np.save(tmp_path / "plain.npy", pixels(1)[0].astype(np.uint8))
    window.open(tmp_path / "plain.npy")
    before = window.images.image

    window.images.set_sample_format("stokes")
    window.until(lambda: bool(window.said) and not window.images.is_moving)

    assert "cannot be 'stokes'" in window.said[-1]
    assert window.images.image is before


def test_the_channel_axis_is_changed_and_changed_back(window, tmp_path):
    tifffile.imwrite(tmp_path / "scene.tif", pixels(5), metadata={"axes": "CYX"})
    window.open(tmp_path / "scene.tif")
    box = window.section.taken.axis
    assert box.currentData() is None
    assert not window.section.taken.format.isVisible() or window.images.sample_format == "as stored"

    np.save(tmp_path / "plain.npy", pixels(5))
    window.viewer.open(str(tmp_path / "plain.npy"), plugin="napari-simmat")
    window.images.choose(next(each for each in window.viewer.layers if each.name.startswith("plain")))
    window.until(lambda: window.images.question is not None)
    window.images.answer(0)
    window.until(lambda: window.images.image is not None and window.images.image.name == "plain")
    assert window.images.image.n_channels == 5

    window.pick(window.section.taken.axis, 2)
    assert window.images.image.n_channels == 160
    window.pick(window.section.taken.axis, 0)
    assert window.images.image.n_channels == 5


def test_another_part_of_the_file_is_taken(window, tmp_path):
    np.savez(tmp_path / "two.npz", first=pixels(1)[0], second=np.ones((30, 40), np.float32))
    window.open(tmp_path / "two.npz")
    assert window.images.image.shape == (128, 160)

    window.pick(window.section.taken.part, "second")

    assert window.images.image.shape == (30, 40)
    assert window.images.layer.data.shape == (30, 40, 3)


def test_an_image_without_choices_shows_none(window, tmp_path):
    tifffile.imwrite(
        tmp_path / "grey.tif", np.arange(600, dtype=np.float32).reshape(20, 30), metadata={"axes": "YX"}
    )
    window.open(tmp_path / "grey.tif")

    assert not window.section.taken.axis.isVisible()
    assert not window.section.taken.part.isVisible()
    assert not window.section.taken.large.isVisible()


def test_an_image_of_one_pixel(window):
    add_layer(window.viewer, layer_data(balls().window(5, 5, 6, 6)))
    window.settled()

    assert window.images.image.shape == (1, 1)


def stack_file(tmp_path, times=4):
    data = np.stack([np.roll(pixels(2), 5 * t, axis=2) for t in range(times)])
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, data, metadata={"axes": "TCYX"}, ome=True)
    return path, data


def test_a_stack_is_one_layer_with_a_slider_and_is_painted_as_it_is_looked_at(window, tmp_path):
    path, data = stack_file(tmp_path)
    window.open(path)

    layer = window.images.layer
    assert layer.data.shape == (4, 128, 160, 3)
    assert {key[0] for key in painting_of(layer).painted} <= {(0,), (1,)}  # napari begins in the middle

    window.viewer.dims.set_current_step(0, 2)
    window.until(lambda: window.images.index == (2,))
    np.testing.assert_array_equal(window.images.image.data, data[2])
    assert {key[0] for key in painting_of(layer).painted} <= {(0,), (1,), (2,)}
    assert layer.metadata[IMAGE] is window.images.image
    assert layer.metadata[TAKEN].stack == {"T": 4}


def test_quick_sliding_opens_only_where_it_rests(window, tmp_path):
    path, _ = stack_file(tmp_path, times=8)
    window.open(path)
    opened = []

    def hear(layer, image):
        opened.append(image.name)

    window.images.opened.connect(hear)
    window.images._settle.setInterval(2000)  # longer than anything that a busy machine does between two steps

    for step in (3, 5, 1, 6):
        window.viewer.dims.set_current_step(0, step)
        window.qtbot.wait(10)
    window.until(lambda: window.images.index == (6,))
    window.images.opened.disconnect(hear)

    assert opened == ["film T6"]


def test_the_modality_of_a_whole_stack_is_changed(window, tmp_path):
    path, data = stack_file(tmp_path)
    window.open(path)
    window.viewer.dims.set_current_step(0, 3)
    window.until(lambda: window.images.index == (3,))

    window.pick(window.section.modality, "hyperspectral")

    assert window.images.index == (3,)
    np.testing.assert_array_equal(window.images.image.data, data[3])
    window.viewer.dims.set_current_step(0, 1)
    window.until(lambda: window.images.index == (1,))
    assert window.images.image.modality == "hyperspectral"


def test_a_layer_deleted_while_its_slice_is_read(window, tmp_path):
    path, _ = stack_file(tmp_path)
    window.open(path)

    window.viewer.dims.set_current_step(0, 2)
    window.images.catch_up()
    window.viewer.layers.remove(window.images.layer)
    window.qtbot.wait(300)

    assert window.images.image is None
    assert window.section.layer.currentText() == "open an image first"


def test_naparis_own_stack_keeps_its_sliders(window):
    data = np.stack([np.roll(pixels(3), 5 * t, axis=2) for t in range(4)])
    window.viewer.add_image(data, name="own")
    window.until(lambda: window.images.question is not None)

    window.images.answer(1)
    window.until(lambda: window.images.image is not None)
    assert window.images.layer.name == "own"
    window.viewer.dims.set_current_step(0, 2)
    window.until(lambda: window.images.index == (2,))

    np.testing.assert_array_equal(window.images.image.data, data[2])
    window.viewer.dims.set_current_step(1, 1)  # another channel is no other image
    window.qtbot.wait(300)
    assert window.images.index == (2,)


def test_nothing_is_cut_off(window, tmp_path):
    path, _ = stack_file(tmp_path)
    window.open(path)
    window.panel.window().resize(1280, 800)
    window.qtbot.wait(100)

    right = window.panel.mapToGlobal(QPoint(window.panel.width(), 0)).x()
    for widget in window.section.findChildren(QWidget):
        if widget.isVisible():
            assert widget.mapToGlobal(QPoint(widget.width(), 0)).x() <= right, widget
