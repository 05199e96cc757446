"""Results out: labels become files that other programs read.

`export` is the one way in. Each format is a module with one function that turns `LabelObjects` and the
image into the bytes of the file; `export` checks the labels and writes the bytes in one piece, so that a
failure leaves no half file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import ExportError
from napari_simmat.exporters._objects import LabelObjects
from napari_simmat.exporters.coco import coco
from napari_simmat.exporters.geojson import geojson
from napari_simmat.exporters.label_tiff import label_tiff
from napari_simmat.exporters.table import table
from napari_simmat.exporters.yolo import yolo
from napari_simmat.images import MultiChannelImage

__all__ = ["FORMATS", "export"]

FORMATS: dict[str, Callable[[LabelObjects, MultiChannelImage], bytes]] = {
    "tiff": label_tiff,
    "coco": coco,
    "csv": table,
    "yolo": yolo,
    "geojson": geojson,
}


def export(labels: NDArray[Any], image: MultiChannelImage, format: str, out: str | Path) -> int:
    """Write labelled objects to a file; a file of that name is replaced once the new one is complete.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Label image, 0 is background.
    image : MultiChannelImage
        The image that was labelled; measurements and the pixel size come from it.
    format : str
        One of `FORMATS`: ``"tiff"`` (label image), ``"coco"`` (JSON with run-lengths), ``"csv"`` (one row
        of measurements for each object), ``"yolo"`` (segmentation polygons) or ``"geojson"`` (polygons with
        holes, as QuPath reads them).
    out : str or Path
        The file to write; its folder must exist.

    Returns
    -------
    int
        Number of objects written.

    Raises
    ------
    ExportError
        If the format is unknown, the labels do not fit the image or hold no object, or the file cannot be
        written.
    """
    try:
        write = FORMATS[format]
    except KeyError:
        raise ExportError(
            f"{format!r} is not an export format; choose one of {', '.join(FORMATS)}."
        ) from None
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iub":
        raise ExportError(f"Labels are whole numbers but these are {labels.dtype}; convert them first.")
    if labels.shape != tuple(image.shape):
        raise ExportError(
            f"The labels are {_size(labels.shape)} but the image {image.name!r} is {_size(image.shape)} "
            "(rows x columns); choose the image that was labelled."
        )
    if labels.min(initial=0) < 0:
        raise ExportError(
            f"Labels start at 0 (background) but these go down to {labels.min()}; renumber them."
        )
    objects = LabelObjects(labels)
    if not len(objects):
        raise ExportError(
            "There is no object in these labels, so nothing was written; accept at least one first."
        )
    write_atomically(Path(out), write(objects, image))
    return len(objects)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
