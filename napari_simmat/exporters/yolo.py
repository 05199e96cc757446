"""YOLO segmentation labels."""

from __future__ import annotations

import numpy as np

from napari_simmat.exporters._objects import LabelObjects
from napari_simmat.exporters.outlines import outlines, single_ring
from napari_simmat.images import MultiChannelImage


def yolo(objects: LabelObjects, image: MultiChannelImage) -> bytes:
    """One line for each object: class 0, then ``x y`` of its outline as fractions of the width and height.

    The format holds one polygon for each object, so holes and separate parts are joined to it by bridges of
    no width.
    """
    height, width = objects.shape
    lines = []
    for item in objects:
        ring = single_ring(outlines(item.mask)) + np.array([item.y0, item.x0])
        points = (ring / (height, width))[:, ::-1]
        lines.append("0 " + " ".join(format(value, ".8g") for value in np.ravel(points)))
    return ("\n".join(lines) + "\n").encode("ascii")
