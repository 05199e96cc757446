"""A class map: the class of each pixel as an image of 8 bits, and what the numbers mean beside it as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import ExportError
from napari_simmat.exporters._objects import UNNAMED, LabelObjects
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.class_names import colour_of

__all__ = ["class_map", "class_map_files", "write_class_map"]

MOST = 254


def class_map(objects: LabelObjects, image: MultiChannelImage, out: Path) -> dict[Path, bytes]:
    """The classes of objects; those without one are ``object``, which comes last."""
    names = objects.categories
    if len(names) > MOST:
        raise ExportError(f"There are {len(names)} classes, expected at most {MOST}; export as TIFF instead.")
    numbers = np.zeros(objects.shape, np.uint8)
    for item in objects:
        rows, columns = item.mask.shape
        part = numbers[item.y0 : item.y0 + rows, item.x0 : item.x0 + columns]
        part[item.mask] = names.index(item.class_name or UNNAMED) + 1
    return class_map_files(numbers, names, objects.colours, out)


def class_map_files(
    numbers: NDArray[np.uint8], names: Sequence[str], colours: Mapping[str, str], out: Path
) -> dict[Path, bytes]:
    """The files of a class map by their paths: the image, and ``NAME.json`` with name and colour of each number.

    Parameters
    ----------
    numbers : ndarray of uint8, (Y, X)
        0 is background.
    names : sequence of str
        Of the numbers from 1.
    colours : mapping of str to str
        Of classes by name, as "#rrggbb"; others get their own.
    out : Path
        The image; its name ends in .tif.
    """
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, numbers, metadata={"axes": "YX"}, compression="zlib")
    told: dict[str, Any] = {
        str(k): {"name": name, "colour": colours.get(name, colour_of(name))}
        for k, name in enumerate(names, 1)
    }
    text = json.dumps({"0": {"name": "background", "colour": "#000000"}, **told}, indent=1)
    return {out: buffer.getvalue(), out.with_name(f"{out.stem}.json"): (text + "\n").encode()}


def write_class_map(
    numbers: NDArray[np.uint8], names: Sequence[str], colours: Mapping[str, str], out: Path
) -> None:
    """Write what `class_map_files` gives.

    Raises
    ------
    ExportError
        It cannot be written.
    """
    for path, content in class_map_files(numbers, names, colours, out).items():
        write_atomically(path, content)
