"""The text file that goes with an ENVI image: read by `spectral`, judged here.

Keys and their meaning: ENVI Header Files, NV5 Geospatial documentation.
"""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from spectral.io import envi as spectral_envi

from napari_simmat.errors import ImageError

__all__ = ["DATA_SUFFIXES", "EnviHeader", "data_file_of", "header_file_of", "is_header", "read_header"]

MAX_HEADER_BYTES = 4 << 20
MAX_HEADER_LINES = 30_000  # the parser takes time with the square of their number
MAX_BANDS = 1 << 16

DATA_SUFFIXES = ("img", "dat", "raw", "bin", "bsq", "bil", "bip", "hyspex", "cube", "sli")
"""Suffixes of data files beside a header `x.hdr`, in the order in which they are looked for; none comes first."""

_POINTERS = ("data file", "data file name", "file name", "filename", "image file", "external file")

_DTYPES: dict[str, np.dtype[Any]] = {code: np.dtype(kind) for code, kind in spectral_envi.dtype_map}

_NOT_PIXELS = {
    "envi spectral library": "a spectral library, which has spectra but no image",
    "envi statistics": "statistics, which are no image",
}


@dataclass(frozen=True)
class EnviHeader:
    """What a header says, checked.

    Parameters
    ----------
    path : Path
        The header.
    entries : mapping
        Every entry as text, or as a list of texts where it stands in braces; keys in lower case.
    bands, lines, samples : int
        Shape of the image.
    dtype : dtype
        With the byte order of the data file.
    interleave : str
        "bsq", "bil" or "bip".
    offset : int
        Bytes before the first value.
    assumptions : tuple of str
        What it left out.
    """

    path: Path
    entries: Mapping[str, Any]
    bands: int
    lines: int
    samples: int
    dtype: np.dtype[Any]
    interleave: str
    offset: int
    assumptions: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """How many bytes the data file must have."""
        return self.offset + self.bands * self.lines * self.samples * self.dtype.itemsize

    @property
    def is_classification(self) -> bool:
        """Whether the values are numbers of classes."""
        return self.text("file type").casefold() == "envi classification"

    def text(self, key: str) -> str:
        """An entry as one line, "" where it is missing."""
        value = self.entries.get(key, "")
        return " ".join((", ".join(value) if isinstance(value, list) else str(value)).split())

    def items(self, key: str) -> list[str]:
        """An entry in braces, empty where it is missing or is none."""
        value = self.entries.get(key)
        return [str(item) for item in value] if isinstance(value, list) else []

    def numbers(self, key: str) -> list[float]:
        """An entry in braces as finite numbers, empty where it is anything else."""
        try:
            numbers = [float(item) for item in self.items(key)]
        except ValueError:
            return []
        return numbers if np.all(np.isfinite(numbers)) else []

    def number(self, key: str) -> float | None:
        """An entry as a finite number, None where it is anything else."""
        try:
            number = float(self.text(key))
        except ValueError:
            return None
        return number if np.isfinite(number) else None


def is_header(path: Path) -> bool:
    """Whether a file begins as an ENVI header does."""
    try:
        if not path.is_file():  # opening a pipe waits for whoever writes into it
            return False
        with path.open("rb") as file:
            start = file.read(16)
    except (OSError, ValueError):
        return False
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:4] == b"ENVI" and start.strip()[4:5] in b" \t\r\n"


def header_file_of(path: Path) -> Path | None:
    """The header beside a data file, if there is one."""
    names = [path.name + suffix for suffix in (".hdr", ".HDR")]
    if path.suffix:
        names += [path.stem + suffix for suffix in (".hdr", ".HDR")]
    for name in names:
        candidate = path.with_name(name)
        if candidate != path and is_header(candidate):
            return candidate
    return None


def data_file_of(header: EnviHeader) -> Path:
    """The data file beside a header.

    Raises
    ------
    ImageError
        If there is none, or the header names one in another folder.
    """
    path = header.path
    for key in _POINTERS:
        named = header.text(key)
        if not named:
            continue
        if named != os.path.basename(named.replace("\\", "/")) or named in (".", ".."):
            raise ImageError(
                f"{path.name} points to {named[:80]!r} outside its folder, which is not followed; put the data "
                "file beside the header."
            )
        if (path.parent / named).is_file():
            return path.parent / named
    stem = path.name[: -len(path.suffix)] if path.suffix else path.name
    suffixes = [*DATA_SUFFIXES, *(suffix.upper() for suffix in DATA_SUFFIXES)]
    for name in (stem, *(f"{stem}.{suffix}" for suffix in suffixes)):
        candidate = path.with_name(name)
        if candidate != path and candidate.is_file():
            return candidate
    raise ImageError(
        f"{path.name} is an ENVI header without its data file ({stem}, {stem}.img, {stem}.dat, {stem}.raw ...); "
        "put that file beside it."
    )


def read_header(path: Path) -> EnviHeader:
    """Read and check an ENVI header.

    Parameters
    ----------
    path : Path
        The header, not the data file.

    Raises
    ------
    ImageError
        If it is no header, or an entry is missing or cannot be meant.
    """
    entries = _entries(path)
    kind = " ".join(str(entries.get("file type", "")).split()).casefold()
    if kind in _NOT_PIXELS:
        raise ImageError(
            f"{path.name} describes {_NOT_PIXELS[kind]}; open the header of an image, of file type ENVI "
            "Standard or ENVI Classification."
        )
    if kind and not kind.startswith("envi"):
        raise ImageError(
            f"{path.name} is a header beside a file of type {kind[:40]!r}, expected ENVI Standard; open the "
            "file itself."
        )
    bands, lines, samples = (_whole(entries, key, path, least=1) for key in ("bands", "lines", "samples"))
    if bands > MAX_BANDS:
        raise ImageError(
            f"{path.name} declares {bands} bands, expected at most {MAX_BANDS}; correct the header."
        )
    dtype = _dtype(entries, path)
    _refuse_what_is_not_plain(entries, path)
    said = []
    interleave = str(entries.get("interleave", "")).strip().casefold()
    if interleave not in ("bsq", "bil", "bip"):
        if bands > 1:
            raise ImageError(
                f"{path.name} declares the interleave {interleave[:40]!r}, expected bsq, bil or bip; correct the "
                "header."
            )
        interleave = "bsq"
    order = str(entries.get("byte order", "")).strip()
    if order not in ("0", "1"):
        if order:
            raise ImageError(
                f"{path.name} declares the byte order {order[:40]!r}, expected 0 (little-endian) or 1 "
                "(big-endian); correct the header."
            )
        if dtype.itemsize > 1:
            said.append("The header does not give the byte order; little-endian was assumed.")
    offset = _whole(entries, "header offset", path, least=0) if "header offset" in entries else 0
    dtype = dtype.newbyteorder(">" if order == "1" else "<")
    return EnviHeader(path, entries, bands, lines, samples, dtype, interleave, offset, tuple(said))


def _entries(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if size > MAX_HEADER_BYTES:
        raise ImageError(
            f"{path.name} has {size} bytes, expected an ENVI header of at most {MAX_HEADER_BYTES}; correct it."
        )
    content = path.read_bytes().removeprefix(b"\xef\xbb\xbf").lstrip()
    if not content.startswith(b"ENVI"):
        raise ImageError(
            f"{path.name} is no ENVI header: its first line is not ENVI; open another file or correct it."
        )
    if content.count(b"\n") > MAX_HEADER_LINES or b"\0" in content:
        raise ImageError(f"{path.name} is no ENVI header but has other data in it; get the file again.")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    try:
        entries = _parsed(text)
    except spectral_envi.EnviException as error:
        raise ImageError(
            f"{path.name} is a damaged ENVI header: a brace that opens is not closed, or an entry is cut off; "
            "get the file again or correct it."
        ) from error
    return {key.strip().lower(): value for key, value in entries.items()}


def _parsed(text: str) -> dict[str, Any]:
    """The entries of a header, by `spectral`, which reads only files and those in the locale's encoding."""
    handle, copy = tempfile.mkstemp(suffix=".hdr")
    try:
        with open(handle, "w", errors="replace", newline="\n") as file:
            file.write("\n".join(text.splitlines()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about keys in capital letters
            entries: dict[str, Any] = spectral_envi.read_envi_header(copy)
        return entries
    finally:
        os.unlink(copy)


def _whole(entries: Mapping[str, Any], key: str, path: Path, least: int) -> int:
    value = entries.get(key)
    if value is None:
        raise ImageError(
            f"{path.name} is an ENVI header without an entry {key!r}, expected a number; correct it."
        )
    try:
        number = int(str(value))
    except ValueError:
        number = least - 1
    if number < least:
        raise ImageError(
            f"{path.name} declares {key} = {str(value)[:40]!r}, expected a whole number of at least {least}; "
            "correct the header."
        )
    return number


def _dtype(entries: Mapping[str, Any], path: Path) -> np.dtype[Any]:
    code = str(entries.get("data type", "")).strip()
    dtype = _DTYPES.get(code)
    if dtype is None:
        raise ImageError(
            f"{path.name} declares the data type {code[:40]!r}, expected one of {', '.join(_DTYPES)}; correct "
            "the header."
        )
    if dtype.kind == "c":
        raise ImageError(
            f"{path.name} holds complex numbers (data type {code}), expected real ones; save amplitude or phase."
        )
    return dtype


def _refuse_what_is_not_plain(entries: Mapping[str, Any], path: Path) -> None:
    if str(entries.get("file compression", "0")).strip() not in ("0", ""):
        raise ImageError(
            f"{path.name} describes a compressed data file, expected a plain one; decompress it and set file "
            "compression = 0."
        )
    for key in ("major frame offsets", "minor frame offsets"):
        value = entries.get(key, "0")
        if any(
            str(item).strip() not in ("0", "") for item in (value if isinstance(value, list) else [value])
        ):
            raise ImageError(
                f"{path.name} has {key}, which cannot be read; save the image without bytes between its lines."
            )
