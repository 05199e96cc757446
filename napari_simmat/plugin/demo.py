"""The demo in a window: the same script as without one, played so that a person can follow it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import napari
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer

from napari_simmat.demo import STEPS, Answered, Demo
from napari_simmat.errors import SimmatError
from napari_simmat.images import MultiChannelImage
from napari_simmat.journal import Journal
from napari_simmat.plugin.interpreter import keep_what_is_imported
from napari_simmat.plugin.panel import SimmatPanel
from napari_simmat.plugin.pictures import add_layer, layer_data
from napari_simmat.plugin.window import dock_panel

PACE_MS = 400
"""Time between two steps, so that each click can be seen."""


class DemoPlayer(QObject):
    """Plays the demo in a panel; it ends where the user takes over.

    Parameters
    ----------
    viewer : napari.Viewer
    panel : SimmatPanel
        The player lives and dies with it.
    seed, steps : int
        Of the training.
    pace : int
        Milliseconds between two steps.
    """

    def __init__(
        self, viewer: Any, panel: SimmatPanel, *, seed: int = 0, steps: int = STEPS, pace: int = PACE_MS
    ) -> None:
        super().__init__(panel)
        self.is_over = False
        self._viewer = viewer
        self._controller = panel.controller
        self._said = "Watch: a person clicks on what is hidden from red, green and blue."
        self._layers: dict[str, Any] = {}
        panel.train.auto.setChecked(False)  # the demo trains when its script says so
        self.demo = Demo(
            panel.controller.annotator, show=self._show, say=self._say, seed=seed, steps=steps, tests=1
        )
        self._steps = self.demo.play()
        self._timer = QTimer(self)
        self._timer.setInterval(pace)
        self._timer.timeout.connect(self._next)
        self._timer.start()

    def _next(self) -> None:
        # Again and again, as the panel has its own words on each event.
        self._controller.said.emit(self._said, False)
        if not self.demo.is_ready:
            return
        try:
            next(self._steps)
        except StopIteration:
            self._end()
            self._compare()
        except SimmatError as error:
            self._end()
            self._say(str(error))

    def _end(self) -> None:
        self.is_over = True
        self._timer.stop()

    def _show(self, image: MultiChannelImage) -> None:
        layer = self._layers.get(image.name)
        if layer is None or layer not in self._viewer.layers:
            layer = self._layers[image.name] = add_layer(self._viewer, layer_data(image))
        for other in self._layers.values():
            other.visible = other is layer
        self._controller.images.choose(layer)

    def _say(self, sentence: str) -> None:
        self._said = sentence
        self._controller.said.emit(sentence, False)

    def _compare(self) -> None:
        """Leave the masks of one click before and after training as two layers to switch between."""
        _, truth = self.demo.test[0]
        for name, answers in (("before", self.demo.before), ("after", self.demo.after)):
            labels = _painted(answers, truth.shape)
            layer = self._viewer.add_labels(labels, name=f"one click each, {name} training", opacity=0.6)
            layer.visible = name == "after"


def run_demo() -> None:
    """Open napari with the panel, play the demo in it, and return when the window is closed."""
    with tempfile.TemporaryDirectory(prefix="napari-simmat-demo-") as folder:
        # A journal of its own: the demo's objects are no work that should come back.
        keep_what_is_imported()
        viewer = napari.Viewer(title="napari: SimMat demo")
        panel = dock_panel(viewer, journal=Journal(Path(folder)))
        DemoPlayer(viewer, panel)
        napari.run()


def _painted(answers: Sequence[Answered], shape: tuple[int, ...]) -> NDArray[np.int32]:
    """Label image of masks that may overlap: small ones lie on top."""
    labels = np.zeros(shape, np.int32)
    for answer in sorted(answers, key=lambda answer: -int(answer.mask.sum())):
        labels[answer.mask] = answer.label
    return labels
