"""One band per file, as MicaSense, Parrot and DJI cameras write them and as satellite scenes come."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_simmat.errors import ImageError
from napari_simmat.images.dask_later import da, is_lazy
from napari_simmat.images.files.contents import kind_of
from napari_simmat.images.files.pictures import read_picture
from napari_simmat.images.files.tiff import read_tiff
from napari_simmat.images.files.xmp import camera_words
from napari_simmat.images.image import Channel
from napari_simmat.images.raw import Raw

__all__ = ["gather_bands"]

_SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")

_NUMBERED = re.compile(r"^(?P<capture>.*[A-Za-z0-9])_(?P<band>\d{1,2})$")
_NAMED = re.compile(
    r"^(?:(?P<capture>.*?)[ _.\-])?(?P<band>"
    r"coastal|blue|green|gre|red[ _\-]?edge|rededge|red|reg|nir|nearinfrared|swir\d?|lwir|thermal|pan|panchro|"
    r"b\d{1,2}a?|band[ _]?\d{1,2}|ms_(?:g|r|re|nir|b)|\d{3,5} ?nm)(?:_\d{1,3}m)?$",
    re.IGNORECASE,
)

_NAMES = {
    "gre": "green",
    "reg": "red edge",
    "rededge": "red edge",
    "red-edge": "red edge",
    "red_edge": "red edge",
    "ms_g": "green",
    "ms_r": "red",
    "ms_re": "red edge",
    "ms_nir": "nir",
    "ms_b": "blue",
    "nearinfrared": "nir",
    "panchro": "pan",
}
_ORDER = (
    "coastal",
    "blue",
    "green",
    "pan",
    "red",
    "red edge",
    "nir",
    "swir",
    "swir1",
    "swir2",
    "lwir",
    "thermal",
)

# Central wavelengths of Sentinel-2A in nm: ESA, Sentinel-2 User Handbook.
_SENTINEL_2 = {
    "B01": 442.7,
    "B02": 492.4,
    "B03": 559.8,
    "B04": 664.6,
    "B05": 704.1,
    "B06": 740.5,
    "B07": 782.8,
    "B08": 832.8,
    "B8A": 864.7,
    "B09": 945.1,
    "B10": 1373.5,
    "B11": 1613.7,
    "B12": 2202.4,
}

_OTHER_GRIDS = ("lwir", "thermal", "pan")
"""Bands that cameras record with another lens and another number of pixels."""


@dataclass(frozen=True)
class Band:
    """One file and what is known of it."""

    path: Path
    name: str
    wavelength_nm: float | None
    words: Mapping[str, str]


def gather_bands(files: Sequence[Path], part: str | None = None) -> Raw | None:
    """Make one image of files that each hold one band.

    Parameters
    ----------
    files : sequence of Path
        All files of a folder, or a selection.
    part : str, optional
        Name of the capture, if there are several; the first that has as many bands as any where not given.

    Returns
    -------
    Raw or None
        None if the files are not of this kind.

    Raises
    ------
    ImageError
        If the bands do not fit together, or a file cannot be opened.
    """
    captures, numbered = _captures([path for path in files if path.suffix.lower() in _SUFFIXES])
    if not captures:
        return None
    most = max(len(bands) for bands in captures.values())
    complete = [name for name, bands in captures.items() if len(bands) == most]
    if part is not None and part not in captures:
        raise ImageError(f"There is no capture {part!r}; choose one of {', '.join(list(captures)[:10])}.")
    name = complete[0] if part is None else part
    sentinel = any(re.fullmatch(r"B0\d|B8A", token, re.IGNORECASE) for token in captures[name])
    bands = [_band(path, token, sentinel) for token, path in captures[name].items()]
    if numbered:
        if not all("BandName" in band.words for band in bands):
            return None  # numbers alone may count anything
    elif all(band.wavelength_nm for band in bands):
        bands.sort(key=lambda band: band.wavelength_nm or 0.0)
    else:
        bands.sort(key=lambda band: _rank(band.name))
    said = []
    if len(captures) > 1 and part is None:
        said.append(
            f"The files hold {len(captures)} captures, {len(complete)} of them with {most} bands; the first of these, "
            f"{name}, was opened."
        )
    return _image(bands, name, tuple(captures) if len(captures) > 1 else (), said)


def _captures(files: Sequence[Path]) -> tuple[dict[str, dict[str, Path]], bool]:
    """Band files by the name of the capture and of the band, and whether bands have numbers only."""
    for numbered, pattern in ((False, _NAMED), (True, _NUMBERED)):
        captures: dict[str, dict[str, Path]] = {}
        for path in files:
            match = pattern.match(path.stem)
            if match:
                captures.setdefault(match["capture"] or path.parent.name, {}).setdefault(match["band"], path)
        captures = {name: _sorted(bands) for name, bands in captures.items() if len(bands) > 1}
        if captures:
            return captures, numbered
    return {}, False


def _sorted(bands: Mapping[str, Path]) -> dict[str, Path]:
    return dict(sorted(bands.items(), key=lambda item: (int(item[0]) if item[0].isdigit() else 0, item[0])))


def _band(path: Path, token: str, sentinel: bool) -> Band:
    words = camera_words(path)
    wavelength = _positive(words.get("CentralWavelength", ""))
    name = words.get("BandName", "")
    if not name:
        name = _NAMES.get(token.lower(), token.lower() if token.isalpha() else token)
    if wavelength is None and token.lower().endswith("nm"):
        wavelength = _positive(token[:-2].strip())
    if wavelength is None and sentinel:  # other sensors write no zero before their numbers
        wavelength = _SENTINEL_2.get(token.upper())
    return Band(path, name, wavelength, words)


def _positive(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None


def _rank(name: str) -> tuple[int, int, str]:
    plain = name.lower()
    digits = re.sub(r"\D", "", plain)
    return _ORDER.index(plain) if plain in _ORDER else len(_ORDER), int(digits or 0), plain


def _image(bands: list[Band], name: str, parts: tuple[str, ...], said: list[str]) -> Raw:
    raws = [_plane(band.path) for band in bands]
    sizes = [raw.array.shape for raw in raws]
    usual = max(sizes, key=sizes.count)
    odd = [band for band, size in zip(bands, sizes, strict=True) if size != usual]
    if any(band.name.lower() not in _OTHER_GRIDS for band in odd) or len(bands) - len(odd) < 2:
        listed = ", ".join(f"{b.path.name} {s[0]} x {s[1]}" for b, s in zip(bands, sizes, strict=True))
        raise ImageError(
            f"The bands of {name} have different sizes ({listed[:300]}), expected one; resample them to one grid first."
        )
    if odd:
        left = ", ".join(
            f"{band.name} ({size[0]} x {size[1]})"
            for band, size in zip(bands, sizes, strict=True)
            if band in odd
        )
        said.append(f"Left out, having another size than {usual[0]} x {usual[1]}: {left}.")
    kept = [(band, raw) for band, raw in zip(bands, raws, strict=True) if band not in odd]
    first, words = kept[0][1], kept[0][0].words
    if words.get("BandName"):
        said.append(
            "The bands are as the camera's lenses see them, each from a place of its own; they were not aligned."
        )
    elif any(band.wavelength_nm == _SENTINEL_2.get(band.name.upper(), 0.0) for band, _ in kept):
        said.append("The wavelengths are those of Sentinel-2's bands of the same names.")
    arrays: list[Any] = [raw.array for _, raw in kept]
    lazy = any(is_lazy(array) for array in arrays)
    names = [band.name for band, _ in kept]
    if len(set(names)) < len(names):
        names = [f"{n} ({band.path.stem})" for n, (band, _) in zip(names, kept, strict=True)]
    return Raw(
        da.stack(arrays) if lazy else np.stack(arrays),  # type: ignore[no-untyped-call]
        "CYX",
        tuple(Channel(n, wavelength_nm=band.wavelength_nm) for n, (band, _) in zip(names, kept, strict=True)),
        pixel_size=first.pixel_size,
        pixel_unit=first.pixel_unit,
        assumptions=tuple(dict.fromkeys((*said, *(s for _, raw in kept for s in raw.assumptions)))),
        georeference=first.georeference,
        facts={**first.facts, **_facts([band for band, _ in kept])},
        parts=parts,
        part=name,
    )


def _plane(path: Path) -> Raw:
    """The single channel of a file."""
    raw = (read_tiff(path) if kind_of(path) == "tiff" else read_picture(path)).without_opacity().measured()
    long = [i for i, length in enumerate(raw.array.shape) if length > 1 or raw.axes[i : i + 1] in ("Y", "X")]
    if len(long) != 2:
        raise ImageError(
            f"{path.name} has shape {raw.array.shape}, expected a single band beside the others; open it alone."
        )
    rows, columns = (raw.array.shape[i] for i in long)
    return Raw(
        raw.array.reshape(rows, columns),
        "YX",
        pixel_size=raw.pixel_size,
        pixel_unit=raw.pixel_unit,
        assumptions=raw.assumptions,
        georeference=raw.georeference,
        facts=raw.facts,
    )


def _facts(bands: Sequence[Band]) -> dict[str, str]:
    words = bands[0].words
    facts = {"files": ", ".join(band.path.name for band in bands)[:300]}
    camera = " ".join(words[key] for key in ("make", "model") if words.get(key))
    if camera:
        facts["camera"] = camera
    if words.get("acquired"):
        facts["acquired"] = words["acquired"]
    widths = [band.words["WavelengthFWHM"] for band in bands if "WavelengthFWHM" in band.words]
    if len(widths) == len(bands):
        facts["bandwidth (FWHM)"] = f"{', '.join(widths)} nm"
    if "CaptureId" in words:
        facts["capture"] = words["CaptureId"]
    return facts
