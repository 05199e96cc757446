"""What to click next in the real window: ghosts, the keys for them, and uncertain objects."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

pytest.importorskip("napari")

from balls import BALLS, ball, balls, pixels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QCheckBox, QPushButton
from test_plugin_panel import journal, open_panel  # noqa: F401

from napari_simmat.errors import ImageError
from napari_simmat.plugin.pictures import add_layer, layer_data, read_layer
from napari_simmat.plugin.taken import Taken
from napari_simmat.training import classes as class_learning
from napari_simmat.training import proposals as learning


def to_rgba(colour):
    return (*(int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)), 1.0)


@pytest.fixture
def window(open_panel, monkeypatch):  # noqa: F811
    monkeypatch.setattr(learning, "STEPS", 15)
    opened = open_panel(layer_data(balls(n_channels=2)))
    opened.ready()
    return opened


def press(window, button):
    QTest.mouseClick(button, Qt.LeftButton)
    window.until(lambda: not window.annotator.is_busy)


def balls_of(proposals):
    return [next((n for n in BALLS if ball(n)[tuple(round(v) for v in p.point)]), 0) for p in proposals]


def test_proposals_are_shown_accepted_rejected_and_taken_back(window):
    section, advice = window.panel.next, window.controller.advice
    assert not section.proposals.isVisible()
    window.accept(1, 3)
    press(window, section.propose)

    assert {2, 4} <= set(balls_of(window.annotator.proposals[:3]))
    assert section.proposals.isVisible()
    advice.set_threshold(min(p.score for p in window.annotator.proposals[:2]))
    assert sorted(balls_of(advice.shown)) == [2, 4]
    assert section.accept_all.text() == "Accept all 2"
    ghosts = advice.ghosts.outlines
    assert {1, 3} <= set(np.unique(ghosts.data)) or {1, 2} <= set(np.unique(ghosts.data))
    first, second = advice.shown
    assert ghosts.data[tuple(round(v) for v in first.point)] == 1

    # The key means what is under the mouse, here no proposal: then the chosen one.
    window.viewer.cursor.position = (1, 1)
    window.key(Qt.Key_Y)
    window.until(lambda: len(window.annotator.objects) == 3)
    assert window.layer.data[tuple(round(v) for v in first.point)] == 3
    assert advice.chosen is second
    assert not ghosts.data[tuple(round(v) for v in first.point)]
    y, x = second.point
    window.viewer.cursor.position = (round(y), round(x))
    window.key(Qt.Key_N)
    assert advice.shown == []
    assert window.said == "Rejected; 0 left. Undo brings it back."
    assert not ghosts.data.any()
    assert not section.accept.isEnabled()

    window.controller.undo()
    assert window.said == "Undone: 1 proposal rejected."
    assert advice.shown == [second]
    press(window, section.accept_all)
    assert len(window.annotator.objects) == 4
    window.controller.undo()
    window.controller.undo()
    assert len(advice.shown) == 2
    press(window, section.drop)
    assert not section.proposals.isVisible()
    assert not ghosts.data.any()


def test_everything_uncertain_objects_and_a_complete_image(window):
    section, advice = window.panel.next, window.controller.advice
    window.accept(1, 2)
    press(window, section.review)
    assert section.doubts.count() == 2
    assert advice.ghosts.doubt in window.viewer.layers
    label = section.doubts.itemData(1)
    section.doubts.activated.emit(1)
    assert window.layer.selected_label == label
    centre = window.viewer.scene.camera.center[-2:]
    assert np.hypot(*np.subtract(centre, BALLS[label][:2])) < 5
    window.controller.erase(2)
    assert not section.doubts.isVisible()
    assert advice.ghosts.doubt is None

    section.complete.click()
    assert window.annotator.is_complete
    window.controller.undo()
    assert not section.complete.isChecked()

    window.annotator.propose_everything(grid=6)
    window.until(lambda: not window.annotator.is_busy)
    assert advice.shown
    for widget in section.findChildren(QPushButton) + section.findChildren(QCheckBox):
        needs = widget.fontMetrics().horizontalAdvance(widget.text())
        assert not widget.isVisible() or needs < widget.width(), widget.text()

    window.viewer.layers.remove(advice.ghosts.outlines)
    advice.choose(advice.shown[0])
    assert advice.ghosts.outlines in window.viewer.layers
    window.viewer.layers.remove(window.controller.stage.image_layer)
    window.until(lambda: advice.ghosts.outlines is None)
    assert window.annotator.proposed is None


def test_images_are_ranked_and_gone_to(window, tmp_path, monkeypatch):
    section, annotator = window.panel.next, window.annotator
    assert not section.rank.isEnabled()
    window.accept(1, 2)
    path = tmp_path / "film.tif"
    frames = np.stack([pixels(2, seed=1), pixels(2, seed=2)])
    tifffile.imwrite(path, frames, photometric="minisblack", metadata={"axes": "TCYX"})
    film = add_layer(window.viewer, read_layer(path))
    for step in (1, 0):
        window.viewer.dims.set_current_step(0, step)
        window.controller.images.choose(film)
        window.until(lambda step=step: window.controller.images.index == (step,))
        window.until(
            lambda step=step: annotator.image is not None and annotator.image.name == f"film T{step}"
        )
        window.ready()
        if step:
            window.accept(3)

    press(window, section.rank)
    entries = {section.ranked.itemText(k).split(":")[0]: k for k in range(section.ranked.count())}
    assert set(entries) == {"balls", "film T1"}
    assert section.ranked.currentIndex() == -1  # none of them is at hand
    for name, labels in (("film T1", [1]), ("balls", [1, 2])):
        section.ranked.activated.emit(entries[name])
        window.until(lambda name=name: annotator.image is not None and annotator.image.name == name)
        window.ready()
        assert sorted(annotator.objects) == labels
        assert film.visible == (name == "film T1")  # it lies over the other one
        assert window.controller.images.layer.visible
        assert window.viewer.layers.selection.active == window.controller.images.layer
        assert section.ranked.currentIndex() == entries[name]
        book = annotator.book
        section.ranked.activated.emit(entries[name])  # it is there already
        assert annotator.book is book

    def unreadable(*_):
        raise ImageError("The file is gone.")

    with monkeypatch.context() as patched:
        patched.setattr(Taken, "image", unreadable)
        section.ranked.activated.emit(entries["film T1"])
        window.until(lambda: "The file is gone" in window.said)
    assert annotator.image.name == "balls"
    assert not film.visible  # it would cover what is worked on

    section.ranked.activated.emit(entries["film T1"])
    window.until(lambda: annotator.image is not None and annotator.image.name == "film T1")
    assert window.viewer.dims.current_step[0] == 1

    window.viewer.layers.remove(next(layer for layer in window.viewer.layers if layer.name == "balls"))
    section.ranked.activated.emit(entries["balls"])
    assert "not there any more" in window.said


def test_classes_are_learnt_painted_and_shown(window, monkeypatch):
    monkeypatch.setattr(class_learning, "CLASS_STEPS", 4)
    section, annotator = window.panel.classes, window.annotator
    section.fold.expand()
    assert not section.learn.isEnabled()
    window.accept(1, 2)
    annotator.name_each({1: "small", 2: "large"})
    assert [section.table.itemText(k) for k in range(2)] == ["large", "small"]
    section.by_class.click()
    assert tuple(window.layer.colormap.map(1)) == pytest.approx(to_rgba(annotator.classes["small"]), abs=0.01)
    annotator.recolour_class("small", "#123456")
    assert tuple(window.layer.colormap.map(1)) == pytest.approx(to_rgba("#123456"), abs=0.01)
    section.by_class.click()
    assert tuple(window.layer.colormap.map(1)) != pytest.approx(to_rgba("#123456"), abs=0.01)

    press(window, section.learn)
    window.until(lambda: section.paint.isEnabled())
    press(window, section.paint)
    layer = window.controller.advice.ghosts.classes
    assert layer in window.viewer.layers
    press(window, section.drop)
    assert window.controller.advice.ghosts.classes is None
    for widget in section.findChildren(QPushButton) + section.findChildren(QCheckBox):
        needs = widget.fontMetrics().horizontalAdvance(widget.text())
        assert not widget.isVisible() or needs < widget.width(), widget.text()
