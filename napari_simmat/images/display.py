"""What people see of an image, which never changes what the model sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.images.composites import PRINCIPAL_COMPONENTS, Preset, painter_for
from napari_simmat.images.image import MultiChannelImage
from napari_simmat.images.painters import Painter

__all__ = ["PRINCIPAL_COMPONENTS", "lazy_rgb", "overview_rgb", "screen_rgb"]


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


def lazy_rgb(image: MultiChannelImage, painter: Painter, level: int = 0) -> Any:
    """A picture that is painted piece by piece when it is looked at.

    Parameters
    ----------
    image : MultiChannelImage
        A lazy one.
    painter : Painter
        What `painter_for` made for this image.
    level : int
        0 for the image itself, else one of its coarser levels.

    Returns
    -------
    dask array, uint8, shape (Y, X, 3)
    """
    source = image.levels[level - 1] if level else image.data
    planes = source[list(painter.needs)].rechunk({0: len(painter.needs)})

    def paint(block: NDArray[Any]) -> NDArray[np.uint8]:
        return as_rgb(painter.paint(iter(block)))[None]

    chunks = ((1,), *planes.chunks[1:], (3,))
    painted = planes.map_blocks(
        paint, dtype=np.uint8, chunks=chunks, new_axis=3, meta=np.empty((0, 0, 0, 0), np.uint8)
    )
    return painted[0]


def as_rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A grey picture as red, green and blue alike; others as they are."""
    return np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture


def _spec(channels: Preset | Sequence[int] | str | None) -> Sequence[int] | str | None:
    return channels.spec if isinstance(channels, Preset) else channels
