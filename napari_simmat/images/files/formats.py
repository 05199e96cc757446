"""Which reader opens which file."""

from __future__ import annotations

import os
from pathlib import Path

from napari_simmat.errors import ImageError
from napari_simmat.images.files.arrays import read_npy, read_npz
from napari_simmat.images.files.contents import kind_of
from napari_simmat.images.files.envi import read_envi
from napari_simmat.images.files.envi_roi import read_envi_roi
from napari_simmat.images.files.exr import read_exr
from napari_simmat.images.files.flir import is_flir, read_flir
from napari_simmat.images.files.gather import gather
from napari_simmat.images.files.hdf5 import read_hdf5
from napari_simmat.images.files.matlab import read_matlab
from napari_simmat.images.files.pfm import read_pfm
from napari_simmat.images.files.pictures import read_picture
from napari_simmat.images.files.tiff import read_tiff
from napari_simmat.images.files.zarr_store import is_zarr, read_zarr
from napari_simmat.images.raw import Raw

__all__ = ["read"]


def read(path: Path, *, part: str | None = None, indices: bool = False) -> Raw:
    """Open one file, or a folder that is one image.

    Parameters
    ----------
    path : Path
    part : str, optional
        Which of the arrays in it.
    indices : bool
        Whether the numbers of a palette image are wanted instead of its colours, as for labels.

    Raises
    ------
    ImageError
        If it cannot be opened.
    """
    if is_zarr(path):
        return read_zarr(path, part=part)
    if os.path.isdir(path):  # False for a name that no disk knows
        return gather(_files_in(path), f"The folder {path.name}", part)
    kind = kind_of(path)
    if kind == "tiff":
        return read_tiff(path, part=part, indices=indices)
    if kind == "jpeg" and not indices and is_flir(path):
        return read_flir(path, part=part)
    if kind in ("png", "jpeg"):
        return read_picture(path, indices=indices)
    if kind == "npy":
        return read_npy(path)
    if kind == "npz":
        return read_npz(path, part=part)
    if kind == "envi":
        return read_envi(path)
    if kind == "envi roi":
        return read_envi_roi(path)
    if kind == "hdf5":
        return read_hdf5(path, part=part)
    if kind == "matlab":
        return read_matlab(path, part=part)
    if kind == "exr":
        return read_exr(path, part=part)
    if kind == "pfm":
        return read_pfm(path)
    raise ImageError(f"{path.name} is of the kind {kind}, which cannot be opened; convert it first.")


def _files_in(folder: Path) -> list[Path]:
    """The files of a folder; Specim's cameras put those of a cube into a folder of its own in it."""
    capture = folder / "capture"
    try:
        return [each for each in (capture if capture.is_dir() else folder).iterdir() if each.is_file()]
    except OSError as error:
        raise ImageError(
            f"The folder {folder.name} cannot be read ({error.strerror}); change its permissions or copy it."
        ) from error
