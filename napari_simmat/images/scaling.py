"""From the values of a channel to what a network takes: limits, size, mean and spread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_simmat.images.physics.depth import resize_measured
from napari_simmat.images.statistics import filled, percentile_limits, sample, unit_scale

LEAST_STD = 0.02
"""A few bright pixels in an empty channel hardly deviate from it; dividing by less would make them thousands."""

_WORKERS = min(4, os.cpu_count() or 1)


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
    values = sample(plane) if not fixed or plane.dtype.kind == "f" else np.empty(0)
    middle = float(np.median(values)) if values.size else 0.0
    if fixed:
        return Scale(low, high, middle, *moments)
    bottom, top = percentile_limits(plane, values, low, high)
    unit = unit_scale(values, bottom, top)
    mean, std = (float(unit.mean()), max(float(unit.std()), LEAST_STD)) if unit.size else (0.0, 1.0)
    return Scale(bottom, top, middle, mean, std)


def write_scaled(plane: NDArray[Any], scale: Scale, out: NDArray[np.float32]) -> None:
    """Write the normalised, resized and z-scored channel (Y, X) into `out` (H, W)."""
    if scale.is_picture:
        out[...] = _resized(plane, out.shape)
        out /= 255.0
    else:
        unit = unit_scale(filled(plane, scale.middle), scale.low, scale.high)
        missing = ~np.isfinite(plane) if plane.dtype.kind == "f" else np.zeros(1, bool)
        if missing.any() and plane.shape != out.shape:
            unit[missing] = np.nan
            resized = resize_measured(unit, (out.shape[0], out.shape[1]))
            out[...] = filled(resized, float(unit_scale(np.array([scale.middle]), scale.low, scale.high)[0]))
        else:
            out[...] = _resized(unit, out.shape)
    out -= np.float32(scale.mean)
    out /= np.float32(scale.std)


def each_at_once(tasks: Iterable[Callable[[], None]]) -> None:
    """Do tasks of numpy side by side, as many as there are cores; they are taken one by one as they come.

    A task is taken when another one is done, so that few of what they hold on to is in memory. No task may call this.
    """
    pool, running = _pool(), list[Future[None]]()
    try:
        for task in tasks:
            running.append(pool.submit(task))
            if len(running) > _WORKERS:
                running.pop(0).result()
        for each in running:
            each.result()
    finally:
        wait(running)


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads that stay: each new one is given a pool of memory by the C library, and leaves 50 MB in it behind."""
    return ThreadPoolExecutor(_WORKERS, thread_name_prefix="scaling")


if hasattr(os, "register_at_fork"):  # a forked process has none of these threads
    os.register_at_fork(after_in_child=_pool.cache_clear)


def _resized(channel: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Antialiased bilinear resize of a uint8 or float32 channel (Y, X)."""
    if channel.shape == shape:
        return channel
    picture = Image.fromarray(np.ascontiguousarray(channel))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
