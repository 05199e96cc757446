"""Polarization: from what a camera behind polarizers records to Stokes parameters and what follows from them.

A linear polarizer at angle a lets I(a) = (S0 + S1 cos 2a + S2 sin 2a) / 2 of the light through (Malus' law in
Stokes parameters; E. Hecht, Optics, section 8.13). S0 is the intensity, S1 the surplus of light that swings at 0 over
90 degrees, S2 of 45 over 135 degrees. Light that swings in circles is not seen by linear polarizers.

Every sum is done in float64 and rounded once, to float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.physics.angles import design_of

__all__ = [
    "ANGLES",
    "SONY_LAYOUT",
    "Layout",
    "aolp",
    "demosaic",
    "demosaic_colour",
    "dolp",
    "stokes_of_angles",
    "stokes_of_four",
    "stokes_of_mosaic",
]

Layout = tuple[tuple[int, int], tuple[int, int]]
"""Degrees of the polarizers over the pixels of a 2 x 2 cell, row by row."""

ANGLES = (0, 45, 90, 135)
"""Degrees of the four polarizers, in the order of what `demosaic` returns."""

SONY_LAYOUT: Layout = ((90, 45), (135, 0))
"""Of Sony's sensors (IMX250MZR, IMX253MZR, IMX264MZR and the colour ones with MYR), read from the first pixel."""

# Below this ratio of the smallest to the largest singular value, rounding decides the result. Four angles 1 degree
# apart have 3e-4.
LEAST_RATIO = 1e-4


def demosaic(mosaic: NDArray[Any], layout: Layout = SONY_LAYOUT) -> NDArray[np.float32]:
    """Intensities behind all four polarizers at each pixel of a division-of-focal-plane camera.

    Each angle is interpolated bilinearly from the pixels that have its polarizer, to where the other pixels are; so
    the four results lie exactly on each other, which those of plain subsampling do not by half a pixel of their grid.
    A linear ramp comes out exactly, but for the one or two outermost rows and columns, which repeat the nearest pixel
    of their own polarizer.

    Parameters
    ----------
    mosaic : ndarray, shape (Y, X)
        As the sensor recorded it, at least 2 x 2.
    layout : ((int, int), (int, int))
        0, 45, 90 and 135, once each, in any order.

    Returns
    -------
    ndarray, shape (4, Y, X), float32
        At 0, 45, 90 and 135 degrees, in the unit of the mosaic.

    Raises
    ------
    ImageError
        If the mosaic is smaller than one cell.
    """
    _require_cells(mosaic, 2)
    shape = (mosaic.shape[0], mosaic.shape[1])
    return np.stack([_spread(lattice, start, 2, shape) for start, lattice in _lattices(mosaic, layout)])


def demosaic_colour(mosaic: NDArray[Any], layout: Layout = SONY_LAYOUT) -> NDArray[np.float32]:
    """The same for a camera with colour filters, each over a whole 2 x 2 cell of polarizers.

    The filters are red and green in one row of cells, green and blue in the next (Sony IMX250MYR). Bilinear for each
    colour and angle by itself: green, of which there are two cells in four, first to the cells between, then to the
    pixels between.

    Parameters
    ----------
    mosaic : ndarray, shape (Y, X)
        At least 4 x 4.
    layout : ((int, int), (int, int))
        As in `demosaic`.

    Returns
    -------
    ndarray, shape (3, 4, Y, X), float32
        Red, green and blue at 0, 45, 90 and 135 degrees.

    Raises
    ------
    ImageError
        If the mosaic is smaller than four cells.
    """
    _require_cells(mosaic, 4)
    shape = (mosaic.shape[0], mosaic.shape[1])
    out = np.empty((3, 4, *shape), np.float32)
    for angle, ((top, left), cells) in enumerate(_lattices(mosaic, layout)):
        out[0, angle] = _spread(cells[::2, ::2], (top, left), 4, shape)
        out[1, angle] = _spread(_green(cells), (top, left), 2, shape)
        out[2, angle] = _spread(cells[1::2, 1::2], (top + 2, left + 2), 4, shape)
    return out


def stokes_of_four(
    i0: NDArray[Any], i45: NDArray[Any], i90: NDArray[Any], i135: NDArray[Any]
) -> NDArray[np.float32]:
    """Stokes parameters from the intensities behind polarizers at 0, 45, 90 and 135 degrees.

    S0 = (I0 + I45 + I90 + I135) / 2, S1 = I0 - I90, S2 = I45 - I135: the least squares solution.

    Parameters
    ----------
    i0, i45, i90, i135 : ndarray
        Of one shape.

    Returns
    -------
    ndarray, shape (3, ...), float32
        S0, S1, S2 in the unit of the intensities.
    """
    a, b, c, d = (np.asarray(i, np.float64) for i in (i0, i45, i90, i135))
    return np.stack([(a + b + c + d) / 2, a - c, b - d]).astype(np.float32)


def stokes_of_angles(images: ArrayLike, angles: Sequence[float]) -> NDArray[np.float32]:
    """Stokes parameters from intensities behind a polarizer at any three or more angles, by least squares.

    Parameters
    ----------
    images : array_like, shape (N, ...)
        One intensity image for each angle.
    angles : sequence of float
        N angles in radians. Half a turn more is the same angle.

    Returns
    -------
    ndarray, shape (3, ...), float32
        S0, S1, S2 in the unit of the intensities.

    Raises
    ------
    ImageError
        If there is not one angle for each image or the angles do not determine the three parameters.
    """
    stack = np.asarray(images)
    a = np.asarray(angles, np.float64)
    if len(stack) != a.size:
        raise ImageError(f"{len(stack)} images come with {a.size} polarizer angles; give one angle for each.")
    design = design_of(a)
    singular = np.linalg.svd(np.nan_to_num(design), compute_uv=False)
    if singular.size < 3 or not np.isfinite(a).all() or singular[2] < LEAST_RATIO * singular[0]:
        said = ", ".join(f"{angle:g}" for angle in np.rad2deg(a))
        raise ImageError(
            f"Polarizer angles of {said} degrees do not determine the polarization; "
            "give at least three that differ (180 degrees is the same as 0)."
        )
    weights = np.linalg.pinv(design)
    out = np.empty((3, *stack.shape[1:]), np.float32)
    for row, result in zip(weights, out, strict=True):
        total = np.zeros(stack.shape[1:])
        for weight, image in zip(row, stack, strict=True):
            total += weight * image
        result[...] = total
    return out


def stokes_of_mosaic(
    mosaic: NDArray[Any], layout: Layout = SONY_LAYOUT, *, colour: bool = False
) -> NDArray[np.float32]:
    """Stokes parameters of a division-of-focal-plane camera at each pixel.

    Parameters
    ----------
    mosaic : ndarray, shape (Y, X)
        As the sensor recorded it.
    layout : ((int, int), (int, int))
        As in `demosaic`.
    colour : bool
        Whether it has colour filters, as in `demosaic_colour`.

    Returns
    -------
    ndarray, shape (3, Y, X) or (9, Y, X), float32
        S0, S1 and S2, with colour those of red, then of green and of blue; in the unit of the mosaic.

    Raises
    ------
    ImageError
        If the mosaic is smaller than one cell of its kind.
    """
    if not colour:
        return stokes_of_four(*demosaic(mosaic, layout))
    return np.concatenate([stokes_of_four(*planes) for planes in demosaic_colour(mosaic, layout)])


def dolp(s0: NDArray[Any], s1: NDArray[Any], s2: NDArray[Any]) -> NDArray[np.float32]:
    """Degree of linear polarization, sqrt(S1^2 + S2^2) / S0, from 0 to 1.

    Noise can make it larger than 1, which it is not: clipped. 0 where S0 is not positive; NaN stays NaN.

    Parameters
    ----------
    s0, s1, s2 : ndarray
        Stokes parameters of one shape.

    Returns
    -------
    ndarray, float32
    """
    s0, s1, s2 = as_exact(s0, s1, s2)
    with np.errstate(
        all="ignore"
    ):  # the squares of ratios, whatever the unit; hypot takes four times as long
        ratio, other = s1 / s0, s2 / s0
        ratio *= ratio
        other *= other
        ratio += other
        np.sqrt(ratio, out=ratio)
    ratio[s0 <= 0] = 0
    return np.clip(ratio, 0, 1, out=ratio).astype(np.float32, copy=False)


def as_exact(*planes: NDArray[Any]) -> tuple[NDArray[np.floating], ...]:
    """Planes as numbers that ratios are taken of: float32 where all are, which then costs half as much, else float64."""
    kind = np.float32 if all(plane.dtype == np.float32 for plane in planes) else np.float64
    return tuple(np.asarray(plane, kind) for plane in planes)


def aolp(s1: NDArray[Any], s2: NDArray[Any]) -> NDArray[np.float32]:
    """Angle of linear polarization, 0.5 atan2(S2, S1), from -pi/2 to pi/2 radians.

    It is circular, -pi/2 and pi/2 being the same, so it is for looking at; a model takes S1/S0 and S2/S0 or the sine
    and cosine of twice the angle. 0 where there is no polarization.

    Parameters
    ----------
    s1, s2 : ndarray
        Stokes parameters of one shape.

    Returns
    -------
    ndarray, float32
        In radians, counted from the polarizer's 0 degrees in the direction of its 45 degrees.
    """
    return (0.5 * np.arctan2(np.asarray(s2, np.float64), np.asarray(s1, np.float64))).astype(np.float32)


def _require_cells(mosaic: NDArray[Any], least: int) -> None:
    if mosaic.ndim != 2 or min(mosaic.shape) < least:
        raise ImageError(
            f"The mosaic has shape {mosaic.shape}, expected rows and columns of at least {least} pixels; "
            "choose another sample format."
        )


def _lattices(mosaic: NDArray[Any], layout: Layout) -> list[tuple[tuple[int, int], NDArray[Any]]]:
    """Of each of `ANGLES` its first pixel and all pixels behind its polarizer."""
    starts = {angle: (y, x) for y, row in enumerate(layout) for x, angle in enumerate(row)}
    if set(starts) != set(ANGLES):
        raise ImageError(f"The layout {layout} of polarizers must hold 0, 45, 90 and 135 degrees once each.")
    return [(starts[angle], mosaic[starts[angle][0] :: 2, starts[angle][1] :: 2]) for angle in ANGLES]


def _spread(
    lattice: NDArray[Any], start: tuple[int, int], period: int, shape: tuple[int, int]
) -> NDArray[np.float32]:
    """Bilinear interpolation of a lattice (pixels start + period * k) to all pixels."""
    # The weights are quarters: on integers of 16 bits float32 is exact and half the work.
    exact = lattice.dtype.kind in "bu" and lattice.dtype.itemsize <= 2
    values = lattice.astype(np.float32 if exact else np.float64)
    for axis in (0, 1):
        place = (np.arange(shape[axis]) - start[axis]) / period
        below = np.floor(place)
        weight = (place - below).astype(values.dtype)
        last = values.shape[axis] - 1
        low = values.take(np.clip(below, 0, last).astype(int), axis)
        high = values.take(np.clip(below + 1, 0, last).astype(int), axis)
        values = low + (high - low) * (weight[:, None] if axis == 0 else weight)
    return values.astype(np.float32, copy=False)


def _green(cells: NDArray[Any]) -> NDArray[Any]:
    """Green at every cell: the mean of the four neighbours where the cell itself is red or blue."""
    padded = np.pad(cells.astype(np.float64), 1, mode="reflect")  # keeps the colours' places, unlike "edge"
    green = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]) / 4
    green[::2, 1::2] = cells[::2, 1::2]
    green[1::2, ::2] = cells[1::2, ::2]
    return green
