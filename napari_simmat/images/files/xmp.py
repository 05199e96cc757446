"""Words of a camera about its bands: the XMP packet that drone cameras write into each file."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import tifffile
from PIL import Image

__all__ = ["camera_words"]

XMP = 700
MAX_XMP_BYTES = 1 << 20

_TAGS = {271: "make", 272: "model", 306: "acquired"}


def camera_words(path: Path) -> dict[str, str]:
    """What the XMP packet and the first tags of a TIFF or JPEG file say.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict
        Local names of XMP properties such as "BandName", "CentralWavelength", "WavelengthFWHM" and "CaptureId" (of a
        list its first entry), and "make", "model" and "acquired". Empty where there is nothing or it is damaged.
    """
    try:
        words, packet = _of_tiff(path) if path.suffix.lower() in (".tif", ".tiff") else _of_picture(path)
    except Exception:  # parsers raise anything at all on damaged files, which their reader reports
        return {}
    return words | _properties(packet)


def _of_tiff(path: Path) -> tuple[dict[str, str], bytes]:
    with tifffile.TiffFile(path) as file:
        tags = file.pages.first.tags
        words = {name: str(tags.valueof(code)).strip() for code, name in _TAGS.items() if code in tags}
        packet = tags.valueof(XMP) if XMP in tags else b""
    return words, packet.encode() if isinstance(packet, str) else bytes(packet)


def _of_picture(path: Path) -> tuple[dict[str, str], bytes]:
    with Image.open(path) as picture:
        exif = picture.getexif()
        words = {name: str(exif[code]).strip() for code, name in _TAGS.items() if code in exif}
        packet = picture.info.get("xmp", b"")
    return words, packet.encode() if isinstance(packet, str) else bytes(packet)


def _properties(packet: bytes) -> dict[str, str]:
    packet = packet.strip(b"\0 \r\n")
    if (
        not packet or len(packet) > MAX_XMP_BYTES or b"<!" in packet
    ):  # XMP needs no document type; entities are bombs
        return {}
    try:
        root = ElementTree.fromstring(packet)
    except ElementTree.ParseError:
        return {}
    found: dict[str, str] = {}
    for description in root.iter():
        if _local(description.tag) != "Description":
            continue
        for key, value in description.attrib.items():
            found.setdefault(_local(key), value.strip())
        for child in description:
            entry = next((li for li in child.iter() if _local(li.tag) == "li"), child)
            if entry.text and entry.text.strip():
                found.setdefault(_local(child.tag), entry.text.strip())
    return found


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
