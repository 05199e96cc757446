"""Which image is worked on, how it is understood, and what is shown of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal

from napari_simmat.annotator import Job, Progress
from napari_simmat.errors import AmbiguousAxesError
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.physics.sample_formats import AS_STORED
from napari_simmat.inference.regions import is_large
from napari_simmat.plugin.executor import Executor
from napari_simmat.plugin.image_layers import covers, finest, is_image, is_ours
from napari_simmat.plugin.joining import Joining
from napari_simmat.plugin.painting import painting_of, watch
from napari_simmat.plugin.pictures import (
    IMAGE,
    MODEL_PICTURE,
    QUESTION,
    TAKEN,
    Picture,
    pictures_of,
    render,
    taken_of,
)
from napari_simmat.plugin.reading import Reading, read_image, read_slice
from napari_simmat.plugin.taken import Taken, range_text
from napari_simmat.plugin.thumbnails import Backdrop, backdrop

SETTLE_MS = 200
"""How long a slider must rest before its slice is opened."""

_LIST_EVENTS = ("inserted", "removed", "renamed")


class ImageChoice(QObject):
    """The image layer at hand and the image behind it: of a stack the slice that is shown.

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

    moved = Signal(bool)
    """A slider of the stack at hand stands on the slice that is worked on (True) or on another one, which is opened
    once the slider rests."""

    asked = Signal(object)
    """The user has to say which axis holds the channels (an `AmbiguousAxesError`), or has said it (None)."""

    model_picture_wanted = Signal()
    """Somebody who knows the model has to draw what it sees, and give it to `show_drawn`."""

    picture_changed = Signal()
    """The image is to be shown in another way: see `picture`."""

    ranges_known = Signal()
    """What values the sample formats give is in `ranges`."""

    problem = Signal(str)

    def __init__(self, viewer: Any, executor: Executor, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.layer: Any = None
        self.image: MultiChannelImage | None = None
        self.taken: Taken | None = None
        self.ranges: dict[str, str] = {}
        self.index: tuple[int, ...] = ()
        self.picture: Picture | None = None
        self.question: AmbiguousAxesError | None = None
        self.backdrop: Backdrop | None = None
        self._viewer = viewer
        self._execute = executor
        self._answers: dict[Any, Taken] = {}
        self._pictures: dict[Any, Picture] = {}
        self._stack_axes: tuple[int, ...] = ()
        self._reading: tuple[Any, Job] | None = None
        self._asking: Any = None
        self._to_uncover: Any = None
        self._ranged: Any = None
        self._settle = QTimer(self)
        self._settle.setSingleShot(True)
        self._settle.setInterval(SETTLE_MS)
        self._settle.timeout.connect(self._open_slice)
        self._joining = Joining(viewer, executor, self._take_joint, wait_ms=SETTLE_MS, parent=self)
        watch(viewer)
        for name in _LIST_EVENTS:
            getattr(viewer.layers.events, name).connect(self._on_layers)
        viewer.dims.events.current_step.connect(self._on_step)

    # ---------------------------------------------------------------- what there is

    @property
    def layers(self) -> list[Any]:
        """The image layers that can be chosen, the topmost last."""
        return [layer for layer in self._viewer.layers if is_image(layer)]

    @property
    def pictures(self) -> list[Picture]:
        """The ways to show the image."""
        if self.image is None:
            return []
        if is_ours(self.layer):
            others = [MODEL_PICTURE] if painting_of(self.layer) is None else []
            return pictures_of(self.image) + others
        if self.layer.rgb or self.layer.ndim < 3:
            return [Picture("as in napari", (0,))]
        return [Picture(channel.name, (i,)) for i, channel in enumerate(self.image.channels)]

    @property
    def sample_format(self) -> str:
        """What the numbers are taken for: the user's choice, else what the reader chose."""
        return self.image.facts.get("sample format", AS_STORED) if self.image is not None else AS_STORED

    @property
    def stack_axes(self) -> tuple[int, ...]:
        """Axes of the layer over which there are several images; `index` is where on them."""
        return self._stack_axes

    @property
    def is_moving(self) -> bool:
        """Whether another image or slice is about to be opened."""
        return self._settle.isActive() or self._reading is not None

    def start(self) -> None:
        """Begin with the topmost image that is there."""
        self._on_layers()

    # ---------------------------------------------------------------- what the user decides

    def choose(self, layer: Any) -> None:
        """Work on the image of this layer, of a stack on the slice that is shown; None: on none."""
        self._to_uncover = None
        if layer is None:
            self._stop_reading()
            self._set(None, None)
        else:
            self._open(layer)

    def show(self, layer: Any) -> None:
        """Work on the image of this layer, and once it is read have it seen, whatever image lies over most of it."""
        self._to_uncover = layer
        self._open(layer)

    def uncover(self, layer: Any) -> None:
        """Hide the images that lie over most of this one and let nothing through."""
        for above in self.layers[self.layers.index(layer) + 1 :]:
            if covers(above, layer):
                above.visible = False
        layer.visible = True
        self._viewer.layers.selection.active = layer  # of which napari tells the values under the mouse

    def answer(self, axis: int) -> None:
        """The user's answer to the question for the channel axis."""
        if self._asking is not None:
            layer = self._asking
            taken = self._taken_of(layer)
            if taken is not None:
                self._open(layer, lambda: taken.with_channel_axis(axis))

    def set_modality(self, modality: str) -> None:
        """Understand the channels as another modality."""
        image, taken = self.image, self.taken
        if image is None or modality == image.modality:
            return
        if taken is not None:
            self._open(self.layer, lambda: taken.with_modality(modality))
        else:
            self._open(self.layer, image=lambda: image.with_modality(modality))

    def set_channel_axis(self, axis: int | None) -> None:
        """Take another axis for the channels; None: as the file says."""
        taken = self.taken
        if taken is not None and axis != taken.channel_axis:
            self._open(self.layer, lambda: taken.with_channel_axis(axis))

    def set_sample_format(self, key: str) -> None:
        """Understand the stored numbers in another way."""
        taken = self.taken
        if taken is not None:
            self._open(self.layer, lambda: taken.with_sample_format(key))

    def set_part(self, part: str) -> None:
        """Take another array of the same file."""
        taken = self.taken
        if taken is not None and part != taken.opened.raw.part:
            self._open(self.layer, lambda: taken.with_part(part))

    def show_picture(self, picture: Picture) -> None:
        """Show the image in another way; the model sees what it saw before."""
        layer, image = self.layer, self.image
        if image is None:
            return
        self.picture = self._pictures[layer] = picture
        self.picture_changed.emit()
        if picture == MODEL_PICTURE:
            self.model_picture_wanted.emit()
            return
        painting = painting_of(layer)
        if is_ours(layer) and painting is not None:
            if painting.spec != picture.spec:
                painting.show(picture.spec)
                layer.refresh(extent=False)
            if not is_large(image):
                self._draw(layer, lambda: (None, backdrop(image, picture.spec)))
        elif is_ours(layer):
            self._draw(layer, lambda: (render(image, picture.spec), backdrop(image, picture.spec)))
        elif layer.ndim >= 3 and not layer.rgb and not isinstance(picture.spec, str):
            axis = next(
                i for i in range(layer.ndim) if i not in (*self._stack_axes, layer.ndim - 2, layer.ndim - 1)
            )
            self._viewer.dims.set_current_step(
                self._viewer.dims.ndim - layer.ndim + axis, int(picture.spec[0])
            )

    def show_drawn(self, image: MultiChannelImage, draw: Callable[[], Any]) -> None:
        """Show what `draw` makes of the image at hand, (Y, X, 3) uint8, if what the model sees is still wanted."""
        layer = self.layer
        if image is self.image and self.picture == MODEL_PICTURE:
            self._draw(layer, lambda: (draw(), backdrop(image)))

    def catch_up(self) -> None:
        """Open the slice that is shown at once: somebody clicks on it."""
        if self._settle.isActive():
            self._settle.stop()
            self._open_slice()

    def close(self) -> None:
        """Stop listening."""
        self._settle.stop()
        self._joining.stop()
        for name in _LIST_EVENTS:
            getattr(self._viewer.layers.events, name).disconnect(self._on_layers)
        self._viewer.dims.events.current_step.disconnect(self._on_step)

    # ---------------------------------------------------------------- reading

    def _taken_of(self, layer: Any) -> Taken | None:
        taken, known = taken_of(layer), self._answers.get(layer)
        if taken is None or known is None or is_ours(layer):
            return taken
        return replace(known, opened=taken.opened)  # the layer may have other pixels by now

    def _open(
        self,
        layer: Any,
        change: Callable[[], Taken] | None = None,
        *,
        image: Callable[[], MultiChannelImage] | None = None,
    ) -> None:
        """Read the image of a layer, taken otherwise if `change` or `image` says so."""
        self._stop_reading()
        if layer != self.layer and layer != self._asking:
            self._set_question(None)
        taken, question = self._taken_of(layer), layer.metadata.get(QUESTION)
        known, ours = layer.metadata.get(IMAGE), is_ours(layer)
        position, shape = self._position(layer), layer.data.shape[: layer.ndim]

        def work(progress: Progress) -> Reading:
            if taken is None:
                return read_image(known if image is None else image())
            if question is not None and change is None:
                raise question
            return read_slice(taken, change, position=position, shape=shape, ours=ours)

        job = Job(
            "read",
            f"Reading {layer.name}",
            work=work,
            take=lambda reading: None if job.cancel.is_set() else self._read(layer, reading),
            failed=lambda error: None if job.cancel.is_set() else self._failed(layer, error),
        )
        self._reading = layer, job
        self._execute(job)

    def _stop_reading(self) -> None:
        self._settle.stop()
        if self._reading is not None:
            self._reading[1].cancel.set()
            self._reading = None

    def _read(self, layer: Any, reading: Reading) -> None:
        self._reading = None
        if layer not in self._viewer.layers:
            self._on_layers()
            return
        self._set_question(None)
        if layer == self._to_uncover:
            self.uncover(layer)
        self._to_uncover = None
        if reading.drawn is not None:
            layer = self._redraw(layer, reading)
        if is_ours(layer):
            layer.metadata = {**layer.metadata, IMAGE: reading.image}
        elif reading.taken is not None:
            self._answers[layer] = reading.taken
        self.taken, self.index, self._stack_axes = reading.taken, reading.index, reading.stack_axes
        self.backdrop = reading.backdrop
        self._set(layer, reading.image)
        self._look_for_ranges()
        self._on_step()  # the slider may have gone on meanwhile

    def _redraw(self, layer: Any, reading: Reading) -> Any:
        """Show an image that is taken otherwise: in the same layer if napari can, else in one in its place."""
        assert reading.drawn is not None
        data, options, _ = reading.drawn
        viewer = self._viewer
        same_kind = layer.multiscale == options["multiscale"] and layer.ndim == np.ndim(finest(data)) - 1
        if is_ours(layer) and layer.rgb and same_kind:
            self._pictures.pop(layer, None)
            layer.metadata = options["metadata"]
            layer.data = data
            if "scale" in options:
                layer.scale, layer.units = options["scale"], options["units"]
            return layer
        place = viewer.layers.index(layer)
        made = Image(data, **options)
        self.layer = made  # so that it is not chosen by itself, and the former one is not missed
        if reading.is_upright:
            viewer.layers.remove(layer)
            viewer.layers.insert(place, made)
        else:  # napari shows the last two axes, which are no rows and columns here
            layer.visible = False
            viewer.add_layer(made)
        return made

    def _failed(self, layer: Any, error: Exception) -> None:
        self._reading = None
        if isinstance(error, AmbiguousAxesError):
            self._set(None, None)
            self._asking = layer
            self._set_question(error)
            return
        self._to_uncover = None
        self.problem.emit(str(error))
        if layer == self.layer and self._index_shown() != self.index:
            self.index = self._index_shown()
            self._set(layer, None)  # what is shown is not what could be worked on
        self.layers_changed.emit()  # the panel shows again what is in fact at hand

    def _set(self, layer: Any, image: MultiChannelImage | None) -> None:
        is_other_image = layer is not None and layer == self.layer and image is not self.image
        self.layer, self.image = layer, image
        if layer is None:
            self.taken, self.index, self._stack_axes = None, (), ()
        pictures, before = self.pictures, self._pictures.get(layer)
        stays = before is not None and (before in pictures or not is_other_image)
        self.picture = before if stays else next(iter(pictures), None)
        self.opened.emit(layer if image is not None else None, image)
        self.picture_changed.emit()
        if is_other_image and image is not None and is_ours(layer) and self.picture is not None:
            self.show_picture(self.picture)  # the same pixels mean something else now

    def _set_question(self, question: AmbiguousAxesError | None) -> None:
        if question is None:
            self._asking = None
        self.question = question
        self.asked.emit(question)

    def _draw(self, layer: Any, work: Callable[[], tuple[Any, Backdrop]]) -> None:
        def take(drawn: tuple[Any, Backdrop]) -> None:
            if layer == self.layer:
                data, self.backdrop = drawn
                if data is not None:
                    layer.data = data

        self._execute(
            Job(
                "show",
                f"Drawing {layer.name}",
                work=lambda progress: work(),
                take=take,
                failed=lambda error: self.problem.emit(str(error)),
            )
        )

    def _look_for_ranges(self) -> None:
        """Find out which values each sample format would give."""
        taken, index = self.taken, self.index
        if taken is None or (taken.opened, taken.channel_axis) == self._ranged:
            return
        self.ranges, self._ranged = {}, (taken.opened, taken.channel_axis)

        def work(progress: Progress) -> dict[str, str]:
            keys = taken.opened.sample_formats(taken.channel_axis)
            found = {key: range_text(taken, key, index) for key in keys if len(keys) > 1}
            return {key: text for key, text in found.items() if text}

        def take(found: dict[str, str]) -> None:
            if self.taken is not None and (self.taken.opened, self.taken.channel_axis) == self._ranged:
                self.ranges = found
                self.ranges_known.emit()

        self._execute(Job("ranges", "Looking at the values", work=work, take=take))

    # ---------------------------------------------------------------- slices

    def _position(self, layer: Any) -> tuple[int, ...]:
        """Where the sliders stand, in pixels of this layer, and inside of it."""
        shape = layer.data.shape[: layer.ndim]
        if layer.ndim < 3 or layer not in self._viewer.layers:
            return (0,) * layer.ndim
        place = layer.world_to_data(self._viewer.dims.point)[-layer.ndim :]
        return tuple(int(np.clip(round(float(v)), 0, n - 1)) for v, n in zip(place, shape, strict=True))

    def _index_shown(self) -> tuple[int, ...]:
        position = self._position(self.layer) if self._stack_axes else ()
        return tuple(position[axis] for axis in self._stack_axes)

    def _on_step(self, event: Any = None) -> None:
        if self.layer is None or not self._stack_axes or self.layer not in self._viewer.layers:
            return
        is_here = self._index_shown() == self.index and self.image is not None
        if is_here:
            self._stop_reading()
        elif self._index_shown() != self.index:
            self._settle.start()
        self.moved.emit(is_here)

    def _open_slice(self) -> None:
        if self.layer is not None and self._index_shown() != self.index:
            self._open(self.layer)

    # ---------------------------------------------------------------- layers that come and go

    def _on_layers(self, event: Any = None) -> None:
        gone = event is not None and event.type == "removed" and event.value
        if event is not None and event.type == "inserted" and TAKEN in event.value.metadata:
            self._joining.expect_more(event.value)
        if gone:
            self._answers.pop(gone, None)
            self._pictures.pop(gone, None)
        if gone and gone == self._asking:
            self._set_question(None)
        if gone and self._reading is not None and gone == self._reading[0] and gone != self.layer:
            self._stop_reading()
        if gone and gone == self.layer:
            self.choose(None)
        self.layers_changed.emit()
        if self.layer is None and self._reading is None and self.question is None and self.layers:
            self.choose(self.layers[-1])

    def _take_joint(self, made: Any, joined: list[Any]) -> None:
        """Work on the image that others were found to be parts of."""
        if self.layer is None or self.layer in joined:
            self.choose(made)
