"""The images of a dataset without their labels, for learning that needs none."""

from __future__ import annotations

import os
from pathlib import Path

from napari_simmat.errors import ImageError
from napari_simmat.folders import PROJECT_SUFFIX
from napari_simmat.images.dataset import _by_stem
from napari_simmat.images.image import MultiChannelImage
from napari_simmat.images.readers import open_image

__all__ = ["image_paths", "open_images"]


def open_images(
    folder: str | os.PathLike[str],
    *,
    limit: int | None = None,
    modality: str | None = None,
    channel_axis: int | None = None,
    sample_format: str | None = None,
) -> list[MultiChannelImage]:
    """Open the images of a dataset in the order of their stems, those without labels, too.

    Parameters
    ----------
    folder : path
        Has the folder `images`; `instances` may be absent. Every folder in `images` is taken for one image of several
        files.
    limit, modality, channel_axis, sample_format
        As in `open_dataset`.

    Raises
    ------
    ImageError
        The folder is missing or without images, or one cannot be read.
    """
    return [
        open_image(path, modality=modality, channel_axis=channel_axis, sample_format=sample_format)
        for path in image_paths(folder)[:limit]
    ]


def image_paths(folder: str | os.PathLike[str]) -> list[Path]:
    """Where the images of a dataset are, in the order of their stems.

    Raises
    ------
    ImageError
        The folder is missing or without images.
    """
    place = Path(folder) / "images"
    if not place.is_dir():
        raise ImageError(f"There is no folder {place}, expected a dataset: a folder with images/ in it.")
    found = _by_stem(place)
    no_images = (".zarr", PROJECT_SUFFIX)
    found |= {
        path.name: path for path in place.iterdir() if path.is_dir() and path.suffix.lower() not in no_images
    }
    if not found:
        raise ImageError(f"In {place} there is no image; put some there.")
    return [found[stem] for stem in sorted(found)]
