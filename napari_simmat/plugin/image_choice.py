"""Which image is worked on, how it is understood, and what is shown of it."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtCore import QObject, Signal

from napari_simmat.annotator import Job, Progress
from napari_simmat.errors import AmbiguousAxesError
from napari_simmat.images import MultiChannelImage
from napari_simmat.plugin.executor import Executor
from napari_simmat.plugin.pictures import (
    IMAGE,
    QUESTION,
    Picture,
    image_reader,
    layer_data,
    pictures_of,
    render,
)
from napari_simmat.plugin.thumbnails import Backdrop, backdrop


class ImageChoice(QObject):
    """The image layer at hand and the image behind it.

    Parameters
    ----------
    viewer : napari.Viewer
    executor : Executor
    parent : QObject, optional
    """

    layers_changed = Signal()
    """There are other image layers to choose from, or one has another name."""

    opened = Signal(object, object)
    """A layer and its image are to be worked on; None and None if there is none any more."""

    asked = Signal(object)
    """The user has to say which axis holds the channels (an `AmbiguousAxesError`), or has said it (None)."""

    picture_changed = Signal()
    """The image is to be shown in another way: see `picture`."""

    problem = Signal(str)

    def __init__(self, viewer: Any, executor: Executor, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.layer: Any = None
        self.image: MultiChannelImage | None = None
        self.picture: Picture | None = None
        self.question: AmbiguousAxesError | None = None
        self.backdrop: Backdrop | None = None
        self._viewer = viewer
        self._execute = executor
        self._axes: dict[Any, int] = {}
        self._pictures: dict[Any, Picture] = {}
        self._reading: Job | None = None
        for event in (
            viewer.layers.events.inserted,
            viewer.layers.events.removed,
            viewer.layers.events.renamed,
        ):
            event.connect(self._on_layers)

    @property
    def layers(self) -> list[Any]:
        """The image layers that can be chosen, the topmost last."""
        return [layer for layer in self._viewer.layers if _is_image(layer)]

    @property
    def pictures(self) -> list[Picture]:
        """The ways to show the image."""
        if self.image is None:
            return []
        if _is_ours(self.layer):
            return pictures_of(self.image)
        if self.layer.rgb or self.layer.ndim < 3:
            return [Picture("as in napari", (0,))]
        return [Picture(channel.name, (i,)) for i, channel in enumerate(self.image.channels)]

    def start(self) -> None:
        """Begin with the topmost image that is there."""
        self._on_layers()

    def choose(self, layer: Any, *, modality: str | None = None) -> None:
        """Work on the image of this layer; None: on none."""
        if self._reading is not None:
            self._reading.cancel.set()
        if layer is None:
            self._set(None, None)
            return
        if layer != self.layer:
            self._set_question(None)
        read = image_reader(layer, channel_axis=self._axes.get(layer), modality=modality)

        def work(progress: Progress) -> tuple[MultiChannelImage, Backdrop]:
            image = read()
            return image, backdrop(image)

        job = Job(
            "read",
            f"Reading {layer.name}",
            work=work,
            take=lambda result: None if job.cancel.is_set() else self._read(layer, *result),
            failed=lambda error: None if job.cancel.is_set() else self._failed(layer, error),
        )
        self._reading = job
        self._execute(job)

    def answer(self, axis: int) -> None:
        """The user's answer to the question for the channel axis."""
        if self._asking is not None:
            layer = self._asking
            self._axes[layer] = axis
            self.choose(layer)

    def set_modality(self, modality: str) -> None:
        """Understand the channels as another modality."""
        if self.layer is not None and self.image is not None and modality != self.image.modality:
            self.choose(self.layer, modality=modality)

    def show_picture(self, picture: Picture) -> None:
        """Show the image in another way; the model sees what it saw before."""
        layer, image = self.layer, self.image
        if image is None:
            return
        self.picture = self._pictures[layer] = picture
        self.picture_changed.emit()
        if _is_ours(layer):

            def take(drawn: tuple[Any, Backdrop]) -> None:
                if layer == self.layer:
                    layer.data, self.backdrop = drawn

            self._execute(
                Job(
                    "show",
                    f"Drawing {image.name}",
                    work=lambda progress: (render(image, picture.spec), backdrop(image, picture.spec)),
                    take=take,
                    failed=lambda error: self.problem.emit(str(error)),
                )
            )
        elif layer.ndim >= 3 and not layer.rgb and not isinstance(picture.spec, str):
            self._viewer.dims.set_current_step(self._viewer.dims.ndim - 3, int(picture.spec[0]))

    def close(self) -> None:
        """Stop listening."""
        events = self._viewer.layers.events
        for event in (events.inserted, events.removed, events.renamed):
            event.disconnect(self._on_layers)

    _asking: Any = None

    def _read(self, layer: Any, image: MultiChannelImage, behind: Backdrop) -> None:
        self._reading = None
        self.backdrop = behind
        if layer not in self._viewer.layers:
            return
        self._set_question(None)
        axis = self._axes.get(layer)
        if QUESTION in layer.metadata:
            layer.metadata = {IMAGE: image}
            layer.data = render(image, pictures_of(image)[0].spec)
        elif _is_ours(layer):
            layer.metadata = {**layer.metadata, IMAGE: image}
        elif axis is not None and not layer.rgb and axis % layer.ndim != 0:
            # napari shows the last two axes, which are no rows and columns here: show a picture instead.
            data, options, _ = layer_data(image)
            layer.visible = False
            self.layer = layer  # so that the new layer is not chosen by itself
            layer = self._viewer.add_image(data, **options)
        self._set(layer, image)

    def _failed(self, layer: Any, error: Exception) -> None:
        self._reading = None
        if isinstance(error, AmbiguousAxesError):
            self._set(None, None)
            self._asking = layer
            self._set_question(error)
        else:
            self.problem.emit(str(error))
            self.layers_changed.emit()  # the panel shows again what is in fact at hand

    def _set(self, layer: Any, image: MultiChannelImage | None) -> None:
        is_other_image = layer is not None and layer == self.layer and image is not self.image
        self.layer, self.image = layer, image
        pictures, before = self.pictures, self._pictures.get(layer)
        stays = before is not None and (before in pictures or not is_other_image)
        self.picture = before if stays else next(iter(pictures), None)
        self.opened.emit(layer, image)
        self.picture_changed.emit()
        if is_other_image and _is_ours(layer) and self.picture is not None:
            self.show_picture(self.picture)  # the same pixels mean something else now

    def _set_question(self, question: AmbiguousAxesError | None) -> None:
        if question is None:
            self._asking = None
        self.question = question
        self.asked.emit(question)

    def _on_layers(self, event: Any = None) -> None:
        gone = event is not None and event.type == "removed" and event.value
        if gone:
            self._axes.pop(gone, None)
            self._pictures.pop(gone, None)
        if gone and gone == self._asking:
            self._set_question(None)
        if gone and gone == self.layer:
            self.choose(None)
        self.layers_changed.emit()
        if self.layer is None and self._reading is None and self.question is None and self.layers:
            self.choose(self.layers[-1])


def _is_image(layer: Any) -> bool:
    return isinstance(getattr(layer, "__wrapped__", layer), Image)


def _is_ours(layer: Any) -> bool:
    return IMAGE in layer.metadata
