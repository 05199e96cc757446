"""Rough labels in the window: what is read from the user's layers, and what the panel does with it."""

from __future__ import annotations

import numpy as np
from balls import BALLS
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from test_plugin_panel import journal, open_panel, window  # noqa: F401

from napari_simmat.plugin.rough_layers import rough_objects
from napari_simmat.plugin.stage import OWNED
from napari_simmat.training.rough import RoughSettings

SHAPE = (128, 160)


def viewer_with_image(*shape, **options):
    viewer = ViewerModel()
    return viewer, viewer.add_image(np.zeros(shape), **options)


def test_points_are_objects_and_red_ones_are_not():
    viewer, image = viewer_with_image(*SHAPE)
    viewer.add_points([(30, 34), (36, 110), (36, 100)], face_color=["white", "lime", "red"])
    first, second = rough_objects(viewer, image, (0, 0), SHAPE)
    assert (first.points, first.signs) == (((30.0, 34.0),), (1,))
    assert (second.points, second.signs) == (((36.0, 110.0), (36.0, 100.0)), (1, 0))  # the nearest one's


def test_features_say_sign_and_object():
    viewer, image = viewer_with_image(*SHAPE)
    viewer.add_points(
        [(30, 34), (33, 38), (90, 90), (60, 60)],
        features={"object": [1, 1, 2, 2], "sign": [1, 0, 1, 1]},
        face_color="red",
    )
    first, second = rough_objects(viewer, image, (0, 0), SHAPE)
    assert first.signs == (1, 0)
    assert second.points == ((90.0, 90.0), (60.0, 60.0))


def test_shapes_are_what_they_look_like():
    viewer, image = viewer_with_image(*SHAPE)
    corners = np.array([(10, 20), (10, 60), (50, 60), (50, 20)], float)
    turned = np.array([(60, 40), (80, 60), (100, 40), (80, 20)], float)
    viewer.add_shapes(
        [corners, np.add(corners, (0, 80)), turned, [(100, 100), (110, 120), (105, 140)], [(5, 5), (5, 15)]],
        shape_type=["rectangle", "ellipse", "rectangle", "path", "line"],
        edge_color=["white", "white", "white", "white", "red"],
    )
    viewer.add_points([(30, 40)], face_color="white")
    box, ellipse, rhomb, scribble = rough_objects(viewer, image, (0, 0), SHAPE)
    assert box.box == (10, 20, 50, 60)
    assert box.points == ((30.0, 40.0),)  # within the box, so it is this object's
    assert [s.sign for s in box.scribbles] == [0]
    assert ellipse.box is None
    middle = np.array((30, 120))
    assert np.allclose([np.hypot(*(np.array(p) - middle)) for p in ellipse.polygon], 20)
    assert rhomb.box is None
    assert len(rhomb.polygon) == 4
    assert scribble.scribbles[0].path == ((100.0, 100.0), (110.0, 120.0), (105.0, 140.0))


def test_clicks_on_other_slices_do_not_count():
    viewer, image = viewer_with_image(3, *SHAPE)
    viewer.add_points([(0, 30, 34), (1, 36, 110), (2, 92, 40)])
    viewer.add_shapes([[(2, 10, 20), (2, 10, 60), (2, 50, 60), (2, 50, 20)]], shape_type="polygon")
    viewer.dims.set_point(0, 1)
    (only,) = rough_objects(viewer, image, (0, 0), SHAPE)
    assert only.points == ((36.0, 110.0),)
    viewer.dims.set_point(0, 2)
    assert len(rough_objects(viewer, image, (0, 0), SHAPE)) == 2


def test_places_are_those_of_the_image_wherever_the_layers_lie():
    viewer, image = viewer_with_image(*SHAPE, scale=(0.5, 0.5), translate=(10, 20))
    viewer.add_points([(10 + 0.5 * 30, 20 + 0.5 * 34)])
    (only,) = rough_objects(viewer, image, (0, 0), SHAPE)
    assert np.allclose(only.points, [(30, 34)])
    (region,) = rough_objects(viewer, image, (20, 30), (40, 40))
    assert np.allclose(region.points, [(10, 4)])
    assert rough_objects(viewer, image, (60, 60), (40, 40)) == []  # not in this region


def test_hidden_layers_and_those_of_the_plugin_are_passed_over():
    viewer, image = viewer_with_image(*SHAPE)
    viewer.add_points([(30, 34)], visible=False)
    viewer.add_points([(36, 110)], metadata={OWNED: True})
    assert rough_objects(viewer, image, (0, 0), SHAPE) == []


def test_the_panel_adapts_and_tells_the_drift(window):  # noqa: F811
    QTest.mouseClick(window.panel.train.without_masks.toggleButton(), Qt.LeftButton)
    part = window.panel.train.rough
    window.until(part.adapt.isVisible)
    assert part.adapt.isEnabled()
    part.adapt.click()
    assert "no rough labels" in window.said

    window.viewer.add_points([BALLS[n][:2] for n in BALLS], name="mine")
    window.controller.adapt_from_rough(settings=RoughSettings(steps=1, windows=1, check=False))
    assert not part.adapt.isEnabled()
    window.until(lambda: len(window.annotator.reports) == 1)
    assert part.adapt.isEnabled()
    assert "IoU" in window.panel.train.verdict.text()
    if window.annotator.reports[0].kept:
        assert window.annotator.versions.current.name == "rough 1"
        window.key(Qt.Key_Z, Qt.ControlModifier)
        assert window.annotator.versions.current.name == "untrained"


def test_esc_ends_the_training_and_leaves_the_clicks(window):  # noqa: F811
    window.segment(*BALLS[1][:2])
    window.viewer.add_points([BALLS[n][:2] for n in BALLS], name="mine")
    window.panel.train.rough.adapt.click()
    assert window.annotator.training is not None

    window.canvas.setFocus()
    window.key(Qt.Key_Escape)
    window.until(lambda: window.annotator.training is None)
    assert len(window.annotator.prompt.points) == 1
    assert window.annotator.versions.current.name == "untrained"
    assert len(window.viewer.layers["mine"].data) == 4
