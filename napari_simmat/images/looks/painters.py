"""From channels to a picture for the screen: what is read, how it becomes colours, and what the colours mean.

The limits of a painter are fixed once, from a coarse look at the image; it then paints any part of it alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_simmat.images.image import MultiChannelImage
from napari_simmat.images.roles import BAD_BAND
from napari_simmat.images.statistics import filled, percentile_limits, sample, unit_scale

__all__ = [
    "Legend",
    "Painter",
    "colour_picture",
    "components",
    "composite",
    "grey",
    "hsv",
    "hue",
    "ramp_colours",
]

Pixels = NDArray[Any]
Bytes = NDArray[np.uint8]
Percentiles = tuple[float, float]

COMPONENT_PIXELS = 1 << 15
"""Pixels from which the covariance of the channels is estimated."""

LAZY_SIDE = 512
"""Of a lazy image so many rows and columns are looked at for the limits."""

RAMPS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "grey": ((0, 0, 0), (255, 255, 255)),
    # Both grow steadily brighter; neither holds black, which stands for "no measurement".
    "heat": ((38, 6, 84), (120, 20, 110), (196, 52, 80), (242, 118, 40), (252, 196, 60), (255, 252, 190)),
    "distance": (
        (255, 246, 170),
        (146, 214, 108),
        (42, 160, 136),
        (36, 100, 142),
        (62, 48, 116),
        (50, 18, 74),
    ),
}
"""Colours at even steps from the lower to the upper limit."""


@dataclass(frozen=True)
class Legend:
    """What the colours of a picture mean.

    Attributes
    ----------
    kind : "bar" or "wheel"
        A scale from `low` to `high`, or hues around a circle over half a turn of orientation.
    title : str
        The quantity.
    low, high : float
        Values of the two ends of the scale; of a wheel the degree of polarization in its centre and at its rim, equal
        where all of it is of one saturation.
    unit : str
    ramp : str
        Of a bar: a key of `RAMPS`.
    """

    kind: Literal["bar", "wheel"]
    title: str
    low: float
    high: float
    unit: str = ""
    ramp: str = "grey"


@dataclass(frozen=True, eq=False)
class Painter:
    """Paints an image or any part of it.

    Attributes
    ----------
    needs : tuple of int
        The channels that it reads.
    paint : callable
        Takes planes (y, x) of these channels, in this order and one after the other; gives uint8, (y, x) or (y, x, 3).
    legend : Legend or None
    """

    needs: tuple[int, ...]
    paint: Callable[[Iterable[Pixels]], Bytes]
    legend: Legend | None = None


def limits(
    image: MultiChannelImage, i: int, percentiles: Percentiles, *, positive: bool = False
) -> tuple[float, float]:
    """Two percentiles of a channel; of a lazy image from a coarse grid of its pixels.

    Parameters
    ----------
    image : MultiChannelImage
    i : int
    percentiles : (float, float)
    positive : bool
        Whether values that are not above zero are no measurements.
    """
    return limits_of(coarse(image, i), percentiles, positive=positive)


def limits_of(plane: Pixels, percentiles: Percentiles, *, positive: bool = False) -> tuple[float, float]:
    """Two percentiles of a plane (y, x)."""
    if positive:
        plane = np.where(plane > 0, plane, np.nan)
    return percentile_limits(plane, sample(plane), *percentiles)


def coarse(image: MultiChannelImage, i: int) -> Pixels:
    """A channel, coarsely where reading it costs time."""
    return image.overview(LAZY_SIDE, [i])[0] if image.is_lazy else image.plane(i)


def grey(
    image: MultiChannelImage,
    i: int,
    percentiles: Percentiles,
    *,
    ramp: str = "grey",
    title: str = "",
    positive: bool = False,
) -> Painter:
    """One channel from black to white, or from one end of a ramp of colours to the other.

    Missing pixels are black: unlike the model, people must see that nothing was measured there.
    """
    low, high = limits(image, i, percentiles, positive=positive)
    colours = None if ramp == "grey" else ramp_colours(ramp)

    def paint(planes: Iterable[Pixels]) -> Bytes:
        (plane,) = planes
        shown = stretched(plane, low, high)
        if colours is None:
            return shown
        painted = colours[shown]
        painted[_missing(plane, positive)] = 0
        return painted

    channel = image.channels[i]
    return Painter((i,), paint, Legend("bar", title or channel.name, low, high, channel.unit, ramp))


def composite(image: MultiChannelImage, channels: Sequence[int], percentiles: Percentiles) -> Painter:
    """Three channels as red, green and blue, each stretched by itself."""
    needs = tuple(dict.fromkeys(channels))
    ends = [limits(image, i, percentiles) for i in needs]

    def paint(planes: Iterable[Pixels]) -> Bytes:
        shown = {i: stretched(plane, *between) for i, plane, between in zip(needs, planes, ends, strict=True)}
        return np.stack([shown[i] for i in channels], axis=-1)

    return Painter(needs, paint)


def colour_picture(image: MultiChannelImage, channels: Sequence[int], percentiles: Percentiles) -> Painter:
    """Red, green and blue, stretched together so that colours stay; not at all if they are 8-bit."""
    needs = tuple(channels)
    if image.data.dtype == np.uint8:
        return Painter(needs, lambda planes: np.stack(list(planes), axis=-1))
    together = np.concatenate([coarse(image, i) for i in needs])
    low, high = limits_of(together, percentiles)
    return Painter(needs, lambda planes: np.stack([stretched(plane, low, high) for plane in planes], axis=-1))


def components(image: MultiChannelImage, percentiles: Percentiles) -> Painter:
    """The three directions of most variance of the standardised channels as red, green and blue."""
    side = int(np.ceil(np.sqrt(COMPONENT_PIXELS)))
    used = [i for i, channel in enumerate(image.channels) if channel.role != BAD_BAND]
    used = used or list(range(image.n_channels))
    step = max(1, int(np.ceil(np.sqrt(image.shape[0] * image.shape[1] / COMPONENT_PIXELS))))
    if image.is_lazy:
        small = image.overview(side, used)
        ends = [limits_of(plane, percentiles) for plane in small]
    else:
        ends = [limits(image, i, percentiles) for i in used]
        small = np.stack([image.plane(i)[::step, ::step] for i in used])

    def scaled(k: int, plane: Pixels) -> NDArray[np.float32]:
        low, high = ends[k]
        return unit_scale(filled(plane, low), low, high)

    points = np.stack([scaled(k, plane).ravel() for k, plane in enumerate(small)]).astype(np.float64)
    mean, std = points.mean(axis=1), points.std(axis=1)
    weight = np.where(std > 1e-6, 1.0 / np.maximum(std, 1e-6), 0.0)
    standard = (points - mean[:, None]) * weight[:, None]
    _, vectors = np.linalg.eigh(standard @ standard.T / standard.shape[1])
    directions = vectors[:, ::-1][:, :3].T  # (<= 3, C), most variance first
    # An eigenvector has no sign of its own: more signal shall be brighter.
    directions = directions * np.where(directions.sum(axis=1, keepdims=True) < 0, -1.0, 1.0)
    shape = small.shape[1:]

    def project(planes: Iterable[Pixels]) -> list[NDArray[np.float32]]:
        sums: list[Any] = [np.float32(0)] * len(directions)
        for k, plane in enumerate(planes):
            centred = (scaled(k, plane) - np.float32(mean[k])) * np.float32(weight[k])
            sums = [total + np.float32(d[k]) * centred for total, d in zip(sums, directions, strict=True)]
        return [*sums, *[sums[-1]] * (3 - len(sums))]

    bounds = [limits_of(plane.reshape(shape), percentiles) for plane in project(iter(small))]

    def paint(planes: Iterable[Pixels]) -> Bytes:
        return np.stack(
            [stretched(plane, *ends) for plane, ends in zip(project(planes), bounds, strict=True)], axis=-1
        )

    return Painter(tuple(used), paint)


def hue(angle: Pixels) -> Bytes:
    """Pure hues of orientations in radians: half a turn goes once around the colours.

    Returns
    -------
    ndarray, uint8, (..., 3)
        0 is red, pi / 3 green, 2 pi / 3 blue, pi red again; black where the angle is not finite.
    """
    one = np.ones(1, np.float32)
    return hsv(angle, one, one)


def hsv(angle: Pixels, saturation: Pixels, value: Pixels) -> Bytes:
    """Colours of orientations in radians, with saturation and value between 0 and 1.

    The hue is angle / pi of a turn around the colours, so that directions half a turn apart, which are one and
    the same orientation, have one colour.

    Parameters
    ----------
    angle, saturation, value : ndarray
        Of shapes that broadcast to that of `angle`.

    Returns
    -------
    ndarray, uint8, (..., 3)
        Black where anything is not finite.
    """
    finite = np.isfinite(angle) & np.isfinite(saturation) & np.isfinite(value)
    turn = np.where(finite, angle, 0).astype(np.float32) * np.float32(6 / np.pi)
    v = np.where(finite, value, 0).astype(np.float32)
    vs = v * np.where(finite, saturation, 0).astype(np.float32)
    out = np.empty((*turn.shape, 3), np.uint8)
    for channel, shift in enumerate((5, 3, 1)):
        k = np.mod(turn + np.float32(shift), np.float32(6))
        np.minimum(k, 4 - k, out=k)
        np.clip(k, 0, 1, out=k)
        out[..., channel] = as_bytes(v - vs * k)
    return out


def ramp_colours(name: str) -> Bytes:
    """The 256 colours of a ramp, shape (256, 3)."""
    anchors = np.array(RAMPS[name], float)
    place = np.linspace(0, len(anchors) - 1, 256)
    columns = [np.interp(place, np.arange(len(anchors)), column) for column in anchors.T]
    return np.stack(columns, axis=1).round().astype(np.uint8)


def stretched(plane: Pixels, low: float, high: float) -> Bytes:
    """A plane with `low` as 0 and `high` as 255; missing values are 0."""
    return as_bytes(unit_scale(filled(plane, low), low, high))


def as_bytes(unit: NDArray[np.float32]) -> Bytes:
    """Numbers from 0 to 1 as bytes."""
    return (unit * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)


def _missing(plane: Pixels, positive: bool) -> NDArray[np.bool_]:
    missing = ~np.isfinite(plane)
    return missing | ~(plane > 0) if positive else missing
