"""Robust numbers about one channel, whatever its type and however broken its pixels are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["filled", "limits_and_middle", "median_of", "percentile_limits", "sample", "summary", "unit_scale"]

SAMPLE_PIXELS = 1 << 18
"""Pixels from which percentiles are taken: the 0.5th percentile is then known to about 0.014 points."""

Pixels = NDArray[Any]


def sample(channel: Pixels, pixels: int = SAMPLE_PIXELS) -> NDArray[np.floating]:
    """Finite values on a regular grid over the channel.

    Parameters
    ----------
    channel : ndarray, shape (Y, X)
        Any real type, NaN and infinities allowed.
    pixels : int
        About how many to take.

    Returns
    -------
    ndarray, shape (n,)
        As float32 where that is exact, else as float64. Empty only if the whole channel has no finite value.
    """
    step = max(1, int(np.ceil(np.sqrt(channel.size / pixels))))
    values = _finite(channel[::step, ::step])
    if not values.size and step > 1:
        values = _finite(channel)
    return values


def _finite(channel: Pixels) -> NDArray[np.floating]:
    is_narrow = channel.dtype.itemsize <= 2 or channel.dtype == np.float32
    exact: NDArray[np.floating] = channel.astype(np.float32 if is_narrow else np.float64)
    values = exact.ravel()
    if channel.dtype.kind != "f":
        return values
    measured = np.isfinite(values)
    return values if measured.all() else values[measured]


def summary(channel: Pixels) -> tuple[float, float, float, float] | None:
    """Least, middle and largest value of a channel, and the share of pixels that were not measured.

    Parameters
    ----------
    channel : ndarray, shape (Y, X)
        Any real type.

    Returns
    -------
    tuple of float, or None
        None where nothing was measured.
    """
    values = _finite(channel)
    if not values.size:
        return None
    missing = 1 - values.size / channel.size
    return float(values.min()), median_of(values), float(values.max()), missing


def filled(channel: Pixels, value: float) -> Pixels:
    """The channel with NaN and infinities replaced by `value`; the same array if there are none."""
    if channel.dtype.kind != "f":
        return channel
    measured = np.isfinite(channel)
    if measured.all():
        return channel
    return np.where(measured, channel, channel.dtype.type(value))


def percentile_limits(
    channel: Pixels, values: NDArray[np.floating], low: float, high: float
) -> tuple[float, float]:
    """Two percentiles that differ wherever the channel is not constant.

    A channel that is nearly everywhere the same (a few bright spots, a mostly saturated sensor) has equal
    percentiles; it then keeps its full range, so that what it does show survives.

    Parameters
    ----------
    channel : ndarray, shape (Y, X)
        The whole channel, looked at only where the percentiles coincide.
    values : ndarray, shape (n,)
        Its `sample`.
    low, high : float
        Percentiles, 0 to 100.

    Returns
    -------
    tuple of float
        Equal only for a constant channel; (0, 0) where nothing is finite.
    """
    bottom, _, top = limits_and_middle(channel, values, low, high)
    return bottom, top


def limits_and_middle(
    channel: Pixels, values: NDArray[np.floating], low: float, high: float
) -> tuple[float, float, float]:
    """As `percentile_limits`, with the median between them: (0, 0, 0) where nothing is finite."""
    if not values.size:
        return 0.0, 0.0, 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # two huge neighbours of opposite sign
        bottom, middle, top = (float(v) for v in np.percentile(values, (low, 50.0, high)))
    if not np.isfinite((bottom, middle, top)).all():
        bottom, top = (float(v) for v in np.percentile(values, (low, high), method="nearest"))
        middle = median_of(values)
    if top <= bottom:
        everything = _finite(channel)
        bottom, top = float(everything.min()), float(everything.max())
    return bottom, middle, top


def median_of(values: NDArray[np.floating]) -> float:
    """The median of finite values, finite however large they are."""
    with np.errstate(over="ignore", invalid="ignore"):
        middle = float(np.median(values))
    return middle if np.isfinite(middle) else float(np.percentile(values, 50.0, method="nearest"))


def unit_scale(
    values: Pixels, low: float, high: float, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Map [low, high] to [0, 1] and clip, in double precision so that large offsets keep their detail.

    Parameters
    ----------
    values : ndarray
        What is not finite becomes 0 or 1, or stays NaN.
    low, high : float
        Where they are equal, the result is zero everywhere.
    out : ndarray, float32, optional
        Of their shape; where the result goes.
    """
    scaled = np.empty(values.shape, np.float32) if out is None else out
    if high <= low:
        scaled[...] = 0
        return scaled
    span = high - low
    if _single_precision_will_do(values.dtype, low, high):
        with np.errstate(over="ignore"):  # far beyond the limits, to which it is clipped
            np.subtract(values, np.float32(low), out=scaled, dtype=np.float32)
            scaled *= np.float32(1.0 / span)
        return np.clip(scaled, 0.0, 1.0, out=scaled)
    half = 1.0 if np.isfinite(span) else 0.5  # two huge limits of opposite sign overflow in their difference
    wide = np.clip(values.astype(np.float64), low, high) * half
    wide -= half * low
    wide /= half * high - half * low
    scaled[...] = np.clip(wide, 0.0, 1.0, out=wide)
    return scaled


def _single_precision_will_do(dtype: np.dtype[Any], low: float, high: float) -> bool:
    narrow = dtype.itemsize <= 2 or dtype == np.float32
    size = max(abs(low), abs(high))
    return narrow and size < 1e30 and high - low > max(1e-30, 1e-3 * size)
