"""Where on Earth an image lies, in the words of the format that said so, carried over to what is written.

Sources: ENVI Header Files (NV5 Geospatial) for `map info`; OGC GeoTIFF Standard 1.1 for the TIFF tags.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ENVI_KEYS", "GEOTIFF_TAGS", "GeoReference", "keys_of", "size_in_map_info"]

ENVI_KEYS = (
    "map info",
    "coordinate system string",
    "projection info",
    "geo points",
    "rpc info",
    "x start",
    "y start",
)
"""Entries of an ENVI header that say where the image lies."""

PIXEL_SCALE, TIE_POINTS, TRANSFORMATION = 33550, 33922, 34264
GEO_KEYS, GEO_DOUBLES, GEO_TEXTS = 34735, 34736, 34737

GEOTIFF_TAGS = {
    PIXEL_SCALE: "d",
    TIE_POINTS: "d",
    TRANSFORMATION: "d",
    GEO_KEYS: "H",
    GEO_DOUBLES: "d",
    GEO_TEXTS: "s",
}
"""TIFF tags that say where the image lies, and the type of their values as tifffile writes it."""

_UNITS = {"meters": "m", "metres": "m", "meter": "m", "degrees": "degree", "feet": "ft", "km": "km"}

_WGS_84_UTM_NORTH, _WGS_84_UTM_SOUTH, _WGS_84 = 32600, 32700, 4326


@dataclass(frozen=True)
class GeoReference:
    """Georeference of an image.

    Parameters
    ----------
    envi : mapping of str to str
        Header entries such as "map info" and "coordinate system string", without their braces.
    geotiff : tuple of (int, str, int, value)
        TIFF tags as tifffile's `extratags` take them: code, type, count, value.
    """

    envi: Mapping[str, str] = field(default_factory=dict)
    geotiff: tuple[tuple[int, str, int, Any], ...] = ()

    def shifted(self, top: int, left: int) -> GeoReference:
        """The georeference of a window that begins at this row and column.

        The tie points keep their place on Earth and get new pixel coordinates.

        Parameters
        ----------
        top, left : int
            Row and column of the window's first pixel.
        """
        if not top and not left:
            return self
        envi = {key: _shifted_entry(key, text, top, left) for key, text in self.envi.items()}
        tags = tuple(
            (code, kind, count, _shifted_tag(code, value, top, left))
            for code, kind, count, value in self.geotiff
        )
        return GeoReference({key: text for key, text in envi.items() if text}, tags)

    def as_geotiff(self) -> tuple[tuple[int, str, int, Any], ...]:
        """TIFF tags: those of the input, else made from an unrotated `map info` in UTM or degrees on WGS-84."""
        return self.geotiff or _tags_of_map_info(self.envi.get("map info", ""))

    def as_envi(self) -> dict[str, str]:
        """Header entries: those of the input, else a `map info` made of tie point and scale of a GeoTIFF."""
        return dict(self.envi) or _map_info_of_tags({code: value for code, _, _, value in self.geotiff})


def size_in_map_info(text: str) -> tuple[tuple[float, float], str] | None:
    """Height and width of a pixel, and their unit, in an ENVI `map info`; None where it does not say.

    >>> size_in_map_info("UTM, 1, 1, 612730.9, 4074488.7, 2.0, 2.5, 10, North, WGS-84, units=Meters")
    ((2.5, 2.0), 'm')
    """
    fields = _fields(text)
    try:
        x, y = float(fields[5]), float(fields[6])
    except (IndexError, ValueError):
        return None
    if not (0 < x < math.inf and 0 < y < math.inf):
        return None
    named = next((f.partition("=")[2].strip() for f in fields if f.lower().startswith("units")), "")
    plain = named.casefold() or ("degrees" if fields[0].casefold().startswith("geographic") else "")
    unit = _UNITS.get(plain, "")
    if not unit and plain in ("", "unknown"):
        unit = "m" if fields[0].casefold() == "utm" else "pixel"
    return ((y, x), unit or named) if unit != "pixel" else None


def _fields(text: str) -> list[str]:
    return [f.strip() for f in text.strip().strip("{}").split(",")]


def _shifted_entry(key: str, text: str, top: int, left: int) -> str:
    """An ENVI entry for a window; empty where it cannot be one."""
    fields = _fields(text)
    try:
        if key == "map info":
            fields[1], fields[2] = _moved(fields[1], -left), _moved(fields[2], -top)
        elif key in ("x start", "y start"):
            return _moved(text, left if key == "x start" else top)
        elif key == "geo points":
            for i in range(0, len(fields) - 3, 4):
                fields[i], fields[i + 1] = _moved(fields[i], -left), _moved(fields[i + 1], -top)
        elif key == "rpc info":
            return ""  # its offsets belong to the whole image
        else:
            return text
    except (IndexError, ValueError):
        return ""
    return ", ".join(fields)


def _moved(number: str, by: int) -> str:
    return f"{float(number) + by:.10g}"


def _shifted_tag(code: int, value: Any, top: int, left: int) -> Any:
    if code == TIE_POINTS:
        points = list(value)
        for i in range(0, len(points) - 5, 6):
            points[i] -= left
            points[i + 1] -= top
        return tuple(points)
    if code == TRANSFORMATION and len(value) == 16:
        m = list(value)
        for row in (0, 4, 8):
            m[row + 3] += m[row] * left + m[row + 1] * top
        return tuple(m)
    return value


def _tags_of_map_info(text: str) -> tuple[tuple[int, str, int, Any], ...]:
    fields = _fields(text)
    try:
        column, row, easting, northing, x, y = (float(f) for f in fields[1:7])
    except ValueError:
        return ()
    rotated = any(f.lower().startswith("rotation") and _angle(f) for f in fields)
    datum = {f.upper().replace(" ", "").replace("_", "-") for f in fields}
    if rotated or not datum & {"WGS-84", "WGS84", "WGS-1984"}:
        return ()
    if fields[0].casefold() == "utm":
        zone = int(fields[7]) if len(fields) > 8 and fields[7].isdigit() else 0
        if not 1 <= zone <= 60:
            return ()
        south = fields[8].casefold().startswith("s")
        keys: Sequence[int] = (1, 3072, (_WGS_84_UTM_SOUTH if south else _WGS_84_UTM_NORTH) + zone)
    elif fields[0].casefold().startswith("geographic"):
        keys = (2, 2048, _WGS_84)
    else:
        return ()
    model, key, code = keys
    directory = (1, 1, 0, 3, 1024, 0, 1, model, 1025, 0, 1, 1, key, 0, 1, code)
    # ENVI counts pixels from 1 and, like a GeoTIFF of areas, their corners.
    points = (column - 1, row - 1, 0.0, easting, northing, 0.0)
    return (
        (PIXEL_SCALE, "d", 3, (x, y, 0.0)),
        (TIE_POINTS, "d", 6, points),
        (GEO_KEYS, "H", len(directory), directory),
    )


def _angle(entry: str) -> float:
    try:
        return float(entry.partition("=")[2])
    except ValueError:
        return 1.0


def _map_info_of_tags(tags: Mapping[int, Any]) -> dict[str, str]:
    scale, points = tags.get(PIXEL_SCALE, ()), tags.get(TIE_POINTS, ())
    if len(scale) < 2 or len(points) < 6 or TRANSFORMATION in tags:
        return {}
    keys = keys_of(tags.get(GEO_KEYS, ()))
    half = (
        0.5 if keys.get(1025) == 2 else 0.0
    )  # tie points of a GeoTIFF of points lie in the middle of a pixel
    tie = [points[0] + half + 1, points[1] + half + 1, points[3], points[4], scale[0], scale[1]]
    numbers = ", ".join(f"{value:.12g}" for value in tie)
    code = int(keys.get(3072, 0))
    if 1 <= code - _WGS_84_UTM_NORTH <= 60:
        rest = f"UTM, {numbers}, {code - _WGS_84_UTM_NORTH}, North, WGS-84, units=Meters"
    elif 1 <= code - _WGS_84_UTM_SOUTH <= 60:
        rest = f"UTM, {numbers}, {code - _WGS_84_UTM_SOUTH}, South, WGS-84, units=Meters"
    elif keys.get(2048) == _WGS_84 and not code:
        rest = f"Geographic Lat/Lon, {numbers}, WGS-84, units=Degrees"
    else:
        rest = f"Arbitrary, {numbers}"
    return {"map info": rest}


def keys_of(directory: Sequence[int]) -> dict[int, int]:
    """The keys of a GeoKeyDirectory whose values stand in it."""
    try:
        rows = [directory[i : i + 4] for i in range(4, len(directory) - 3, 4)]
    except TypeError:
        return {}
    return {int(key): int(value) for key, place, _, value in rows if place == 0}
