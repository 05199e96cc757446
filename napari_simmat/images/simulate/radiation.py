"""Thermal radiation of bodies, and the temperature that a camera reads from it.

Source: M. Planck, *Theorie der Wärmestrahlung* (1906); M. Vollmer and K.-P. Möllmann, *Infrared Thermal Imaging*,
section 1.3. Temperatures are in degrees Celsius, wavelengths in nm.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["ZERO_CELSIUS", "apparent_temperature", "band_radiance", "planck"]

Floats = NDArray[np.float64]

ZERO_CELSIUS = 273.15  # K
LIGHT = 299_792_458.0  # m/s
PLANCK = 6.62607015e-34  # J s
BOLTZMANN = 1.380649e-23  # J/K
MICROBOLOMETER = (7500.0, 13500.0)  # nm


def planck(wavelength_nm: Floats | float, celsius: Floats | float) -> Floats:
    """Spectral radiance of a black body: 2 h c^2 / w^5 / (exp(h c / (w k T)) - 1).

    Parameters
    ----------
    wavelength_nm, celsius : float or ndarray
        Broadcast against each other.

    Returns
    -------
    ndarray
        In W / (m^2 sr m).
    """
    wavelength = np.asarray(wavelength_nm, float) * 1e-9
    kelvin = np.asarray(celsius, float) + ZERO_CELSIUS
    return np.asarray(
        2 * PLANCK * LIGHT**2 / wavelength**5 / np.expm1(PLANCK * LIGHT / (wavelength * BOLTZMANN * kelvin))
    )


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
        total = total + weight * planck((low + high) / 2 + node * (high - low) / 2, celsius)
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
