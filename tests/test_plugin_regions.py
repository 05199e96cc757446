"""Stacks and large images in the real window: the annotator works on the shown slice, or on a region."""

from __future__ import annotations

import os
import sys
from itertools import pairwise

import dask.array as da
import numpy as np
import pytest
import tifffile
from balls import BALLS, SHAPE, ball, iou, pixels

pytest.importorskip("napari")
if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("needs a display", allow_module_level=True)

from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_simmat.images import MultiChannelImage
from napari_simmat.inference import regions
from napari_simmat.inference.regions import holds, region_at
from napari_simmat.journal import Journal
from napari_simmat.plugin import dock_panel, painting
from napari_simmat.plugin.painting import Painting, Picturesque, levels_of, painting_of
from napari_simmat.plugin.pictures import add_layer, layer_data, pictures_of, read_layer, render

PATIENCE_MS = 120_000
TILES = 5


@pytest.fixture
def small_is_large(monkeypatch):
    """What is large is small here, so that the tests are quick: a region is about one scene of balls."""
    monkeypatch.setattr(regions, "LARGE_SIDE", 256)
    monkeypatch.setattr(regions, "SIDE", 160)
    monkeypatch.setattr(regions, "STEP", 64)
    monkeypatch.setattr(painting, "COARSEST", 128)
    monkeypatch.setattr(painting, "TILE", 64)


def large_image(rows=TILES, columns=TILES):
    data = np.tile(pixels(4), (1, rows, columns))
    return MultiChannelImage(da.from_array(data, chunks=(4, 64, 64)), name="field")


class Window:
    def __init__(self, viewer, panel, qtbot):
        self.viewer, self.panel, self.qtbot = viewer, panel, qtbot
        self.controller, self.images = panel.controller, panel.controller.images
        self.annotator, self.stage = panel.controller.annotator, panel.controller.stage
        self.canvas = next(
            w for w in panel.window().findChildren(QWidget) if type(w).__name__ == "CanvasBackendDesktop"
        )

    def until(self, condition):
        self.qtbot.waitUntil(condition, timeout=PATIENCE_MS)

    def opened(self):
        self.until(lambda: self.images.image is not None and not self.images.is_moving)
        self.qtbot.wait(100)
        self.viewer.reset_view()

    def click(self, y, x):
        world = self.images.layer.data_to_world((*self.images.index, y, x))[-2:]
        camera = self.viewer.scene.camera
        offset = (np.asarray(world) - np.asarray(camera.center[-2:])) * camera.zoom
        size = self.canvas.size()
        place = QPoint(round(size.width() / 2 + offset[1]), round(size.height() / 2 + offset[0]))
        QTest.mouseClick(self.canvas, Qt.LeftButton, Qt.NoModifier, place)

    def accept(self, y, x):
        self.click(y, x)
        self.until(lambda: self.annotator.is_answered)
        self.controller.accept()
        self.until(lambda: self.annotator.objects and not self.annotator.is_busy)

    def labels(self, name):
        return next(layer for layer in self.viewer.layers if layer.name == name)


@pytest.fixture
def open_window(make_napari_viewer_proxy, qtbot, tmp_path):
    panels = []

    def open_it(*layers):
        viewer = make_napari_viewer_proxy(show=True)
        for layer in layers:
            add_layer(viewer, layer)
        panel = dock_panel(viewer, journal=Journal(tmp_path / "journal"))
        panels.append(panel)
        panel.controller.annotator.auto_quick = False
        window = Window(viewer, panel, qtbot)
        window.opened()
        return window

    yield open_it
    for panel in panels:
        panel.controller.close()
        for worker in panel.controller.executor.workers:
            qtbot.waitUntil(lambda worker=worker: not worker.is_alive, timeout=PATIENCE_MS)


def stack_layer(tmp_path, times=4):
    data = np.stack([np.roll(pixels(3), 20 * t, axis=2) for t in range(times)])
    tifffile.imwrite(tmp_path / "film.tif", data, metadata={"axes": "TCYX"}, ome=True)
    return read_layer(tmp_path / "film.tif")


# --------------------------------------------------------------------- rules


@pytest.mark.parametrize(
    ("shape", "place", "region"),
    [
        ((20000, 20000), (0, 0), (0, 0, 2048, 2048)),
        ((20000, 20000), (5120, 6136), (4096, 5120, 6144, 7168)),
        ((20000, 20000), (19999, 19999), (18432, 18432, 20000, 20000)),
        ((5000, 1000), (4990, 10), (3072, 0, 5000, 1000)),
        ((4097, 4097), (2048, 2100), (1024, 1024, 3072, 3072)),
    ],
)
def test_a_region_lies_around_the_click_and_in_the_image(shape, place, region):
    assert region_at(shape, *place) == region


def test_every_pixel_is_in_its_region_and_at_most_half_a_step_off_its_middle():
    rng = np.random.default_rng(0)
    for _ in range(500):
        shape = tuple(rng.integers(1, 30000, 2))
        y, x = (rng.uniform(-0.5, n - 0.5) for n in shape)
        region = region_at(shape, y, x)
        assert holds(region, y, x)
        for start, stop, length, place in ((*region[::2], shape[0], y), (*region[1::2], shape[1], x)):
            assert 0 <= start < stop <= length
            assert stop - start <= regions.SIDE
            if regions.SIDE < place < length - regions.SIDE:
                assert abs((start + stop) / 2 - place) <= regions.STEP / 2 + 1


# ------------------------------------------------------------------ painting


def paint_now(image, **options):
    """A painting that is painted on the spot, as for scripts without a window."""
    made = Painting(lambda index: image, image, spec=pictures_of(image)[0].spec, **options)
    return made


def test_pieces_of_a_large_picture_fit_together(small_is_large, monkeypatch):
    monkeypatch.setattr(painting, "has_window", lambda: False)
    image = large_image()
    made = paint_now(image, is_large=True)

    whole = np.asarray(made.pictures[0])
    expected = render(MultiChannelImage(image.data.compute(), name="field"), made.spec)
    assert whole.shape == (*image.shape, 3)
    assert np.abs(whole.astype(int) - expected).max() <= 24  # stretched alike, from a coarse look
    np.testing.assert_array_equal(np.asarray(made.pictures[0][100:229, 37:300]), whole[100:229, 37:300])
    for level, picture in zip(made.levels, made.pictures, strict=True):
        assert picture.shape[:2] == level.shape
        shown = np.asarray(picture).astype(int)
        assert np.abs(shown - whole[:: level.step, :: level.step]).max() <= 1


def test_only_what_is_looked_at_is_painted(small_is_large, monkeypatch):
    monkeypatch.setattr(painting, "has_window", lambda: False)
    made = paint_now(large_image(), is_large=True)

    part = made.pictures[0][130:190, 70:120]
    assert made.painted == []
    np.asarray(part)

    assert made.painted == [((), 0, 2, 1)]


def test_levels_end_with_one_that_is_kept_as_a_whole():
    image = MultiChannelImage(da.zeros((8, 20000, 20000), np.uint8, chunks=(8, 1000, 1000)))

    shapes = [level.shape for level in levels_of(image, is_large=True)]

    assert shapes[0] == (20000, 20000)
    assert shapes[-1] == (2000, 2000)
    assert all(a[0] / b[0] <= 2.01 for a, b in pairwise(shapes))


@pytest.mark.parametrize(
    "index", [(1, slice(None), slice(3, 9)), (slice(0, 2), 4), (Ellipsis, 0), (2, 5, slice(None, None, 7))]
)
def test_a_picture_is_indexed_as_an_array(index):
    images = [MultiChannelImage(pixels(3, seed=t)) for t in range(3)]
    made = Painting(lambda index: images[index[0]], images[0], stack=(3,), spec=(0, 1, 2), is_large=False)
    picture = made.pictures
    full = np.stack([render(image, (0, 1, 2)) for image in images])

    part = picture[index]

    assert isinstance(part, Picturesque)
    assert part.shape == full[index].shape
    np.testing.assert_array_equal(np.asarray(part), full[index])


# -------------------------------------------------------------------- window


def test_each_slice_has_its_own_objects_and_is_found_again(open_window, tmp_path):
    window = open_window(stack_layer(tmp_path))
    window.viewer.dims.set_current_step(0, 0)
    window.until(lambda: window.images.index == (0,) and window.annotator.segmenter is not None)
    window.accept(*BALLS[1][:2])
    first = window.labels("film T0 objects")
    assert iou(first.data > 0, ball(1)) > 0.8
    assert first.ndim == 2

    window.viewer.dims.set_current_step(0, 2)
    assert not first.visible  # at once, not only when the slice is open
    window.until(lambda: window.annotator.image is not None and window.annotator.image.name == "film T2")
    window.until(lambda: window.annotator.segmenter is not None)
    assert window.annotator.objects == {}
    assert window.annotator.prompt.is_empty
    window.accept(BALLS[3][0], BALLS[3][1] + 40)
    second = window.labels("film T2 objects")
    assert iou(second.data > 0, np.roll(ball(3), 40, axis=1)) > 0.8

    window.viewer.dims.set_current_step(0, 1)  # nothing is done there
    window.until(lambda: window.annotator.book is not None and window.annotator.image.name == "film T1")
    window.viewer.dims.set_current_step(0, 0)
    window.until(lambda: window.annotator.book is not None and window.annotator.image.name == "film T0")
    window.until(lambda: first.visible)

    assert (first.visible, second.visible) == (True, False)
    assert window.stage.objects == first
    assert sorted(window.annotator.objects) == [1]
    assert not any(layer.name == "film T1 objects" for layer in window.viewer.layers)
    assert "slice that is shown" in window.panel.export.scope.text()


def test_a_click_right_after_the_slider_is_for_the_slice_it_was_made_on(open_window, tmp_path):
    window = open_window(stack_layer(tmp_path))

    window.viewer.dims.set_current_step(0, 3)
    window.click(60, 70)
    window.until(lambda: window.annotator.is_answered)

    assert window.annotator.image.name == "film T3"
    ((y, x),) = window.annotator.prompt.points
    assert abs(y - 60) < 1
    assert abs(x - 70) < 1


def test_a_large_image_is_worked_on_where_one_clicks(small_is_large, open_window, tmp_path):
    window = open_window(layer_data(large_image()))
    layer = window.images.layer
    assert layer.multiscale
    assert window.annotator.image is None
    assert window.panel.image.taken.large.isVisible()
    height, width = SHAPE

    window.accept(height + BALLS[3][0], width + BALLS[3][1])
    first, origin = window.stage.objects, window.annotator.image.origin
    assert origin == (128, 128)
    assert window.annotator.image.shape == (160, 160)
    frame = window.labels("proposed mask")
    assert frame.bounding_box.visible
    np.testing.assert_allclose(frame.translate, origin)
    expected = np.tile(ball(3), (TILES, TILES))[128:288, 128:288]
    own = np.zeros_like(expected)
    own[: 2 * height - 128, 160 - 128 : 2 * width - 128] = True
    assert iou(first.data > 0, expected & own) > 0.7

    window.click(4 * height + BALLS[1][0], 3 * width + BALLS[1][1])
    window.until(lambda: window.annotator.is_answered)
    assert window.annotator.image.origin != origin
    assert window.stage.objects != first
    assert first.visible
    window.controller.accept()
    second = window.stage.objects
    assert np.any(second.data)
    np.testing.assert_allclose(second.translate, window.annotator.image.origin)
    assert "region in the frame" in window.panel.export.scope.text()

    window.click(height + BALLS[3][0] + 3, width + BALLS[3][1])
    window.until(lambda: window.annotator.image is not None and window.annotator.image.origin == origin)
    window.until(lambda: window.annotator.is_answered)
    assert window.stage.objects == first
    assert sorted(window.annotator.objects) == [1]

    window.annotator.rank_images()
    window.until(lambda: len(window.annotator.ranking) == 2)
    here = window.annotator.image.identity
    other = next(each for each in window.annotator.ranking if each.identity != here)
    assert other.name.startswith("field from ")
    for identity in (other.identity, here):
        window.controller.advice.go_to_image(identity)
        window.until(
            lambda identity=identity: (
                window.annotator.image is not None and window.annotator.image.identity == identity
            )
        )


def test_a_large_image_is_browsed_without_painting_it_whole(small_is_large, open_window):
    data = da.tile(da.from_array(pixels(3)), (1, 30, 30))
    window = open_window(layer_data(MultiChannelImage(data, name="field")))
    made = painting_of(window.images.layer)
    window.until(lambda: bool(made.shown_on))

    window.viewer.scene.camera.center = (0, 100, 100)
    window.viewer.scene.camera.zoom = 12
    window.until(lambda: any(key[1] == 0 for key in made.painted))
    window.qtbot.wait(200)

    finest = {key for key in made.painted if key[1] == 0}
    assert len(finest) < 60 * 75 / 4


def test_a_click_beside_a_large_image_opens_nothing(small_is_large, open_window):
    window = open_window(layer_data(large_image()))

    window.click(-8, 40)

    assert window.annotator.image is None
    assert "outside of the image" in window.panel.footer.message.text()


def test_a_large_layer_deleted_while_its_region_is_read(small_is_large, open_window):
    window = open_window(layer_data(large_image()))

    window.click(100, 100)
    window.viewer.layers.remove(window.images.layer)
    window.qtbot.wait(300)

    assert window.images.image is None
    assert window.annotator.image is None
