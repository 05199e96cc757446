"""The sample formats of polarization; all of them become Stokes parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.camera import Camera
from napari_simmat.images.dask_later import da, is_lazy
from napari_simmat.images.image import Channel
from napari_simmat.images.physics.angles import angle_named, angles_listed
from napari_simmat.images.physics.polarization import (
    ANGLES,
    SONY_LAYOUT,
    Layout,
    stokes_of_angles,
    stokes_of_mosaic,
)
from napari_simmat.images.physics.sample_format import Channels, SampleFormat
from napari_simmat.images.roles import COLOURS, STOKES, named_roles

__all__ = [
    "ANGLES_BY_NAME",
    "COLOUR_MOSAIC",
    "MOSAIC",
    "POLARIZATION_FORMATS",
    "STOKES_FORMAT",
    "angles_format",
]

MODALITY = "polarization"
ANGLES_BY_NAME = "angles by name"
STOKES_FORMAT = "stokes"
MOST_ANGLES = 180


def angles_format(key: str) -> SampleFormat | None:
    """The format of a key such as "angles 0-60-120" or "angles -45,0,45,90", one angle in degrees for each channel."""
    word, _, numbers = key.partition(" ")
    degrees = angles_listed(numbers) if word == "angles" else None
    if degrees is None or not 3 <= len(degrees) <= MOST_ANGLES:
        return None
    listed = ", ".join(f"{angle:g}" for angle in degrees)
    return SampleFormat(
        key,
        MODALITY,
        f"intensities behind a polarizer at {listed}°",
        lambda array, channels: len(array) == len(degrees) and not _are_others(channels),
        lambda array, channels, camera: (_of_angles(array, degrees), stokes_channels()),
        lambda array, channels: len(array) == len(degrees),
    )


def stokes_channels(colour: str = "") -> Channels:
    """Channels S0, S1 and S2, of one colour of a colour camera where that is given."""
    prefix = f"{colour} " if colour else ""
    return tuple(Channel(f"{prefix}{role.upper()}", role=role) for role in STOKES)


def _are_others(channels: Channels, but: Sequence[str] = ()) -> bool:
    """Whether any channel is known to be something else, by its role, name or wavelength."""
    named = named_roles([channel.name for channel in channels])
    roles = {channel.role or role for channel, role in zip(channels, named, strict=True)}
    return not roles <= {"", *but} or any(channel.wavelength_nm for channel in channels)


def _of_angles(array: Any, degrees: Sequence[float]) -> Any:
    angles = [math.radians(angle) for angle in degrees]
    if not is_lazy(array):
        return stokes_of_angles(array, angles)
    whole = array.rechunk({0: -1})
    return whole.map_blocks(
        stokes_of_angles,
        angles,
        chunks=((3,), *whole.chunks[1:]),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), "f4"),
    )


def _grouped(channels: Channels) -> dict[str, list[tuple[int, float]]]:
    """For each colour the channels' indices and angles; empty where one of them has no angle for a name."""
    groups: dict[str, list[tuple[int, float]]] = {}
    for i, channel in enumerate(channels):
        named = angle_named(channel.name)
        if named is None:
            return {}
        groups.setdefault(named.colour, []).append((i, named.degrees))
    enough = all(len({angle % 180 for _, angle in group}) >= 3 for group in groups.values())
    return groups if enough and set(groups) in ({""}, set(COLOURS)) else {}


def _read_named(array: Any, channels: Channels, camera: Camera | None) -> tuple[Any, Channels]:
    groups = _grouped(channels)
    stokes = [
        _of_angles(array[[i for i, _ in group]], [angle for _, angle in group])
        for group in (groups[colour] for colour in (COLOURS if len(groups) == 3 else ("",)))
    ]
    names = COLOURS if len(groups) == 3 else ("",)
    together: Any = da.concatenate if is_lazy(array) else np.concatenate
    return together(stokes), tuple(itertools.chain.from_iterable(stokes_channels(name) for name in names))


def _read_stokes(array: Any, channels: Channels, camera: Camera | None) -> tuple[Any, Channels]:
    circular = tuple(replace(channel, name="S3", role="") for channel in channels[3:])
    return array.astype(np.float32), (*stokes_channels(), *circular)


def _read_mosaic(
    array: Any, channels: Channels, camera: Camera | None, *, layout: Layout, colour: bool
) -> tuple[Any, Channels]:
    names = COLOURS if colour else ("",)
    described = tuple(itertools.chain.from_iterable(stokes_channels(name) for name in names))
    if not is_lazy(array):
        return stokes_of_mosaic(array[0], layout, colour=colour), described
    return _lazy_mosaic(array, layout, colour), described


def _lazy_mosaic(array: da.Array, layout: Layout, colour: bool) -> da.Array:
    """Block by block, each with the 4 pixels around it that interpolation needs, on the grid of the cells."""

    def stokes(block: NDArray[Any]) -> NDArray[np.float32]:
        return stokes_of_mosaic(block[0], layout, colour=colour)

    cells = array.rechunk((1, *(_whole_cells(length) for length in array.shape[1:])))  # type: ignore[no-untyped-call]
    depth, boundary = {0: 0, 1: 4, 2: 4}, dict.fromkeys(range(3), "none")
    wide = da.overlap.overlap(cells, depth, boundary)  # type: ignore[no-untyped-call]
    count = 9 if colour else 3
    out = wide.map_blocks(
        stokes, chunks=((count,), *wide.chunks[1:]), dtype=np.float32, meta=np.empty((0, 0, 0), "f4")
    )
    trimmed: da.Array = da.overlap.trim_internal(out, depth, boundary)  # type: ignore[no-untyped-call]
    return trimmed


def _whole_cells(length: int, block: int = 1024) -> tuple[int, ...]:
    """Lengths of blocks that begin with a whole cell of 4 pixels; the last is never narrower than that."""
    count = max(1, (length - 4) // block + 1) if length > block else 1
    return (*(block,) * (count - 1), length - block * (count - 1))


def _mosaic_formats(colour: bool) -> list[SampleFormat]:
    layouts = [
        ((a, b), (c, d))
        for a, b, c, d in itertools.permutations(ANGLES)
        if {a, d}
        in ({0, 90}, {45, 135})  # crossed polarizers stand across from each other on every such sensor
    ]
    if colour:  # all known sensors have Sony's, and their images may be mirrored
        layouts = [layout for layout in layouts if sorted(layout[0]) in ([45, 90], [0, 135])]
    layouts.sort(key=lambda layout: layout != SONY_LAYOUT)
    least = 4 if colour else 2
    formats = []
    for layout in layouts:
        angles = "-".join(str(angle) for row in layout for angle in row)
        what = (
            "2 x 2 cells of polarizers under red, green, green, blue"
            if colour
            else "a polarizer over each pixel"
        )
        sony = " (Sony)" if layout == SONY_LAYOUT else ""
        formats.append(
            SampleFormat(
                f"{'colour ' if colour else ''}mosaic {angles}",
                MODALITY,
                f"raw frame with {what}, at {angles.replace('-', ', ')}° row by row{sony}",
                lambda array, channels: (
                    len(array) == 1 and min(array.shape[1:]) >= least and array.dtype != bool
                ),
                partial(_read_mosaic, layout=layout, colour=colour),
            )
        )
    return formats


def _known_angles(key: str) -> SampleFormat:
    known = angles_format(key)
    if known is None:
        raise ImageError(f"{key!r} is no list of angles, expected one such as 'angles 0-60-120'.")
    return known


POLARIZATION_FORMATS = [
    SampleFormat(
        ANGLES_BY_NAME,
        MODALITY,
        "intensities behind a polarizer at the angles that the channels' names state",
        lambda array, channels: len(array) == len(channels) and bool(_grouped(channels)),
        _read_named,
    ),
    *_mosaic_formats(colour=False),
    *_mosaic_formats(colour=True),
    SampleFormat(
        STOKES_FORMAT,
        MODALITY,
        "Stokes parameters S0, S1, S2 (and S3)",
        # Unsigned numbers cannot hold the negative half of S1 and S2.
        lambda array, channels: (
            len(array) in (3, 4) and array.dtype.kind in "if" and not _are_others(channels, STOKES)
        ),
        _read_stokes,
        lambda array, channels: len(array) in (3, 4) and array.dtype.kind in "if",
    ),
    *map(
        _known_angles,
        (
            "angles 0-45-90-135",
            "angles 0-45-90",
            "angles 0-60-120",
            "angles 0-90-45-135",
            "angles 0-30-60-90-120-150",
            "angles 0-22.5-45-67.5-90-112.5-135-157.5",
            "angles 0-20-40-60-80-100-120-140-160",
            "angles 0-15-30-45-60-75-90-105-120-135-150-165",
            "angles 0-10-20-30-40-50-60-70-80-90-100-110-120-130-140-150-160-170",
        ),
    ),
]
"""In the order in which they are tried on an image that the user takes for polarization."""

MOSAIC = next(each.key for each in POLARIZATION_FORMATS if each.key.startswith("mosaic"))
COLOUR_MOSAIC = next(each.key for each in POLARIZATION_FORMATS if each.key.startswith("colour mosaic"))
