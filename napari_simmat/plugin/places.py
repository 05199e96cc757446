"""In which layer, and on which slice of it, each image of the session was worked on."""

from __future__ import annotations

from typing import Any
from weakref import ref

from qtpy.QtCore import QObject

from napari_simmat.images import MultiChannelImage
from napari_simmat.plugin.image_choice import ImageChoice


class Places(QObject):
    """Remembers where images were opened, and goes back there.

    Parameters
    ----------
    viewer : napari.Viewer
    images : ImageChoice
    parent : QObject, optional
    """

    def __init__(self, viewer: Any, images: ImageChoice, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._images = images
        self._found: dict[str, tuple[ref[Any], dict[int, int]]] = {}

    def go_to(self, identity: str) -> bool:
        """Work on this image again; False if its layer is gone."""
        layer_of, index = self._found.get(identity, (lambda: None, {}))
        layer = layer_of()
        if layer is None or layer not in self._viewer.layers:
            return False
        position = [0.0] * layer.ndim
        for axis, step in index.items():
            position[axis] = step
        world, dims = layer.data_to_world(position), self._viewer.dims
        for axis in index:
            dims.set_point(dims.ndim - layer.ndim + axis, float(world[axis - layer.ndim]))
        self._images.show(layer)
        return True

    def note(self, image: MultiChannelImage | None) -> None:
        """Remember an image, or region of one, as what is worked on in the layer and slice that are chosen."""
        if image is not None and self._images.layer is not None:
            index = dict(zip(self._images.stack_axes, self._images.index, strict=True))
            self._found[image.identity] = ref(self._images.layer), index
