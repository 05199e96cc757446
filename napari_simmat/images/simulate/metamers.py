"""Colours of spectra, and spectra of the same colour.

Sources: CIE 15:2018, *Colorimetry* (tristimulus values, CIELAB); J. B. Cohen and W. E. Kappauf, "Metameric color
stimuli, fundamental metamers, and Wyszecki's metameric blacks", American Journal of Psychology 95 (1982). The measured
spectra in `spectra.csv` come from colour-science (BSD-3-Clause); `tools/make_spectra.py` tells which.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["PATCHES", "WAVELENGTHS", "lab", "metamer", "metameric_black", "spectrum", "tristimulus"]

Floats = NDArray[np.float64]

WAVELENGTHS = tuple(range(400, 701, 10))
"""Of all spectra here, in nm."""


@cache
def _table() -> dict[str, Floats]:
    path = Path(__file__).with_name("spectra.csv")
    names = path.read_text(encoding="utf-8").splitlines()[0].split(",")
    columns = np.loadtxt(path, delimiter=",", skiprows=1, unpack=True)
    return dict(zip(names[1:], columns[1:], strict=True))


def spectrum(name: str) -> Floats:
    """One of the stored spectra, shape (31,): "x_bar", "D65", "A" or a patch of the ColorChecker."""
    return _table()[name].copy()


PATCHES = tuple(name for name in _table() if name not in ("x_bar", "y_bar", "z_bar", "D65", "A"))
"""Names of the 24 measured reflectances."""


def _sensitivities(illuminant: str) -> Floats:
    """(31, 3): colour matching functions times illuminant; a white surface has Y = 1."""
    light = spectrum(illuminant)
    observer = np.stack([spectrum(name) for name in ("x_bar", "y_bar", "z_bar")], axis=1)
    weighted = observer * light[:, None]
    return np.asarray(weighted / weighted[:, 1].sum())


def tristimulus(reflectance: Floats, illuminant: str = "D65") -> Floats:
    """CIE 1931 tristimulus values X, Y, Z of surfaces, the sum over 10 nm bands.

    Parameters
    ----------
    reflectance : ndarray, shape (31, ...)
        At `WAVELENGTHS`.
    illuminant : str
        "D65" or "A".

    Returns
    -------
    ndarray, shape (3, ...)
        With Y = 1 for a perfect white surface.
    """
    return np.tensordot(_sensitivities(illuminant).T, reflectance, 1)


def lab(reflectance: Floats, illuminant: str = "D65") -> Floats:
    """CIELAB 1976 colours L*, a*, b* of surfaces under an illuminant to which the eye is adapted.

    L* = 116 f(Y/Yn) - 16, a* = 500 (f(X/Xn) - f(Y/Yn)), b* = 200 (f(Y/Yn) - f(Z/Zn)) with f(t) = t^(1/3) above
    (6/29)^3 and t / (3 (6/29)^2) + 4/29 below.

    Parameters
    ----------
    reflectance : ndarray, shape (31, ...)
        At `WAVELENGTHS`.
    illuminant : str
        "D65" or "A".

    Returns
    -------
    ndarray, shape (3, ...)
        A distance of about 1 is just noticeable.
    """
    white = tristimulus(np.ones(len(WAVELENGTHS)), illuminant)
    values = tristimulus(reflectance, illuminant)
    values = values / white.reshape(3, *(1,) * (values.ndim - 1))
    f = np.where(values > (6 / 29) ** 3, np.cbrt(values), values / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def metameric_black(spectra: Floats, illuminant: str = "D65") -> Floats:
    """The part of a spectrum that has no colour: (I - R) s with Cohen's R = A (A^T A)^-1 A^T.

    A holds the colour matching functions times the illuminant. Adding any multiple of the result to a reflectance leaves
    its colour under that illuminant, for the CIE 1931 observer, as it was.

    Parameters
    ----------
    spectra : ndarray, shape (31, ...)
        Reflectances or differences of reflectances.
    illuminant : str
        "D65" or "A".
    """
    sensitivities = _sensitivities(illuminant)
    coefficients = np.linalg.solve(
        sensitivities.T @ sensitivities, np.tensordot(sensitivities.T, spectra, 1).reshape(3, -1)
    )
    return np.asarray(spectra - (sensitivities @ coefficients).reshape(spectra.shape))


def metamer(
    reflectance: Floats, black: Floats, strength: float = 1.0, bounds: tuple[float, float] = (0.01, 0.97)
) -> Floats:
    """Reflectances of the same colour: as much of a metameric black added as leaves them within bounds.

    Parameters
    ----------
    reflectance : ndarray, shape (31, ...)
        Within `bounds`.
    black : ndarray, shape (31,)
        From `metameric_black`.
    strength : float
        Largest multiple of `black`, 0 or more.
    bounds : (float, float)
        Reflectances that a surface can have.

    Returns
    -------
    ndarray, shape (31, ...)
    """
    added = black.reshape(-1, *(1,) * (reflectance.ndim - 1))
    limit = np.where(added > 0, bounds[1], bounds[0])
    room = (limit - reflectance) / np.where(np.abs(added) < 1e-9, 1e-9, added)
    room = np.where(np.abs(added) < 1e-9, np.inf, room)
    return np.asarray(reflectance + np.clip(room.min(axis=0), 0.0, strength) * added)
