"""Large images are worked on in regions: which images are large, and which part of one a click means."""

from __future__ import annotations

from napari_simmat.images import MultiChannelImage

__all__ = ["LARGE_PIXELS", "LARGE_SIDE", "SIDE", "STEP", "Region", "holds", "is_large", "region_around"]

LARGE_SIDE = 4096
"""Images with more rows or columns are worked on in regions: the model sees 1024 x 1024 pixels, and details of a
larger image would be lost to it."""

LARGE_PIXELS = 64 << 20
"""So are images with more pixels that are not in memory."""

SIDE = 2048
STEP = 1024
"""Regions begin at multiples of this, so that the same one is found again another day."""

Region = tuple[int, int, int, int]
"""First row and column, and the row and column after the last."""


def is_large(image: MultiChannelImage) -> bool:
    """Whether an image is worked on in regions."""
    rows, columns = image.shape
    return max(rows, columns) > LARGE_SIDE or (image.is_lazy and rows * columns > LARGE_PIXELS)


def region_around(shape: tuple[int, int], y: float, x: float) -> Region:
    """The region in which a pixel lies most centrally.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the image.
    y, x : float
        The pixel.
    """
    (top, bottom), (left, right) = (_span(n, v) for n, v in zip(shape, (y, x), strict=True))
    return top, left, bottom, right


def holds(region: Region, y: float, x: float) -> bool:
    """Whether a region has the pixel at (y, x)."""
    top, left, bottom, right = region
    return top - 0.5 <= y < bottom - 0.5 and left - 0.5 <= x < right - 0.5


def _span(length: int, place: float) -> tuple[int, int]:
    last = max(0, -(-(length - SIDE) // STEP))
    start = min(max(0, round((place - SIDE / 2) / STEP)), last) * STEP
    return start, min(start + SIDE, length)
