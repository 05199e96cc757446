"""What people see of an image, which never changes what the model sees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.image import MultiChannelImage
from napari_simmat.images.statistics import filled, percentile_limits, sample, unit_scale

__all__ = ["PRINCIPAL_COMPONENTS", "screen_rgb"]

PRINCIPAL_COMPONENTS = "principal components"

COMPONENT_PIXELS = 1 << 15
"""Pixels from which the covariance of the channels is estimated."""


def screen_rgb(
    image: MultiChannelImage,
    channels: Sequence[int] | Literal["principal components"] | None = None,
    *,
    percentiles: tuple[float, float] = (0.5, 99.5),
) -> NDArray[np.uint8]:
    """A picture of the image for the screen.

    Each channel is stretched between two of its own percentiles. Red, green and blue of a colour picture are
    stretched together, so that its colours stay, and not at all if they are 8-bit.

    Parameters
    ----------
    image : MultiChannelImage
        Any channels, also constant or with missing values.
    channels : sequence of int or "principal components", optional
        One channel for a grey picture, three for a colour composite, or the directions in which the channels
        vary most, together. The first one to three channels where not given.
    percentiles : tuple of float
        What becomes black and what becomes white.

    Returns
    -------
    ndarray, uint8
        Shape (Y, X) for one channel, else (Y, X, 3).

    Raises
    ------
    ImageError
        If another number of channels is asked for or one that does not exist.
    """
    if channels == PRINCIPAL_COMPONENTS:
        return _principal_components(image, percentiles)
    chosen = _chosen(image, channels)
    if [image.channels[i].role for i in chosen] == ["red", "green", "blue"]:
        return _colour_picture(image.data[chosen], percentiles)
    planes = [_stretched(image.data[i], percentiles) for i in dict.fromkeys(chosen)]
    by_index = dict(zip(dict.fromkeys(chosen), planes, strict=True))
    return planes[0] if len(chosen) == 1 else np.stack([by_index[i] for i in chosen], axis=-1)


def _chosen(image: MultiChannelImage, channels: Sequence[int] | str | None) -> list[int]:
    count = image.n_channels
    if channels is None:
        return [0, 1, 2] if count >= 3 else [0]
    if isinstance(channels, str) or len(channels) not in (1, 3) or not all(0 <= i < count for i in channels):
        raise ImageError(
            f"Cannot show channels {channels!r} of {image.name!r}: give one or three numbers from 0 to "
            f"{count - 1}, or {PRINCIPAL_COMPONENTS!r}."
        )
    return [int(i) for i in channels]


def _stretched(channel: NDArray[Any], percentiles: tuple[float, float]) -> NDArray[np.uint8]:
    values = sample(channel)
    low, high = percentile_limits(channel, values, *percentiles)
    # Missing pixels are shown as black: unlike the model, people must see that nothing was measured there.
    return _bytes(unit_scale(filled(channel, low), low, high))


def _colour_picture(data: NDArray[Any], percentiles: tuple[float, float]) -> NDArray[np.uint8]:
    if data.dtype == np.uint8:
        return np.ascontiguousarray(np.moveaxis(data, 0, -1))
    flat = data.reshape(3 * data.shape[1], data.shape[2])
    low, high = percentile_limits(flat, sample(flat), *percentiles)
    return np.stack([_bytes(unit_scale(filled(plane, low), low, high)) for plane in data], axis=-1)


def _principal_components(image: MultiChannelImage, percentiles: tuple[float, float]) -> NDArray[np.uint8]:
    """The three directions of most variance of the standardised channels as red, green and blue."""
    step = max(1, int(np.ceil(np.sqrt(image.shape[0] * image.shape[1] / COMPONENT_PIXELS))))
    limits = [percentile_limits(channel, sample(channel), *percentiles) for channel in image.data]

    def scaled(i: int, data: NDArray[Any]) -> NDArray[np.float32]:
        low, high = limits[i]
        return unit_scale(filled(data, low), low, high)

    points = np.stack([scaled(i, c[::step, ::step]).ravel() for i, c in enumerate(image.data)]).astype(
        np.float64
    )
    mean, std = points.mean(axis=1), points.std(axis=1)
    weight = np.where(std > 1e-6, 1.0 / np.maximum(std, 1e-6), 0.0)
    points = (points - mean[:, None]) * weight[:, None]
    _, vectors = np.linalg.eigh(points @ points.T / points.shape[1])
    directions = vectors[:, ::-1][:, :3].T  # (<= 3, C), most variance first
    # An eigenvector has no sign of its own: more signal shall be brighter.
    directions = directions * np.where(directions.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    planes = np.zeros((3, *image.shape), np.float32)
    for i, channel in enumerate(image.data):
        centred = (scaled(i, channel) - np.float32(mean[i])) * np.float32(weight[i])
        for plane, direction in zip(planes, directions, strict=False):
            plane += np.float32(direction[i]) * centred
    if len(directions) < 3:
        planes[len(directions) :] = planes[len(directions) - 1]
    return np.stack([_stretched(plane, percentiles) for plane in planes], axis=-1)


def _bytes(unit: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (unit * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)
