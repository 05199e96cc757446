"""GeoJSON polygons, as QuPath reads and writes them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from napari_simmat.exporters._objects import LabelObject, LabelObjects
from napari_simmat.exporters.outlines import Ring, outlines
from napari_simmat.images import MultiChannelImage


def geojson(objects: LabelObjects, image: MultiChannelImage) -> bytes:
    """A feature collection with one annotation for each object, named by its label and classified by its class.

    Coordinates are ``x, y`` in pixels from the upper left corner of the image: pixel 0 covers 0 to 1, as in
    QuPath.
    """
    document = {"type": "FeatureCollection", "features": [_feature(item) for item in objects]}
    return json.dumps(document).encode()


def _feature(item: LabelObject) -> dict[str, Any]:
    polygons = [[_closed(ring, item) for ring in polygon] for polygon in outlines(item.mask)]
    geometry: dict[str, Any] = {"type": "MultiPolygon", "coordinates": polygons}
    if len(polygons) == 1:
        geometry = {"type": "Polygon", "coordinates": polygons[0]}
    properties: dict[str, Any] = {"objectType": "annotation", "name": str(item.label), "label": item.label}
    if item.class_name is not None:
        properties["classification"] = {"name": item.class_name}
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": properties,
    }


def _closed(ring: Ring, item: LabelObject) -> list[list[int]]:
    points: list[list[int]] = (ring + np.array([item.y0, item.x0]))[:, ::-1].tolist()
    return [*points, points[0]]
