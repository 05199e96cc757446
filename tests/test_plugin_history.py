"""The history in the window: undo of everything, after a restart too; what a second window and a full disk look like."""

from __future__ import annotations

import contextlib
import sqlite3

import numpy as np
import pytest
import tifffile
from balls import BALLS, balls, pixels
from gestures import KINDS, gesture, paint, state, two_groups
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from test_plugin_panel import CTRL, SHIFT, journal, open_panel  # noqa: F401

from napari_simmat.errors import SimmatError
from napari_simmat.images import open_image
from napari_simmat.journal import Journal
from napari_simmat.journal.store import Store
from napari_simmat.plugin.pictures import layer_data
from napari_simmat.plugin.window import dock_panel

USUAL = ("click", "click", "box", "accept", "accept", "reject", "brush", "brush", "erase", "merge")
"""What people do most is done most."""


@pytest.fixture
def window(open_panel):  # noqa: F811
    opened = open_panel(layer_data(balls()))
    opened.ready()
    return opened


def settled(window):
    """The state once the labels are looked at, clicks are answered and the model has learnt."""
    annotator = window.annotator
    window.until(lambda: not window.controller._sync.isActive())
    window.ready()
    window.until(lambda: annotator.training is None and (annotator.is_answered or annotator.prompt.is_empty))
    return state(annotator)


def act(window, kind, rng):
    """Do a gesture in the window, until all that comes of it is there."""
    with contextlib.suppress(SimmatError):
        if kind == "brush":
            window.controller._show_objects()
            paint(window.annotator, rng)  # into napari's layer, which tells of it by itself
        else:
            gesture(window.annotator, kind, rng)
    return settled(window)


def go_back_and_forth(window, kinds, rng):
    """Do gestures; undo and redo go through the same states again, which are returned with the steps between them."""
    annotator, states = window.annotator, [settled(window)]
    for kind in kinds:
        depth = len(annotator.history[0])
        present = act(window, str(kind), rng)
        if len(annotator.history[0]) > depth:
            states.append(present)
    steps = [step.kind for step in annotator.history[0]]
    for wanted in reversed(states[:-1]):
        window.key(Qt.Key_Z, CTRL)
        assert settled(window) == wanted
        np.testing.assert_array_equal(window.layer.data, annotator.labels)
    for wanted in states[1:]:
        window.key(Qt.Key_Z, CTRL | SHIFT)
        assert settled(window) == wanted
    return states, steps


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_undo_goes_back_through_everything_that_was_done_in_the_window(window, seed):
    rng = np.random.default_rng(seed)
    states, _ = go_back_and_forth(window, rng.choice([*USUAL, *KINDS], 16), rng)
    assert len(states) > 5


def test_so_it_does_through_trainings_and_versions_in_the_window(window):
    rng = np.random.default_rng(0)
    kinds = ("click", "accept", "train", "click", "candidate", "accept", "train", "version", "box", "version")
    _, steps = go_back_and_forth(window, (*kinds, "set aside", "click"), rng)
    assert {"train", "adapter", "candidate"} <= set(steps)


def test_so_it_does_where_experts_look_at_groups_of_channels(open_panel):  # noqa: F811
    window, rng = open_panel(layer_data(two_groups())), np.random.default_rng(0)
    window.ready()
    kinds = ("click", "experts", "accept", "leave out", "click", "leave out", "brush", "leave out", "accept")
    states, _ = go_back_and_forth(window, (*kinds, "leave out", "version", "leave out"), rng)
    assert len({what_is_looked_at for *_, what_is_looked_at in states}) > 2


def test_naparis_own_undo_is_a_gesture_like_any_other(window):
    window.accept(1)
    before = window.annotator.labels.copy()
    window.accept(2)
    window.layer.undo()  # as from napari's menu
    window.until(lambda: sorted(window.annotator.objects) == [1])
    assert window.annotator.history[0][-1].what == "edit"
    np.testing.assert_array_equal(window.annotator.labels, before)
    window.controller.undo()
    assert sorted(window.annotator.objects) == [1, 2]
    window.controller.redo()
    np.testing.assert_array_equal(window.layer.data, before)


def test_a_stroke_of_the_brush_is_one_step_and_written_when_it_ends(window):
    window.accept(1)
    layer = window.layer
    depth = len(window.annotator.history[0])
    with layer.block_history():  # as napari does while the mouse is down
        for column in range(10, 40, 5):
            layer.data_setitem((np.arange(100, 110), np.full(10, column)), 5)
            window.qtbot.wait(60)
            assert len(window.annotator.history[0]) == depth
    window.until(lambda: 5 in window.annotator.objects)
    assert len(window.annotator.history[0]) == depth + 1


def test_the_list_shows_what_was_done_and_goes_back_and_forth(window):
    section = window.panel.history
    section.fold.expand(animate=False)
    window.accept(1, 2)
    rows = [section.steps.data(section.steps.index(row)) for row in range(section.steps.rowCount())]
    assert rows == ["object 2 accepted", "click 1", "object 1 accepted", "click 1", "as it was opened first"]
    section.go_to(2)
    window.until(lambda: section.steps.current == 2)
    assert sorted(window.annotator.objects) == [1]
    assert section.steps.data(section.steps.index(0)) == "undone: object 2 accepted"
    assert section.steps.current == 2
    section.go_to(0)
    window.until(lambda: section.steps.current == 0)
    assert sorted(window.annotator.objects) == [1, 2]
    section.go_to(4)
    window.until(lambda: section.steps.current == 4)
    assert not window.annotator.objects
    assert not section.undo.isEnabled()
    assert section.redo.isEnabled()


def test_objects_are_merged_with_a_key(window):
    window.accept(1, 2)
    window.panel.accept.objects.setCurrentIndex(0)
    row, column, _ = BALLS[2]
    window.hover(row, column) if hasattr(window, "hover") else setattr(
        window.viewer.cursor, "position", (row, column)
    )
    window.key(Qt.Key_J)
    assert sorted(window.annotator.objects) == [1]
    assert "Object 2 is part of object 1 now." in window.said


def test_work_that_is_found_can_be_set_aside_and_brought_back(open_panel):  # noqa: F811
    first = open_panel(layer_data(balls()))
    first.ready()
    first.accept(1, 2)
    first.segment(*BALLS[3][:2])
    first.viewer.close()
    second = open_panel(layer_data(balls()))
    second.until(lambda: second.panel.resume.isVisible())
    assert "2 objects, 1 click on the next one" in second.panel.resume.text.text()
    QTest.mouseClick(second.panel.resume.empty, Qt.LeftButton)
    second.ready()
    assert not second.annotator.objects
    second.key(Qt.Key_Z, CTRL)
    assert sorted(second.annotator.objects) == [1, 2]


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    path = tmp_path / "balls.tif"
    tifffile.imwrite(path, pixels(3), photometric="minisblack")
    return path


@pytest.fixture
def open_file_in(make_napari_viewer_proxy, qtbot, scene):
    """Open the scene in a window of its own, with a journal as users have it."""
    from test_plugin_panel import Window

    def open_one():
        viewer = make_napari_viewer_proxy(show=True)
        panel = dock_panel(viewer, journal=Journal())
        viewer.add_layer(_layer(scene))
        window = Window(viewer, panel, qtbot)
        window.ready()
        return window

    return open_one


def _layer(path):
    from napari.layers import Image

    data, options, _ = layer_data(open_image(path, channel_axis=0))
    return Image(data, **options)


def test_the_panel_says_where_work_is_kept_and_a_second_window_only_shows_it(open_file_in, scene):
    first = open_file_in()
    first.accept(1)
    assert first.panel.history.place.text() == f"{scene}.simmat"
    second = open_file_in()
    assert "is open in another window, so this one only shows it" in second.said
    assert not second.panel.resume.isVisible()
    assert sorted(second.annotator.objects) == [1]
    assert second.panel.history.note.isVisible()
    assert not first.panel.history.note.isVisible()
    assert not second.layer.editable
    second.segment(*BALLS[2][:2])
    second.key(Qt.Key_C)
    assert "open in another window" in second.said
    assert sorted(second.annotator.objects) == [1]


def test_a_full_disk_is_told_loudly_until_everything_is_written(open_file_in, monkeypatch):
    window = open_file_in()
    window.accept(1)
    append = Store.append

    def full(self, *arguments):
        if not str(self.path.parent).endswith(".simmat"):
            return append(self, *arguments)
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", full)
        window.accept(2)
        banner = window.panel.trouble
        assert banner.isVisible()
        assert "the disk is full" in banner.text.text()
        assert sorted(window.annotator.objects) == [1, 2]
        banner.again.click()
        assert banner.isVisible()
    banner.again.click()
    assert not banner.isVisible()


def test_a_file_that_changed_offers_its_former_objects(open_file_in, scene):
    first = open_file_in()
    first.accept(1, 2)
    first.viewer.close()
    tifffile.imwrite(scene, pixels(3, seed=8), photometric="minisblack")
    second = open_file_in()
    bar = second.panel.resume
    assert bar.isVisible()
    assert "This file has changed: 2 objects were made" in bar.text.text()
    assert not second.annotator.objects
    bar.bring.click()
    second.until(lambda: bool(second.annotator.objects))
    assert sorted(second.annotator.objects) == [1, 2]
    assert not bar.isVisible()
