"""A table of measurements, one row for each object."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_simmat.exporters._objects import UNNAMED, LabelObjects
from napari_simmat.images import MultiChannelImage


def table(objects: LabelObjects, image: MultiChannelImage) -> bytes:
    """CSV (UTF-8) with label, class, area, bounding box, centroid, and mean and standard deviation of every channel.

    Classes are there when any object has one. The bounding box is half-open: rows ``y0`` to ``y1 - 1``, columns
    ``x0`` to ``x1 - 1``. Centroids are in pixels, pixel centres at whole numbers. The area in physical units is there
    when the image knows its pixel size. Pixels that are not finite are left out of a channel's mean and (population)
    standard deviation; where none is left the cell is empty.
    """
    has_classes = objects.categories != [UNNAMED]
    header = ["label", *["class"] * has_classes, "area_px"]
    areas = np.bincount(objects.index, minlength=len(objects))
    physical = image.pixel_size if image.pixel_unit != "pixel" else None
    if physical is not None:
        header.append(f"area_{image.pixel_unit}^2")
    header += ["y0", "x0", "y1", "x1", "centroid_y", "centroid_x"]
    for name in _distinct([channel.name for channel in image.channels]):
        header += [f"mean {name}", f"std {name}"]
    statistics = [_mean_and_std(plane, objects) for plane in image.planes()]
    centroids = _centroids(objects, areas)

    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for position, item in enumerate(objects):
        row: list[int | str] = [item.label, *[item.class_name or ""] * has_classes, int(areas[position])]
        if physical is not None:
            row.append(_number(areas[position] * physical[0] * physical[1]))
        rows, columns = item.mask.shape
        row += [item.y0, item.x0, item.y0 + rows, item.x0 + columns]
        row += [_number(value) for value in centroids[position]]
        row += [_number(value) for pair in statistics for value in pair[position]]
        writer.writerow(row)
    return text.getvalue().encode("utf-8")


def _centroids(objects: LabelObjects, areas: NDArray[np.int64]) -> NDArray[np.float64]:
    sums = [np.bincount(objects.index, weights=axis) for axis in np.nonzero(objects.foreground)]
    return np.stack(sums, axis=1) / areas[:, None]


def _mean_and_std(channel: NDArray[np.generic], objects: LabelObjects) -> NDArray[np.float64]:
    """Mean and standard deviation of a channel in each object, shape (N, 2), NaN where no pixel is finite."""
    values = channel[objects.foreground].astype(np.float64)
    finite = np.isfinite(values)
    values, index = values[finite], objects.index[finite]
    count = np.bincount(index, minlength=len(objects)).astype(np.float64)
    count[count == 0] = np.nan
    mean = np.bincount(index, weights=values, minlength=len(objects)) / count
    # Around the mean in a second pass: the difference of two large sums loses small deviations.
    spread = np.bincount(index, weights=(values - mean[index]) ** 2, minlength=len(objects)) / count
    return np.stack([mean, np.sqrt(spread)], axis=1)


def _distinct(names: Sequence[str]) -> list[str]:
    """Channel names as column names: a name that occurs twice gets its channel's number."""
    return [f"{name} [{i}]" if names.count(name) > 1 else name for i, name in enumerate(names)]


def _number(value: float) -> str:
    return "" if np.isnan(value) else format(float(value), ".10g")
