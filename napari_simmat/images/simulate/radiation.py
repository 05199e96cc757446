"""Thermal radiation of bodies, and the temperature that a camera reads from it.

Source: M. Planck, *Theorie der Wärmestrahlung* (1906); M. Vollmer and K.-P. Möllmann, *Infrared Thermal Imaging*,
section 1.3. Temperatures are in degrees Celsius, wavelengths in nm.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from napari_simmat.images.physics.thermal import spectral_radiance

__all__ = ["apparent_temperature", "band_radiance"]

Floats = NDArray[np.float64]

MICROBOLOMETER = (7500.0, 13500.0)  # nm


def band_radiance(celsius: Floats | float, band_nm: tuple[float, float] = MICROBOLOMETER) -> Floats:
    """Radiance of a black body between two wavelengths: Planck's law by Gauss-Legendre quadrature of 24 nodes.

    Parameters
    ----------
    celsius : float or ndarray
        Temperature.
    band_nm : (float, float)
        The camera's band; that of an uncooled microbolometer where not given.

    Returns
    -------
    ndarray
        In W / (m^2 sr).
    """
    low, high = band_nm
    nodes, weights = np.polynomial.legendre.leggauss(24)
    total = np.zeros(np.shape(celsius))
    for node, weight in zip(nodes, weights, strict=True):
        total = total + weight * spectral_radiance(celsius, (low + high) / 2 + node * (high - low) / 2)
    return np.asarray(total * (high - low) / 2 * 1e-9)


def apparent_temperature(radiance: Floats) -> Floats:
    """Temperature of the black body of this radiance in the microbolometer's band: what the camera reads.

    Of a grey body of emissivity e at temperature T under surroundings at U arrives e L(T) + (1 - e) L(U).

    Parameters
    ----------
    radiance : ndarray
        In W / (m^2 sr), of black bodies between -120 and 200 degrees Celsius.

    Returns
    -------
    ndarray
        In degrees Celsius, to 1e-4 degrees.
    """
    celsius, table = _calibration()
    return np.interp(radiance, table, celsius)


@cache
def _calibration() -> tuple[Floats, Floats]:
    celsius = np.linspace(-120.0, 200.0, 16001)
    return celsius, band_radiance(celsius)
