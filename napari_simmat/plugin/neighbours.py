"""What people are likely to open next: it is encoded while nothing else is to be done."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, QTimer

from napari_simmat.annotator import Annotator
from napari_simmat.images import MultiChannelImage
from napari_simmat.inference.regions import is_large
from napari_simmat.plugin.executor import Executor
from napari_simmat.plugin.image_choice import ImageChoice
from napari_simmat.plugin.pictures import IMAGE

IDLE_MS = 1500
"""How long nothing must be done before images are encoded that nobody asked for."""

_MOST_LAYERS = 2


class Neighbours(QObject):
    """Has the annotator encode the slices beside the one at hand, or the images of the next layers, while it is idle.

    Parameters
    ----------
    annotator : Annotator
    images : ImageChoice
    executor : Executor
    parent : QObject, optional
    """

    def __init__(
        self, annotator: Annotator, images: ImageChoice, executor: Executor, parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._annotator, self._images, self._executor = annotator, images, executor
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(IDLE_MS)
        self._idle.timeout.connect(self._go)
        annotator.encoded.connect(self._wait)

    def close(self) -> None:
        """Encode nothing any more."""
        self._idle.stop()
        self._annotator.encoded.disconnect(self._wait)

    def _wait(self, *_: Any) -> None:
        self._idle.start()

    def _go(self) -> None:
        if any(worker.current is not None for worker in self._executor.workers):
            self._idle.start()
        elif self._annotator.segmenter is not None:
            self._annotator.encode_ahead(neighbours(self._images))


def neighbours(images: ImageChoice) -> list[Callable[[], MultiChannelImage]]:
    """What opens the images beside the one at hand, the likeliest first.

    In a stack these are the next and the previous slice; else the images of the layers after this one. Large images
    are none of them: nobody knows which of their regions comes next.
    """
    image, taken = images.image, images.taken
    if image is None or is_large(image):
        return []
    if taken is not None and images.index:
        *before, last = images.index
        length = list(taken.stack.values())[-1]
        beside = (i for i in (last + 1, last - 1) if 0 <= i < length)
        return [partial(taken.image, (*before, i)) for i in beside]
    layers = images.layers
    at = layers.index(images.layer) if images.layer in layers else 0
    known = [layer.metadata.get(IMAGE) for layer in (*layers[at + 1 :], *layers[:at])]
    others = [found for found in known if found is not None and not is_large(found)]
    return [partial(_itself, found) for found in others[:_MOST_LAYERS]]


def _itself(image: MultiChannelImage) -> MultiChannelImage:
    return image
