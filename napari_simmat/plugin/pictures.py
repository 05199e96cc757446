"""From images to napari's one layer for all channels, and back from any image layer to an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import AmbiguousAxesError
from napari_simmat.images import MultiChannelImage, as_image, open_image
from napari_simmat.images.composites import presets_for
from napari_simmat.images.display import as_rgb, screen_rgb

IMAGE = "napari-simmat image"
"""Key in a layer's metadata of the `MultiChannelImage` that the layer is a picture of."""

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


def layer_data(image: MultiChannelImage) -> tuple[Any, dict[str, Any], str]:
    """The one napari layer of an image: what to show, and how to find the image again."""
    options: dict[str, Any] = {"name": image.name, "rgb": True, "metadata": {IMAGE: image}}
    if image.pixel_size is not None:
        options["scale"] = image.pixel_size
        options["units"] = (image.pixel_unit, image.pixel_unit)
    return render(image, pictures_of(image)[0].spec), options, "image"


def read_layer(path: str | Path) -> tuple[Any, dict[str, Any], str]:
    """Read a file as one napari layer; where the channel axis is unclear the panel asks about it."""
    try:
        return layer_data(open_image(path))
    except AmbiguousAxesError as question:
        guess = open_image(path, channel_axis=question.candidates[0])
        data, options, kind = layer_data(guess)
        return data, {**options, "metadata": {IMAGE: guess, QUESTION: question}}, kind


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
    image, question = layer.metadata.get(IMAGE), layer.metadata.get(QUESTION)
    if image is not None:
        source = image.source if question is not None else None

        def known() -> MultiChannelImage:
            if question is not None and channel_axis is None:
                raise question
            if source is not None:
                return open_image(source, channel_axis=channel_axis, modality=modality)
            return image if modality in (None, image.modality) else image.with_modality(modality)

        return known
    data = layer.data[0] if layer.multiscale else layer.data
    axis = data.ndim - 1 if layer.rgb else channel_axis
    is_colour, name = layer.rgb, layer.name
    plane = [i for i in range(layer.ndim) if layer.rgb or axis is None or i != axis % data.ndim]
    scale = tuple(float(layer.scale[i]) for i in plane[-2:])

    def made() -> MultiChannelImage:
        array = np.asarray(data)
        if is_colour:
            array = array[..., :3]  # what is transparent is no channel
        colour = ["red", "green", "blue"] if is_colour else None
        given = {"name": name, "pixel_size": scale if scale != (1.0, 1.0) else None}
        return as_image(array, channel_axis=axis, modality=modality, names=colour, **given)

    return made


def add_layer(viewer: Any, layer: tuple[Any, dict[str, Any], str]) -> Any:
    """Add what `layer_data` or `read_layer` made to a viewer."""
    data, options, _ = layer
    return viewer.add_image(data, **options)
