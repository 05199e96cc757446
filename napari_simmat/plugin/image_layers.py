"""What an image layer is to this plugin: one of its own, one of several resolutions, one that hides another."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image

from napari_simmat.plugin.pictures import IMAGE

__all__ = ["covers", "finest", "is_image", "is_ours"]


def is_image(layer: Any) -> bool:
    """Whether a layer, or what a proxy stands for, shows an image."""
    return isinstance(getattr(layer, "__wrapped__", layer), Image)


def is_ours(layer: Any) -> bool:
    """Whether a layer was made by this plugin's reader, which left the image with it."""
    return IMAGE in layer.metadata


def finest(data: Any) -> Any:
    """The data of a layer, of several resolutions the finest."""
    return data[0] if isinstance(data, list) else data


def covers(above: Any, layer: Any) -> bool:
    """Whether half or more of a layer lies under one above it that lets nothing through."""
    if above.opacity < 1 or above.blending in ("additive", "minimum", "multiplicative"):
        return False
    (low, high), (own_low, own_high) = (each.extent.world[:, -2:] for each in (above, layer))
    shared = np.clip(np.minimum(high, own_high) - np.maximum(low, own_low), 0, None)
    return bool(2 * shared.prod() >= (own_high - own_low).prod())
