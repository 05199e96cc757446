"""A folder with `images/`, `instances/` and perhaps `classes/` that share file stems."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.class_names import FILE, load_class_names
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
    classes_path : Path, optional
        A label image that gives each pixel the number of its class.
    class_names : mapping of int to str
        Names of those numbers, as far as they have one.
    """

    stem: str
    image_path: Path
    instances_path: Path
    modality: str | None = None
    channel_axis: int | None = None
    sample_format: str | None = None
    classes_path: Path | None = None
    class_names: Mapping[int, str] = field(default_factory=dict)

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

    def load_classes(self) -> NDArray[np.int32] | None:
        """Read the class of each pixel, where there is a file of them.

        Returns
        -------
        ndarray, shape (Y, X), int32, or None
            0 for no class.

        Raises
        ------
        ImageError
            If it cannot be read.
        """
        return None if self.classes_path is None else open_labels(self.classes_path)


def open_dataset(
    folder: str | os.PathLike[str],
    *,
    limit: int | None = None,
    modality: str | None = None,
    channel_axis: int | None = None,
    sample_format: str | None = None,
    classes: str | os.PathLike[str] | None = None,
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
    classes : path, optional
        Folder of label images that give each pixel the number of its class, 0 for none: the name of one in `folder`, or
        a path. By default `classes` in `folder`, where there is one. A file `classes.json` beside that folder names the
        numbers: ``{"1": "crop", "2": "weed"}``.

    Raises
    ------
    ImageError
        If a folder is missing, two files share a stem, no image has labels, or none has classes in a folder of classes
        that was asked for.

    Warns
    -----
    UserWarning
        If some images have no labels or some labels no image; they are left out. If some images have no classes.
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
            _warn(f"{_listed(alone, folder / name)} have no partner in {other}/ and are left out")
    class_files, names = _classes(folder, classes, stems)
    return [
        DatasetItem(
            stem,
            images[stem],
            instances[stem],
            modality,
            channel_axis,
            sample_format,
            class_files.get(stem),
            names,
        )
        for stem in stems[:limit]
    ]


def _classes(
    folder: Path, wanted: str | os.PathLike[str] | None, stems: Collection[str]
) -> tuple[dict[str, Path], dict[int, str]]:
    """The class image of each stem, and the names of classes."""
    place = folder / ("classes" if wanted is None else wanted)
    if wanted is not None and not place.is_dir():
        place = Path(wanted)
        if not place.is_dir():
            raise ImageError(
                f"There is no folder {place}, neither in {folder} nor as a path; name a folder of class images."
            )
    if not place.is_dir():
        return {}, {}
    files = _by_stem(place)
    without = sorted(set(stems) - files.keys())
    if wanted is not None and len(without) == len(stems):
        raise ImageError(
            f"No file in {place} ({len(files)}) shares its name with an image in {folder}; name each class image as "
            "its image."
        )
    if without:
        _warn(
            f"{_listed(without, folder / 'images')} have no partner in {place.name}/ and count without a class"
        )
    return files, load_class_names(place.parent / FILE)


def _warn(text: str) -> None:
    warnings.warn(text, stacklevel=3)


def _listed(stems: Collection[str], folder: Path) -> str:
    shown = ", ".join(list(stems)[:3]) + (", ..." if len(stems) > 3 else "")
    return f"{len(stems)} of the files in {folder.parent.name}/{folder.name} ({shown})"


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
