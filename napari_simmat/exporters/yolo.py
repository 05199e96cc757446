"""YOLO segmentation labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_simmat.errors import ExportError
from napari_simmat.exporters._objects import UNNAMED, LabelObjects
from napari_simmat.exporters.outlines import outlines, single_ring
from napari_simmat.images import MultiChannelImage


def yolo(objects: LabelObjects, image: MultiChannelImage, out: Path) -> dict[Path, bytes]:
    """One line for each object: its class, then ``x y`` of its outline as fractions of the width and height.

    Where objects have classes, their names are in a file beside it, one in each line: `labels.names` of `labels.txt`.

    The format holds one polygon for each object, so holes and separate parts are joined to it by bridges of
    no width.

    Raises
    ------
    ExportError
        If the file for the names is there and was not written together with an earlier one of `out`.
    """
    categories = objects.categories
    numbers = {name: number for number, name in enumerate(categories)}
    height, width = objects.shape
    lines = []
    for item in objects:
        ring = single_ring(outlines(item.mask)) + np.array([item.y0, item.x0])
        points = (ring / (height, width))[:, ::-1]
        number = numbers[item.class_name or UNNAMED]
        lines.append(f"{number} " + " ".join(format(value, ".8g") for value in np.ravel(points)))
    files = {out: ("\n".join(lines) + "\n").encode("ascii")}
    if categories != [UNNAMED]:
        files[_names_beside(out)] = ("\n".join(categories) + "\n").encode("utf-8")
    return files


def _names_beside(out: Path) -> Path:
    names = out.with_suffix(".names")
    if names == out or (names.exists() and not out.exists()):
        raise ExportError(
            f"The names of the classes would be written to {names.name}, which is there already; choose another name "
            f"than {out.name}."
        )
    return names
