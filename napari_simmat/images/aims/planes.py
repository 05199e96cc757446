"""The pixels of pictures as they are stored, and several pictures as the channels of one image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.files.formats import read
from napari_simmat.images.image import Channel, loaded
from napari_simmat.images.opened import Opened
from napari_simmat.images.physics.sample_formats import AS_STORED
from napari_simmat.images.roles import COLOURS, EIGHT_BITS

__all__ = ["colour_channels", "colour_planes", "grey_plane", "require_alike", "stacked", "stored"]


def stored(path: Path, *, indices: bool = False) -> NDArray[Any]:
    """The numbers of a file in memory, whatever they mean; opacity left out.

    Parameters
    ----------
    path : Path
    indices : bool
        Whether the numbers of a palette picture are wanted instead of its colours.

    Returns
    -------
    ndarray, shape (C, Y, X)

    Raises
    ------
    ImageError
        If the file cannot be read.
    """
    try:
        opened = Opened(read(path, indices=indices), path.name, path.stem, path)
        image = opened.image(modality="generic", sample_format=AS_STORED)
        return loaded(image.data)
    except MemoryError:
        raise ImageError(f"{path.name} does not fit into memory; get the file again.") from None


def colour_planes(path: Path) -> NDArray[Any]:
    """Red, green and blue, (3, Y, X); of another number of channels an `ImageError`."""
    planes = stored(path)
    if len(planes) != 3:
        raise ImageError(
            f"{path.name} has {len(planes)} channel{'s' if len(planes) != 1 else ''}, expected red, green and blue."
        )
    return planes


def grey_plane(path: Path) -> NDArray[Any]:
    """One channel, (Y, X); the mean of three, since some programs save one as grey in red, green and blue."""
    planes = stored(path)
    if len(planes) not in (1, 3):
        raise ImageError(f"{path.name} has {len(planes)} channels, expected a single one.")
    if all(np.array_equal(planes[0], other) for other in planes[1:]):
        return np.asarray(planes[0])
    return np.asarray(planes.mean(axis=0, dtype=np.float64).astype(np.float32))


def stacked(scene: str, *parts: NDArray[Any]) -> NDArray[Any]:
    """Several channels or groups of channels as one array (C, Y, X), in a type that holds them all.

    Parameters
    ----------
    scene : str
        What to call it in the error.
    *parts : ndarray, shape (Y, X) or (C, Y, X)

    Raises
    ------
    ImageError
        If they differ in rows or columns.
    """
    require_alike(scene, [part.shape[-2:] for part in parts])
    groups = [part if part.ndim == 3 else part[None] for part in parts]
    types = {part.dtype for part in parts}
    return (
        np.concatenate(groups) if len(types) == 1 else np.concatenate([g.astype(np.float32) for g in groups])
    )


def require_alike(scene: str, shapes: Sequence[tuple[int, ...]]) -> None:
    """Refuse pictures of one scene that differ in rows or columns."""
    if len(set(shapes)) > 1:
        said = ", ".join(f"{rows} x {columns}" for rows, columns in dict.fromkeys(shapes))
        raise ImageError(
            f"The pictures of {scene} have {said} rows and columns, expected the same in all; they must be registered, "
            "so get the files again."
        )


def colour_channels(planes: NDArray[Any]) -> tuple[Channel, ...]:
    """Red, green and blue, with the range of 8 bits as their unit where they are stored in these."""
    unit = EIGHT_BITS if planes.dtype == np.uint8 else ""
    return tuple(Channel(colour, unit=unit, role=colour) for colour in COLOURS)
