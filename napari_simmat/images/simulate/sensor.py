"""What a detector makes of the light that falls on it, and textures for it to look at."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

__all__ = ["Random", "place", "recorded", "smooth_noise"]

# The legacy generator: its streams are frozen, so that a scene is the same under every version of numpy.
Random = np.random.RandomState


def recorded(
    random: Random, grey: NDArray[np.float64], *, top: int, full_well: float, read_noise: float
) -> NDArray[np.uint16]:
    """Add photon noise (in its Gaussian limit) and read noise, and round to counts.

    Parameters
    ----------
    random : RandomState
        Source of the noise.
    grey : ndarray
        Expected counts.
    top : int
        Largest count, where the detector saturates.
    full_well, read_noise : float
        Electrons at `top`; standard deviation of the read noise in electrons.

    Returns
    -------
    ndarray of uint16
        Counts from 0 to `top`.
    """
    electrons = np.maximum(grey, 0.0) * (full_well / top)
    electrons = electrons + np.sqrt(electrons + read_noise**2) * random.standard_normal(grey.shape)
    return np.clip(np.rint(electrons * (top / full_well)), 0, top).astype(np.uint16)


def smooth_noise(random: Random, shape: tuple[int, int], sigma: float) -> NDArray[np.float64]:
    """Gaussian random field of unit variance whose structures are about `sigma` pixels across."""
    field = gaussian_filter(random.standard_normal(shape), sigma, mode="wrap")
    return np.asarray(field / field.std())


def place(
    random: Random, shape: tuple[int, int], radii: NDArray[np.float64], gap: float = 5.0, margin: float = 3.0
) -> list[tuple[float, float, float]]:
    """Free places for discs of the given radii, the largest first; those that find none are left out.

    Returns
    -------
    list of (row, column, radius)
    """
    places: list[tuple[float, float, float]] = []
    for radius in np.sort(radii)[::-1]:
        for _ in range(60):  # attempts
            row, column = (random.uniform(radius + margin, n - 1 - radius - margin) for n in shape)
            if all(np.hypot(row - y, column - x) > radius + other + gap for y, x, other in places):
                places.append((row, column, float(radius)))
                break
    return places
