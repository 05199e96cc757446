"""Clicks and boxes on the canvas.

A click is a prompt while the selected layer is in napari's pan/zoom mode, whichever layer that is; in
every other mode (brush, eraser, adding points, ...) the mouse belongs to that tool. Dragging pans, except
in box mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

_SLACK = 4.0
"""How far the mouse may move between press and release of a click, in screen pixels."""

LEFT, RIGHT = 1, 2


class CanvasMouse:
    """Turns mouse events of a viewer into points and boxes.

    Parameters
    ----------
    viewer : napari.Viewer
    on_click : callable
        Is given the place in the world and whether the other sign is meant (right button, or Shift held).
    on_drag : callable
        Is given two corners in the world while a box is dragged.
    on_box : callable
        Is given two corners in the world when a box is done, or None if it was too small to be meant.
    """

    def __init__(
        self,
        viewer: Any,
        *,
        on_click: Callable[[Any, bool], None],
        on_drag: Callable[[Any, Any], None],
        on_box: Callable[[tuple[Any, Any] | None], None],
    ) -> None:
        self.mode = "points"
        self._viewer = viewer
        self._on_click, self._on_drag, self._on_box = on_click, on_drag, on_box
        self._zoomers: list[Any] = []
        viewer.mouse_drag_callbacks.append(self._pressed)
        self._silence_double_clicks(True)

    @property
    def is_ours(self) -> bool:
        """Whether a click now is a prompt."""
        active = self._viewer.layers.selection.active
        in_2d = self._viewer.dims.ndisplay == 2
        return self.mode != "off" and in_2d and (active is None or str(active.mode) == "pan_zoom")

    def set_mode(self, mode: str) -> None:
        """What the left button does: "points", "box" or "off"."""
        self.mode = mode
        self._silence_double_clicks(mode != "off")

    def close(self) -> None:
        """Leave the mouse to napari."""
        self.set_mode("off")
        if self._pressed in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._pressed)

    def _pressed(self, viewer: Any, event: Any) -> Iterator[None]:
        if not self.is_ours or event.button not in (LEFT, RIGHT) or _holds(event, "Control", "Alt", "Meta"):
            return
        if self.mode == "box" and event.button == LEFT:
            yield from self._drag_box(event)
            return
        start, other_sign = np.array(event.pos, float), event.button == RIGHT or _holds(event, "Shift")
        has_moved = False
        yield
        while event.type == "mouse_move":
            has_moved |= _far(event, start)
            yield
        if not has_moved and not _far(event, start):
            self._on_click(event.position, other_sign)

    def _drag_box(self, event: Any) -> Iterator[None]:
        camera = self._viewer.scene.camera
        start, corner = np.array(event.pos, float), event.position
        panned, camera.mouse_pan = camera.mouse_pan, False  # else the image would move along with the corner
        try:
            yield
            while event.type == "mouse_move":
                self._on_drag(corner, event.position)
                yield
        finally:
            camera.mouse_pan = panned
        self._on_box((corner, event.position) if _far(event, start) else None)

    def _silence_double_clicks(self, is_silent: bool) -> None:
        """Two quick clicks are two clicks: napari would zoom in on them."""
        callbacks = self._viewer.mouse_double_click_callbacks
        if is_silent:
            found = [c for c in callbacks if getattr(c, "__name__", "") == "double_click_to_zoom"]
            for callback in found:
                callbacks.remove(callback)
            self._zoomers += found
        else:
            callbacks.extend(self._zoomers)
            self._zoomers = []


def _holds(event: Any, *names: str) -> bool:
    return any(str(getattr(m, "name", m)) in names for m in event.modifiers)


def _far(event: Any, start: Any) -> bool:
    return bool(np.abs(np.asarray(event.pos, float) - start).max() > _SLACK)
