"""The labels themselves, as a TIFF that every image program opens."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import tifffile

from napari_simmat.errors import ExportError
from napari_simmat.exporters._objects import LabelObjects
from napari_simmat.images import MultiChannelImage


def label_tiff(objects: LabelObjects, image: MultiChannelImage) -> bytes:
    """Label image in the smallest of uint8, uint16 and uint32 that holds its labels, losslessly compressed.

    A known pixel size is kept in OME metadata, which, unlike ImageJ's, also goes with 32 bits; a place on Earth in the
    tags of a GeoTIFF.
    """
    highest = int(objects.values[-1])
    if highest > np.iinfo(np.uint32).max:
        raise ExportError(f"Label {highest} does not fit a TIFF of 32 bits; renumber the labels.")
    metadata: dict[str, Any] = {"axes": "YX"}
    ome = image.pixel_size is not None and image.pixel_unit not in ("pixel", "degree")
    if ome and image.pixel_size is not None:
        metadata |= {
            "PhysicalSizeY": image.pixel_size[0],
            "PhysicalSizeYUnit": image.pixel_unit,
            "PhysicalSizeX": image.pixel_size[1],
            "PhysicalSizeXUnit": image.pixel_unit,
        }
    buffer = io.BytesIO()
    labels = objects.labels.astype(np.min_scalar_type(highest))
    place = image.georeference.as_geotiff() if image.georeference is not None else ()
    extra = [(code, kind, count, value, True) for code, kind, count, value in place]
    tifffile.imwrite(buffer, labels, ome=ome, metadata=metadata, compression="zlib", extratags=extra)
    return buffer.getvalue()
