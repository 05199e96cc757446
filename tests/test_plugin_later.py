"""What napari makes for the tools of a Labels layer comes when they are taken up, and works as ever; needs a display."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

pytest.importorskip("napari")
if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("needs a display", allow_module_level=True)

from napari.layers import Labels
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_simmat.plugin.hold import canvas_of
from napari_simmat.plugin.later import put_off_tools

CORNERS = ((5, 5), (5, 30), (25, 30))


@pytest.fixture
def canvas(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy(show=True)
    qtbot.wait(100)
    return viewer, canvas_of(viewer.window._qt_window)


def made_for(viewer, layer):
    """Of how many of the layer's tools there are visuals."""
    made = viewer.window._qt_viewer.canvas._layer_overlay_to_visual[layer]
    return sum(tool in made for tool in (layer._overlays["polygon"], layer._overlays["brush_stroke"]))


def draw_triangle(viewer, canvas, qtbot):
    """With the polygon tool, by real clicks."""
    viewer.reset_view()
    qtbot.wait(100)
    camera, size = viewer.scene.camera, canvas.size()
    for k, corner in enumerate((*CORNERS, CORNERS[-1])):
        down, right = (np.asarray(corner) - camera.center[-2:]) * camera.zoom
        place = QPoint(round(size.width() / 2 + right), round(size.height() / 2 + down))
        QTest.mouseMove(canvas, place)
        press = QTest.mouseClick if k < len(CORNERS) else QTest.mouseDClick
        press(canvas, Qt.LeftButton, Qt.NoModifier, place)
        qtbot.wait(50)


def test_nothing_is_made_for_tools_before_they_are_in_hand(canvas):
    viewer, _ = canvas
    layer = Labels(np.zeros((40, 40), np.uint8))
    put_off_tools(layer)
    viewer.add_layer(layer)
    assert made_for(viewer, layer) == 0
    layer.mode = "polygon"
    assert made_for(viewer, layer) == 1
    layer.mode = "paint"
    assert made_for(viewer, layer) == 2
    layer.mode = "pan_zoom"
    layer.mode = "polygon"
    assert made_for(viewer, layer) == 2


def test_a_polygon_is_drawn_where_it_would_be_otherwise(canvas, qtbot):
    viewer, widget = canvas
    drawn, matrices = [], []
    for is_put_off in (True, False):
        layer = Labels(np.zeros((40, 40), np.uint8))
        if is_put_off:
            put_off_tools(layer)
        viewer.add_layer(layer)
        layer.mode = "polygon"
        draw_triangle(viewer, widget, qtbot)
        drawn.append(layer.data.copy())
        visual = viewer.window._qt_viewer.canvas._layer_overlay_to_visual[layer][layer._overlays["polygon"]]
        matrices.append(np.array(visual.node.transform.matrix))
        viewer.layers.remove(layer)
    assert drawn[0].any()
    np.testing.assert_array_equal(*drawn)
    np.testing.assert_array_equal(*matrices)
