"""Degree and angle of linear polarization as images, the way many programs save polarization: made Stokes parameters.

S1 = S0 D cos 2A, S2 = S0 D sin 2A (E. Hecht, Optics, section 8.13). An angle is circular, so no model and no
interpolation may see it as it is stored.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from napari_simmat.images.camera import Camera
from napari_simmat.images.dask_later import da, is_lazy
from napari_simmat.images.image import Channel, some_rows
from napari_simmat.images.physics.sample_format import Channels, SampleFormat
from napari_simmat.images.roles import STOKES

__all__ = ["DEGREE_FORMATS", "degree_format_of"]

RADIANS, DEGREES, BYTES = "dolp aolp radians", "dolp aolp degrees", "dolp aolp 0-180 as 0-255"

_NAMES = {
    **dict.fromkeys(("s0", "intensity", "i"), "s0"),
    **dict.fromkeys(("dolp", "dop", "degree of linear polarization", "degree of polarization"), "dolp"),
    **dict.fromkeys(("aolp", "aop", "angle of linear polarization", "angle of polarization"), "aolp"),
}
_ORDERS = {2: ("dolp", "aolp"), 3: ("s0", "dolp", "aolp")}


def degree_format_of(array: Any, channels: Channels) -> str:
    """The sample format of channels that are named as degree and angle, "" if they are not or nobody can tell.

    Angles are in the unit that the channel states. Without one, floats are degrees if any is beyond half a turn in
    radians, and 8 bits are 180 degrees as 255 if any is above 180.

    Parameters
    ----------
    array : ndarray or dask array, shape (C, ..., Y, X)
    channels : tuple of Channel
    """
    places = _named(channels)
    if places is None:
        return ""
    angles = np.abs(some_rows(array[(places["aolp"], *(0,) * (array.ndim - 3))]).astype(float))
    largest = float(angles.max(initial=0, where=np.isfinite(angles)))
    unit = channels[places["aolp"]].unit.strip().casefold()
    if array.dtype == np.uint8:
        return BYTES if largest > 180 and not unit else ""
    if array.dtype.kind != "f":
        return ""
    if unit:
        return RADIANS if unit.startswith("rad") else DEGREES if unit.startswith(("deg", "°")) else ""
    return DEGREES if largest > math.pi * 1.001 else RADIANS


def _named(channels: Channels) -> dict[str, int] | None:
    """Which channel is which by name; None unless they are degree and angle, with an intensity or without."""
    names = [_NAMES.get(channel.name.strip().casefold().replace("_", " "), "") for channel in channels]
    order = _ORDERS.get(len(names))
    return {name: names.index(name) for name in order} if order and set(order) == set(names) else None


def _takes(array: Any, channels: Channels, *, kinds: str) -> bool:
    return (
        len(array) in _ORDERS and array.dtype.kind in kinds and (array.dtype.itemsize == 1) == (kinds == "u")
    )


def _fits(array: Any, channels: Channels, *, kinds: str) -> bool:
    return _takes(array, channels, kinds=kinds) and _named(channels) is not None


def _read(
    array: Any, channels: Channels, camera: Camera | None, *, radians: float, full: float
) -> tuple[Any, Channels]:
    order = _ORDERS[len(array)]
    places = _named(channels) or {name: i for i, name in enumerate(order)}
    wide = array.astype(np.float64)
    degree, twice = wide[places["dolp"]] / full, 2 * radians * wide[places["aolp"]]
    s0 = wide[places["s0"]] if "s0" in places else degree * 0 + 1
    stack: Callable[..., Any] = da.stack if is_lazy(array) else np.stack
    stokes = stack([s0, s0 * degree * np.cos(twice), s0 * degree * np.sin(twice)]).astype(np.float32)
    return stokes, tuple(Channel(role.upper(), role=role) for role in STOKES)


def _format(key: str, text: str, kinds: str, radians: float, full: float) -> SampleFormat:
    return SampleFormat(
        key,
        "polarization",
        f"degree and angle of linear polarization, {text}; before them S0, or 1 where there is none",
        partial(_fits, kinds=kinds),
        partial(_read, radians=radians, full=full),
        partial(_takes, kinds=kinds),
    )


DEGREE_FORMATS = [
    _format(RADIANS, "the angle in radians", "f", 1.0, 1.0),
    _format(DEGREES, "the angle in degrees", "f", math.pi / 180, 1.0),
    _format(BYTES, "0 to 1 and 0 to 180 degrees, both stored as 0 to 255", "u", math.pi / 255, 255.0),
]
"""In the order in which they are offered."""
