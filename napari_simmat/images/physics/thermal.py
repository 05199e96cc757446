"""Thermal: from what a thermal camera stores to degrees Celsius.

The same 16-bit number means another temperature for each maker and setting, so a scale is never guessed: it comes from
the file's own words or from the user.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_simmat.errors import ImageError

__all__ = [
    "SCALES",
    "ZERO_CELSIUS",
    "LinearScale",
    "scale_named",
    "spectral_radiance",
    "to_celsius",
]

ZERO_CELSIUS = 273.15  # K, by definition

# Exact since 2019 (BIPM, SI brochure).
PLANCK, LIGHT, BOLTZMANN = 6.62607015e-34, 299_792_458.0, 1.380649e-23  # J s, m/s, J/K


@dataclass(frozen=True)
class LinearScale:
    """Degrees Celsius = `gain` x value + `offset`.

    Parameters
    ----------
    gain, offset : float
        Of one count in kelvin, and the temperature of 0 counts in degrees Celsius.
    text : str
        One line for people.
    """

    gain: float
    offset: float
    text: str


SCALES: dict[str, LinearScale] = {
    "celsius": LinearScale(1, 0, "Degrees Celsius"),
    "centicelsius": LinearScale(0.01, 0, "Hundredths of a degree Celsius"),
    "decicelsius": LinearScale(0.1, 0, "Tenths of a degree Celsius"),
    "fahrenheit": LinearScale(1 / 1.8, -32 / 1.8, "Degrees Fahrenheit"),
    "kelvin": LinearScale(1, -ZERO_CELSIUS, "Kelvin"),
    "centikelvin": LinearScale(
        0.01,
        -ZERO_CELSIUS,
        "Hundredths of a kelvin (FLIR TLinear in high resolution: Lepton, Boson, Ax5, A-series)",
    ),
    "decikelvin": LinearScale(0.1, -ZERO_CELSIUS, "Tenths of a kelvin (FLIR TLinear in low resolution)"),
    "tlinear 0.04": LinearScale(0.04, -ZERO_CELSIUS, "0.04 K a count (FLIR Tau TLinear in high resolution)"),
    "tlinear 0.4": LinearScale(0.4, -ZERO_CELSIUS, "0.4 K a count (FLIR Tau TLinear in low resolution)"),
    "kelvin/64": LinearScale(1 / 64, -ZERO_CELSIUS, "64ths of a kelvin (InfiRay and others)"),
}
"""Linear scales by the key of their sample format."""

# What files call them, without case, blanks, underscores and hyphens.
NAMES = {
    **{name: "celsius" for name in ("celsius", "degc", "°c", "℃", "c", "degreescelsius", "degreecelsius")},
    **{name: "fahrenheit" for name in ("fahrenheit", "degf", "°f", "℉", "degreesfahrenheit")},
    **{name: "kelvin" for name in ("kelvin", "k", "degreeskelvin", "kelvins")},
    **{
        name: "centikelvin" for name in ("centikelvin", "ck", "0.01k", "10mk", "k/100", "kelvin/100", "k*100")
    },
    **{name: "decikelvin" for name in ("decikelvin", "dk", "0.1k", "100mk", "k/10", "kelvin/10", "k*10")},
    **{
        name: "centicelsius"
        for name in ("centicelsius", "0.01°c", "0.01degc", "0.01c", "°c/100", "celsius/100")
    },
    **{name: "decicelsius" for name in ("decicelsius", "0.1°c", "0.1degc", "0.1c", "°c/10", "celsius/10")},
    **{name: "tlinear 0.04" for name in ("0.04k", "40mk")},
    **{name: "tlinear 0.4" for name in ("0.4k", "400mk")},
    **{name: "kelvin/64" for name in ("kelvin/64", "k/64")},
}


def scale_named(unit: str) -> str:
    """The scale that a file's unit states, "" where it states none.

    >>> scale_named("centi-Kelvin"), scale_named("0.01 K"), scale_named("counts")
    ('centikelvin', 'centikelvin', '')
    """
    return NAMES.get(re.sub(r"[\s_-]", "", unit).casefold(), "")


def to_celsius(values: Any, scale: str) -> Any:
    """Temperatures in degrees Celsius from values of a linear scale.

    Parameters
    ----------
    values : array
        In memory or lazy, of any shape. Not finite means not measured and becomes NaN.
    scale : str
        A key of `SCALES`.

    Returns
    -------
    array, float32
        Lazy where `values` are. Computed in float64: 30,000 hundredths of a kelvin keep all their digits.

    Raises
    ------
    ImageError
        If there is no such scale.
    """
    if scale not in SCALES:
        raise ImageError(f"There is no temperature scale {scale!r}; choose one of {', '.join(SCALES)}.")
    linear = SCALES[scale]
    celsius = values.astype(np.float64) * linear.gain + linear.offset
    return np.where(np.isfinite(celsius), celsius, np.nan).astype(np.float32)


def spectral_radiance(celsius: ArrayLike, wavelength_nm: ArrayLike) -> NDArray[np.float64]:
    """Radiance of a black body at one wavelength, by Planck's law.

    L = 2 h c^2 / w^5 / (exp(h c / (w k T)) - 1) (M. Planck, Annalen der Physik 309, 1901).

    Parameters
    ----------
    celsius : array_like
        Temperature in degrees Celsius, above -273.15.
    wavelength_nm : array_like
        Wavelength in nanometres; both are broadcast against each other.

    Returns
    -------
    ndarray, float64
        W / (m^2 sr m).
    """
    w = np.asarray(wavelength_nm, np.float64) * 1e-9
    kelvin = np.asarray(celsius, np.float64) + ZERO_CELSIUS
    return np.asarray(2 * PLANCK * LIGHT**2 / w**5 / np.expm1(PLANCK * LIGHT / (w * BOLTZMANN * kelvin)))
