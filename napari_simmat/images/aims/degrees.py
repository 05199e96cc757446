"""Degree and angle of linear polarization as datasets store them, for each colour, made Stokes parameters.

An angle of polarization is circular: 0 and 180 degrees are the same. So it is never scaled, averaged or shown to a
model as it is stored, but becomes S1 / S0 = D cos 2A and S2 / S0 = D sin 2A (E. Hecht, Optics, section 8.13).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.aims.planes import colour_planes
from napari_simmat.images.image import Channel
from napari_simmat.images.physics.polarization_formats import stokes_channels
from napari_simmat.images.roles import COLOURS

__all__ = [
    "AngleUnit",
    "angle_unit",
    "degree_of",
    "normalised_stokes",
    "ratio_channels",
    "spread",
    "stokes_names",
]

LOOKED_AT = 8
"""Angle images that tell the unit of all: noise alone makes one image reach every angle, and eight surely do."""

SLACK = 1.001  # rounding of floats, as a share


@dataclass(frozen=True)
class AngleUnit:
    """What a stored angle of 1 is.

    Parameters
    ----------
    radians : float
    text : str
        For people.
    """

    radians: float
    text: str


def spread(paths: Sequence[Path]) -> tuple[Path, ...]:
    """A few files spread evenly over many, for `angle_unit`."""
    step = max(1, len(paths) // LOOKED_AT)
    return tuple(paths[::step][:LOOKED_AT])


@lru_cache(maxsize=64)
def angle_unit(paths: tuple[Path, ...]) -> AngleUnit:
    """In what unit a dataset stores angles of polarization, from the range of some of its images.

    8 bits are whole degrees if none is above 180, else half a turn as 255; 16 bits half a turn as 65535. Floats are
    radians if all lie within -pi/2 and pi, shares of half a turn if all lie within 0 and 1, else degrees. One unit is
    found for all images, so that it does not depend on what a single one shows.

    Parameters
    ----------
    paths : tuple of Path
        Angle images of one dataset; see `spread`.

    Raises
    ------
    ImageError
        If the range is that of no unit.
    """
    low, high, dtype = math.inf, -math.inf, np.dtype(np.uint8)
    for path in paths:
        angles = colour_planes(path)
        dtype = angles.dtype
        finite = angles[np.isfinite(angles)] if dtype.kind == "f" else angles
        low, high = min(low, float(finite.min(initial=0))), max(high, float(finite.max(initial=0)))
    if dtype == np.uint8:
        if high > 180:
            return AngleUnit(math.pi / 255, "0 to 180 degrees stored as 0 to 255")
        return AngleUnit(math.pi / 180, "whole degrees")
    if dtype == np.uint16 and high > 65535 / 2:
        return AngleUnit(math.pi / 65535, "0 to 180 degrees stored as 0 to 65535")
    if dtype.kind == "f":
        if low >= 0 and high <= SLACK:
            return AngleUnit(math.pi, "0 to 180 degrees stored as 0 to 1")
        if low >= -math.pi / 2 * SLACK and high <= math.pi * SLACK:
            return AngleUnit(1.0, "radians")
        if low >= -90 * SLACK and high <= 180 * SLACK:
            return AngleUnit(math.pi / 180, "degrees")
    raise ImageError(
        f"The angles of polarization in {paths[0].parent} lie between {low:g} and {high:g} ({dtype}), expected radians, "
        "degrees, or half a turn as 255 in 8 bits, 65535 in 16 bits or 1; convert them to degrees as floats."
    )


def degree_of(planes: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Degree of polarization, 0 to 1, from how it is stored: 1 as 255 or 65535 in whole numbers, 1 in floats.

    Parameters
    ----------
    planes : ndarray, shape (C, Y, X)
    name : str
        What to call the file in the error.

    Returns
    -------
    ndarray, shape (C, Y, X), float64
        Clipped, since noise may make it larger than 1.

    Raises
    ------
    ImageError
        If it is another type, or floats that are no degrees.
    """
    if planes.dtype in (np.uint8, np.uint16):
        return np.asarray(planes / float(np.iinfo(planes.dtype).max))
    if planes.dtype.kind == "f" and float(np.nanmedian(planes)) <= 1:
        return np.clip(planes.astype(np.float64), 0, 1)
    raise ImageError(
        f"The degrees of polarization in {name} are {planes.dtype} of up to {planes.max():g}, expected 0 to 1 in floats "
        "or 0 to the largest number of 8 or 16 bits; convert them."
    )


def normalised_stokes(degree: NDArray[Any], angle: NDArray[Any]) -> NDArray[np.float32]:
    """S1/S0 and S2/S0 of each colour.

    Parameters
    ----------
    degree, angle : ndarray, shape (C, Y, X)
        Degree of polarization, 0 to 1, and angle in radians.

    Returns
    -------
    ndarray, shape (C, 2, Y, X), float32
    """
    twice = 2 * angle.astype(np.float64)
    return np.stack([degree * np.cos(twice), degree * np.sin(twice)], axis=1).astype(np.float32)


def ratio_channels() -> tuple[Channel, ...]:
    """S1/S0 and S2/S0 of red, green and blue: all that degree and angle say, without what is circular.

    Their roles let a mirror image be refused or get its signs right, as those of any Stokes parameters.
    """
    return tuple(
        Channel(f"{colour} {name.upper()}/S0", role=name) for colour in COLOURS for name in ("s1", "s2")
    )


def stokes_names() -> tuple[Channel, ...]:
    """S0, S1 and S2 of red, then of green and of blue."""
    return tuple(channel for colour in COLOURS for channel in stokes_channels(colour))
