"""What people see of an image, which never changes what the model sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_simmat.images.image import MultiChannelImage
from napari_simmat.images.looks.composites import PRINCIPAL_COMPONENTS, Preset, painter_for

__all__ = ["PRINCIPAL_COMPONENTS", "as_rgb", "overview_rgb", "screen_rgb"]


def screen_rgb(
    image: MultiChannelImage,
    channels: Preset | Sequence[int] | str | None = None,
    *,
    percentiles: tuple[float, float] = (0.5, 99.5),
) -> NDArray[np.uint8]:
    """A picture of the image for the screen.

    Each channel is stretched between two of its own percentiles. Red, green and blue of a colour picture are
    stretched together, so that its colours stay, and not at all if they are 8-bit. Only the channels that the picture
    is made of are read.

    Parameters
    ----------
    image : MultiChannelImage
        Any channels, also constant or with missing values.
    channels : Preset, str or sequence of int, optional
        One of the `presets_for` the image or its name, one channel for a grey picture, or three for a colour
        composite. The first one to three channels where not given.
    percentiles : tuple of float
        What becomes black and what becomes white.

    Returns
    -------
    ndarray, uint8
        Shape (Y, X) for one channel, else (Y, X, 3). Missing pixels are black.

    Raises
    ------
    ImageError
        If there is no such preset, or another number of channels is asked for or one that does not exist.
    """
    painter = painter_for(image, _spec(channels), percentiles=percentiles)
    if painter.needs == tuple(range(image.n_channels)):
        return painter.paint(image.planes())
    return painter.paint(image.plane(i) for i in painter.needs)


def overview_rgb(
    image: MultiChannelImage, channels: Preset | Sequence[int] | str | None = None, longest: int = 1024
) -> NDArray[np.uint8]:
    """A small picture of the image in the same colours, from every so manieth pixel; always (y, x, 3)."""
    painter = painter_for(image, _spec(channels))
    return as_rgb(painter.paint(iter(image.overview(longest, painter.needs))))


def as_rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey picture as red, green and blue alike; others as they are."""
    return np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture


def _spec(channels: Preset | Sequence[int] | str | None) -> Sequence[int] | str | None:
    return channels.spec if isinstance(channels, Preset) else channels
