"""Channel names, wavelengths and pixel size from OME-XML."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from napari_simmat.errors import ImageError
from napari_simmat.images.image import Channel
from napari_simmat.images.raw import Raw

__all__ = ["described", "require_sane"]

MAX_PLANES = 1 << 20

_NANOMETRES = {"nm": 1.0, "µm": 1e3, "um": 1e3, "Å": 0.1}


def require_sane(xml: str, path: Path) -> None:
    """Refuse a document that points outside its folder or counts more planes than there can be.

    tifffile follows every file name and makes a list as long as the number of planes.

    Parameters
    ----------
    xml : str
        OME-XML. Broken XML is no harm: nothing is done by it.
    path : Path
        The file, for errors.

    Raises
    ------
    ImageError
        If it does either.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return
    for element in root.iter():
        kind = element.tag.rpartition("}")[2]
        named = element.get("FileName") or element.get("MetadataFile") or ""
        if named.replace("\\", "/").rpartition("/")[1] or named in (".", ".."):
            raise ImageError(
                f"{path.name} points to {named[:80]!r} outside its folder, which is not followed; put that file beside "
                "it and write the OME metadata anew."
            )
        counts = (
            [_count(value) for key, value in element.items() if key.startswith(_COUNTED[kind])]
            if kind in _COUNTED
            else []
        )
        if kind.startswith("ModuloAlong") or ".ModuloAlong" in kind:
            counts = [_steps(element)]
        if math.prod(max(1.0, count) for count in counts) > MAX_PLANES:
            raise ImageError(
                f"{path.name} has OME metadata of more planes than a file can hold, expected at most {MAX_PLANES}; get "
                "the file again or correct them."
            )


_COUNTED = {
    "Pixels": ("SizeC", "SizeZ", "SizeT"),
    "TiffData": ("IFD", "PlaneCount", "NumPlanes", "FirstC", "FirstZ", "FirstT"),
}


def _count(text: str) -> float:
    try:
        return abs(float(text))
    except ValueError:
        return 0.0  # tifffile says what is wrong with it


def _steps(element: ElementTree.Element) -> float:
    """How many positions a modulo annotation counts."""
    start, end, step = (
        _count(element.get(key, default)) for key, default in (("Start", "0"), ("End", "0"), ("Step", "1"))
    )
    return (start + end) / step if step else math.inf


def described(raw: Raw, xml: str, number: int = 0) -> Raw:
    """Add what one image of an OME-XML document says about itself.

    Parameters
    ----------
    raw : Raw
        Pixels of that image.
    xml : str
        The document. Broken XML adds nothing.
    number : int
        Which of its images.
    """
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return raw
    images = root.findall(".//{*}Image/{*}Pixels")
    if number >= len(images):
        return raw
    pixels = images[number]
    size = [_positive(pixels.get(f"PhysicalSize{axis}")) for axis in "YX"]
    if size[0] and size[1]:
        unit = pixels.get("PhysicalSizeYUnit", "µm")
        if unit == pixels.get("PhysicalSizeXUnit", "µm"):
            raw = replace(raw, pixel_size=(size[0], size[1]), pixel_unit="µm" if unit == "um" else unit)
    count = _n_channels(raw)
    elements = pixels.findall("{*}Channel")
    if raw.channels or len(elements) != count:  # samples of a colour picture share one element
        return raw
    channels = tuple(_channel(i, element) for i, element in enumerate(elements))
    return replace(raw, channels=channels)


def _n_channels(raw: Raw) -> int:
    count = 1
    for axis, length in zip(raw.axes, raw.array.shape, strict=True):
        count *= length if axis in "CS" else 1
    return count


def _channel(i: int, element: ElementTree.Element) -> Channel:
    wavelength = _positive(element.get("EmissionWavelength"))
    scale = _NANOMETRES.get(element.get("EmissionWavelengthUnit", "nm"))
    return Channel(
        name=(element.get("Name") or "").strip() or f"channel {i}",
        wavelength_nm=wavelength * scale if wavelength and scale else None,
    )


def _positive(text: str | None) -> float:
    """The number in an attribute, 0 where there is no positive one."""
    try:
        number = float(text or 0)
    except ValueError:
        return 0.0
    return number if 0 < number < float("inf") else 0.0
