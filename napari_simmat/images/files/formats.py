"""Which reader opens which file."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from napari_simmat.errors import ImageError
from napari_simmat.images.files.contents import is_zarr, kind_of
from napari_simmat.images.raw import Raw

__all__ = ["read"]

# Module and function of each kind of file; imported when one is met, for the libraries behind them take their time.
_READERS = {
    "tiff": ("tiff", "read_tiff"),
    "png": ("pictures", "read_picture"),
    "jpeg": ("pictures", "read_picture"),
    "flir": ("flir", "read_flir"),
    "npy": ("arrays", "read_npy"),
    "npz": ("arrays", "read_npz"),
    "envi": ("envi", "read_envi"),
    "envi roi": ("envi_roi", "read_envi_roi"),
    "hdf5": ("hdf5", "read_hdf5"),
    "matlab": ("matlab", "read_matlab"),
    "exr": ("exr", "read_exr"),
    "pfm": ("pfm", "read_pfm"),
    "zarr": ("zarr_store", "read_zarr"),
}
_OF_PARTS = {"tiff", "flir", "npz", "hdf5", "matlab", "exr", "zarr"}
_WITH_PALETTES = {"tiff", "png", "jpeg"}


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
        If it cannot be opened, or has no such part.
    """
    kind = _kind(path, indices)
    if kind == "folder":
        from napari_simmat.images.files.gather import gather

        return gather(_files_in(path), f"The folder {path.name}", part)
    options: dict[str, object] = {}
    if kind in _OF_PARTS:
        options["part"] = part
    elif part is not None:
        raise ImageError(
            f"{path.name} holds one image, so it has no part {part!r}; open it without naming one."
        )
    if kind in _WITH_PALETTES:
        options["indices"] = indices
    module, function = _READERS[kind]
    reader = getattr(importlib.import_module(f"napari_simmat.images.files.{module}"), function)
    raw: Raw = reader(path, **options)
    return raw


def _kind(path: Path, indices: bool) -> str:
    if is_zarr(path):
        return "zarr"
    if os.path.isdir(path):  # False for a name that no disk knows
        return "folder"
    kind = kind_of(path)
    if kind == "jpeg" and not indices:
        from napari_simmat.images.files.flir import is_flir

        return "flir" if is_flir(path) else kind
    return kind


def _files_in(folder: Path) -> list[Path]:
    """The files of a folder; Specim's cameras put those of a cube into a folder of its own in it."""
    capture = folder / "capture"
    try:
        return [each for each in (capture if capture.is_dir() else folder).iterdir() if each.is_file()]
    except OSError as error:
        raise ImageError(
            f"The folder {folder.name} cannot be read ({error.strerror}); change its permissions or copy it."
        ) from error
