"""Reflection and refraction at the surface of a transparent body, and light as Stokes vectors.

Sources: M. Born and E. Wolf, *Principles of Optics*, section 1.5 (Fresnel's formulae); E. Collett, *Field Guide to
Polarization* (diattenuators). Angles of polarization are counter-clockwise from the direction of a picture's columns,
as the picture is seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["behind_polarizer", "diattenuated", "fresnel", "reflected_direction", "refracted_direction"]

Floats = NDArray[np.float64]


def fresnel(cosine: Floats, n: float) -> tuple[Floats, Floats]:
    """Reflectances of a smooth dielectric for light polarized across and along the plane of incidence.

    With the angle of incidence a, the angle of refraction b and sin a = n sin b,

    - Rs = ((cos a - n cos b) / (cos a + n cos b))^2,
    - Rp = ((n cos a - cos b) / (n cos a + cos b))^2.

    Nothing is absorbed: the transmittances are 1 - Rs and 1 - Rp.

    Parameters
    ----------
    cosine : ndarray
        Cosine of the angle of incidence, 0 to 1.
    n : float
        Refractive index behind the surface divided by that before it; below 1 for light that leaves glass, which is
        reflected totally beyond the critical angle.

    Returns
    -------
    across, along : ndarray
        Rs and Rp, 0 to 1.
    """
    inside = np.sqrt(np.maximum(1.0 - (1.0 - cosine**2) / n**2, 0.0))
    across = ((cosine - n * inside) / np.maximum(cosine + n * inside, 1e-12)) ** 2
    along = ((n * cosine - inside) / np.maximum(n * cosine + inside, 1e-12)) ** 2
    total = 1.0 - cosine**2 >= n**2
    return np.where(total, 1.0, across), np.where(total, 1.0, along)


def reflected_direction(direction: Floats, normal: Floats) -> Floats:
    """Mirror the propagation `direction` at a surface; both (3, ...) unit vectors, the normal facing the ray."""
    return np.asarray(direction - 2.0 * np.sum(direction * normal, axis=0) * normal)


def refracted_direction(direction: Floats, normal: Floats, n: float) -> Floats:
    """Snell's law for vectors: t = d / n + (c / n - sqrt(1 - (1 - c^2) / n^2)) normal, with c = -d . normal.

    Parameters
    ----------
    direction, normal : ndarray, shape (3, ...)
        Unit vectors; the normal faces the ray. Beyond the critical angle the ray grazes the surface.
    n : float
        Refractive index behind the surface divided by that before it.
    """
    cosine = -np.sum(direction * normal, axis=0)
    inside = np.sqrt(np.maximum(1.0 - (1.0 - cosine**2) / n**2, 0.0))
    return np.asarray(direction / n + (cosine / n - inside) * normal)


def diattenuated(stokes: Floats, first: Floats, second: Floats, azimuth: Floats) -> Floats:
    """Light behind something that passes two orthogonal linear polarizations to different degrees.

    With the mean m and half the difference d of the two transmittances and the angle a of the first,
    S0' = m S0 + d (S1 cos 2a + S2 sin 2a); along the axis of a, S1 and S2 mix with S0 in the same way; across it they
    shrink by the square root of the product.

    Parameters
    ----------
    stokes : ndarray, shape (3, ...)
        S0, S1, S2 before it.
    first, second : ndarray
        Transmittance (or reflectance) of light polarized at `azimuth` and across it.
    azimuth : ndarray
        In radians.

    Returns
    -------
    ndarray, shape (3, ...)
    """
    mean, half = (first + second) / 2, (first - second) / 2
    cosine, sine = np.cos(2 * azimuth), np.sin(2 * azimuth)
    s0, s1, s2 = stokes
    parallel, crossed = s1 * cosine + s2 * sine, s2 * cosine - s1 * sine
    geometric = np.sqrt(np.maximum(first * second, 0.0))
    along = half * s0 + mean * parallel
    return np.stack(
        [
            mean * s0 + half * parallel,
            along * cosine - geometric * crossed * sine,
            along * sine + geometric * crossed * cosine,
        ]
    )


def behind_polarizer(stokes: Floats, angle: float | Floats, extinction: float = np.inf) -> Floats:
    """Malus's law for partially polarized light: (S0 + k (S1 cos 2a + S2 sin 2a)) / 2.

    Parameters
    ----------
    stokes : ndarray, shape (3, ...)
        S0, S1, S2.
    angle : float or ndarray
        Of the polarizer's axis, in radians.
    extinction : float
        Extinction ratio e of the polarizer, k = (e - 1) / (e + 1).
    """
    contrast = 1.0 if np.isinf(extinction) else (extinction - 1.0) / (extinction + 1.0)
    s0, s1, s2 = stokes
    return np.asarray((s0 + contrast * (s1 * np.cos(2 * angle) + s2 * np.sin(2 * angle))) / 2)
