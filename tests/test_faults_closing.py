"""napari closed at any moment: no traceback, threads end, and everything that was done is there."""

from __future__ import annotations

import pytest
from balls import BALLS, balls
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from test_plugin_panel import PATIENCE_MS, journal, open_panel  # noqa: F401

from napari_simmat.annotator import Annotator
from napari_simmat.plugin.pictures import layer_data

MOMENTS = {
    "opening": lambda window: None,
    "drafting": lambda window: window.until(lambda: window.annotator.image is not None),
    "encoding": lambda window: window.until(lambda: window.annotator.is_encoding),
    "answering": lambda window: (window.ready(), window.click(*BALLS[1][:2])),
    "answered": lambda window: (window.ready(), window.segment(*BALLS[1][:2])),
    "accepted": lambda window: (window.ready(), window.accept(1)),
    "painted": lambda window: (window.ready(), window.accept(1), _paint(window)),
    "learning": lambda window: (window.ready(), window.accept(1, 2), _learn(window, "deep")),
    "encoding anew": lambda window: (window.ready(), window.accept(1), window.annotator.see_again()),
    "leaving out channels": lambda window: (window.ready(), window.accept(1), window.controller.attribute()),
}


def _paint(window):
    window.layer.data[:9, :9] = 7
    window.layer.refresh()


def _learn(window, mode):
    window.panel.train.settings.steps.value = 200
    QTest.mouseClick(getattr(window.panel.train, mode), Qt.LeftButton)
    window.until(lambda: len(window.panel.train.curve.losses) >= 1)


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_window_may_be_closed(open_panel, journal, qtbot, capsys, moment):  # noqa: F811
    image = balls()
    window = open_panel(layer_data(image))
    MOMENTS[moment](window)
    annotator = window.annotator
    wanted = {label: note.state.key for label, note in annotator.objects.items()}, annotator.prompt.points
    workers = window.controller.executor.workers
    window.viewer.close()
    qtbot.waitUntil(lambda: not any(worker.is_alive for worker in workers), timeout=PATIENCE_MS)
    again = Annotator(image, journal=journal)
    found = {label: note.state.key for label, note in again.objects.items()}
    assert {**found, **wanted[0]} == found
    assert set(found) == {*wanted[0], *((7,) if moment == "painted" else ())}
    assert again.prompt.points == wanted[1]
    again.close()
    assert "Traceback" not in capsys.readouterr().err
