"""From images to napari's one layer for all channels, and back from any image layer to an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import AmbiguousAxesError
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.looks.composites import presets_for
from napari_simmat.images.looks.display import as_rgb, screen_rgb
from napari_simmat.images.opened import Opened, open_file
from napari_simmat.inference.regions import is_large
from napari_simmat.plugin.painting import Painting
from napari_simmat.plugin.taken import Taken, taken_from_layer

IMAGE = "napari-simmat image"
"""Key in a layer's metadata of the `MultiChannelImage` that the layer is a picture of."""

TAKEN = "napari-simmat taken"
"""Key in a layer's metadata of the `Taken` that its image was made of."""

SINGLES = 8
"""Of more channels than these, single ones are found with the slider of the channel browser only."""

QUESTION = "napari-simmat question"
"""Key in a layer's metadata of the `AmbiguousAxesError` that the panel has to ask about."""

Spec = tuple[int, ...] | str


@dataclass(frozen=True)
class Picture:
    """A way to show an image.

    Attributes
    ----------
    text : str
        What people choose.
    spec : tuple of int or str
        As `screen_rgb` takes it.
    """

    text: str
    spec: Spec


MODEL_PICTURE = Picture("what the model sees", "what the model sees")
"""What the model's transfer layer makes of all channels: drawn by the annotator, not from the image alone."""


def pictures_of(image: MultiChannelImage) -> list[Picture]:
    """The ways to show an image, the best one first; of few channels also each of them."""
    found = [Picture(preset.text, preset.spec) for preset in presets_for(image)]
    if image.n_channels <= SINGLES:
        known = {picture.spec for picture in found}
        singles = [picture_of(image, (i,)) for i in range(image.n_channels)]
        found += [picture for picture in singles if picture.spec not in known]
    return found


def picture_of(image: MultiChannelImage, channels: tuple[int, ...]) -> Picture:
    """One channel in grey or three as red, green and blue."""
    return Picture(", ".join(image.channels[i].name for i in channels), channels)


def render(image: MultiChannelImage, spec: Spec) -> NDArray[np.uint8]:
    """The picture as an RGB array (Y, X, 3), so that one layer can show any of them."""
    return as_rgb(screen_rgb(image, spec))


def layer_data(image: MultiChannelImage, taken: Taken | None = None) -> tuple[Any, dict[str, Any], str]:
    """The one napari layer of an image: what to show, and how to find the image again.

    Parameters
    ----------
    image : MultiChannelImage
        Of a stack the first slice.
    taken : Taken, optional
        What it was made of, so that the user can have it otherwise; all slices of a stack come from there.
    """
    stack = taken.stack if taken is not None else {}
    metadata: dict[str, Any] = {IMAGE: image}
    options: dict[str, Any] = {"name": image.name, "rgb": True, "multiscale": False, "metadata": metadata}
    ahead = (1.0,) * len(stack)
    if image.pixel_size is not None:
        options["scale"] = (*ahead, *image.pixel_size)
        options["units"] = ("pixel",) * len(stack) + (image.pixel_unit,) * 2
    if taken is not None:
        metadata[TAKEN] = taken
        options["name"] = taken.opened.name
    if stack:
        options["axis_labels"] = (*stack, "y", "x")
    spec, is_big = pictures_of(image)[0].spec, is_large(image)
    if not (stack or is_big or image.is_lazy):
        return render(image, spec), options, "image"

    def open_slice(index: tuple[int, ...]) -> MultiChannelImage:
        return taken.image(index) if taken is not None and index else image

    painting = Painting(open_slice, image, stack=tuple(stack.values()), spec=spec, is_large=is_big)
    return painting.pictures, {**options, "multiscale": is_big}, "image"


def read_layer(path: str | Path | Sequence[str | Path]) -> tuple[Any, dict[str, Any], str]:
    """Read a file, or several that make up one image, as one napari layer.

    Where the channel axis is unclear the panel asks about it.

    Raises
    ------
    ImageError
        If it cannot be opened.
    """
    return opened_layer(open_file(path))


def opened_layer(opened: Opened) -> tuple[Any, dict[str, Any], str]:
    """The layer of what was opened; see `read_layer`."""
    taken = Taken(opened)
    try:
        return layer_data(taken.image(), taken)
    except AmbiguousAxesError as error:
        question = error
    taken = taken.with_channel_axis(question.candidates[0])
    data, options, kind = layer_data(taken.image(), taken)
    options["metadata"][QUESTION] = question
    return data, options, kind


def taken_of(layer: Any) -> Taken | None:
    """What a layer holds and how it is taken; None if only its image is known."""
    if TAKEN in layer.metadata:
        taken: Taken = layer.metadata[TAKEN]
        return taken
    return None if IMAGE in layer.metadata else taken_from_layer(layer)


def image_reader(
    layer: Any, *, channel_axis: int | None = None, modality: str | None = None
) -> Callable[[], MultiChannelImage]:
    """A function that makes the image of a layer; slow where the layer's data is lazy.

    What it needs of the layer is taken at once, so the function may be called on any thread.

    Parameters
    ----------
    layer : napari Image layer
        Any: made by this plugin, a stack of channels, a colour picture, one channel.
    channel_axis : int, optional
        The user's answer, where it was asked for.
    modality : str, optional
        By default what the channels suggest.
    """
    taken, question = taken_of(layer), layer.metadata.get(QUESTION)
    if taken is None:
        image: MultiChannelImage = layer.metadata[IMAGE]
        return lambda: image if modality in (None, image.modality) else image.with_modality(modality)
    if channel_axis is not None:
        taken = taken.with_channel_axis(channel_axis)
    if modality is not None:
        taken = taken.with_modality(modality)

    def made() -> MultiChannelImage:
        if question is not None and channel_axis is None:
            raise question
        return taken.image()

    return made


def add_layer(viewer: Any, layer: tuple[Any, dict[str, Any], str]) -> Any:
    """Add what `layer_data` or `read_layer` made to a viewer."""
    data, options, _ = layer
    return viewer.add_image(data, **options)
