"""Channel names, wavelengths and pixel size from OME-XML."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

from napari_simmat.images.image import Channel
from napari_simmat.images.raw import Raw

__all__ = ["described"]

_NANOMETRES = {"nm": 1.0, "µm": 1e3, "um": 1e3, "Å": 0.1}


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
