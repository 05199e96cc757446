"""Wavelengths in nanometres, from the units in which files give them."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["band_names", "in_nanometres"]

_PER_UNIT = {
    "nm": 1.0,
    "nanometer": 1.0,
    "nanometre": 1.0,
    "um": 1e3,
    "µm": 1e3,
    "μm": 1e3,
    "micron": 1e3,
    "micrometer": 1e3,
    "micrometre": 1e3,
    "mm": 1e6,
    "millimeter": 1e6,
    "millimetre": 1e6,
    "m": 1e9,
    "meter": 1e9,
    "metre": 1e9,
    "a": 0.1,
    "å": 0.1,
    "angstrom": 0.1,
}
_WAVENUMBERS = ("wavenumber", "cm-1", "cm^-1", "1/cm", "cm⁻¹", "cm**-1")
_SILENT = ("", "unknown", "none", "index", "-")


def in_nanometres(values: Sequence[float], unit: str) -> tuple[list[float] | None, str]:
    """Wavelengths in nanometres and, where something was assumed, a sentence about it.

    Parameters
    ----------
    values : sequence of float
        As the file gives them.
    unit : str
        As the file gives it; where it is empty or unknown the unit follows from the size of the values.

    Returns
    -------
    wavelengths : list of float or None
        Unchanged, bit for bit, where they are nanometres; None if they cannot be meant.
    assumption : str
    """
    if not len(values) or not all(0 < value < float("inf") for value in values):
        return None, "The wavelengths are not all positive numbers, so they were left out." if len(
            values
        ) else ""
    plain = unit.strip().casefold()
    known = _PER_UNIT.get(plain, _PER_UNIT.get(plain.removesuffix("s")))
    if known is not None:
        return [value if known == 1.0 else value * known for value in values], ""
    if plain.removesuffix("s") in _WAVENUMBERS:
        return (
            [1e7 / value for value in values],
            "The wavenumbers (1/cm) were converted to wavelengths in nanometres.",
        )
    if plain not in _SILENT:
        return None, f"The wavelengths are in the unknown unit {unit.strip()[:30]!r}, so they were left out."
    if plain == "index":
        return None, ""
    low, high = min(values), max(values)
    if low >= 100 and high <= 30_000:
        return list(
            values
        ), "The file gives no unit of its wavelengths; nanometres were assumed from their size."
    if low >= 0.1 and high <= 30:
        return (
            [value * 1e3 for value in values],
            "The file gives no unit of its wavelengths; micrometres were assumed from their size.",
        )
    return None, "The file gives no unit of its wavelengths, so they were left out."


def band_names(wavelengths: Sequence[float]) -> list[str]:
    """A name for each band from its wavelength, with so many digits as tell them apart."""
    for digits in (0, 1, 2, 3):
        names = [f"{value:.{digits}f} nm" for value in wavelengths]
        if len(set(names)) == len(names):
            return names
    return [f"{name} (band {i})" for i, name in enumerate(names)]
