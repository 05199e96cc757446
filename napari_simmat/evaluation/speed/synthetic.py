"""Images of any size with any number of channels and objects, to see how cost grows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_simmat.images import MultiChannelImage, as_image

__all__ = ["disc_image", "discs", "spots", "write_picture"]

_TILE = 256


def discs(side: int, across: int) -> NDArray[np.int32]:
    """Label image (side, side) of across x across discs on a grid, with free pixels between them."""
    cell = side / across
    y, x = np.mgrid[:side, :side]
    row, column = (np.minimum((n / cell).astype(int), across - 1) for n in (y, x))
    apart = np.hypot(y + 0.5 - (row + 0.5) * cell, x + 0.5 - (column + 0.5) * cell)
    labels: NDArray[np.int32] = np.where(apart <= 0.33 * cell, row * across + column + 1, 0).astype(np.int32)
    return labels


def spots(shape: tuple[int, int], count: int) -> NDArray[np.int32]:
    """Label image of `count` small objects on a grid, most of the image free."""
    cell = int((shape[0] * shape[1] / count) ** 0.5)
    while (shape[0] // cell) * (shape[1] // cell) < count:
        cell -= 1
    labels = np.zeros(shape, np.int32)
    reach = max(1, cell // 3)
    for k in range(count):
        row, column = divmod(k, shape[1] // cell)
        labels[row * cell : row * cell + reach, column * cell : column * cell + reach] = k + 1
    return labels


def disc_image(labels: NDArray[np.int32], channels: int, *, seed: int = 0) -> MultiChannelImage:
    """Bright discs on a darker ground, unsigned 16 bit, each channel with a contrast and noise of its own."""
    rng = np.random.default_rng(seed)
    inside = labels > 0
    y = np.linspace(0, 1, labels.shape[0], dtype=np.float32)[:, None]
    planes = np.empty((channels, *labels.shape), np.uint16)
    for k in range(channels):
        contrast, slope = rng.uniform(0.2, 0.6), rng.uniform(0.0, 0.2)
        noise = rng.normal(0, 0.02, labels.shape).astype(np.float32)
        planes[k] = np.clip((0.3 + slope * y + contrast * inside + noise) * 40000, 0, 65535)
    return as_image(planes, channel_axis=0, name=f"discs {seed}")


def write_picture(path: Path, side: int) -> None:
    """A colour picture of side x side pixels, 8 bit, as a tiled TIFF, written tile by tile."""
    labels = discs(_TILE, 2)
    tile = np.stack([np.where(labels > 0, 200 - 30 * k, 60 + 40 * k) for k in range(3)], -1).astype(np.uint8)
    tile += np.random.default_rng(0).integers(0, 8, tile.shape, np.uint8)
    count = (-(-side // _TILE)) ** 2

    def tiles() -> Iterator[NDArray[np.uint8]]:
        for _ in range(count):
            yield tile

    tifffile.imwrite(
        path,
        tiles(),
        shape=(side, side, 3),
        dtype=np.uint8,
        tile=(_TILE, _TILE),
        photometric="rgb",
        bigtiff=True,
    )
