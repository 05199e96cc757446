"""Large images are worked on in regions: which images are large, and which part of one a click means.

Window, command line and scripts ask here, so that the same clicks give the same masks.
"""

from __future__ import annotations

from collections.abc import Sequence

from napari_simmat.errors import ImageError, PromptError
from napari_simmat.images import MultiChannelImage

__all__ = [
    "LARGE_SIDE",
    "SIDE",
    "STEP",
    "Region",
    "holds",
    "is_large",
    "refuse_large",
    "region_around",
    "region_at",
]

LARGE_SIDE = 4096
"""Images with more rows or columns are worked on in regions: the model sees 1024 x 1024 pixels, and details of a
larger image would be lost to it."""

SIDE = 2048
STEP = 1024
"""Regions begin at multiples of this, so that the same one is found again another day."""

Region = tuple[int, int, int, int]
"""First row and column, and the row and column after the last."""


def is_large(image: MultiChannelImage) -> bool:
    """Whether an image is worked on in regions."""
    return max(image.shape) > LARGE_SIDE


def refuse_large(image: MultiChannelImage) -> None:
    """Refuse an image that only regions of can be worked on, where no click says which.

    Raises
    ------
    ImageError
    """
    if is_large(image):
        rows, columns = image.shape
        raise ImageError(
            f"{image.name!r} has {rows} x {columns} pixels, more than {LARGE_SIDE} pixels on a side; cut it and its "
            f"labels into regions of about {SIDE} x {SIDE} pixels first."
        )


def region_at(shape: tuple[int, int], y: float, x: float) -> Region:
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


def region_around(
    image: MultiChannelImage,
    points: Sequence[tuple[float, float]] = (),
    box: tuple[float, float, float, float] | None = None,
) -> Region | None:
    """The region of a large image in which clicks and a box are answered: that of the box's middle or the first click.

    Parameters
    ----------
    image : MultiChannelImage
    points : sequence of (float, float)
        Clicks (y, x) in pixels of the image, in their order.
    box : (float, float, float, float), optional
        (y0, x0, y1, x1); what is outside of the region is cut off, as at the edges of an image.

    Returns
    -------
    (int, int, int, int) or None
        As `MultiChannelImage.window` takes it; None if the image is not large and is worked on as a whole.

    Raises
    ------
    PromptError
        If nothing was shown, it is outside of the image, or clicks are too far apart for one region.
    """
    if not is_large(image):
        return None
    if box is None and not points:
        raise PromptError("Nothing was shown to segment; click on an object or drag a box around one.")
    y, x = points[0] if box is None else ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    rows, columns = image.shape
    if not holds((0, 0, rows, columns), y, x):
        raise PromptError(
            f"The {'click' if box is None else 'middle of the box'} at y = {y:g}, x = {x:g} is outside of the image "
            f"of {rows} x {columns} pixels; click on the image."
        )
    region = region_at(image.shape, y, x)
    for y, x in points:
        if not holds(region, y, x):
            top, left, bottom, right = region
            raise PromptError(
                f"The click at y = {y:g}, x = {x:g} is outside of rows {top} to {bottom - 1} and columns {left} to "
                f"{right - 1}, the region of this large image in which the object was begun; stay inside of it, or "
                "segment another object there."
            )
    return region


def holds(region: Region, y: float, x: float) -> bool:
    """Whether a region has the pixel at (y, x)."""
    top, left, bottom, right = region
    return top - 0.5 <= y < bottom - 0.5 and left - 0.5 <= x < right - 0.5


def _span(length: int, place: float) -> tuple[int, int]:
    last = max(0, -(-(length - SIDE) // STEP))
    start = min(max(0, round((place - SIDE / 2) / STEP)), last) * STEP
    return start, min(start + SIDE, length)
