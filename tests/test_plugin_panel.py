"""The real window, driven by real mouse and key events on the canvas; needs a display, Xvfb will do."""

from __future__ import annotations

import os
import sys
import threading
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pytest
from balls import BALLS, ball, balls, iou, pixels

pytest.importorskip("napari")
if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("needs a display", allow_module_level=True)

from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton, QScrollArea, QWidget
from superqt import QCollapsible

from napari_simmat.annotator import Version
from napari_simmat.images import open_labels
from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.inference.sight import OneSight
from napari_simmat.journal import Journal
from napari_simmat.plugin.pictures import add_layer, layer_data
from napari_simmat.plugin.sections.model_section import _describe
from napari_simmat.plugin.window import dock_panel

NO, SHIFT, CTRL = Qt.NoModifier, Qt.ShiftModifier, Qt.ControlModifier
PATIENCE_MS = 120_000


class Window:
    """A napari window as a user has it in front of them."""

    def __init__(self, viewer, panel, qtbot):
        self.viewer, self.panel, self.qtbot = viewer, panel, qtbot
        self.controller = panel.controller
        self.annotator = panel.controller.annotator
        window = panel.window()
        self.canvas = next(
            w for w in window.findChildren(QWidget) if type(w).__name__ == "CanvasBackendDesktop"
        )

    def until(self, condition):
        self.qtbot.waitUntil(condition, timeout=PATIENCE_MS)

    def ready(self):
        """Wait until the image is encoded, and show all of it."""
        self.until(lambda: self.annotator.segmenter is not None and not self.annotator.is_busy)
        self.qtbot.wait(100)
        self.viewer.reset_view()

    def place(self, row, column):
        """Where a pixel of the image is on the canvas."""
        world = self.controller.stage.image_layer.data_to_world((row, column))[-2:]
        camera = self.viewer.scene.camera
        offset = (np.asarray(world) - np.asarray(camera.center[-2:])) * camera.zoom
        size = self.canvas.size()
        return QPoint(round(size.width() / 2 + offset[1]), round(size.height() / 2 + offset[0]))

    def click(self, row, column, *, button=Qt.LeftButton, modifier=NO):
        QTest.mouseClick(self.canvas, button, modifier, self.place(row, column))

    def segment(self, row, column, **how):
        self.click(row, column, **how)
        self.until(lambda: self.annotator.is_answered)

    def drag(self, start, end):
        QTest.mousePress(self.canvas, Qt.LeftButton, NO, self.place(*start))
        for t in (0.3, 0.6, 1.0):
            between = [a + t * (b - a) for a, b in zip(start, end, strict=True)]
            QTest.mouseMove(self.canvas, self.place(*between))
            self.qtbot.wait(20)
        QTest.mouseRelease(self.canvas, Qt.LeftButton, NO, self.place(*end))

    def key(self, key, modifier=NO):
        QTest.keyClick(self.canvas, key, modifier)

    def accept(self, *numbers):
        for number in numbers:
            self.segment(*BALLS[number][:2])
            self.key(Qt.Key_C)

    @property
    def layer(self):
        return self.controller.stage.objects

    @property
    def said(self):
        return self.panel.footer.message.text()


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


@pytest.fixture
def open_panel(make_napari_viewer_proxy, qtbot, journal):
    panels = []

    def open_it(*layers):
        viewer = make_napari_viewer_proxy(show=True)
        for layer in layers:
            add_layer(viewer, layer)
        panel = dock_panel(viewer, journal=journal)
        panels.append(panel)
        panel.controller.annotator.auto_quick = False
        return Window(viewer, panel, qtbot)

    yield open_it
    for panel in panels:
        panel.controller.close()
        for worker in panel.controller.executor.workers:
            qtbot.waitUntil(lambda worker=worker: not worker.is_alive, timeout=PATIENCE_MS)


@pytest.fixture
def window(open_panel):
    opened = open_panel(layer_data(balls()))
    opened.ready()
    return opened


@pytest.mark.full_size
def test_the_whole_job_with_mouse_and_keys(window, tmp_path, monkeypatch):
    window.segment(*BALLS[1][:2])
    assert iou(window.annotator.answer.mask, ball(1)) > 0.8

    window.segment(60, 80, button=Qt.RightButton)
    assert window.annotator.prompt.labels == (1, 0)

    window.key(Qt.Key_C)
    window.accept(2)
    assert iou(window.layer.data == 1, ball(1)) > 0.8
    assert iou(window.layer.data == 2, ball(2)) > 0.8

    window.panel.train.settings.steps.value = 1
    QTest.mouseClick(window.panel.train.quick, Qt.LeftButton)
    window.until(lambda: len(window.annotator.reports) == 1)
    assert window.panel.train.curve.losses == pytest.approx(window.annotator.reports[0].losses)
    assert window.annotator.reports[0].reason in window.panel.train.verdict.text()
    window.ready()

    trained = window.annotator.reports[0].kept
    for _ in range(1 + trained):  # the training, if it helped, and the object
        window.key(Qt.Key_Z, CTRL)
    assert not (window.layer.data == 2).any()
    assert sorted(window.annotator.objects) == [1]
    assert len(window.annotator.prompt.points) == 1  # as it was before the object was accepted
    for _ in range(1 + trained):
        window.key(Qt.Key_Z, CTRL | SHIFT)
    assert sorted(window.annotator.objects) == [1, 2]
    window.ready()

    window.controller.export(tmp_path / "labels.tif", "tiff")
    np.testing.assert_array_equal(open_labels(tmp_path / "labels.tif"), window.layer.data)


def test_clicks_land_on_the_pixel_under_the_mouse(window):
    window.click(92, 40)

    row, column = window.annotator.prompt.points[0]
    assert abs(row - 92) < 1
    assert abs(column - 40) < 1


def test_clicks_land_there_too_in_a_scaled_and_moved_image(open_panel):
    data, options, kind = layer_data(balls())
    window = open_panel(
        (data, {**options, "scale": (0.25, 0.5), "translate": (100, -20), "rotate": 30}, kind)
    )
    window.ready()

    window.segment(92, 40)

    row, column = window.annotator.prompt.points[0]
    assert abs(row - 92) < 1
    assert abs(column - 40) < 1
    for made in ("objects", "proposed mask", "clicks"):
        layer = next(layer for layer in window.viewer.layers if made in layer.name)
        np.testing.assert_allclose(
            layer.data_to_world((92, 40)), window.controller.stage.image_layer.data_to_world((92, 40))
        )


def test_dragging_in_box_mode_makes_a_box_and_leaves_the_view(window):
    QTest.mouseClick(window.panel.prompt.modes["box"], Qt.LeftButton)
    centre = window.viewer.scene.camera.center

    window.drag((72, 20), (112, 60))
    window.until(lambda: window.annotator.is_answered)

    assert window.annotator.prompt.box == pytest.approx((72, 20, 112, 60), abs=1)
    assert iou(window.annotator.answer.mask, ball(3)) > 0.8
    window.qtbot.wait(100)
    assert window.viewer.scene.camera.center == centre


def test_dragging_in_point_mode_moves_the_view_and_asks_nothing(window):
    centre = window.viewer.scene.camera.center

    window.drag((72, 20), (112, 60))

    window.until(lambda: window.viewer.scene.camera.center != centre)

    assert window.annotator.prompt.is_empty


def test_nothing_in_the_panel_is_cut_off(window):
    window.panel.window().resize(1280, 800)
    window.segment(*BALLS[1][:2])
    window.key(Qt.Key_C)
    window.segment(*BALLS[2][:2])
    window.qtbot.wait(100)

    right = window.panel.mapToGlobal(QPoint(window.panel.width(), 0)).x()
    shown = [widget for widget in window.panel.findChildren(QWidget) if widget.isVisible()]
    assert len(shown) > 40
    for widget in shown:
        assert widget.mapToGlobal(QPoint(widget.width(), 0)).x() <= right, widget
    for button in window.panel.findChildren(QPushButton):
        if button.isVisible():
            assert button.fontMetrics().horizontalAdvance(button.text()) <= button.width(), button.text()

    for fold in window.panel.findChildren(QCollapsible):
        fold.expand(animate=False)
    window.qtbot.wait(100)
    area = window.panel.findChild(QScrollArea)
    assert area.verticalScrollBar().isVisible()  # which takes some of the width
    assert area.horizontalScrollBar().maximum() == 0


def test_keys_do_what_the_buttons_say(window):
    assert window.controller.sign == 1
    window.key(Qt.Key_T)
    assert window.controller.sign == 0
    assert window.panel.prompt.signs[0].isChecked()
    window.key(Qt.Key_T)

    window.segment(*BALLS[1][:2])
    shown = window.annotator.answer.shown
    window.key(Qt.Key_Tab)
    window.key(Qt.Key_Period)
    assert window.annotator.answer.shown == (shown + 2) % 3
    assert window.panel.candidates.buttons[window.annotator.answer.shown].isChecked()

    window.segment(40, 40)
    window.key(Qt.Key_Z, CTRL)
    assert len(window.annotator.prompt.points) == 1
    window.key(Qt.Key_R)
    assert window.annotator.prompt.is_empty
    window.segment(*BALLS[1][:2])
    window.key(Qt.Key_C, SHIFT)
    assert window.annotator.prompt.is_empty
    window.segment(*BALLS[1][:2])
    window.key(Qt.Key_A)
    assert sorted(window.annotator.objects) == [1]


def test_keys_and_clicks_work_whichever_layer_is_selected(window):
    for n, selected in enumerate(("image", "objects", "mask", "clicks", "none")):
        window.segment(*BALLS[n % 2 + 1][:2])
        by_name = {
            name: layer
            for layer in window.viewer.layers
            for name in ("objects", "mask", "clicks")
            if name in layer.name
        }
        by_name["image"] = window.controller.stage.image_layer
        window.viewer.layers.selection.active = by_name.get(selected)
        if selected == "none":
            window.viewer.layers.selection.clear()

        window.key(Qt.Key_A if n % 2 else Qt.Key_C)
        assert len(window.annotator.objects) == 1, selected
        window.controller.erase(next(iter(window.annotator.objects)))


def test_with_a_brush_in_hand_mouse_and_keys_are_naparis(window):
    window.accept(1)
    window.viewer.layers.selection.active = window.layer
    window.layer.mode = "paint"
    window.layer.selected_label = 1
    before = window.annotator.objects[1].area

    window.click(60, 80)
    window.until(lambda: window.annotator.objects[1].area > before)

    assert window.annotator.prompt.is_empty
    assert window.annotator.objects[1].source == "brush"
    window.key(Qt.Key_Z, CTRL)
    window.until(lambda: window.annotator.objects[1].area == before)
    assert window.annotator.objects[1].source == "clicks"


def test_off_leaves_mouse_and_keys_to_napari(window):
    QTest.mouseClick(window.panel.prompt.modes["off"], Qt.LeftButton)

    window.click(*BALLS[1][:2])
    window.key(Qt.Key_T)

    assert window.annotator.prompt.is_empty
    assert window.controller.sign == 1


def test_delete_erases_the_object_under_the_mouse(window):
    window.accept(1, 2)
    QTest.mouseMove(window.canvas, window.place(*BALLS[1][:2]))
    window.qtbot.wait(50)

    window.key(Qt.Key_Delete)

    assert sorted(window.annotator.objects) == [2]


def test_a_click_beside_the_image_says_so(window):
    window.click(-6, 60)

    assert "outside of the image" in window.said
    assert window.annotator.prompt.is_empty


@pytest.mark.full_size
def test_clicks_of_the_window_give_the_same_masks_from_python(window, journal):
    window.segment(*BALLS[1][:2])
    window.segment(40, 40)
    window.key(Qt.Key_Tab)
    window.segment(60, 70, modifier=SHIFT)
    window.key(Qt.Key_C)

    image = window.annotator.image
    (record,) = journal.read(image).states
    prompt = Prompt.from_dict(record.prompt)
    assert prompt.labels == (1, 1, 0)
    np.testing.assert_array_equal(Segmenter(image).answer(prompt).mask(), record.mask(image.shape))
    np.testing.assert_array_equal(window.layer.data > 0, record.mask(image.shape))


def test_a_deleted_layer_comes_back_when_it_is_needed(window):
    window.accept(1)
    for layer in ("objects", "mask", "clicks"):
        window.controller.reject()
        window.segment(*BALLS[2][:2])
        window.viewer.layers.remove(next(each for each in window.viewer.layers if layer in each.name))
        window.segment(40, 115)
        for name in ("mask", "clicks"):
            window.until(lambda name=name: any(name in each.name for each in window.viewer.layers))
    window.key(Qt.Key_C)
    window.segment(*BALLS[3][:2])

    assert sorted(window.annotator.objects) == [1, 2]
    np.testing.assert_array_equal(np.unique(window.layer.data), [0, 1, 2])
    names = " ".join(each.name for each in window.viewer.layers)
    assert all(each in names for each in ("objects", "mask", "clicks"))


def test_what_is_painted_after_coming_back_to_an_untouched_image_counts(window):
    first = window.controller.images.layer
    window.until(lambda: window.layer is not None)
    second = add_layer(window.viewer, layer_data(balls(seed=1, name="others")))
    for layer, name in ((second, "others"), (first, "balls")):
        window.controller.images.choose(layer)
        window.until(lambda name=name: window.annotator.image.name == name)
        window.ready()
    window.until(lambda: window.annotator.book.target is window.layer)
    window.layer.data_setitem((np.array([5, 5]), np.array([5, 6])), 1)
    window.until(lambda: sorted(window.annotator.objects) == [1])


def test_the_proposed_mask_lies_above_the_objects(window):
    window.until(lambda: window.layer is not None and window.controller.stage.has_clicks)
    names = [each.name for each in window.viewer.layers]
    assert names.index("proposed mask") > names.index(window.layer.name)
    assert names[-1] == "clicks"


def test_renamed_and_hidden_layers_are_still_the_same(window):
    window.accept(1)
    for i, layer in enumerate(list(window.viewer.layers)):
        layer.name = f"layer {i}"
        layer.visible = False

    window.accept(2)

    assert sorted(np.unique(window.layer.data)) == [0, 1, 2]
    assert len(window.viewer.layers) == 4


def test_a_deleted_image_loses_no_object(window, journal):
    window.accept(1)
    image = window.annotator.image

    window.viewer.layers.remove(window.controller.stage.image_layer)
    window.qtbot.wait(50)

    assert window.annotator.image is None
    assert len(journal.read(image).states) == 1
    add_layer(window.viewer, layer_data(balls()))
    window.until(lambda: window.annotator.image is not None)
    window.ready()
    assert sorted(window.annotator.objects) == [1]


def test_everything_may_be_deleted_at_once(window):
    window.accept(1)
    window.segment(*BALLS[2][:2])

    window.viewer.layers.clear()
    window.qtbot.wait(50)

    assert window.annotator.image is None
    assert len(window.viewer.layers) == 0


def test_each_image_keeps_its_objects_when_the_image_is_switched(window):
    window.accept(1)
    first = window.controller.stage.image_layer
    second = add_layer(window.viewer, layer_data(balls(seed=1, name="others")))
    window.controller.images.choose(second)
    window.until(lambda: window.annotator.image.name == "others")
    window.ready()
    window.accept(2)
    window.accept(3)
    assert len(window.annotator.objects) == 2

    window.controller.images.choose(first)
    window.until(lambda: window.annotator.image.name == "balls")
    window.ready()

    assert len(window.annotator.objects) == 1
    assert sorted(np.unique(window.layer.data)) == [0, 1]


def test_a_training_is_cancelled_within_a_step(window):
    window.accept(1, 2)
    window.panel.train.settings.steps.value = 500
    QTest.mouseClick(window.panel.train.deep, Qt.LeftButton)
    window.until(lambda: len(window.panel.train.curve.losses) >= 1)
    assert window.panel.footer.cancel.isVisible()
    seen = []
    window.annotator.training_step.connect(lambda *step: seen.append(step))

    window.key(Qt.Key_Escape)
    window.until(lambda: window.annotator.training is None)

    assert not seen
    assert "ancelled" in window.panel.train.verdict.text()
    assert [v.name for v in window.annotator.versions.all] == ["untrained"]
    assert sorted(window.annotator.objects) == [1, 2]


def test_clicks_are_answered_while_it_learns(window):
    window.accept(1, 2)
    window.panel.train.settings.steps.value = 500
    QTest.mouseClick(window.panel.train.deep, Qt.LeftButton)
    window.until(lambda: len(window.panel.train.curve.losses) >= 1)

    window.segment(*BALLS[3][:2])
    window.key(Qt.Key_C)

    assert sorted(window.annotator.objects) == [1, 2, 3]
    assert window.annotator.training is not None
    window.annotator.cancel_training()
    window.until(lambda: window.annotator.training is None)


@pytest.mark.full_size
def test_the_event_loop_runs_on_while_the_image_is_encoded(open_panel):
    window = open_panel()
    beats, threads = [], []
    beat = QTimer()
    beat.timeout.connect(lambda: beats.append(window.annotator.is_encoding))
    beat.start(5)
    encode = OneSight._encode

    def watched(self):
        threads.append(threading.current_thread())
        return encode(self)

    OneSight._encode = watched
    try:
        add_layer(window.viewer, layer_data(balls(seed=7)))
        window.until(lambda: window.annotator.image is not None)
        window.ready()
    finally:
        OneSight._encode = encode
        beat.stop()

    assert [thread.name for thread in threads] == ["simmat-encodes"] * 2  # a draft, and all of it
    assert any(beats)


def test_the_window_may_be_closed_in_the_middle_of_a_training(window, journal):
    window.accept(1, 2)
    image = window.annotator.image
    window.panel.train.settings.steps.value = 500
    QTest.mouseClick(window.panel.train.deep, Qt.LeftButton)
    window.until(lambda: len(window.panel.train.curve.losses) >= 1)
    workers = window.controller.executor.workers

    window.viewer.close()
    window.qtbot.waitUntil(lambda: not any(w.is_alive for w in workers), timeout=PATIENCE_MS)

    assert [state.label for state in journal.read(image).states] == [1, 2]


def test_a_panel_that_is_taken_out_gives_mouse_and_keys_back(window):
    window.accept(1)
    workers = window.controller.executor.workers

    window.viewer.window.remove_dock_widget(window.panel)
    window.until(lambda: not any(worker.is_alive for worker in workers))

    camera = window.viewer.scene.camera
    QTest.mouseClick(window.canvas, Qt.LeftButton, NO, QPoint(100, 100))
    window.key(Qt.Key_C)
    assert window.annotator.prompt.is_empty
    assert [layer.name for layer in window.viewer.layers] == ["balls", "balls objects"]
    zoom = camera.zoom
    QTest.mouseDClick(window.canvas, Qt.LeftButton, NO, QPoint(100, 100))
    assert camera.zoom > zoom


def test_objects_of_an_earlier_session_come_back(open_panel, journal):
    first = open_panel(layer_data(balls()))
    first.ready()
    first.accept(1)
    labels = first.layer.data.copy()
    first.viewer.close()

    second = open_panel(layer_data(balls()))
    second.until(lambda: second.panel.resume.isVisible())
    assert (
        "1 object, 2 steps to undo, model 'untrained', last change today" in second.panel.resume.text.text()
    )
    assert second.annotator.book is None
    QTest.mouseClick(second.panel.resume.resume, Qt.LeftButton)
    second.ready()

    np.testing.assert_array_equal(second.layer.data, labels)
    assert "1 object of earlier sessions came back" in second.said
    assert not second.panel.resume.isVisible()
    plot = second.panel.browser.plot
    second.until(lambda: len(plot.objects) == 1)
    assert plot.objects[0].colour == pytest.approx(tuple(second.layer.get_color(1)[:3]))


def test_a_stack_of_channels_in_napari_asks_for_the_channel_axis(open_panel):
    window = open_panel()
    window.viewer.add_image(pixels(5), name="stack")
    window.until(lambda: window.panel.image.question.isVisible())
    answers = window.panel.image.question.findChildren(type(window.panel.export.export))

    QTest.mouseClick(next(b for b in answers if b.text() == "first (5)"), Qt.LeftButton)
    window.until(lambda: window.annotator.image is not None)
    window.ready()

    assert not window.panel.image.question.isVisible()
    assert window.annotator.image.n_channels == 5
    window.accept(1)
    assert iou(window.layer.data == 1, ball(1)) > 0.8


def test_channels_on_the_last_axis_become_a_picture(open_panel):
    window = open_panel()
    window.viewer.add_image(np.moveaxis(pixels(5), 0, -1), name="stack", rgb=False)
    window.until(lambda: window.panel.image.question.isVisible())

    window.controller.images.answer(2)
    window.until(lambda: window.annotator.image is not None)
    window.ready()

    assert window.annotator.image.n_channels == 5
    window.accept(2)
    assert iou(window.layer.data == 1, ball(2)) > 0.8


def test_what_is_shown_does_not_change_what_the_model_sees(window):
    fingerprint = window.annotator.segmenter.adapter.fingerprint
    before = window.controller.stage.image_layer.data.copy()
    channel = next(p for p in window.controller.images.pictures if p.text == "channel 2")

    window.controller.images.show_picture(channel)
    window.until(lambda: not np.array_equal(window.controller.stage.image_layer.data, before))

    assert window.annotator.segmenter.adapter.fingerprint == fingerprint
    assert len([layer for layer in window.viewer.layers if layer.name.startswith("balls")]) == 2


def test_an_adapter_for_other_channels_is_refused_in_the_panel(window, tmp_path):
    Segmenter(balls(n_channels=5)).adapter.save(tmp_path / "five.safetensors")

    window.controller.load_adapter(tmp_path / "five.safetensors")

    assert "5 channels" in window.said
    assert "4 channels" in window.said


def test_a_version_tells_what_the_training_was_worth_that_made_it():
    def version(*runs, parent=None):
        adapter = SimpleNamespace(card=SimpleNamespace(history=runs))
        return Version(adapter, "quick 1", None, parent, datetime.now())

    kept = SimpleNamespace(held_out_before=0.5, held_out_after=0.7, kept=True)
    rejected = SimpleNamespace(held_out_before=0.7, held_out_after=0.6, kept=False)
    unjudged = SimpleNamespace(held_out_before=None, held_out_after=None, kept=True)
    trained = version(kept, parent=version())
    assert _describe(trained) == "quick 1 (IoU 0.50 → 0.70)"
    assert _describe(version(kept)) == "quick 1 (IoU 0.50 → 0.70)"  # from a file
    for plain in (
        version(),
        version(kept, parent=trained),  # it was given names, or classes
        version(kept, rejected, parent=trained),
        version(kept, unjudged, parent=trained),
    ):
        assert _describe(plain) == "quick 1"
