"""Depth: from what a depth or stereo camera stores to metres, with "no measurement" as NaN all the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_simmat.errors import ImageError
from napari_simmat.images.camera import Camera

__all__ = [
    "depth_of_disparity",
    "inverse_depth",
    "metres_of_millimetres",
    "metres_where_measured",
    "relief",
    "resize_measured",
]

FARTHEST = 1e9  # m; renderers write 1e10 where a ray meets nothing
LEAST_WEIGHT = 0.5  # of a resized pixel that must have been measured
COARSE_SIDE = 256  # pixels on which means over wide surroundings are taken; they hold no finer detail


def metres_of_millimetres(depth: Any) -> Any:
    """Depth in metres from whole millimetres, as most depth cameras write them to 16-bit PNG.

    Parameters
    ----------
    depth : array
        In memory or lazy; 0 means no measurement.

    Returns
    -------
    array, float32
        NaN where nothing was measured.
    """
    return metres_where_measured(depth.astype(np.float64) / 1000)


def metres_where_measured(depth: Any) -> Any:
    """Depth in metres with NaN for every value that is none: zero, negative, infinite or 1e9 m and more.

    Parameters
    ----------
    depth : array
        In metres, in memory or lazy.

    Returns
    -------
    array, float32
    """
    return np.where((depth > 0) & (depth < FARTHEST), depth, np.nan).astype(np.float32)


def depth_of_disparity(disparity: Any, camera: Camera | None) -> Any:
    """Depth in metres of a rectified stereo pair: focal length x baseline / (disparity + offset).

    The offset is the horizontal distance of the two principal points (`doffs` of the Middlebury calibration files,
    D. Scharstein et al., High-resolution stereo datasets with subpixel-accurate ground truth, GCPR 2014).

    Parameters
    ----------
    disparity : array
        In pixels, in memory or lazy. Zero, negative and not finite mean no measurement.
    camera : Camera
        With its baseline.

    Returns
    -------
    array, float32
        NaN where nothing was measured, or where the pair says "behind the camera".

    Raises
    ------
    ImageError
        If the camera or its baseline is unknown.
    """
    if camera is None or camera.baseline_m is None:
        raise ImageError(
            "Depth from disparity needs focal length and baseline of the stereo camera, which were not found; put "
            "the calib.txt of the pair beside the image or keep the disparity as it is."
        )
    numbers = disparity.astype(np.float64)
    measured = np.isfinite(numbers) & (numbers > 0)
    apart = np.where(measured, numbers + camera.disparity_offset_px, np.nan)
    apart = np.where(apart > 0, apart, np.nan)
    return (camera.focal_length_px[1] * camera.baseline_m / apart).astype(np.float32)


def inverse_depth(depth: NDArray[Any]) -> NDArray[np.float32]:
    """One over depth, in 1/m: even steps of it are even steps of a stereo camera's disparity and of its noise.

    Parameters
    ----------
    depth : ndarray
        In metres, NaN where not measured.

    Returns
    -------
    ndarray, float32
        NaN where depth is not positive and finite.
    """
    metres = np.asarray(depth, np.float64)
    return (1 / np.where(np.isfinite(metres) & (metres > 0), metres, np.nan)).astype(np.float32)


def relief(depth: NDArray[Any], surroundings: float = 0.1) -> NDArray[np.float32]:
    """How much nearer each pixel is than its surroundings, in 1/m of inverse depth.

    Inverse depth of a plane is linear over the image, so a tilted floor or bench vanishes and what stands on it stays,
    however far it reaches. It is the local relief model of terrain analysis (R. Hesse, LiDAR-derived local relief
    models, Archaeological Prospection 17, 2010), here with a Gaussian mean of what was measured.

    Parameters
    ----------
    depth : ndarray, shape (Y, X)
        In metres, NaN where not measured.
    surroundings : float
        Standard deviation of the Gaussian as a share of the image's shorter side.

    Returns
    -------
    ndarray, shape (Y, X), float32
        Positive where something stands out, negative in holes; NaN where not measured.
    """
    from scipy.ndimage import gaussian_filter  # half a second that most images do not need

    inverse = inverse_depth(depth)
    rows, columns = inverse.shape
    shrink = min(1.0, COARSE_SIDE / max(rows, columns))
    coarse = resize_measured(inverse, (max(1, round(rows * shrink)), max(1, round(columns * shrink))))
    slope = _plane(coarse)
    # Without the plane, so that it vanishes up to the borders, where surroundings are on one side alone.
    rest = coarse - _on_grid(slope, coarse.shape)
    measured = np.isfinite(rest)
    sigma = surroundings * min(coarse.shape)
    total = gaussian_filter(np.where(measured, rest, 0.0), sigma)
    weight = gaussian_filter(measured.astype(np.float64), sigma)
    mean = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    plane = _on_grid(slope, inverse.shape)
    return (inverse - plane - _resized(mean.astype(np.float32), (rows, columns))).astype(np.float32)


def _plane(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Offset, slope along rows and along columns of the plane nearest to values (Y, X), not finite where unknown."""
    rows, columns = np.nonzero(np.isfinite(values))
    if not rows.size:
        return np.zeros(3)
    height, width = values.shape
    places = np.stack([np.ones(rows.size), (rows + 0.5) / height, (columns + 0.5) / width], axis=1)
    plane, *_ = np.linalg.lstsq(places, values[rows, columns].astype(np.float64), rcond=None)
    return np.asarray(plane)


def _on_grid(plane: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Values of a plane on the pixels of a picture, whose sides are 1 long."""
    height, width = shape
    down, right = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    return np.asarray(plane[0] + plane[1] * down[:, None] + plane[2] * right)


def resize_measured(plane: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Antialiased bilinear resize in which missing values neither spread nor take part.

    Each pixel of the result is the mean of the measured pixels below it, by their weights; it is missing unless at
    least half of the weight was measured.

    Parameters
    ----------
    plane : ndarray, shape (Y, X)
        Not finite where not measured.
    shape : tuple of int
        Rows and columns of the result.

    Returns
    -------
    ndarray, shape `shape`, float32
        NaN where not measured.
    """
    values = np.asarray(plane, np.float32)
    measured = np.isfinite(values)
    if measured.all():
        return _resized(values, shape)
    if values.shape == shape:
        return np.where(measured, values, np.float32(np.nan))
    # Around 0, so that the rounding of a weighted sum is that of differences, not of the values.
    middle = np.float32(np.median(values[measured])) if measured.any() else np.float32(0)
    total = _resized(np.where(measured, values - middle, np.float32(0)), shape)
    weight = _resized(measured.astype(np.float32), shape)
    enough = weight >= np.float32(LEAST_WEIGHT - 1e-6)
    out = np.full(shape, np.nan, np.float32)
    np.divide(total, weight, out=out, where=enough)
    return out + middle


def _resized(plane: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    if plane.shape == shape:
        return plane
    picture = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
