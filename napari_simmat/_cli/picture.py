"""A picture of masks before and after training, side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

_COLOURS = ((255, 200, 0), (0, 200, 255), (255, 90, 200), (120, 255, 90), (255, 120, 60), (170, 140, 255))
_GAP = 8
_CAPTION = 22


@dataclass(frozen=True, eq=False)
class Panel:
    """One picture with masks on it.

    Parameters
    ----------
    caption : str
    screen : ndarray, (Y, X, 3) uint8
    masks : sequence of (Y, X) bool arrays
        What the model answered, one colour each.
    truth : ndarray, (Y, X) int, optional
        Labels whose outlines are drawn in white.
    clicks : sequence of (y, x)
        Drawn as dots.
    """

    caption: str
    screen: NDArray[np.uint8]
    masks: Sequence[NDArray[np.bool_]] = ()
    truth: NDArray[np.int32] | None = None
    clicks: Sequence[tuple[float, float]] = ()


def sheet(rows: Sequence[Sequence[Panel]], *, magnification: int = 2) -> bytes:
    """A PNG with the panels in rows."""
    drawn = [[_draw(panel, magnification) for panel in row] for row in rows]
    width = max(sum(p.width for p in row) + _GAP * (len(row) + 1) for row in drawn)
    height = sum(max(p.height for p in row) for row in drawn) + _GAP * (len(drawn) + 1)
    page = Image.new("RGB", (width, height), (24, 26, 30))
    y = _GAP
    for row in drawn:
        x = _GAP
        for picture in row:
            page.paste(picture, (x, y))
            x += picture.width + _GAP
        y += max(p.height for p in row) + _GAP
    buffer = io.BytesIO()
    page.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _draw(panel: Panel, magnification: int) -> Image.Image:
    screen = panel.screen.astype(np.float32)
    tint = screen.copy()
    # Large ones first and each pixel tinted once, so that masks that cover everything hide nothing.
    for i, mask in sorted(enumerate(panel.masks), key=lambda pair: -int(pair[1].sum())):
        tint[mask] = _COLOURS[i % len(_COLOURS)]
    screen = 0.5 * screen + 0.5 * tint
    large = np.kron(screen.astype(np.uint8), np.ones((magnification, magnification, 1), np.uint8))
    if panel.truth is not None:
        fine = np.kron(panel.truth, np.ones((magnification, magnification), panel.truth.dtype))
        large[ndimage.maximum_filter(fine, 3) != ndimage.minimum_filter(fine, 3)] = 255
    picture = Image.new("RGB", (large.shape[1], large.shape[0] + _CAPTION), (24, 26, 30))
    picture.paste(Image.fromarray(large), (0, _CAPTION))
    pen = ImageDraw.Draw(picture)
    pen.text((2, 2), panel.caption, fill=(235, 235, 235), font=ImageFont.load_default(size=14))
    for y, x in panel.clicks:
        centre = ((x + 0.5) * magnification, (y + 0.5) * magnification + _CAPTION)
        pen.circle(centre, 4, fill=(255, 255, 255), outline=(0, 0, 0))
    return picture
