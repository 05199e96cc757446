"""The region of a large image that is worked on: it is opened where somebody clicks, and what was asked waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from napari_simmat.annotator import Job, Progress
from napari_simmat.images import MultiChannelImage
from napari_simmat.inference.regions import Region, holds, is_large, region_at
from napari_simmat.plugin.thumbnails import Backdrop, backdrop

if TYPE_CHECKING:
    from napari_simmat.plugin.controller import Controller

Ask = Callable[[int, int], object]
"""Asks the annotator something, given the row and column of the first pixel that is worked on."""


class Regions(QObject):
    """Opens images or regions of them before anything is asked about a pixel.

    Parameters
    ----------
    controller : Controller
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__(controller)
        self._controller = controller
        self._region: Region | None = None
        self._wanted: tuple[Any, Region] | None = None
        self._waiting: tuple[float, float, Ask] | None = None

    def region_of(self, layer: Any) -> Region | None:
        """The region to begin with in a layer that was opened: that which was asked for, or the one there was."""
        region, self._region = self._region, None
        wanted, self._wanted = self._wanted, None
        if layer is None:
            self._waiting = None
            return None
        if wanted is not None and wanted[0] == layer:
            return wanted[1]
        return region if layer == self._controller.stage.image_layer else None

    def go_to(self, layer: Any, region: Region) -> None:
        """Work on this region of a layer with a large image, which is at hand or about to be opened."""
        if self._controller.images.is_moving:
            self._wanted = layer, region
        elif region != self._region or self._controller.annotator.image is None:
            self.open(region)

    def open(self, region: Region) -> None:
        """Work on a region of the large image at hand."""
        controller = self._controller
        images, layer, image = controller.images, controller.images.layer, controller.images.image
        assert image is not None
        self._region = region
        top, left, bottom, right = (min(a, b) for a, b in zip(region, image.shape * 2, strict=True))
        controller.annotator.set_image(None)
        controller.stage.set_image_layer(
            layer, (bottom - top, right - left), index=images.index, region=(top, left)
        )
        controller.prepare()

        def work(progress: Progress) -> tuple[MultiChannelImage, Backdrop]:
            window = image.window(*region)
            return window, backdrop(window)

        def take(opened: tuple[MultiChannelImage, Backdrop]) -> None:
            if images.image is image and self._region == region and not controller.is_closed:
                window, images.backdrop = opened
                controller.annotator.set_image(window)
                self.go_on()

        def failed(error: Exception) -> None:
            if self._region == region:
                self._region = self._waiting = None
                controller.said.emit(str(error), True)

        title = f"Reading a region of {image.name}"
        controller.executor(Job("region", title, work=work, take=take, failed=failed))

    def ask_at(self, y: float, x: float, ask: Ask) -> None:
        """Ask about a pixel of the image layer, once what is there is open."""
        controller, image = self._controller, self._controller.images.image
        if controller.images.is_moving:
            self._waiting = y, x, ask
        elif image is None:
            self._waiting = None
            controller.said.emit("Open or choose an image first.", False)
        elif not is_large(image):
            controller.attempt(lambda: ask(*controller.stage.origin))
        elif not holds((0, 0, *image.shape), y, x):
            controller.said.emit("This is outside of the image; click on the image.", True)
        elif self._region is None or not holds(self._region, y, x):
            self.open(region_at(image.shape, y, x))
            self._waiting = y, x, ask
        elif controller.annotator.image is None:
            self._waiting = y, x, ask
        else:
            controller.attempt(lambda: ask(*controller.stage.origin))

    def go_on(self) -> None:
        """Do what waited for an image or region to be opened."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self.ask_at(*waiting)
