"""What a click would give, shown faintly under the mouse before anybody clicks."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_simmat.annotator import Annotator
from napari_simmat.inference.compute import device_choice, threads
from napari_simmat.plugin.geometry import to_pixels
from napari_simmat.plugin.image_choice import ImageChoice
from napari_simmat.plugin.mouse import CanvasMouse
from napari_simmat.plugin.stage import Stage

PAUSE_MS = 60
"""At most so often the model is asked while the mouse moves."""

_ENOUGH_THREADS = 8


class Hover(QObject):
    """Asks the annotator for previews while the mouse moves over an image without clicks.

    Parameters
    ----------
    viewer : napari.Viewer
    annotator : Annotator
    images : ImageChoice
    stage : Stage
    mouse : CanvasMouse
    parent : QObject, optional

    Attributes
    ----------
    is_on : bool
        By default only where an answer costs next to nothing.
    """

    def __init__(
        self,
        viewer: Any,
        annotator: Annotator,
        images: ImageChoice,
        stage: Stage,
        mouse: CanvasMouse,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.is_on = device_choice() != "cpu" or threads() >= _ENOUGH_THREADS
        self._viewer, self._annotator, self._images = viewer, annotator, images
        self._stage, self._mouse = stage, mouse
        self._place: Any = None
        self._is_shown = False
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self._ask)
        viewer.mouse_move_callbacks.append(self._moved)
        annotator.previewed.connect(self._show)

    def switch(self, is_on: bool) -> None:
        """Show previews from now on, or none."""
        self.is_on = is_on
        if not is_on:
            self._pause.stop()
            self._annotator.end_preview()

    def close(self) -> None:
        """Leave the mouse alone."""
        self._pause.stop()
        if self._moved in self._viewer.mouse_move_callbacks:
            self._viewer.mouse_move_callbacks.remove(self._moved)

    def _moved(self, viewer: Any, event: Any) -> None:
        if not self.is_on:
            return
        self._place = event.position
        if not self._pause.isActive():
            self._pause.start()

    def _ask(self) -> None:
        if self._annotator.is_previewing:  # else none would ever be shown while the mouse moves
            self._pause.start()
            return
        layer = self._images.layer
        wanted = layer is not None and self._mouse.is_ours and self._mouse.mode == "points"
        if wanted and layer == self._stage.image_layer and not self._images.is_moving:
            (y, x), (top, left) = to_pixels(layer, self._place), self._stage.origin
            if self._annotator.preview(y - top, x - left):
                return
        if self._is_shown:
            self._annotator.end_preview()

    def _show(self, answer: Any) -> None:
        if not self._annotator.prompt.is_empty or self._stage.image_layer is None:
            self._is_shown = False  # the mask that is shown is that of a click
            return
        if answer is not None or self._is_shown:
            self._stage.show_mask(None if answer is None else answer.mask, faint=answer is not None)
        self._is_shown = answer is not None
