"""A folder with `images/` and `instances/` that share file stems."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.files.contents import SUFFIXES
from napari_simmat.images.image import MultiChannelImage, stem_of
from napari_simmat.images.readers import open_image, open_labels

__all__ = ["DatasetItem", "open_dataset"]


@dataclass(frozen=True)
class DatasetItem:
    """One image of a dataset and its labels, not yet read.

    Parameters
    ----------
    stem : str
        File name without suffix, which image and labels share.
    image_path, instances_path : Path
        The two files; the image may be a folder.
    modality, channel_axis, sample_format
        As in `open_image`.
    """

    stem: str
    image_path: Path
    instances_path: Path
    modality: str | None = None
    channel_axis: int | None = None
    sample_format: str | None = None

    def load(self) -> tuple[MultiChannelImage, NDArray[np.int32]]:
        """Read both files.

        Returns
        -------
        image : MultiChannelImage
        instances : ndarray, shape (Y, X), int32
            One number per object, 0 for background.

        Raises
        ------
        ImageError
            If one cannot be read or their shapes differ.
        """
        image = open_image(
            self.image_path,
            modality=self.modality,
            channel_axis=self.channel_axis,
            sample_format=self.sample_format,
        )
        instances = open_labels(self.instances_path)
        if instances.shape != image.shape:
            raise ImageError(
                f"The labels {self.instances_path.name} have {_size(instances.shape)}, but the image "
                f"{self.image_path.name} has {_size(image.shape)}; both need the same rows and columns."
            )
        return image, instances


def open_dataset(
    folder: str | os.PathLike[str],
    *,
    limit: int | None = None,
    modality: str | None = None,
    channel_axis: int | None = None,
    sample_format: str | None = None,
) -> list[DatasetItem]:
    """List the pairs of a dataset in the order of their stems, without reading them.

    Parameters
    ----------
    folder : path
        Has the folders `images` and `instances`. Files of other kinds in them are passed over; a folder in `images`
        is one image of several files, such as four angles of polarization, and its name the stem.
    limit : int, optional
        Only so many, the first ones.
    modality, channel_axis, sample_format
        As in `open_image`.

    Raises
    ------
    ImageError
        If a folder is missing, two files share a stem, or no image has labels.

    Warns
    -----
    UserWarning
        If some images have no labels or some labels no image; they are left out.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise ImageError(f"{folder} {found}, expected a dataset: a folder with images/ and instances/ in it.")
    if limit is not None and limit < 1:
        raise ImageError(f"The limit is {limit} images, expected at least 1.")
    images, instances = (_by_stem(folder / name) for name in ("images", "instances"))
    images |= _image_folders(folder / "images", instances.keys() - images.keys())
    stems = sorted(images.keys() & instances.keys())
    if not stems:
        raise ImageError(
            f"In {folder} no file in images/ ({len(images)}) shares its name with one in instances/ "
            f"({len(instances)}); name each label file as its image."
        )
    for files, name, other in ((images, "images", "instances"), (instances, "instances", "images")):
        alone = sorted(files.keys() - set(stems))
        if alone:
            listed = ", ".join(alone[:3]) + (", ..." if len(alone) > 3 else "")
            warnings.warn(
                f"{len(alone)} of the files in {folder.name}/{name} have no partner in {other}/ and are left "
                f"out: {listed}",
                stacklevel=2,
            )
    return [
        DatasetItem(stem, images[stem], instances[stem], modality, channel_axis, sample_format)
        for stem in stems[:limit]
    ]


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ImageError(
            f"{folder.parent} has no folder {folder.name}/, expected images/ and instances/ in a dataset."
        )
    files: dict[str, Path] = {}
    data_files = _named_by_a_header(folder)
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.name.lower().endswith(SUFFIXES):
            continue
        if path.name in data_files or (path.is_dir() and path.suffix.lower() != ".zarr"):
            continue
        stem = stem_of(path)
        if stem in files:
            raise ImageError(
                f"{folder.name}/ holds both {files[stem].name} and {path.name}, expected one file for each "
                "stem; move one of them away."
            )
        files[stem] = path
    return files


def _image_folders(folder: Path, stems: Collection[str]) -> dict[str, Path]:
    """Folders that are called as an image: of four angles or one band in each file, or a cube and its references."""
    return {path.name: path for path in sorted(folder.iterdir()) if path.name in stems and path.is_dir()}


def _named_by_a_header(folder: Path) -> set[str]:
    """The data files of ENVI headers, which are opened through these."""
    described = {path.stem for path in folder.iterdir() if path.suffix.lower() == ".hdr"}
    return {
        path.name
        for path in folder.iterdir()
        if path.suffix.lower() != ".hdr" and (path.name in described or path.stem in described)
    }


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} rows and {shape[1]} columns"
