"""From the values of a channel to what a network takes: limits, size, mean and spread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_simmat.images.physics.depth import resize_measured
from napari_simmat.images.statistics import filled, limits_and_middle, median_of, sample, unit_scale

LEAST_STD = 0.02
"""A few bright pixels in an empty channel hardly deviate from it; dividing by less would make them thousands."""


@dataclass(frozen=True)
class Scale:
    """How the values of a channel become numbers around zero.

    Attributes
    ----------
    low, high : float
        Values that become 0 and 1.
    middle : float
        The median, which stands for what was not measured.
    mean, std : float
        Of the numbers between 0 and 1.
    is_picture : bool
        Whether it is a channel of an ordinary picture, resized as bytes like SAM's own pre-processing, rounding included.
    """

    low: float
    high: float
    middle: float
    mean: float
    std: float
    is_picture: bool = False


def scale_of(
    plane: NDArray[Any], low: float, high: float, moments: tuple[float, float], *, fixed: bool
) -> Scale:
    """The scale of a channel.

    Parameters
    ----------
    plane : ndarray, (Y, X)
    low, high : float
        Limits: values where `fixed`, else percentiles in %.
    moments : (float, float)
        Mean and standard deviation of a channel of fixed range.
    fixed : bool
    """
    if fixed and plane.dtype == np.uint8 and (low, high) == (0, 255):
        return Scale(low, high, 0.0, *moments, is_picture=True)
    if fixed:
        is_whole = plane.dtype.kind != "f" or bool(np.isfinite(plane).all())  # so nobody asks for the middle
        values = np.empty(0) if is_whole else sample(plane)
        return Scale(low, high, median_of(values) if values.size else 0.0, *moments)
    values = sample(plane)
    bottom, middle, top = limits_and_middle(plane, values, low, high)
    unit = unit_scale(values, bottom, top)
    mean, std = (float(unit.mean()), max(float(unit.std()), LEAST_STD)) if unit.size else (0.0, 1.0)
    return Scale(bottom, top, middle, mean, std)


def write_scaled(plane: NDArray[Any], scale: Scale, out: NDArray[np.float32]) -> None:
    """Write the normalised, resized and z-scored channel (Y, X) into `out` (H, W)."""
    if scale.is_picture:
        out[...] = _resized(plane, out.shape)
        out /= 255.0
        out -= np.float32(scale.mean)
        out /= np.float32(scale.std)
        return
    # Each pass over a channel costs as much as what is computed in it: as few as can be, in place where it fits.
    is_whole = plane.shape == out.shape
    unit = unit_scale(plane, scale.low, scale.high, out if is_whole else None)
    measured = np.isfinite(plane) if plane.dtype.kind == "f" else np.ones(1, bool)
    if not measured.all():
        middle = float(unit_scale(np.array([scale.middle]), scale.low, scale.high)[0])
        unit[~measured] = middle if is_whole else np.nan
        if not is_whole:
            out[...] = filled(resize_measured(unit, (out.shape[0], out.shape[1])), middle)
    elif not is_whole:
        out[...] = _resized(unit, out.shape)
    out -= np.float32(scale.mean)
    out *= np.float32(1 / scale.std)


def _resized(channel: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Antialiased bilinear resize of a uint8 or float32 channel (Y, X)."""
    if channel.shape == shape:
        return channel
    picture = Image.fromarray(np.ascontiguousarray(channel))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
