"""The surface behind a depth image: points, normals, height and slope.

Directions are the viewer's: right along the columns, down along the rows, and towards the camera. A left-right mirror
image thus changes the sign of the first component of a normal, an upside-down one that of the second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.camera import Camera, default_camera

__all__ = ["DOWN", "angle_with_gravity", "height", "normals", "points"]

DOWN = (0.0, 1.0, 0.0)
"""Gravity where nothing is known of it: along the columns of the image, as with a camera that is held level."""

FLOOR_PERCENTILE = 1.0  # the very lowest point is nearly always a stray one


def points(depth: NDArray[Any], camera: Camera | None = None) -> NDArray[np.float64]:
    """Place of every pixel in space, from the pinhole.

    Parameters
    ----------
    depth : ndarray, shape (Y, X)
        Distance along the optical axis in metres, NaN where not measured.
    camera : Camera, optional
        `default_camera` where not given.

    Returns
    -------
    ndarray, shape (3, Y, X), float64
        Metres to the right, down and towards the camera (so the last is negative); NaN where not measured.
    """
    metres = np.asarray(depth, np.float64)
    metres = np.where(np.isfinite(metres) & (metres > 0), metres, np.nan)
    rows, columns = metres.shape
    camera = camera or default_camera((rows, columns))
    cy, cx = camera.principal_point or ((rows - 1) / 2, (columns - 1) / 2)
    fy, fx = camera.focal_length_px
    right = (np.arange(columns) - cx) / fx
    down = (np.arange(rows)[:, None] - cy) / fy
    return np.stack([metres * right, metres * down, -metres])


def normals(depth: NDArray[Any], camera: Camera | None = None) -> NDArray[np.float32]:
    """Unit normals of the surface, on the side that the camera sees.

    The cross product of the central differences of `points` along rows and columns: exact on a plane.

    Parameters
    ----------
    depth : ndarray, shape (Y, X)
        In metres, NaN where not measured.
    camera : Camera, optional
        `default_camera` where not given.

    Returns
    -------
    ndarray, shape (3, Y, X), float32
        Components to the right, down and towards the camera; NaN where the pixel or one of its four neighbours was not
        measured.

    Raises
    ------
    ImageError
        If there are less than two rows or columns.
    """
    if min(depth.shape) < 2:
        raise ImageError(f"The depth image has shape {depth.shape}; a surface needs two rows and columns.")
    right, down, towards = points(depth, camera)
    (ax, ay, az), (bx, by, bz) = zip(*(_differences(part) for part in (right, down, towards)), strict=True)
    # Written out: over stacks of three planes numpy goes many more times.
    x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = 1 / np.sqrt(x * x + y * y + z * z)
        seen_from_behind = x * right + y * down + z * towards > 0  # it must point against the line of sight
    scale[seen_from_behind] *= -1
    scale[np.isnan(towards)] = np.nan
    return np.stack([(part * scale).astype(np.float32) for part in (x, y, z)])


def _differences(plane: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Central differences along columns and along rows, one-sided at the border."""
    return np.gradient(plane, axis=1), np.gradient(plane, axis=0)


def height(
    depth: NDArray[Any], camera: Camera | None = None, gravity: tuple[float, float, float] = DOWN
) -> NDArray[np.float32]:
    """Height of every pixel above the lowest that was measured, against gravity.

    The lowest level is the 1st percentile, so that one stray point does not lift the whole scene; what lies below it
    is negative. Second of the three HHA channels (S. Gupta et al., Learning rich features from RGB-D images for object
    detection and segmentation, ECCV 2014); the first is `depth.inverse_depth`, proportional to horizontal disparity.

    Parameters
    ----------
    depth : ndarray, shape (Y, X)
        In metres, NaN where not measured.
    camera : Camera, optional
        `default_camera` where not given.
    gravity : tuple of float
        Its direction to the right, down and towards the camera.

    Returns
    -------
    ndarray, shape (Y, X), float32
        In metres; NaN where not measured.
    """
    up = np.tensordot(-_unit(gravity), points(depth, camera), axes=1)
    measured = np.isfinite(up)
    lowest = np.percentile(up[measured], FLOOR_PERCENTILE) if measured.any() else 0.0
    return (up - lowest).astype(np.float32)


def angle_with_gravity(
    depth: NDArray[Any], camera: Camera | None = None, gravity: tuple[float, float, float] = DOWN
) -> NDArray[np.float32]:
    """Angle of the surface's normal with the vertical: 0 for a floor, pi/2 for a wall, pi for a ceiling.

    Third of the HHA channels, see `height`.

    Parameters
    ----------
    depth, camera, gravity
        As in `height`.

    Returns
    -------
    ndarray, shape (Y, X), float32
        In radians; NaN where there is no normal.
    """
    cosine = np.tensordot(-_unit(gravity), normals(depth, camera).astype(np.float64), axes=1)
    return np.arccos(np.clip(cosine, -1, 1)).astype(np.float32)


def _unit(direction: tuple[float, float, float]) -> NDArray[np.float64]:
    vector = np.asarray(direction, np.float64)
    length = float(np.linalg.norm(vector))
    if vector.shape != (3,) or not 0 < length < np.inf:
        raise ImageError(f"Gravity is {direction}, expected three numbers that are not all zero.")
    return np.asarray(vector / length)
