"""What GeoTIFF and GDAL add to a TIFF: place on Earth, size of a pixel, names and wavelengths of bands.

Sources: OGC GeoTIFF Standard 1.1; GDAL's GTiff driver for the tag GDAL_METADATA.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import tifffile

from napari_simmat.images.files.wavelengths import band_names, in_nanometres
from napari_simmat.images.georeference import (
    GEO_KEYS,
    GEOTIFF_TAGS,
    PIXEL_SCALE,
    TRANSFORMATION,
    GeoReference,
    keys_of,
)
from napari_simmat.images.image import Channel
from napari_simmat.images.raw import Raw

__all__ = ["with_geotiff"]

GDAL_METADATA = 42112

_LINEAR_UNITS = {9001: "m", 9002: "ft", 9003: "ft", 9036: "km"}
_PROJECTED, _GEOGRAPHIC = 1, 2
_MODEL, _LINEAR = 1024, 3076

_WAVELENGTH_ITEMS = {
    "wavelength": "",
    "wavelengths": "",
    "center_wavelength": "",
    "central_wavelength": "",
    "central_wavelength_um": "um",
    "wavelength_nm": "nm",
    "central_wavelength_nm": "nm",
}


def with_geotiff(raw: Raw, page: tifffile.TiffPage) -> Raw:
    """Add what the tags of a page say.

    Parameters
    ----------
    raw : Raw
        With its axes.
    page : TiffPage
        The first of the image.
    """
    tags = {code: page.tags.valueof(code) for code in GEOTIFF_TAGS if code in page.tags}
    kept = tuple(_as_extratag(code, value) for code, value in tags.items() if value is not None)
    if PIXEL_SCALE in tags or TRANSFORMATION in tags or GEO_KEYS in tags:
        raw = replace(raw, georeference=GeoReference(geotiff=kept), facts={**raw.facts, **_facts(tags)})
        size = _pixel_size(tags)
        if size is not None and raw.pixel_size is None:
            raw = replace(raw, pixel_size=size[0], pixel_unit=size[1])
    xml = page.tags.valueof(GDAL_METADATA) if GDAL_METADATA in page.tags else None
    return _with_gdal(raw, xml) if isinstance(xml, str) else raw


def _as_extratag(code: int, value: Any) -> tuple[int, str, int, Any]:
    kind = GEOTIFF_TAGS[code]
    if kind == "s":
        return code, kind, 0, str(value)
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return code, kind, len(values), values


def _pixel_size(tags: dict[int, Any]) -> tuple[tuple[float, float], str] | None:
    try:
        if PIXEL_SCALE in tags:
            x, y = abs(float(tags[PIXEL_SCALE][0])), abs(float(tags[PIXEL_SCALE][1]))
        else:
            m = [float(value) for value in tags[TRANSFORMATION]]
            x, y = math.hypot(m[0], m[4]), math.hypot(m[1], m[5])
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    keys = keys_of(tags.get(GEO_KEYS, ()))
    model = keys.get(_MODEL)
    unit = _LINEAR_UNITS.get(keys.get(_LINEAR, 9001)) if model == _PROJECTED else None
    unit = "degree" if model == _GEOGRAPHIC else unit
    if unit is None or not (0 < x < math.inf and 0 < y < math.inf):
        return None
    return (y, x), unit


def _facts(tags: dict[int, Any]) -> dict[str, str]:
    keys = keys_of(tags.get(GEO_KEYS, ()))
    code = keys.get(3072) or keys.get(2048)
    if code and code != 32767:  # user-defined
        return {"coordinate system": f"EPSG:{code}"}
    return {"coordinate system": "its own"} if keys else {}


def _with_gdal(raw: Raw, xml: str) -> Raw:
    if "<!" in xml:  # GDAL writes no document type; entities can exhaust the memory
        return raw
    try:
        items = ElementTree.fromstring(xml.strip("\0 \n")).findall("Item")
    except ElementTree.ParseError:
        return raw
    count = _n_channels(raw)
    names: dict[int, str] = {}
    lengths: dict[int, float] = {}
    unit = ""
    facts: dict[str, str] = {}
    for item in items:
        key, text = (item.get("name") or "").strip(), (item.text or "").strip()
        band = _index(item.get("sample"), count)
        plain = key.lower()
        if plain in ("wavelength_units", "wavelength_unit", "wavelength units"):
            unit = text
        elif band is not None and item.get("role") == "description":
            names[band] = text
        elif band is not None and plain in _WAVELENGTH_ITEMS:
            unit = _WAVELENGTH_ITEMS[plain] or unit
            lengths[band] = _number(text)
        elif band is None and plain.startswith("band_") and _index(plain[5:], count + 1):
            names.setdefault(int(plain[5:]) - 1, text)
        elif band is None and len(facts) < 12:
            facts[key[:60]] = text[:200]
    raw = replace(raw, facts={**raw.facts, **facts})
    return _with_bands(raw, count, names, lengths, unit)


def _with_bands(raw: Raw, count: int, names: dict[int, str], lengths: dict[int, float], unit: str) -> Raw:
    if not names and not lengths:
        return raw
    wavelengths: list[float] | None = None
    if len(lengths) == count:
        wavelengths, said = in_nanometres([lengths[i] for i in range(count)], unit)
        if said:
            raw = replace(raw, assumptions=(*raw.assumptions, said))
    default = band_names(wavelengths) if wavelengths else [f"band {i + 1}" for i in range(count)]
    texts = [names.get(i) or default[i] for i in range(count)]
    if len(set(texts)) < count:
        texts = [f"{text} ({i + 1})" for i, text in enumerate(texts)]
    shape_counts = len(raw.channels) in (0, count)
    if not shape_counts:
        return raw
    roles = [channel.role for channel in raw.channels] or [""] * count
    values: list[float | None] = list(wavelengths) if wavelengths else [None] * count
    channels = tuple(
        Channel(text, wavelength_nm=value, role=role)
        for text, value, role in zip(texts, values, roles, strict=True)
    )
    modality = "hyperspectral" if wavelengths and count > 3 and not any(roles) else ""
    return replace(raw, channels=channels, modality=raw.modality or modality)


def _n_channels(raw: Raw) -> int:
    """Bands of the image; pages without a letter are bands where nothing else is."""
    shape = raw.array.shape
    stored = int(math.prod(n for n, letter in zip(shape, raw.axes, strict=False) if letter in "CSIQ"))
    return stored - (len(raw.opacity[1]) if raw.opacity else 0)


def _index(text: str | None, count: int) -> int | None:
    try:
        number = int(text or "")
    except ValueError:
        return None
    return number if 0 <= number < count else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
