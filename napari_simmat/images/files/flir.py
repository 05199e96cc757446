"""Radiometric JPEG of FLIR cameras: a picture for people, with the thermal measurement behind it.

The measurement is decoded by the package flyr (EUPL 1.2), which need not be installed.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from napari_simmat.errors import ImageError
from napari_simmat.images.files.pictures import read_picture
from napari_simmat.images.image import Channel
from napari_simmat.images.physics.thermal import ZERO_CELSIUS
from napari_simmat.images.raw import Raw, reason

__all__ = ["PARTS", "is_flir", "read_flir"]

TEMPERATURE, PICTURE = "temperature", "picture"
PARTS = (TEMPERATURE, PICTURE)

FLIR = b"FLIR\0"
# No thermal camera of this kind has more pixels; flyr takes seconds for as many.
MOST_THERMAL_PIXELS = 4 << 20
MOST_RECORDS = 1000
MOST_PHOTO_PIXELS = 64 << 20
PICTURE_MAGICS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


def is_flir(path: Path) -> bool:
    """Whether a JPEG file carries FLIR's thermal data."""
    try:
        with path.open("rb") as file:
            return any(FLIR in segment[:16] for segment in _segments(file))
    except OSError:
        return False


def read_flir(path: Path, *, part: str | None = None) -> Raw:
    """Read temperatures in degrees Celsius, by the calibration, emissivity and distance stored by the camera.

    Parameters
    ----------
    path : Path
        A file for which `is_flir` holds.
    part : str, optional
        "temperature", the default, or "picture", as other programs show the file.

    Returns
    -------
    Raw
        Axes "YX", float32, NaN where the counts are of no temperature.

    Raises
    ------
    ImageError
        If the file is damaged, or flyr is not installed.
    """
    if part not in (None, *PARTS):
        raise ImageError(f"{path.name} has no image {part!r}; choose one of {', '.join(PARTS)}.")
    if part == PICTURE:
        picture = read_picture(path)
        return Raw(picture.array, picture.axes, picture.channels, picture.opacity, parts=PARTS, part=PICTURE)
    try:
        import flyr
    except ImportError:
        raise ImageError(
            f"{path.name} carries temperatures, which need the package flyr to be read; install it (pip install flyr) "
            f"or open the part {PICTURE!r}, a picture without temperatures."
        ) from None
    try:
        with path.open("rb") as file:
            head = b"\xff\xd8" + b"".join(_segments(file, through_scan=True))
        _require_sane(head, path)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            thermogram = flyr.unpack(io.BytesIO(head))
            celsius = np.asarray(thermogram.celsius, np.float64)
            facts = _facts(thermogram)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # flyr checks little of what it reads
        raise ImageError(
            f"{path.name} carries damaged FLIR data ({reason(error)}), expected a radiometric JPEG as the camera wrote "
            f"it; get the file again or open the part {PICTURE!r}."
        ) from error
    if celsius.ndim != 2 or not celsius.size:
        raise ImageError(
            f"{path.name} carries FLIR data of shape {celsius.shape}, expected rows and columns; get the file again or "
            f"open the part {PICTURE!r}."
        )
    celsius[~(np.isfinite(celsius) & (celsius > -ZERO_CELSIUS))] = np.nan
    if celsius.ndim != 2 or not np.isfinite(celsius).any():
        raise ImageError(
            f"{path.name} carries FLIR data without any temperature, expected a measurement with its calibration; "
            f"get the file again or open the part {PICTURE!r}."
        )
    return Raw(
        celsius.astype(np.float32),
        "YX",
        (Channel("temperature", "°C", role="thermal"),),
        modality="thermal",
        facts=facts,
        parts=PARTS,
        part=TEMPERATURE,
    )


def _segments(file: Any, *, through_scan: bool = False) -> Iterator[bytes]:
    """The segments of a JPEG file before its pixels, each with its marker; stops at the first that is none."""
    if file.read(2) != b"\xff\xd8":
        return
    while len(start := file.read(4)) == 4 and start[0] == 0xFF and start[1] not in (0x00, 0xD8, 0xD9, 0xFF):
        length = int.from_bytes(start[2:], "big")
        if start[1] == 0xDA and not through_scan:
            return
        body = file.read(max(length - 2, 0))
        if length < 2 or len(body) != length - 2:
            return
        yield start + body
        if start[1] == 0xDA:
            return


def _require_sane(head: bytes, path: Path) -> None:
    """Refuse what no camera writes and flyr would read for hours: endless directories, pictures too large."""
    blob = _flir_data(head)
    entries = int.from_bytes(blob[28:32], "big")
    if entries > MOST_RECORDS:
        raise ImageError(
            f"{path.name} carries damaged FLIR data, which declare {entries} records, expected some dozen; get the file "
            f"again or open the part {PICTURE!r}."
        )
    for magic, most in zip(PICTURE_MAGICS, (MOST_THERMAL_PIXELS, MOST_PHOTO_PIXELS), strict=True):
        place = blob.find(magic)
        for _ in range(8):
            if place < 0:
                break
            try:
                with Image.open(io.BytesIO(blob[place:])) as inner:
                    width, height = inner.size
            except Exception:  # the same bytes by chance
                width = height = 0
            if width * height > most:
                raise ImageError(
                    f"{path.name} declares a measurement of {width} x {height} pixels, more than a thermal camera has; "
                    "get the file again."
                )
            place = blob.find(magic, place + 1)


def _flir_data(head: bytes) -> bytes:
    """FLIR's data without the seams between the segments that it is cut into."""
    return b"".join(
        segment[12:] for segment in _segments(io.BytesIO(head), through_scan=True) if segment[4:9] == FLIR
    )


def _facts(thermogram: Any) -> dict[str, str]:
    """What the camera assumed when it measured."""
    told = thermogram.metadata
    facts = {}
    camera = thermogram.camera_metadata
    name = " ".join(filter(None, (camera.make, camera.model))) if camera is not None else ""
    if name:
        facts["sensor"] = name
    if camera is not None and camera.date_time is not None:
        facts["taken"] = f"{camera.date_time:%Y-%m-%d %H:%M:%S}"
    facts["emissivity"] = f"{told['emissivity']:.3g}"
    facts["reflected temperature"] = f"{told['reflected_apparent_temperature'] - ZERO_CELSIUS:.1f} °C"
    facts["atmospheric temperature"] = f"{told['atmospheric_temperature'] - ZERO_CELSIUS:.1f} °C"
    facts["relative humidity"] = f"{told['relative_humidity']:.0%}"
    facts["object distance"] = f"{told['object_distance']:.3g} m"
    return facts
