"""Results out: labels become files that other programs read.

`export` is the one way in. Each format is a module with one function that turns `LabelObjects` and the
image into the bytes of the file, or of several; `export` checks the labels and writes each file in one piece, so
that a failure leaves no half file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import ExportError
from napari_simmat.exporters._objects import LabelObjects
from napari_simmat.exporters.class_map import class_map
from napari_simmat.exporters.coco import coco
from napari_simmat.exporters.envi_classification import envi_classification
from napari_simmat.exporters.geojson import geojson
from napari_simmat.exporters.label_tiff import label_tiff
from napari_simmat.exporters.table import table
from napari_simmat.exporters.yolo import yolo
from napari_simmat.images import MultiChannelImage

__all__ = ["FORMATS", "export"]

Writer = Callable[[LabelObjects, MultiChannelImage, Path], dict[Path, bytes]]


def _one_file(write: Callable[[LabelObjects, MultiChannelImage], bytes]) -> Writer:
    return lambda objects, image, out: {out: write(objects, image)}


FORMATS: dict[str, Writer] = {
    "tiff": _one_file(label_tiff),
    "coco": _one_file(coco),
    "csv": _one_file(table),
    "yolo": yolo,
    "geojson": _one_file(geojson),
    "envi": envi_classification,
    "classes": class_map,
}
"""For each format the contents of its files by their paths, made of the objects, their image and the path asked for."""


def export(
    labels: NDArray[Any],
    image: MultiChannelImage,
    format: str,
    out: str | Path,
    *,
    classes: Mapping[int, str] | None = None,
    colours: Mapping[str, str] | None = None,
) -> int:
    """Write labelled objects to a file; a file of that name is replaced once the new one is complete.

    Parameters
    ----------
    labels : ndarray of int, shape (Y, X)
        Label image, 0 is background.
    image : MultiChannelImage
        The image that was labelled; measurements and the pixel size come from it.
    format : str
        One of `FORMATS`: ``"tiff"`` (label image), ``"coco"`` (JSON with run-lengths), ``"csv"`` (one row
        of measurements for each object), ``"yolo"`` (segmentation polygons), ``"geojson"`` (polygons with
        holes, as QuPath reads them), ``"envi"`` (classification, with its header beside it) or ``"classes"`` (the class
        of each pixel, with names and colours beside it as JSON).
    out : str or Path
        The file to write; its folder must exist.
    classes : mapping of int to str, optional
        What objects are, by label: the categories of COCO, YOLO, CSV and GeoJSON.
    colours : mapping of str to str, optional
        Of the classes by name, as "#rrggbb", for a class map.

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
    objects = LabelObjects(labels, classes, colours)
    if not len(objects):
        raise ExportError(
            "There is no object in these labels, so nothing was written; accept at least one first."
        )
    _write(write(objects, image, Path(out)))
    return len(objects)


def _write(files: dict[Path, bytes]) -> None:
    """Write all files; if one fails, those that were new go again."""
    new: list[Path] = []
    try:
        for path, content in files.items():
            is_new = not path.exists()
            write_atomically(path, content)
            new += [path] * is_new
    except ExportError:
        for path in new:
            path.unlink(missing_ok=True)
        raise


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
