"""NumPy's own files. Pickled objects are never loaded: they can run code."""

from __future__ import annotations

import math
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.files.containers import (
    MAX_CHANNELS,
    Description,
    choose,
    described,
    holds_image,
    holds_names,
    holds_wavelengths,
)
from napari_simmat.images.image import Channel
from napari_simmat.images.lazy import FileArray, from_file
from napari_simmat.images.raw import Raw, reason, require_size

__all__ = ["read_npy", "read_npz"]


def read_npy(path: Path) -> Raw:
    """Read an .npy file, which says nothing about its axes; lazily where it is large.

    Raises
    ------
    ImageError
        If it is damaged, truncated or holds pickled objects.
    """
    with path.open("rb") as file:
        shape, fortran, dtype = _header(file, path.name, path.stat().st_size)
        offset = file.tell()
    if not shape:
        with path.open("rb") as file:
            return Raw(_array(file, path, path.name, path.stat().st_size))
    if min(shape) < 1:
        raise ImageError(f"{path.name} declares an image of shape {shape}, expected at least one pixel.")
    stored = shape[::-1] if fortran else shape
    order = tuple(reversed(range(len(shape)))) if fortran else ()
    return Raw(from_file(FileArray(path, stored, dtype, offset, order)))


def read_npz(path: Path, *, part: str | None = None) -> Raw:
    """Read an .npz file: one array, the largest of several, or several of one shape, which are named channels.

    Parameters
    ----------
    path : Path
        The file.
    part : str, optional
        Name of the array.

    Returns
    -------
    Raw
        Names and wavelengths of channels from arrays called "names", "wavelengths" or alike.

    Raises
    ------
    ImageError
        If it holds no array or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _from_archive(archive, path, part)
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
    ) as error:
        raise ImageError(
            f"{path.name} is a damaged archive ({reason(error)}); get the file again or save it anew."
        ) from error


def _from_archive(archive: zipfile.ZipFile, path: Path, part: str | None) -> Raw:
    members = {m.filename.removesuffix(".npy"): m for m in archive.infolist() if m.filename.endswith(".npy")}
    if not members:
        raise ImageError(
            f"{path.name} is an archive without any NumPy array in it, expected an .npz file; unpack it and open the "
            "images in it."
        )

    def read(name: str) -> NDArray[Any]:
        with archive.open(members[name]) as file:
            return _array(file, path, f"Array {name!r} in {path.name}", members[name].file_size)

    if len(members) == 1 and part is None:
        return Raw(read(next(iter(members))))
    shapes: dict[str, tuple[int, ...]] = {}
    beside: dict[str, tuple[int, ...]] = {}
    for name, member in members.items():
        with archive.open(member) as file:
            shape, _, dtype = _header(file, f"Array {name!r} in {path.name}", member.file_size, objects=True)
        if holds_image(shape, dtype):
            shapes[name] = shape
        elif len(shape) == 1 and 0 < shape[0] <= MAX_CHANNELS and dtype.kind in "uifUS":
            beside[name] = shape
    if (
        part is None
        and len(shapes) > 1
        and len(set(shapes.values())) == 1
        and all(len(s) == 2 for s in shapes.values())
    ):
        require_size(path, (len(shapes), *next(iter(shapes.values()))), 8)
        return replace(
            Raw(np.stack([read(n) for n in shapes]), "CYX", tuple(Channel(n) for n in shapes)),
            parts=tuple(shapes),
        )
    name, said = choose(path, shapes, part)
    array = read(name)
    what = Description()
    for other, (length,) in beside.items():
        if length not in array.shape:
            continue
        if holds_wavelengths(other):
            values = read(other)
            if values.dtype.kind in "uif":
                what = replace(what, wavelengths=values.tolist())
        elif holds_names(other):
            what = replace(what, names=[_text(value) for value in read(other).tolist()])
    raw = Raw(
        array, assumptions=(said,) if said else (), parts=tuple(shapes) if len(shapes) > 1 else (), part=name
    )
    return described(raw, what)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _header(
    file: IO[bytes], name: str, size: int, *, objects: bool = False
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type in the header of an array, compared with the number of bytes that are really there."""
    try:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(file)
    except Exception as error:  # the header is text of any content
        raise ImageError(
            f"{name} is damaged ({reason(error)}); get the file again or save it anew."
        ) from error
    if dtype.hasobject:
        if objects:
            return shape, fortran, dtype
        raise ImageError(
            f"{name} holds pickled Python objects, which are not loaded because they can run code; "
            "save a plain numeric array."
        )
    if any(length < 0 for length in shape):
        raise ImageError(
            f"{name} declares the shape {shape}, expected no negative number; get the file again."
        )
    needed = math.prod(shape) * dtype.itemsize
    if size - file.tell() < needed:
        raise ImageError(
            f"{name} is truncated ({size - file.tell()} of {needed} bytes are there), expected all of shape "
            f"{shape}; get the file again."
        )
    return shape, fortran, dtype


def _array(file: IO[bytes], path: Path, name: str, size: int) -> NDArray[Any]:
    """Read one array into memory."""
    shape, fortran, dtype = _header(file, name, size)
    if shape:
        require_size(path, shape, dtype.itemsize)
    needed = math.prod(shape) * dtype.itemsize
    data = file.read(needed)
    if len(data) < needed:
        raise ImageError(f"{name} is truncated, expected all of shape {shape}; get the file again.")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
