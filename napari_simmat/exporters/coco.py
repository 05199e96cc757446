"""COCO JSON with run-lengths, as pycocotools reads it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from napari_simmat.exporters._objects import UNNAMED, LabelObject, LabelObjects
from napari_simmat.images import MultiChannelImage


def coco(objects: LabelObjects, image: MultiChannelImage) -> bytes:
    """One image, a category for each class (or ``object``) and an annotation for each object, its label as id."""
    height, width = objects.shape
    numbers = {name: number for number, name in enumerate(objects.categories, 1)}
    document = {
        "info": {"description": f"objects of {image.name}, segmented with napari-simmat"},
        "licenses": [],
        "images": [{"id": 1, "file_name": _file_name(image), "height": height, "width": width}],
        "categories": [
            {"id": number, "name": name, "supercategory": UNNAMED} for name, number in numbers.items()
        ],
        "annotations": [
            _annotation(item, height, width, numbers[item.class_name or UNNAMED]) for item in objects
        ],
    }
    return json.dumps(document).encode()


def _file_name(image: MultiChannelImage) -> str:
    return str(image.source.name) if image.source is not None else image.name


def _annotation(item: LabelObject, height: int, width: int, category: int) -> dict[str, Any]:
    rows, columns = item.mask.shape
    return {
        "id": item.label,
        "image_id": 1,
        "category_id": category,
        "iscrowd": 0,
        "area": item.area,
        "bbox": [item.x0, item.y0, columns, rows],
        "segmentation": _run_lengths(item, height, width),
    }


def _run_lengths(item: LabelObject, height: int, width: int) -> dict[str, Any]:
    """Compressed run-lengths of the full-size mask.

    Made from the object's own pixels: encoding a full-size mask for each object takes seconds on large
    images.
    """
    x, y = np.nonzero(item.mask.T)
    position = (x + item.x0) * height + (y + item.y0)
    breaks = np.flatnonzero(np.diff(position) > 1)
    starts = position[np.concatenate(([0], breaks + 1))]
    ends = position[np.concatenate((breaks, [len(position) - 1]))] + 1
    edges = np.stack([starts, ends], axis=1).ravel()
    counts = np.diff(np.concatenate(([0], edges, [height * width])))
    packed = coco_mask.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
    counts_text: str = packed["counts"].decode("ascii")
    return {"size": [height, width], "counts": counts_text}
