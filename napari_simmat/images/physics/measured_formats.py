"""The sample formats of temperatures and distances: one channel, or the one among others that is meant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from napari_simmat.images.camera import Camera
from napari_simmat.images.dask_later import da, is_lazy
from napari_simmat.images.image import Channel
from napari_simmat.images.physics.depth import (
    depth_of_disparity,
    metres_of_millimetres,
    metres_where_measured,
)
from napari_simmat.images.physics.sample_format import Channels, SampleFormat
from napari_simmat.images.physics.thermal import SCALES, to_celsius
from napari_simmat.images.roles import COLOURS, EIGHT_BITS, named_roles

__all__ = ["DEPTH_FORMATS", "DISPARITY", "METRES", "MILLIMETRES", "THERMAL_FORMATS", "in_eight_bits"]

MILLIMETRES, METRES, DISPARITY = "millimetres", "metres", "disparity"
Convert = Callable[[Any, Camera | None], Any]


def _place(channels: Channels, role: str) -> int | None:
    """Which channel is meant: the only one, or the only one with this role by its name."""
    if len(channels) == 1:
        return 0
    stated = named_roles([channel.name for channel in channels])
    roles = [channel.role or name for channel, name in zip(channels, stated, strict=True)]
    found = [i for i, known in enumerate(roles) if known == role]
    return found[0] if len(found) == 1 else None


def _fits(array: Any, channels: Channels, *, role: str, kinds: str, bits: int) -> bool:
    return (
        array.dtype.kind in kinds
        and array.dtype.itemsize * 8 >= bits
        and (place := _place(channels, role)) is not None
        and channels[place].role in ("", "depth" if role == "disparity" else role, role)
    )


def _read(
    array: Any,
    channels: Channels,
    camera: Camera | None,
    *,
    role: str,
    becomes: Channel,
    convert: Convert,
) -> tuple[Any, Channels]:
    """Convert the channel that is meant and leave the others their numbers."""
    place = _place(channels, role) or 0
    plane = convert(array[place], camera)
    is_telling = channels[place].role or role in channels[place].name.casefold()
    described = (
        replace(becomes, name=channels[place].name) if is_telling and becomes.role == role else becomes
    )
    new = tuple(described if i == place else channel for i, channel in enumerate(channels))
    if len(channels) == 1:
        return plane[None], new
    stack: Any = da.stack if is_lazy(array) else np.stack
    planes = [plane if i == place else other.astype(np.float32) for i, other in enumerate(array)]
    if array.dtype == np.uint8:  # the colours keep their range, though no longer their type
        new = in_eight_bits(new)
    return stack(planes), new


def in_eight_bits(channels: Channels) -> Channels:
    """The channels, with the range of 8 bits as the unit of colours whose type does not tell it any more."""
    known = named_roles([channel.name for channel in channels])
    return tuple(
        replace(channel, unit=channel.unit or EIGHT_BITS) if (channel.role or role) in COLOURS else channel
        for channel, role in zip(channels, known, strict=True)
    )


def _format(
    key: str, modality: str, text: str, role: str, becomes: Channel, kinds: str, bits: int, convert: Convert
) -> SampleFormat:
    return SampleFormat(
        key,
        modality,
        text,
        partial(_fits, role=role, kinds=kinds, bits=bits),
        partial(_read, role=role, becomes=becomes, convert=convert),
    )


def _thermal(key: str) -> SampleFormat:
    text = SCALES[key].text
    return _format(
        key,
        "thermal",
        text[0].lower() + text[1:],
        "thermal",
        Channel("temperature", "°C", role="thermal"),
        "uif",
        16,
        lambda plane, camera: to_celsius(plane, key),
    )


def _depth(
    key: str, text: str, kinds: str, convert: Convert, role: str = "depth", bits: int = 16
) -> SampleFormat:
    return _format(
        key,
        "depth",
        text,
        role,
        Channel("depth", "m", role="depth"),
        kinds,
        bits,
        convert,
    )


THERMAL_FORMATS = [_thermal(key) for key in SCALES]
"""Every linear scale to degrees Celsius. None is ever chosen without a word of the file or the user."""

DEPTH_FORMATS = [
    _depth(
        MILLIMETRES,
        "depth in millimetres, 0 where nothing was measured",
        "ui",
        lambda plane, camera: metres_of_millimetres(plane),
    ),
    _depth(
        METRES,
        "depth in metres; zero, negative, infinite and NaN where nothing was measured",
        "f",
        lambda plane, camera: metres_where_measured(plane),
    ),
    _depth(
        "metres / 5000",
        "depth of which 1 m is stored as 5000 (TUM RGB-D), 0 where nothing was measured",
        "ui",
        lambda plane, camera: metres_where_measured(plane.astype(np.float64) / 5000),
    ),
    _depth(
        "metres / 256",
        "depth of which 1 m is stored as 256 (KITTI), 0 where nothing was measured",
        "ui",
        lambda plane, camera: metres_where_measured(plane.astype(np.float64) / 256),
    ),
    _depth(
        DISPARITY,
        "disparity in pixels, made depth by the camera's calibration",
        "uif",
        depth_of_disparity,
        DISPARITY,
        8,
    ),
    _depth(
        "disparity / 256",
        "disparity of which one pixel is stored as 256 (KITTI), made depth by the camera's calibration",
        "ui",
        lambda plane, camera: depth_of_disparity(plane.astype(np.float64) / 256, camera),
        DISPARITY,
    ),
]
"""In the order in which they are tried on an image that the user takes for depth."""
