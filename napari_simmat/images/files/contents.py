"""What a file really holds, from its first bytes; a file name is only a hint."""

from __future__ import annotations

import os
from pathlib import Path

from napari_simmat.errors import ImageError
from napari_simmat.images.files.envi_header import DATA_SUFFIXES, header_file_of, is_header
from napari_simmat.images.files.envi_roi import ROI_MAGIC

__all__ = ["SUFFIXES", "ZARR_METADATA", "is_zarr", "kind_of"]

SUFFIXES = (
    ".tif",
    ".tiff",
    ".ome.tif",
    ".ome.tiff",
    ".npy",
    ".npz",
    ".png",
    ".jpg",
    ".jpeg",
    ".hdr",
    ".mat",
    ".h5",
    ".hdf5",
    ".zarr",
    ".exr",
    ".pfm",
)
"""Suffixes of the files that can be opened; of an ENVI image also those of its data file."""

_MAGIC = {
    "tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "png": (b"\x89PNG\r\n\x1a\n",),
    "jpeg": (b"\xff\xd8\xff",),
    "npy": (b"\x93NUMPY",),
    "npz": (b"PK\x03\x04", b"PK\x05\x06"),
    "hdf5": (b"\x89HDF\r\n\x1a\n", b"MATLAB 7.3 MAT-file"),
    "matlab": (b"MATLAB 5.0 MAT-file",),
    "envi roi": (ROI_MAGIC,),
    "exr": (b"v/1\x01",),
    "pfm": (b"Pf\n", b"PF\n", b"Pf\r\n", b"PF\r\n"),
}


ZARR_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs")


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr array or group."""
    return any(os.path.isfile(path / name) for name in ZARR_METADATA)


def kind_of(path: Path) -> str:
    """The format of a file: "tiff", "png", "jpeg", "npy", "npz", "hdf5", "matlab", "exr", "pfm" or "envi".

    The data file of an ENVI image holds numbers and nothing else; the header beside it tells that it is one.

    Raises
    ------
    ImageError
        If there is no such file, it cannot be read, or it holds something else.
    """
    try:
        if path.is_dir():
            raise ImageError(f"{path} is a folder, expected an image file; give one of the files in it.")
        if path.exists() and not path.is_file():  # opening a pipe waits for whoever writes into it
            raise ImageError(f"{path.name} is a device or pipe, expected an image file; give a file.")
        with path.open("rb") as file:
            start = file.read(512)
    except FileNotFoundError:
        raise ImageError(f"There is no file {path}; check its name and folder.") from None
    except PermissionError:
        raise ImageError(f"{path.name} may not be read by you; change its permissions or copy it.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(
            f"{path.name[:80]!r} cannot be read ({reason}); check the disk and the name."
        ) from None
    if is_header(path) or (_may_be_data(path) and header_file_of(path) is not None):
        return "envi"
    for kind, magics in _MAGIC.items():
        if start.startswith(magics):
            return kind
    raise ImageError(
        f"{path.name} {_what_it_is(start)}, expected an image ({', '.join(SUFFIXES)}); {_advice(path)}."
    )


def _may_be_data(path: Path) -> bool:
    """Whether a file beside an ENVI header is its data file, and not a picture of it."""
    return not path.name.lower().endswith(SUFFIXES)


def _what_it_is(start: bytes) -> str:
    if not start:
        return "is empty"
    if not start.strip(b"\0"):
        return "begins with nothing but zeros, as after a broken copy"
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "holds an HTML page, as a failed download leaves it"
    if head.startswith(b"version https://git-lfs"):
        return "holds a Git LFS pointer instead of the data"
    text = all(byte >= 32 or byte in b"\t\r\n\f" for byte in start)
    return "holds text" if text else "holds data of another format"


def _advice(path: Path) -> str:
    if path.suffix.lower().removeprefix(".") in DATA_SUFFIXES:
        return f"if it is the data file of an ENVI image, put its header {path.stem}.hdr beside it"
    if path.name.lower().endswith(SUFFIXES):
        return "get the file again or save it anew"
    return f"files ending in {path.suffix!r} must be converted first" if path.suffix else "convert it first"
