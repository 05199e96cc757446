"""A colour picture and what another sensor saw of the same scene, in two files: RGB-D, RGB and thermal or NIR."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_simmat.errors import ImageError
from napari_simmat.images.axes import layout_of
from napari_simmat.images.dask_later import da, is_lazy
from napari_simmat.images.files.file_planes import image_files
from napari_simmat.images.image import Channel
from napari_simmat.images.raw import Raw
from napari_simmat.images.recognise import recognised, words_of
from napari_simmat.images.roles import COLOURS, EIGHT_BITS

__all__ = ["gather_pair"]

ROLE_OF_WORD = {
    **dict.fromkeys(("depth", "depths", "depthmap"), "depth"),
    **dict.fromkeys(("disp", "disparity"), "disparity"),
    **dict.fromkeys(("thermal", "lwir", "temperature"), "thermal"),
    "nir": "nir",
}


def gather_pair(paths: Sequence[Path], part: str | None = None) -> Raw | None:
    """A colour picture with the depth, disparity, thermal or near infrared image of the same pixels.

    Parameters
    ----------
    paths : sequence of Path
        All files of the folder or selection: two images, of which one has "depth", "disp", "thermal" or "nir" in its
        name.
    part : str, optional
        Not used: they are one image.

    Returns
    -------
    Raw or None
        Red, green, blue and the other channel; None if they are no such pair.

    Raises
    ------
    ImageError
        If one cannot be opened or they differ in size.
    """
    from napari_simmat.images.files.formats import read  # which opens folders by what is below here

    files = image_files(paths)
    roles = [{ROLE_OF_WORD[word] for word in words_of(path.stem) if word in ROLE_OF_WORD} for path in files]
    if len(files) != 2 or sorted(map(len, roles)) != [0, 1]:
        return None
    first = roles.index(set())
    (role,) = roles[1 - first]
    colour_path, other_path = files[first], files[1 - first]
    colour, other = (
        read(colour_path).without_opacity().measured(),
        recognised(read(other_path).without_opacity(), other_path).measured(),
    )
    picture, plane = _planes(colour, colour_path), _planes(other, other_path)
    if len(picture) != 3 or len(plane) != 1:
        return None
    if picture.shape[1:] != plane.shape[1:]:
        raise ImageError(
            f"{other_path.name} has {plane.shape[1]} x {plane.shape[2]} pixels, but {colour_path.name} has "
            f"{picture.shape[1]} x {picture.shape[2]}, expected the same; register and resample one of them."
        )
    whole: Any = da.concatenate if is_lazy(picture) or is_lazy(plane) else np.concatenate
    dtype = np.result_type(picture.dtype, plane.dtype)
    dtype = (
        np.dtype(np.float32) if dtype.kind == "f" and dtype.itemsize > 4 and plane.dtype != dtype else dtype
    )
    unit = EIGHT_BITS if picture.dtype == np.uint8 else ""  # the other sensor's type is not theirs
    known = other.channels[0] if len(other.channels) == 1 else Channel(role)
    last = replace(
        known, name=role if known.name.startswith("channel ") else known.name, role=known.role or role
    )
    said = f"{colour_path.name} and {other_path.name} were taken as one image of colour and {role} by their names."
    return replace(
        other,
        array=whole([picture.astype(dtype), plane.astype(dtype)]),
        axes="CYX",
        channels=(*(Channel(name, unit, role=name) for name in COLOURS), last),
        opacity=None,
        assumptions=tuple(dict.fromkeys((said, *colour.assumptions, *other.assumptions))),
        modality="",
        pixel_size=colour.pixel_size or other.pixel_size,
        pixel_unit=colour.pixel_unit if colour.pixel_size else other.pixel_unit,
        georeference=colour.georeference or other.georeference,
        facts={**colour.facts, **other.facts},
        levels=(),
        parts=(),
        part="",
    )


def _planes(raw: Raw, path: Path) -> Any:
    layout = layout_of(raw, path.name, None)
    return layout.image(raw.array, (0,) * len(layout.stack))
