"""Opening: a file or an array becomes a `MultiChannelImage`, a label file becomes a label image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.dask_later import is_lazy
from napari_simmat.images.files.formats import read
from napari_simmat.images.image import Channel, MultiChannelImage, loaded, real_array
from napari_simmat.images.modalities import require_modality
from napari_simmat.images.opened import Opened, PathLike, open_file, with_meaning
from napari_simmat.images.raw import Raw

__all__ = ["as_image", "open_image", "open_labels"]


def open_image(
    path: PathLike | Sequence[PathLike],
    *,
    modality: str | None = None,
    channel_axis: int | None = None,
    sample_format: str | None = None,
    index: Sequence[int] | None = None,
    part: str | None = None,
) -> MultiChannelImage:
    """Open an image: a file, a folder, or several files that make up one.

    Parameters
    ----------
    path : path or sequence of paths
        Of a file the content tells the format, not the suffix.
    modality : str, optional
        One of `MODALITIES`; found from the file and its channels where not given.
    channel_axis : int, optional
        The axis of the stored array that holds the channels; from the file's metadata where not given. It
        also keeps an opacity channel, which is left out otherwise.
    sample_format : str, optional
        What the numbers mean, one of `SAMPLE_FORMATS`; from the file's metadata where not given.
    index : sequence of int, optional
        Which slice of a stack, over time and depth; the first where not given.
    part : str, optional
        Which of several arrays in the file.

    Returns
    -------
    MultiChannelImage
        What the reader assumed is in its `assumptions`.

    Raises
    ------
    AmbiguousAxesError
        If the file does not say which axis holds the channels; call again with one of its `candidates`.
    ImageError
        If the file cannot be opened, with the reason and what to do.
    """
    if modality is not None:
        require_modality(modality)
    opened = open_file(path, part=part)
    return opened.image(
        modality=modality, channel_axis=channel_axis, sample_format=sample_format, index=index
    )


def as_image(
    array: ArrayLike,
    *,
    channel_axis: int | None = None,
    modality: str | None = None,
    names: Sequence[str] | None = None,
    pixel_size: tuple[float, float] | None = None,
    pixel_unit: str = "pixel",
    name: str = "image",
) -> MultiChannelImage:
    """Make an image of an array, under the same rules as a file without axis names.

    Parameters
    ----------
    array : array_like
        Two axes are one channel; 8-bit (Y, X, 3) is a colour picture; any other three need `channel_axis`.
    channel_axis : int, optional
        Which axis holds the channels.
    modality : str, optional
        One of `MODALITIES`; found from the names where not given.
    names : sequence of str, optional
        Name of each channel.
    pixel_size, pixel_unit, name
        As in `MultiChannelImage`.

    Raises
    ------
    AmbiguousAxesError
        If the channel axis cannot be known.
    ImageError
        If the array is no image or has another number of channels than `names`.
    """
    if modality is not None:
        require_modality(modality)
    raw = Raw(
        array if is_lazy(array) else np.asarray(array),
        pixel_size=pixel_size,
        pixel_unit=pixel_unit,
    )
    image = Opened(raw, f"The array {name!r}", name).image(modality=modality, channel_axis=channel_axis)
    if names is None:
        return image
    if len(names) != image.n_channels:
        raise ImageError(f"{len(names)} names are given for {image.n_channels} channels; give one each.")
    return with_meaning(image.with_channels([Channel(str(n)) for n in names]), modality)


def open_labels(path: str | os.PathLike[str]) -> NDArray[np.int32]:
    """Open a label image: one whole number per object, 0 for background.

    Parameters
    ----------
    path : path
        TIFF, PNG, NPY or NPZ; of a palette image the numbers, not the colours.

    Returns
    -------
    ndarray, shape (Y, X), int32

    Raises
    ------
    ImageError
        If the file cannot be opened or holds no labels.
    """
    path = Path(path)
    array = loaded(real_array(_labels(path).array, path.name))
    while array.ndim > 2 and 1 in array.shape:
        array = array.squeeze(array.shape.index(1))
    if array.ndim != 2 or not array.size:
        raise ImageError(
            f"{path.name} has shape {array.shape}, expected a label image with rows and columns, one number "
            "per object; save the labels alone, not their colours."
        )
    low, high = array.min(), array.max()
    if array.dtype.kind == "f" and not (
        np.isfinite(low) and np.isfinite(high) and np.all(array == np.rint(array))
    ):
        raise ImageError(
            f"{path.name} holds fractional or missing values, expected whole numbers, one per object."
        )
    if low < 0 or high > np.iinfo(np.int32).max:
        raise ImageError(
            f"{path.name} holds labels from {low} to {high}, expected 0 to {np.iinfo(np.int32).max}; "
            "renumber them."
        )
    return array.astype(np.int32)


def _labels(path: Path) -> Raw:
    try:
        return read(path, indices=True)
    except MemoryError:
        raise ImageError(f"{path.name} does not fit into memory; crop it or save one slice of it.") from None
