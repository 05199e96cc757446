"""Opening: a file or an array becomes a `MultiChannelImage`, a label file becomes a label image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.arrays import read_npy, read_npz
from napari_simmat.images.axes import channels_first
from napari_simmat.images.contents import kind_of
from napari_simmat.images.image import Channel, MultiChannelImage, real_array, stem_of
from napari_simmat.images.modalities import require_modality
from napari_simmat.images.pictures import read_picture
from napari_simmat.images.raw import Raw
from napari_simmat.images.roles import COLOURS, modality_of, named_roles, roles_for
from napari_simmat.images.tiff import read_tiff

__all__ = ["as_image", "open_image", "open_labels"]


def open_image(
    path: str | os.PathLike[str], *, modality: str | None = None, channel_axis: int | None = None
) -> MultiChannelImage:
    """Open a TIFF, OME-TIFF, NPY, NPZ, PNG or JPEG file.

    Parameters
    ----------
    path : path
        The format is told by the content, not by the suffix.
    modality : str, optional
        One of `MODALITIES`; found from the channels where not given.
    channel_axis : int, optional
        The axis of the stored array that holds the channels; from the file's metadata where not given. It
        also keeps an opacity channel, which is left out otherwise.

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
    path = Path(path)
    if modality is not None:
        require_modality(modality)
    raw = _read(path)
    return _image(raw, path.name, modality, channel_axis, source=path, stem=stem_of(path))


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
    raw = Raw(np.asarray(array), pixel_size=pixel_size, pixel_unit=pixel_unit)
    image = _image(raw, f"The array {name!r}", modality, channel_axis, source=None, stem=name)
    if names is None:
        return image
    if len(names) != image.n_channels:
        raise ImageError(f"{len(names)} names are given for {image.n_channels} channels; give one each.")
    return _with_meaning(image.with_channels([Channel(str(n)) for n in names]), modality)


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
    array = real_array(_read(path, indices=True).array, path.name)
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


def _read(path: Path, *, indices: bool = False) -> Raw:
    kind = kind_of(path)
    try:
        if kind == "tiff":
            return read_tiff(path, indices=indices)
        if kind in ("png", "jpeg"):
            return read_picture(path, indices=indices)
        return read_npy(path) if kind == "npy" else read_npz(path)
    except MemoryError:
        raise ImageError(f"{path.name} does not fit into memory; crop it or save one slice of it.") from None


def _image(
    raw: Raw, label: str, modality: str | None, channel_axis: int | None, *, source: Path | None, stem: str
) -> MultiChannelImage:
    raw = replace(raw, array=real_array(raw.array, label))
    if channel_axis is None:
        raw = raw.without_opacity()
    elif raw.opacity is not None:
        raw = replace(raw, assumptions=raw.assumptions[:-1])
    array, assumed_colour = channels_first(raw, label, channel_axis)
    channels = raw.channels if len(raw.channels) == len(array) else ()
    if assumed_colour:
        channels = tuple(Channel(colour) for colour in COLOURS)
    image = MultiChannelImage(
        np.ascontiguousarray(array),
        channels,
        pixel_size=raw.pixel_size,
        pixel_unit=raw.pixel_unit,
        source=source,
        name=stem,
        assumptions=(*raw.assumptions, *([assumed_colour] if assumed_colour else [])),
    )
    return _with_meaning(image, modality)


def _with_meaning(image: MultiChannelImage, modality: str | None) -> MultiChannelImage:
    """Give each channel its role and the image its modality."""
    known = named_roles([channel.name for channel in image.channels])
    roles = tuple(channel.role or role for channel, role in zip(image.channels, known, strict=True))
    modality = modality_of(roles) if modality is None else modality
    roles = roles_for(roles, modality, repr(image.name))
    channels = tuple(replace(channel, role=role) for channel, role in zip(image.channels, roles, strict=True))
    return replace(image, channels=channels, modality=modality)
