"""Files that hold the channels of one image: sorted by the numbers in their names, and stacked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_simmat.errors import ImageError
from napari_simmat.images.axes import layout_of
from napari_simmat.images.dask_later import da, is_lazy
from napari_simmat.images.files.contents import SUFFIXES
from napari_simmat.images.image import Channel
from napari_simmat.images.lazy import IN_MEMORY_BYTES
from napari_simmat.images.physics.angles import numbers_in
from napari_simmat.images.raw import Raw, memory_budget
from napari_simmat.images.roles import COLOURS

__all__ = ["Skeleton", "groups_by_number", "image_files", "stacked"]

Skeleton = tuple[str, str]
"""What stands before and after the number in a file's name."""

MOST_FILES = 2000  # a folder of more is a data set, not an image


def image_files(paths: Sequence[Path]) -> list[Path]:
    """Those of the files that could be images by their suffix."""
    found = [path for path in paths if path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")]
    return found if len(found) <= MOST_FILES else []


def groups_by_number(paths: Sequence[Path]) -> list[tuple[Skeleton, dict[float, Path]]]:
    """Sets of files whose names differ in exactly one number, and that number of each.

    >>> groups_by_number([Path("a1_0.png"), Path("a1_45.png"), Path("b.png")])[0][0]
    ('a1_', '.png')
    """
    groups: dict[Skeleton, dict[float, Path]] = {}
    for path in paths:
        # A point between digits is a decimal one, but not that of the suffix.
        stem = path.name[: len(path.name) - len(path.suffix)]
        for before, number, after in numbers_in(stem):
            skeleton = before.casefold(), f"{after}{path.suffix}".casefold()
            groups.setdefault(skeleton, {})[number] = path
    return [(skeleton, numbered) for skeleton, numbered in groups.items() if len(numbered) > 1]


def stacked(paths: Sequence[Path], names: Sequence[str]) -> Raw:
    """The channels of several files as one image.

    Parameters
    ----------
    paths : sequence of Path
        Images of the same rows and columns, of one channel or three colours each.
    names : sequence of str
        Of the channel of each file; colours are put before it, as in "red 45°".

    Returns
    -------
    Raw
        Axes "CYX"; of all files of one type if that is the same, else of one that holds them all.

    Raises
    ------
    ImageError
        If one cannot be opened, is a stack, or they differ in size or number of channels.
    """
    from napari_simmat.images.files.formats import read  # which opens folders by what is below here

    raws = [read(path).without_opacity().measured() for path in paths]
    arrays: list[Any] = []
    channels: list[Channel] = []
    for raw, path, name in zip(raws, paths, names, strict=True):
        layout = layout_of(raw, path.name, None)
        if layout.stack:
            raise ImageError(f"{path.name} is a stack of images, expected one image; open it by itself.")
        array = layout.image(raw.array, ())
        colours = COLOURS if len(array) == 3 else ("",)
        if len(array) not in (1, 3) or array.shape[1:] != (arrays or [array])[0].shape[1:]:
            raise ImageError(
                f"{path.name} has {len(array)} channels of {array.shape[1]} x {array.shape[2]} pixels, but "
                f"{paths[0].name} has {len((arrays or [array])[0])} of {(arrays or [array])[0].shape[1]} x "
                f"{(arrays or [array])[0].shape[2]}, expected one or three channels of the same size; open them one "
                "by one."
            )
        arrays.append(array)
        channels += [Channel(f"{colour} {name}".strip(), role=colour) for colour in colours]
        if sum(each.nbytes for each in arrays) > memory_budget() and not is_lazy(array):
            raise ImageError(
                f"{path.name} and the files before it do not fit into memory together; crop them."
            )
    whole = _together(arrays)
    said = tuple(dict.fromkeys(sentence for raw in raws for sentence in raw.assumptions))
    first = raws[0]
    return replace(
        Raw(whole, "CYX", tuple(channels), assumptions=said),
        pixel_size=first.pixel_size,
        pixel_unit=first.pixel_unit,
        georeference=first.georeference,
    )


def _together(arrays: list[Any]) -> Any:
    lazy = any(is_lazy(array) for array in arrays)
    if not lazy or sum(array.nbytes for array in arrays) <= IN_MEMORY_BYTES:
        return np.concatenate([np.asarray(array) for array in arrays])
    return da.concatenate([da.asarray(array) for array in arrays])  # type: ignore[no-untyped-call]
