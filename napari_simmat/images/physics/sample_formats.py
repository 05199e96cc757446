"""What the stored numbers mean: each sample format turns them into channels with a physical meaning.

A format that the file itself states is used without asking; any other is the user's choice.
"""

from __future__ import annotations

from typing import Any

from napari_simmat.errors import ImageError
from napari_simmat.images.physics.degree_formats import DEGREE_FORMATS
from napari_simmat.images.physics.measured_formats import DEPTH_FORMATS, THERMAL_FORMATS
from napari_simmat.images.physics.polarization_formats import POLARIZATION_FORMATS, angles_format
from napari_simmat.images.physics.reflectance import Reflectance
from napari_simmat.images.physics.sample_format import Channels, SampleFormat

__all__ = [
    "AS_STORED",
    "REFLECTANCE",
    "SAMPLE_FORMATS",
    "SampleFormat",
    "fitting_formats",
    "require_sample_format",
]

AS_STORED = "as stored"
REFLECTANCE = "reflectance"

SAMPLE_FORMATS: dict[str, SampleFormat] = {
    AS_STORED: SampleFormat(
        AS_STORED,
        "",
        "the numbers as they are in the file",
        lambda array, channels: True,
        lambda array, channels, camera: (array, channels),
    ),
    REFLECTANCE: SampleFormat(
        REFLECTANCE,
        "hyperspectral",
        "reflectance by the scale factor in the header or by the white and dark references beside it",
        lambda array, channels: False,  # only where the file itself brings these: `Raw.reflectance`
        lambda array, channels, camera: (array, channels),
    ),
    "ten-thousandths": SampleFormat(
        "ten-thousandths",
        "hyperspectral",
        "reflectance, of which 1 is stored as 10000",
        lambda array, channels: array.dtype.kind in "iu" and array.dtype.itemsize >= 2 and len(channels) > 1,
        lambda array, channels, camera: Reflectance(scale=10_000.0)(array, channels),
    ),
    **{
        known.key: known
        for known in (*POLARIZATION_FORMATS, *DEGREE_FORMATS, *THERMAL_FORMATS, *DEPTH_FORMATS)
    },
}
"""Every sample format by its name; any other angles of a polarizer may be named, as in "angles 0-36-72-108-144"."""


def require_sample_format(key: str) -> SampleFormat:
    """The sample format of this name.

    Raises
    ------
    ImageError
        If there is none.
    """
    known = SAMPLE_FORMATS.get(key) or angles_format(key)
    if known is None:
        raise ImageError(f"There is no sample format {key!r}; choose one of {', '.join(SAMPLE_FORMATS)}.")
    return known


def fitting_formats(array: Any, channels: Channels) -> list[str]:
    """Names of the sample formats that an array (C, Y, X) could be stored in, "as stored" first."""
    return [key for key, known in SAMPLE_FORMATS.items() if known.fits(array, channels)]
