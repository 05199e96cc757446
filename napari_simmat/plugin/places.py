"""In which layer, on which slice and in which region of it each image of the session was worked on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import ref

from napari_simmat.images import MultiChannelImage
from napari_simmat.inference.regions import Region, is_large
from napari_simmat.plugin.image_choice import ImageChoice


@dataclass(frozen=True)
class Place:
    """Where an image is.

    Attributes
    ----------
    layer : weak reference to a napari layer
    index : dict of int to int
        Slice on each axis of the layer over which there are several images.
    region : (int, int, int, int), optional
        Of a large image, in pixels of the layer.
    """

    layer: ref[Any]
    index: dict[int, int]
    region: Region | None


class Places:
    """Remembers where images were opened, and goes back there.

    Parameters
    ----------
    viewer : napari.Viewer
    images : ImageChoice
    """

    def __init__(self, viewer: Any, images: ImageChoice) -> None:
        self._viewer = viewer
        self._images = images
        self._found: dict[str, Place] = {}

    def note(self, image: MultiChannelImage) -> None:
        """Remember an image, or region of one, as what is worked on in the layer and slice that are chosen."""
        layer, whole = self._images.layer, self._images.image
        if layer is None or whole is None:
            return
        (top, left), (rows, columns) = image.origin, image.shape
        region = (top, left, top + rows, left + columns) if is_large(whole) else None
        index = dict(zip(self._images.stack_axes, self._images.index, strict=True))
        self._found[image.identity] = Place(ref(layer), index, region)

    def go_to(self, identity: str) -> Place | None:
        """Have the slice of this image opened and seen; where it is, None if its layer is gone."""
        place = self._found.get(identity)
        layer = None if place is None else place.layer()
        if place is None or layer is None or layer not in self._viewer.layers:
            return None
        position = [0.0] * layer.ndim
        for axis, step in place.index.items():
            position[axis] = step
        world, dims = layer.data_to_world(position)[-layer.ndim :], self._viewer.dims
        axes = list(place.index)
        if axes:
            first = dims.ndim - layer.ndim
            dims.set_point([first + axis for axis in axes], [float(world[axis]) for axis in axes])
        here = dict(zip(self._images.stack_axes, self._images.index, strict=True))
        if layer == self._images.layer and place.index == here and not self._images.is_moving:
            self._images.uncover(layer)
        else:
            self._images.show(layer)
        return place
