"""The spectra of an image that people look at: under the mouse and of its objects."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, QTimer, Signal

from napari_simmat.annotator import Job, Note
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.image import loaded
from napari_simmat.plugin.controller import Controller
from napari_simmat.plugin.geometry import to_pixels
from napari_simmat.plugin.spectrum_plot import ObjectSpectrum

FRAME_MS = 33
"""At most so often the spectrum follows the mouse."""

OBJECTS = 5
"""So many objects at most are drawn: the selected one and the last ones."""

_PIXELS = 1 << 14
"""From about so many pixels the mean and spread of a large object are taken."""

_SIDE = 512


class Spectra(QObject):
    """Follows mouse and objects; what is slow is computed off the event loop.

    Parameters
    ----------
    controller : Controller
    parent : QObject, optional
    """

    pixel_changed = Signal(object, object)
    """Row and column, and the values (C,) there; None and None beside the image."""

    objects_changed = Signal(object)
    """A tuple of `ObjectSpectrum`."""

    limits_known = Signal(object)
    """The usual limits of each channel, (C, 2)."""

    def __init__(self, controller: Controller, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._controller = controller
        self._viewer = controller.viewer
        self._known: dict[Note, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._labels: Any = None
        self._place: tuple[int, int] | None = None
        self.is_watched = True
        self._frame = QTimer(self)
        self._frame.setSingleShot(True)
        self._frame.setInterval(FRAME_MS)
        self._frame.timeout.connect(self._look)
        self._viewer.cursor.events.position.connect(self._on_moved)
        controller.images.opened.connect(self._on_opened)
        controller.annotator.objects_changed.connect(self._on_objects)

    def close(self) -> None:
        """Stop listening."""
        self._frame.stop()
        self._viewer.cursor.events.position.disconnect(self._on_moved)
        self._listen_to(None)

    def refresh(self) -> None:
        """Tell again what is known of the image at hand."""
        image = self._controller.images.image
        if image is not None and not image.is_lazy:
            self._run("limits", image, lambda: channel_limits(image), self.limits_known.emit)
        self._on_objects()

    def _on_opened(self, *_: Any) -> None:
        self._known.clear()
        self._place = None
        if self.is_watched:
            self.refresh()

    def _on_moved(self, event: Any = None) -> None:
        if self.is_watched and not self._frame.isActive():
            self._frame.start()

    def _look(self) -> None:
        layer, image = self._controller.images.layer, self._controller.images.image
        place = None
        if layer is not None and image is not None:
            y, x = (round(v) for v in to_pixels(layer, self._viewer.cursor.position))
            place = (y, x) if 0 <= y < image.shape[0] and 0 <= x < image.shape[1] else None
        if place == self._place:
            return
        self._place = place
        if place is None or image is None:
            self.pixel_changed.emit(None, None)
        elif not image.is_lazy:
            self.pixel_changed.emit(place, image.data[:, place[0], place[1]].astype(float))
        else:

            def show(values: Any, place: Any = place) -> None:
                if place == self._place:
                    self.pixel_changed.emit(place, values)

            y, x = place
            self._run("spectrum", image, lambda: loaded(image.data[:, y, x]).astype(float), show)

    def _on_objects(self, *_: Any) -> None:
        # Of a large image the annotator works on a part, in which its objects lie.
        image, objects = self._controller.annotator.image, self._controller.annotator.objects
        self._listen_to(self._controller.stage.objects)
        if image is None or not self.is_watched:
            return
        chosen = self._chosen(objects)
        missing = [objects[label] for label in chosen if objects[label] not in self._known]
        if missing:
            self._run(
                "statistics",
                image,
                lambda: [(note, *object_statistics(image, note)) for note in missing],
                self._take,
            )
        else:
            self._tell(chosen)

    def _take(self, found: list[tuple[Note, Any, Any]]) -> None:
        if self._controller.is_closed:
            return
        # Objects of an earlier session come before their layer.
        self._listen_to(self._controller.stage.objects)
        self._known.update({note: (mean, std) for note, mean, std in found})
        objects = self._controller.annotator.objects
        self._known = {note: self._known[note] for note in objects.values() if note in self._known}
        self._tell(self._chosen(objects))

    def _tell(self, chosen: list[int]) -> None:
        objects = self._controller.annotator.objects
        self.objects_changed.emit(
            tuple(
                ObjectSpectrum(label, self._colour(label), *self._known[objects[label]])
                for label in chosen
                if objects.get(label) in self._known
            )
        )

    def _chosen(self, objects: dict[int, Note]) -> list[int]:
        """The object whose label is selected in the layer, and the last ones."""
        labels = list(objects)[-OBJECTS:]
        selected = int(self._labels.selected_label) if self._labels is not None else 0
        if selected in objects and selected not in labels:
            labels = [selected, *labels[1:]]
        return labels

    def _colour(self, label: int) -> tuple[float, float, float]:
        colour = self._labels.get_color(label) if self._labels is not None else None
        red, green, blue = (0.6, 0.6, 0.6) if colour is None else (float(v) for v in colour[:3])
        return red, green, blue

    def _listen_to(self, labels: Any) -> None:
        if labels is self._labels or (labels is not None and labels == self._labels):
            return
        if self._labels is not None:
            self._labels.events.selected_label.disconnect(self._on_objects)
            self._labels.events.colormap.disconnect(self._on_objects)
        self._labels = labels
        if labels is not None:
            labels.events.selected_label.connect(self._on_objects)
            labels.events.colormap.connect(self._on_objects)

    def _run(self, kind: str, image: MultiChannelImage, work: Any, take: Any) -> None:
        def taken(result: Any) -> None:
            if image in (self._controller.images.image, self._controller.annotator.image):
                take(result)

        self._controller.executor(Job(kind, f"Looking at {image.name}", work=lambda _: work(), take=taken))


def object_statistics(
    image: MultiChannelImage, note: Note
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each channel over an object; of a large one from a grid of its pixels.

    Returns
    -------
    mean, std : ndarray, shape (C,), float64
        NaN where nothing was measured.
    """
    rows, columns = note.window
    step = max(1, int(np.sqrt(note.area / _PIXELS)))
    mask = note.crop[::step, ::step]
    if not mask.any():
        step, mask = 1, note.crop
    where = (slice(rows.start, rows.stop, step), slice(columns.start, columns.stop, step))
    mean, std = np.full(image.n_channels, np.nan), np.full(image.n_channels, np.nan)
    values = loaded(image.data[:, where[0], where[1]]) if image.is_lazy else image.data[:, where[0], where[1]]
    for i, plane in enumerate(values):
        inside = plane[mask].astype(np.float64)
        inside = inside[np.isfinite(inside)]
        if inside.size:
            mean[i], std[i] = inside.mean(), inside.std()
    return mean, std


def channel_limits(image: MultiChannelImage) -> NDArray[np.float64]:
    """The 1st and 99th percentile of each channel, (C, 2), from a coarse grid; NaN where nothing was measured."""
    limits = np.full((image.n_channels, 2), np.nan)
    for i, plane in enumerate(image.overview(_SIDE // 2)):
        values = plane[np.isfinite(plane)]
        if values.size:
            limits[i] = np.percentile(values, (1, 99))
    return limits
