"""What the stored numbers mean: each sample format turns them into channels with a physical meaning.

A format that the file itself states is used without asking; any other is the user's choice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_simmat.errors import ImageError
from napari_simmat.images.camera import Camera
from napari_simmat.images.image import Channel
from napari_simmat.images.reflectance import Reflectance

__all__ = [
    "AS_STORED",
    "REFLECTANCE",
    "SAMPLE_FORMATS",
    "SampleFormat",
    "fitting_formats",
    "require_sample_format",
]

Channels = tuple[Channel, ...]
AS_STORED = "as stored"
REFLECTANCE = "reflectance"


@dataclass(frozen=True)
class SampleFormat:
    """One way to understand stored numbers.

    Attributes
    ----------
    key : str
        Its name, such as "centikelvin".
    modality : str
        The modality that it makes of the image, "" where it leaves that open.
    text : str
        One line for people.
    fits : callable
        Whether an array (C, Y, X) with these channels could be stored so.
    read : callable
        Array (C, Y, X), channels and camera to array and channels. Lazy arrays stay lazy where that is possible.
    """

    key: str
    modality: str
    text: str
    fits: Callable[[Any, Channels], bool]
    read: Callable[[Any, Channels, Camera | None], tuple[Any, Channels]]


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
}


def require_sample_format(key: str) -> SampleFormat:
    """The sample format of this name.

    Raises
    ------
    ImageError
        If there is none.
    """
    if key not in SAMPLE_FORMATS:
        raise ImageError(f"There is no sample format {key!r}; choose one of {', '.join(SAMPLE_FORMATS)}.")
    return SAMPLE_FORMATS[key]


def fitting_formats(array: Any, channels: Channels) -> list[str]:
    """Names of the sample formats that an array (C, Y, X) could be stored in, "as stored" first."""
    return [key for key, known in SAMPLE_FORMATS.items() if known.fits(array, channels)]
