"""The demo does the main job, and the window plays the same script as the terminal."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from napari_simmat.annotator import Annotator
from napari_simmat.demo import Demo, objects_of

pytestmark = pytest.mark.full_size

pytest.importorskip("napari")

needs_display = pytest.mark.skipif(
    sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")),
    reason="needs a display, Xvfb will do",
)


def test_the_demo_clicks_corrects_trains_and_compares():
    annotator = Annotator()
    said: list[str] = []
    demo = Demo(annotator, show=annotator.set_image, say=said.append, steps=2, tests=1)

    for _ in demo.play():
        assert demo.is_ready

    _, truth = demo.test[0]
    for answers in (demo.before, demo.after):
        assert [answer.label for answer in answers] == objects_of(truth)
        assert all(truth[tuple(int(v) for v in answer.click)] == answer.label for answer in answers)
    assert annotator.reports[0].steps == 2
    assert any("took" in sentence and "clicks" in sentence for sentence in said)


@needs_display
def test_the_window_plays_the_demo_to_its_end(make_napari_viewer_proxy, qtbot, tmp_path, monkeypatch):
    from napari_simmat.journal import Journal
    from napari_simmat.plugin import dock_panel
    from napari_simmat.plugin.demo import DemoPlayer

    monkeypatch.setattr("napari_simmat.demo.CLICKS", 1)  # then the brush; the test above corrects by clicks
    viewer = make_napari_viewer_proxy(show=True)
    panel = dock_panel(viewer, journal=Journal(tmp_path))
    player = DemoPlayer(viewer, panel, steps=2, pace=1)
    qtbot.waitUntil(lambda: player.is_over, timeout=240_000)

    names = [layer.name for layer in viewer.layers]
    assert "one click each, before training" in names
    after = viewer.layers["one click each, after training"]
    assert after.visible
    assert set(np.unique(after.data)) - {0} <= set(objects_of(player.demo.test[0][1]))
    assert len(player.demo.before) == len(player.demo.after) > 0
    assert len(panel.controller.annotator.reports) == 1
    panel.controller.close()
    for worker in panel.controller.executor.workers:
        qtbot.waitUntil(lambda worker=worker: not worker.is_alive, timeout=60_000)


@needs_display
def test_the_demo_in_the_window_ends_where_the_user_takes_over(make_napari_viewer_proxy, qtbot, tmp_path):
    from napari_simmat.journal import Journal
    from napari_simmat.plugin import dock_panel
    from napari_simmat.plugin.demo import DemoPlayer

    viewer = make_napari_viewer_proxy(show=True)
    panel = dock_panel(viewer, journal=Journal(tmp_path))
    player = DemoPlayer(viewer, panel, steps=2, pace=1000)
    annotator = panel.controller.annotator
    qtbot.waitUntil(lambda: annotator.is_answered and not annotator.prompt.is_empty, timeout=120_000)

    annotator.clear()
    qtbot.waitUntil(lambda: player.is_over, timeout=120_000)
    assert "the demo ends here" in panel.footer.message.text()
    panel.controller.close()
    for worker in panel.controller.executor.workers:
        qtbot.waitUntil(lambda worker=worker: not worker.is_alive, timeout=60_000)
