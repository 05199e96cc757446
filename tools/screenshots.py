"""Make the pictures in `docs/` from the real window, driven with real mouse and key events.

Run it wherever napari can open a window; without a display, under Xvfb:

    xvfb-run -a -s "-screen 0 1440x900x24" python tools/screenshots.py

It annotates bundled scenes as a person would: click, refine, accept, learn, click better. Whatever changes in the
panel changes in the pictures, so they cannot rot. The pictures of a training take minutes, the others seconds:

    python tools/screenshots.py --only polarization,spectrum
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HEIGHT = 1280, 800
PATIENCE_S = 900.0

PICTURES = ("refine", "learn", "window", "polarization", "spectrum")


class Hand:
    """A person's hand on a napari window."""

    def __init__(self, viewer: Any, panel: Any) -> None:
        from qtpy.QtWidgets import QApplication, QMainWindow, QWidget

        self.viewer, self.panel = viewer, panel
        self.annotator = panel.controller.annotator
        self._application = QApplication.instance()
        window = panel.window()
        assert isinstance(window, QMainWindow)
        window.activateWindow()
        self._window = window
        self._canvas = next(
            w for w in window.findChildren(QWidget) if type(w).__name__ == "CanvasBackendDesktop"
        )

    def wait(self, seconds: float = 0.4) -> None:
        """Let the window live for a moment."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._application.processEvents()
            time.sleep(0.005)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for something to happen."""
        end = time.monotonic() + PATIENCE_S
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("the window did not do what was expected of it")
            self.wait(0.02)

    def ready(self) -> None:
        """Wait until the image is encoded."""
        self.until(lambda: self.annotator.segmenter is not None and not self.annotator.is_encoding)
        self.wait()

    def open(self, image: Any, *, name: str, view: str) -> None:
        """Open an image, choose it and show it in the way that has these words in its name."""
        from napari_simmat.plugin.pictures import add_layer, layer_data

        shown = [layer for layer in self.viewer.layers if layer.visible]
        layer = add_layer(self.viewer, layer_data(dataclasses.replace(image, name=name)))
        for other in shown:
            other.visible = False
        self.panel.controller.images.choose(layer)
        self.until(lambda: self.annotator.image is not None and self.annotator.image.name == name)
        self.ready()
        self.viewer.reset_view()
        combo = self.panel.image.shown
        combo.setCurrentIndex(next(i for i in range(combo.count()) if view in combo.itemText(i)))
        combo.activated.emit(combo.currentIndex())
        self.wait(1.0)

    def click(self, row: float, column: float, *, is_background: bool = False) -> None:
        """Click on a pixel of the image and wait for the mask."""
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        world = self.panel.controller.stage.image_layer.data_to_world((row, column))[-2:]
        camera = self.viewer.scene.camera
        offset = (np.asarray(world) - np.asarray(camera.center[-2:])) * camera.zoom
        size = self._canvas.size()
        place = QPoint(round(size.width() / 2 + offset[1]), round(size.height() / 2 + offset[0]))
        button = Qt.RightButton if is_background else Qt.LeftButton
        QTest.mouseClick(self._canvas, button, Qt.NoModifier, place)
        self.until(lambda: self.annotator.is_answered)
        self.wait()

    def key(self, name: str) -> None:
        """Press a key on the canvas."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.keyClick(self._canvas, getattr(Qt, f"Key_{name}"))
        self.wait()

    def press(self, button: Any) -> None:
        """Press a button of the panel."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.mouseClick(button, Qt.LeftButton)

    def photograph(self, path: Path) -> None:
        """Save a picture of the whole window."""
        self.wait()
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)
        print(path)


def annotate(hand: Hand, wanted: np.ndarray, clicks: int) -> None:
    """Make an object by clicks, as somebody does who knows it: each click where the mask is most wrong."""
    from napari_simmat.training import first_click, next_click

    hand.click(*first_click(wanted))
    for _ in range(clicks - 1):
        mask = hand.annotator.answer.mask
        correction = next_click(wanted, mask)
        if correction is None or (mask & wanted).sum() / (mask | wanted).sum() > 0.85:
            break
        row, column, sign = correction
        hand.click(row, column, is_background=not sign)


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs")
    parser.add_argument("--only", default=",".join(PICTURES), help="which of them, separated by commas")
    parser.add_argument("--steps", type=int, default=0, help="steps of the training; 0: as many as are best")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["NAPARI_SIMMAT_HOME"] = home  # the pictures show a first session, whoever makes them
        only = options.only.split(",")
        if {"refine", "learn", "window"} & set(only):
            take_job(options.out, options.steps)
        if "polarization" in only:
            take_polarization(options.out)
        if "spectrum" in only:
            take_spectrum(options.out)


@contextmanager
def hand_on_window() -> Iterator[Hand]:
    """A new window with the panel, closed in the end."""
    import napari

    from napari_simmat.plugin.window import dock_panel

    viewer = napari.Viewer(title="napari: SimMat")
    viewer.window.resize(WIDTH, HEIGHT)
    hand = Hand(viewer, dock_panel(viewer))
    hand.panel.train.auto.click()  # one training at most, when all objects are there
    yield hand
    viewer.close()
    hand.wait(0.5)


def sample(name: str) -> tuple[Any, np.ndarray]:
    """The first image of a bundled dataset with the true labels."""
    from napari_simmat.images import open_dataset, sample_path

    return open_dataset(sample_path(name))[0].load()


def take_polarization(out: Path) -> None:
    """Clear glass, which is bright where its surface turns the light: the angle as hue, the degree as saturation."""
    image, truth = sample("glass-train")
    with hand_on_window() as hand:
        hand.open(image, name="glass", view="HSV")
        by_size = sorted((truth == n for n in np.unique(truth) if n), key=np.count_nonzero, reverse=True)
        annotate(hand, by_size[0], clicks=6)
        hand.key("C")
        annotate(hand, by_size[1], clicks=6)
        hand.photograph(out / "polarization.png")


def take_spectrum(out: Path) -> None:
    """A retouched painting: what looks alike has spectra of its own."""
    image, truth = sample("metamers-train")
    with hand_on_window() as hand:
        hand.open(image, name="painting", view="principal")
        by_size = sorted((truth == n for n in np.unique(truth) if n), key=np.count_nonzero, reverse=True)
        for wanted in by_size[:2]:
            annotate(hand, wanted, clicks=8)
            hand.key("C")
        hand.until(lambda: len(hand.panel.browser.plot.objects) == 2)
        hand.photograph(out / "spectrum.png")


def take_job(out: Path, steps: int) -> None:
    """The main job from the first click to the better mask of an image that was not seen before."""
    with hand_on_window() as hand:
        _take_job(hand, out, steps)


def _take_job(hand: Hand, out: Path, steps: int) -> None:
    train, test = sample("camouflage-train"), sample("camouflage-test")
    hand.open(train[0], name="camouflage", view="false colour")
    objects = [train[1] == n for n in np.unique(train[1]) if n]
    for wanted in objects:
        annotate(hand, wanted, clicks=8)
        if wanted is objects[0]:
            hand.photograph(out / "refine.png")
        hand.key("C")
    hand.panel.train.settings.steps.value = steps
    hand.press(hand.panel.train.deep)
    hand.until(lambda: len(hand.panel.train.curve.losses) >= 45)
    hand.photograph(out / "learn.png")
    hand.until(lambda: hand.annotator.training is None)
    hand.ready()
    print(hand.annotator.reports[-1].reason, hand.annotator.reports[-1].seconds)

    hand.open(test[0], name="camouflage, unseen", view="false colour")
    objects = sorted((test[1] == n for n in np.unique(test[1]) if n), key=np.count_nonzero)
    for wanted in objects[:-1]:
        annotate(hand, wanted, clicks=1)
        hand.key("C")
    annotate(hand, objects[-1], clicks=1)
    hand.photograph(out / "window.png")


if __name__ == "__main__":
    main()
