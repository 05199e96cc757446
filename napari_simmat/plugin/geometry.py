"""Where layers lie in the world: what is drawn over an image must lie exactly on it."""

from __future__ import annotations

from typing import Any

import numpy as np

TRANSFORM_EVENTS = ("scale", "translate", "rotate", "shear", "affine", "units")
"""Events of a layer after which `plane_transform` may be another."""


def plane_transform(layer: Any) -> dict[str, Any]:
    """Scale, translation, rotation, shear, affine and units of a layer's rows and columns.

    Parameters
    ----------
    layer : napari Image layer
        Two or more dimensions, rows and columns last.

    Returns
    -------
    dict
        Keyword arguments for a layer of two dimensions, and attributes that can be set on one.
    """
    shear = np.asarray(layer.shear)
    last = list(range(layer.ndim))[-2:]
    return {
        "scale": tuple(layer.scale[-2:]),
        "translate": tuple(layer.translate[-2:]),
        "rotate": np.asarray(layer.rotate)[-2:, -2:],
        "shear": shear[-2:, -2:] if shear.ndim == 2 else shear[-1:],
        "affine": layer.affine.set_slice(last).affine_matrix,
        "units": tuple(layer.units[-2:]),
    }


def follow(layer: Any, image_layer: Any) -> None:
    """Put a layer of two dimensions where the rows and columns of the image are."""
    for name, value in plane_transform(image_layer).items():
        setattr(layer, name, value)


def to_pixels(image_layer: Any, world: Any) -> tuple[float, float]:
    """Row and column in the image of a place in the world; pixel centres are at integers."""
    data = image_layer.world_to_data(world)
    return float(data[-2]), float(data[-1])


def visible_pixel(image_layer: Any, viewer: Any) -> float:
    """Side of one image pixel on the screen, in screen pixels."""
    return float(viewer.scene.camera.zoom) * float(np.mean(np.abs(image_layer.scale[-2:])))
