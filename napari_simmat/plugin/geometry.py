"""Where layers lie in the world: what is drawn over an image must lie exactly on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.transforms import CompositeAffine

TRANSFORM_EVENTS = ("scale", "translate", "rotate", "shear", "affine", "units")
"""Events of a layer after which `plane_transform` may be another."""


def plane_transform(layer: Any, origin: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    """Scale, translation, rotation, shear, affine and units of a layer's rows and columns.

    Parameters
    ----------
    layer : napari Image layer
        Two or more dimensions, rows and columns last.
    origin : (int, int)
        Pixel of the layer on which the first pixel of what is placed there shall lie.

    Returns
    -------
    dict
        Keyword arguments for a layer of two dimensions, and attributes that can be set on one.
    """
    shear = np.asarray(layer.shear)
    last = list(range(layer.ndim))[-2:]
    plane = {
        "scale": tuple(layer.scale[-2:]),
        "translate": tuple(layer.translate[-2:]),
        "rotate": np.asarray(layer.rotate)[-2:, -2:],
        "shear": shear[-2:, -2:] if shear.ndim == 2 else shear[-1:],
    }
    if any(origin):
        plane["translate"] = tuple(CompositeAffine(**plane)(np.asarray(origin, float)))
    return {
        **plane,
        "affine": layer.affine.set_slice(last).affine_matrix,
        "units": tuple(layer.units[-2:]),
    }


def follow(layer: Any, image_layer: Any, origin: tuple[int, int] = (0, 0)) -> None:
    """Put a layer of two dimensions where the rows and columns of the image, or of a region of it, are."""
    for name, value in plane_transform(image_layer, origin).items():
        setattr(layer, name, value)


def to_pixels(image_layer: Any, world: Any) -> tuple[float, float]:
    """Row and column in the image of a place in the world; pixel centres are at integers."""
    data = image_layer.world_to_data(world)
    return float(data[-2]), float(data[-1])


def visible_pixel(image_layer: Any, viewer: Any) -> float:
    """Side of one image pixel on the screen, in screen pixels."""
    return float(viewer.scene.camera.zoom) * float(np.mean(np.abs(image_layer.scale[-2:])))
