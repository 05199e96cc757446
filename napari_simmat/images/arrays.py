"""NumPy's own files. Pickled objects are never loaded: they can run code."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.image import Channel
from napari_simmat.images.raw import Raw, reason, require_size

__all__ = ["read_npy", "read_npz"]


def read_npy(path: Path) -> Raw:
    """Read an .npy file, which says nothing about its axes.

    Raises
    ------
    ImageError
        If it is damaged, truncated, too large or holds pickled objects.
    """
    with path.open("rb") as file:
        return Raw(_array(file, path, path.name, path.stat().st_size))


def read_npz(path: Path) -> Raw:
    """Read an .npz file: one array, or several two-dimensional ones of one shape, which are named channels.

    Raises
    ------
    ImageError
        If it holds no array or several that are no channels of one image, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            if not members:
                raise ImageError(
                    f"{path.name} is an archive without any NumPy array in it, expected an .npz file; "
                    "unpack it and open the images in it."
                )
            arrays = {}
            for member in members:
                name = member.filename.removesuffix(".npy")
                with archive.open(member) as file:
                    arrays[name] = _array(file, path, f"Array {name!r} in {path.name}", member.file_size)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ImageError(
            f"{path.name} is a damaged archive ({reason(error)}); get the file again or save it anew."
        ) from error
    if len(arrays) == 1:
        return Raw(next(iter(arrays.values())))
    return _stacked(arrays, path)


def _stacked(arrays: dict[str, NDArray[Any]], path: Path) -> Raw:
    if len({array.shape for array in arrays.values()}) > 1 or next(iter(arrays.values())).ndim != 2:
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ImageError(
            f"{path.name} holds several arrays ({found}), expected one, or two-dimensional ones of equal "
            "shape as channels; save the image alone."
        )
    require_size(path, (len(arrays), *next(iter(arrays.values())).shape), 8)
    return Raw(np.stack(list(arrays.values())), "CYX", tuple(Channel(name) for name in arrays))


def _array(file: IO[bytes], path: Path, name: str, size: int) -> NDArray[Any]:
    """Read one array, having compared its header with the number of bytes that are really there."""
    try:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(file)
    except Exception as error:  # the header is text of any content
        raise ImageError(
            f"{name} is damaged ({reason(error)}); get the file again or save it anew."
        ) from error
    if dtype.hasobject:
        raise ImageError(
            f"{name} holds pickled Python objects, which are not loaded because they can run code; "
            "save a plain numeric array."
        )
    if shape:
        require_size(path, shape, dtype.itemsize)
    count = int(np.prod(shape, dtype=np.int64))
    needed = count * dtype.itemsize
    if size - file.tell() < needed:
        raise ImageError(
            f"{name} is truncated ({size - file.tell()} of {needed} bytes are there), expected all of shape "
            f"{shape}; get the file again."
        )
    data = file.read(needed)
    if len(data) < needed:
        raise ImageError(f"{name} is truncated, expected all of shape {shape}; get the file again.")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
