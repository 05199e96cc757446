"""Make `napari_simmat/images/simulate/spectra.csv` anew: `python tools/make_spectra.py [FILE]`.

Needs `colour-science`, which carries the measurements: the reflectances of the 24 patches of the ColorChecker, averaged
over 30 charts (BabelColor, D. Pascale, 2012), the CIE 1931 2 degree standard observer, the CIE standard illuminants
D65 and A. All at 400 to 700 nm in steps of 10 nm.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

WAVELENGTHS = range(400, 701, 10)
FILE = Path(__file__).parents[1] / "napari_simmat" / "images" / "simulate" / "spectra.csv"


def main(path: Path) -> None:
    """Write the table."""
    columns = spectra()
    rows = ["wavelength_nm," + ",".join(columns)]
    for i, wavelength in enumerate(WAVELENGTHS):
        rows.append(f"{wavelength}," + ",".join(f"{column[i]:.8g}" for column in columns.values()))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def spectra() -> dict[str, np.ndarray]:
    """Columns of the table, by name."""
    import colour

    def sampled(distribution: colour.SpectralDistribution) -> np.ndarray:
        return np.array([distribution[float(wavelength)] for wavelength in WAVELENGTHS])

    observer = colour.MSDS_CMFS["CIE 1931 2 Degree Standard Observer"]
    values = np.array([observer[float(wavelength)] for wavelength in WAVELENGTHS])
    columns = dict(zip(("x_bar", "y_bar", "z_bar"), values.T, strict=True))
    for name in ("D65", "A"):
        columns[name] = sampled(colour.SDS_ILLUMINANTS[name])
    chart = colour.SDS_COLOURCHECKERS["BabelColor Average"]
    for name, reflectance in chart.items():
        columns[name.split("(")[0].strip()] = sampled(reflectance)
    return columns


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FILE)
