"""A real window, somebody who works in it, and a clock."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from napari import Viewer
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest

from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.speed.synthetic import spots
from napari_simmat.images import MultiChannelImage
from napari_simmat.inference.cache import forget
from napari_simmat.inference.kept import kept_embeddings
from napari_simmat.journal import Journal
from napari_simmat.plugin.hold import canvas_of
from napari_simmat.plugin.panel import SimmatPanel
from napari_simmat.plugin.pictures import add_layer, layer_data
from napari_simmat.plugin.stalls import Ticks
from napari_simmat.plugin.window import dock_panel

_SIZE = (1400, 900)


@dataclass
class ClickTimes:
    """Milliseconds of each click."""

    painted: list[float] = field(default_factory=list)
    in_layer: list[float] = field(default_factory=list)


class Bench:
    """A window, somebody who works in it, and a clock.

    Parameters
    ----------
    folder : Path
        For the journal.
    """

    def __init__(self, folder: Path) -> None:
        self.viewer = Viewer(title="napari: SimMat, speed", show=True)
        self.panel: SimmatPanel = dock_panel(self.viewer, journal=Journal(folder))
        self.panel.train.auto.setChecked(False)
        self.controller = self.panel.controller
        self.annotator = self.controller.annotator
        self.ticks = Ticks()
        window = self.panel.window()
        window.resize(*_SIZE)
        self.canvas: Any = canvas_of(window)
        if self.canvas is None:
            raise SimmatError("napari's canvas was not found in its window.")
        self._answered_at: float | None = None
        self._painted_at: float | None = None
        self._problem = ""
        self._opened = 0
        # After the controller, which draws the mask: what is timed is what can be seen.
        self.annotator.answered.connect(self._on_answer)
        self.annotator.problem.connect(self._on_problem)
        self.canvas.frameSwapped.connect(self._on_frame)
        self.ticks.rest(300)
        # Nobody has found a file before the model is ready for it.
        self.ticks.until(lambda: not self.annotator.is_busy, "the model to be ready")

    def open(
        self, image: MultiChannelImage, *, click: tuple[float, float] | None = None
    ) -> tuple[float, float]:
        """Open an image and encode it; with a place to click on, click there as soon as it is open.

        Returns
        -------
        (float, float)
            Milliseconds from that click to its mask, and from the layer being added; NaN without a click.
        """
        self.viewer.layers.clear()
        self.ticks.until(
            lambda: self.annotator.image is None and not self.annotator.is_busy, "an empty window"
        )
        self.ticks.rest(100)
        shown = layer_data(image)
        added = clicked = time.perf_counter()
        self._opened += 1
        # napari makes layers meanwhile, which keeps the event loop waiting whoever asks for them.
        with self.ticks.phase("first open" if self._opened == 1 else "open"):
            add_layer(self.viewer, shown)
            self.viewer.reset_view()
            self.ticks.until(lambda: self.annotator.image is not None, "opening an image")
            if click is not None:
                clicked = self._start()
                self._press(*click)
                self.ticks.until(lambda: self._is(self._answered_at), "the first mask")
            self.ticks.until(self._is_ready, "encoding an image")
        at = float("nan") if click is None or self._answered_at is None else self._answered_at
        self.controller.reject()
        self.viewer.reset_view()
        self.ticks.rest(100)
        return 1000 * (at - clicked), 1000 * (at - added)

    def encode(self) -> None:
        """Have the image at hand seen again, with nothing in memory or on disk."""
        forget()
        kept = kept_embeddings()
        if kept is not None:
            kept.clear()
        before = self.annotator.segmenter
        with self.ticks.phase("encode"):
            self.annotator.see_again()
            self.ticks.until(
                lambda: self.annotator.segmenter is not before and self._is_ready(), "encoding an image"
            )
        self.ticks.rest(50)

    def click(self, y: float, x: float, times: ClickTimes | None = None) -> None:
        """Click on an image that is encoded, and wait for the mask to be drawn."""
        QTest.mouseMove(self.canvas, self._place(y, x))  # nobody's mouse is there without having come there
        self.ticks.rest(150)
        with self.ticks.phase("click"):
            began = self._start()
            self._press(y, x)
            self.ticks.until(lambda: self._is(self._painted_at), "a mask to be drawn")
            answered, painted = self._answered_at, self._painted_at
            self.ticks.until(self._is_ready, "looking ahead")
        if times is not None and answered is not None and painted is not None:
            times.in_layer.append(1000 * (answered - began))
            times.painted.append(1000 * (painted - began))

    def accept(self) -> float:
        """Accept the mask that is shown, by the key; milliseconds."""
        with self.ticks.phase("accept"):
            before = len(self.annotator.objects)
            began = time.perf_counter()
            QTest.keyClick(self.canvas, Qt.Key.Key_C)
            ms = 1000 * (time.perf_counter() - began)
            self.ticks.until(lambda: len(self.annotator.objects) > before, "accepting an object")
        return ms

    def train(self, mode: str, steps: int) -> None:
        """Train as the buttons do, until the image is encoded with what came of it."""
        done = len(self.annotator.reports)
        with self.ticks.phase(mode):
            self.controller.train(mode, steps=steps)
            self.ticks.until(lambda: self.annotator.training is None and self._is_ready(), f"{mode} training")
        if len(self.annotator.reports) == done:
            raise SimmatError(f"The {mode} training in the window came to nothing. {self._problem}")

    def time_accepting(
        self, count: int, runs: int, image: MultiChannelImage, place: tuple[float, float]
    ) -> list[float]:
        """Accept what a click at `place` finds beside `count` objects, again and again; milliseconds."""
        self.open(image)
        self.controller.stage.objects.data = spots(image.shape, count)
        self.annotator.sync_labels()
        self.ticks.rest(400)
        found = []
        for _ in range(runs):
            self.click(*place)
            before = set(self.annotator.objects)
            found.append(self.accept())
            self.ticks.rest(300)  # the panel looks at edits a little later
            self.controller.erase(next(iter(set(self.annotator.objects) - before)))
            self.ticks.rest(300)
        return found

    def close(self) -> None:
        """End the threads and the window."""
        self.controller.close()
        self.ticks.until(
            lambda: not any(worker.is_alive for worker in self.controller.executor.workers), "the threads"
        )
        self.ticks.stop()
        self.viewer.close()

    def _start(self) -> float:
        """Now; what is answered and painted from here on counts."""
        self._answered_at = self._painted_at = None
        return time.perf_counter()

    def _press(self, y: float, x: float) -> None:
        QTest.mouseClick(
            self.canvas, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, self._place(y, x)
        )

    def _place(self, y: float, x: float) -> QPoint:
        """Where a pixel of the image is on the canvas."""
        world = self.controller.stage.image_layer.data_to_world((y, x))[-2:]
        camera = _camera(self.viewer)
        offset = (np.asarray(world) - np.asarray(camera.center[-2:])) * camera.zoom
        size = self.canvas.size()
        return QPoint(round(size.width() / 2 + offset[1]), round(size.height() / 2 + offset[0]))

    def _is(self, at: float | None) -> bool:
        if self._problem:
            raise SimmatError(self._problem)
        return at is not None

    def _is_ready(self) -> bool:
        return self.annotator.segmenter is not None and not self.annotator.is_busy

    def _on_answer(self, answer: Any) -> None:
        if answer is not None and self._answered_at is None:
            self._answered_at = time.perf_counter()

    def _on_frame(self) -> None:
        if self._answered_at is not None and self._painted_at is None:
            self._painted_at = time.perf_counter()

    def _on_problem(self, sentence: str) -> None:
        self._problem = sentence


def _camera(viewer: Any) -> Any:
    """Asking for it where former versions of napari had it warns."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera
