"""ENVI images: a data file and the header beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.files.envi_header import (
    EnviHeader,
    data_file_of,
    header_file_of,
    is_header,
    read_header,
)
from napari_simmat.images.files.wavelengths import band_names, in_nanometres
from napari_simmat.images.georeference import ENVI_KEYS, GeoReference, size_in_map_info
from napari_simmat.images.image import Channel
from napari_simmat.images.lazy import FileArray, from_file
from napari_simmat.images.physics.reflectance import Reflectance, mean_line
from napari_simmat.images.raw import Raw
from napari_simmat.images.roles import BAD_BAND

__all__ = ["is_reference", "read_envi"]

_FACTS = {
    "sensor": "sensor type",
    "description": "description",
    "acquired": "acquisition time",
    "exposure": "tint",
    "frame rate": "fps",
    "solar irradiance": "solar irradiance",
    "data gain": "data gain values",
    "data offset": "data offset values",
    "default bands": "default bands",
    "map info": "map info",
}

_REFERENCES = ("WHITEREF", "DARKREF", "WHITEDARKREF")
"""How Specim's cameras name references: WHITEREF_x.hdr beside x.hdr."""

_SCALES = (1e-9, 1e9)
"""Reflectance is about one, and numbers are stored in single precision."""

_STORED = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (2, 0, 1)}
"""Which stored axis holds bands, lines and samples."""


def read_envi(path: Path, *, part: str | None = None) -> Raw:
    """Read an ENVI image by its header or by its data file.

    Parameters
    ----------
    path : Path
        `x.hdr`, or a data file with `x.hdr` or `x.img.hdr` beside it.
    part : str, optional
        Not used: an ENVI file holds one image.

    Returns
    -------
    Raw
        Axes "CYX"; lazy where it is large. Values as stored; where the header gives a reflectance scale factor, or
        white and dark references lie beside the file, `reflectance` says how they become reflectance.

    Raises
    ------
    ImageError
        If the header or the data file is missing, damaged or does not fit the other.
    """
    header_path = path if is_header(path) else header_file_of(path)
    if header_path is None:
        raise ImageError(f"{path.name} has no ENVI header beside it ({path.name}.hdr); put that file there.")
    header = read_header(header_path)
    data_path = path if header_path != path else data_file_of(header)
    size = data_path.stat().st_size
    if size < header.nbytes:
        raise ImageError(
            f"{data_path.name} is truncated or {header_path.name} wrong: {header.lines} lines, {header.samples} "
            f"samples and {header.bands} bands need {header.nbytes} bytes but {size} are there; get both again."
        )
    raw = _described(Raw(_pixels(data_path, header), "CYX"), header)
    said = list(header.assumptions)
    if size > header.nbytes:
        said.append(
            f"The data file has {size - header.nbytes} bytes more than the header needs; they were ignored."
        )
    raw = replace(raw, assumptions=(*said, *raw.assumptions))
    ignored = header.number("data ignore value")
    if ignored is not None:
        raw = replace(
            raw, missing=ignored, facts={**raw.facts, "data ignore value": header.text("data ignore value")}
        )
    return _with_reflectance(raw, header, data_path)


def _pixels(path: Path, header: EnviHeader) -> Any:
    order = _STORED[header.interleave]
    stored = [0, 0, 0]
    for axis, length in zip(order, (header.bands, header.lines, header.samples), strict=True):
        stored[axis] = length
    array = FileArray(path, tuple(stored), header.dtype, header.offset, order)
    return from_file(array, interleaved=header.interleave != "bsq")


def _described(raw: Raw, header: EnviHeader) -> Raw:
    channels, said = _channels(header)
    facts = {"interleave": header.interleave.upper(), "data type": f"ENVI {header.text('data type')}"}
    if header.offset:
        facts["header offset"] = f"{header.offset} bytes"
    if header.dtype.itemsize > 1:
        facts["byte order"] = "big-endian" if header.text("byte order") == "1" else "little-endian"
    for name, key in _FACTS.items():
        text = header.text(key)
        if text and text.casefold() != "unknown":
            facts[name] = text if len(text) <= 200 else text[:199] + "…"
    widths = header.numbers("fwhm")
    if len(widths) == header.bands and any(channel.wavelength_nm for channel in channels):
        unit = header.text("wavelength units")
        facts["bandwidth (FWHM)"] = f"{min(widths):g} to {max(widths):g} {unit}".strip()
    bad = [i for i, channel in enumerate(channels) if channel.role == BAD_BAND]
    if header.items("bbl"):
        facts["bad bands"] = f"{len(bad)} of {header.bands}"
    if header.is_classification:
        names = header.items("class names")
        facts["classes"] = ", ".join(names[:50]) or header.text("classes")
    georeference = GeoReference({key: header.text(key) for key in ENVI_KEYS if header.text(key)})
    size = size_in_map_info(header.text("map info"))
    return replace(
        raw,
        channels=channels,
        facts=facts,
        assumptions=tuple(said),
        modality="hyperspectral" if _is_spectral(channels) else "",
        georeference=georeference if georeference.envi else None,
        pixel_size=size[0] if size else None,
        pixel_unit=size[1] if size else "pixel",
    )


def _is_spectral(channels: tuple[Channel, ...]) -> bool:
    return len(channels) > 3 and all(channel.wavelength_nm for channel in channels)


def _channels(header: EnviHeader) -> tuple[tuple[Channel, ...], list[str]]:
    said = []
    count = header.bands
    wavelengths: list[float] | None = None
    numbers = header.numbers("wavelength")
    if len(numbers) == count:
        wavelengths, sentence = in_nanometres(numbers, header.text("wavelength units"))
        said += [sentence] if sentence else []
    elif header.entries.get("wavelength"):
        said.append(
            f"The header gives {len(header.items('wavelength'))} wavelengths, not all of them numbers or one for each of "
            f"{count} bands; they were left out."
        )
    names = header.items("band names")
    if len(names) != count or len(set(names)) != count:
        if names:
            said.append(
                f"The header gives {len(names)} band names, {len(set(names))} of them different, for {count} bands; "
                "they were left out."
            )
        names = band_names(wavelengths) if wavelengths else [f"band {i + 1}" for i in range(count)]
    good = header.numbers("bbl")
    if good and len(good) != count:
        said.append(f"The bad-band list has {len(good)} entries for {count} bands; it was left out.")
        good = []
    roles = [BAD_BAND if good and not good[i] else "" for i in range(count)]
    lengths: list[float | None] = list(wavelengths) if wavelengths else [None] * count
    channels = tuple(
        Channel(name, wavelength_nm=length, role=role)
        for name, length, role in zip(names, lengths, roles, strict=True)
    )
    return channels, said


def _with_reflectance(raw: Raw, header: EnviHeader, data_path: Path) -> Raw:
    scale = header.number("reflectance scale factor")
    if scale is not None and not _SCALES[0] < scale < _SCALES[1]:
        said = f"The header's reflectance scale factor {scale:g} cannot be meant; it was left out."
        raw = replace(raw, assumptions=(*raw.assumptions, said))
    elif scale is not None:
        facts = {**raw.facts, "reflectance scale factor": f"{scale:g}"}
        raw = replace(raw, facts=facts)
        if scale == 1.0:
            return raw
        said = f"The values were divided by the header's reflectance scale factor {scale:g}"
        return replace(raw, reflectance=Reflectance(scale=scale, said=said), sample_format="reflectance")
    return _with_references(raw, header, data_path)


def is_reference(path: Path) -> bool:
    """Whether a header is that of a white or dark reference, by its name."""
    return path.name.split(".")[0].upper().split("_")[0] in _REFERENCES


def _with_references(raw: Raw, header: EnviHeader, data_path: Path) -> Raw:
    """Reflectance by white and dark references beside the cube."""
    stem = header.path.name.split(".")[0]
    if is_reference(header.path):
        return raw
    found: dict[str, Path] = {}
    for kind in _REFERENCES:
        candidates = (f"{kind}_{stem}", f"{kind.lower()}_{stem}", kind, kind.lower())
        for name in candidates:
            beside = header.path.with_name(f"{name}{header.path.suffix}")
            if is_header(beside):
                found[kind] = beside
                break
    if "WHITEREF" not in found:
        return raw
    try:
        lines = {kind: _reference(beside, header) for kind, beside in found.items()}
    except ImageError as error:
        return replace(
            raw, assumptions=(*raw.assumptions, f"The references beside it were not used: {error}")
        )
    times = header.number("tint"), read_header(found["WHITEREF"]).number("tint")
    exposures = times[1] / times[0] if times[0] and times[1] else 1.0
    names = " and ".join(beside.name for beside in found.values())
    reflectance = Reflectance(
        white=lines["WHITEREF"],
        dark=lines.get("DARKREF"),
        white_dark=lines.get("WHITEDARKREF"),
        exposures=exposures,
        said=(
            f"The values became reflectance by the references {names}"
            f"{'' if 'DARKREF' in found else ', without a dark one'}"
            f"{f', exposed {exposures:g} times as long' if exposures != 1.0 else ''}"
        ),
    )
    return replace(
        raw,
        reflectance=reflectance,
        sample_format="reflectance",
        facts={**raw.facts, "references": names},
    )


def _reference(path: Path, image: EnviHeader) -> NDArray[np.float32]:
    header = read_header(path)
    if (header.bands, header.samples) != (image.bands, image.samples):
        raise ImageError(
            f"{path.name} has {header.bands} bands and {header.samples} samples, expected {image.bands} and "
            f"{image.samples} as {image.path.name} has; take references of the same settings."
        )
    return mean_line(read_envi(path).measured().array)
