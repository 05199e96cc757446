"""Whether a picture without a word about itself is the raw frame of a polarization camera.

Physics decides. Over each 2 x 2 cell of such a camera I(0) + I(90) = I(45) + I(135), so both diagonals have the same
sum, while the pixels of a diagonal differ by S1 or S2, smoothly over the scene. In an ordinary picture neighbours
differ less than pixels further apart do; here they differ more, and by the same amount cell after cell. Three other
things that alternate from pixel to pixel are told from it: a colour filter array (its two greens are equal, and the
sums of its diagonals are not), interlaced rows and alternating columns (both diagonals then differ by the same).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_simmat.images.physics.polarization import demosaic

__all__ = ["find_polarization_mosaic"]

BLOCK = (
    16  # pixels along each side over which differences are averaged: noise of 8 bits falls below half a count
)
TILE, TILES = 256, 6  # looked at: 6 x 6 windows spread over the picture, the whole of a small one
LEAST_SIDE = 40

# A block speaks for a mosaic if its diagonals differ by this part of the intensity and more than pixels two apart do.
LEAST_POLARIZATION = 0.02
# How much of the picture must speak so. The real frames that this was made on have 36 to 98 %, cut-outs of them 32 to
# 100 %, photographs at most 0.6 %.
LEAST_SHARE, LEAST_BLOCKS = 0.05, 6
# In those frames the sums of the diagonals differ by 2 to 18 % of what the polarization does, those of photographs
# behind a colour filter array by 5 to 50 %; but then one diagonal, that of the greens, is all but even (4 %, where the
# frames have 19 % and more), or with interlacing both are alike (13 %, where the frames have 31 % and more).
MOST_UNEQUAL_SUMS = 0.35
LEAST_DIAGONAL, LEAST_DIFFERENCE = 0.08, 0.2
# Red, green and near infrared behind one filter array look alike where the scene has one hue: the "polarization" then
# has one direction almost everywhere, 0.77 to 1 as the length of the mean direction, and the sums differ by 4 to 35 %.
# In the frames they differ by 3 % at most where the length is above 0.84, by 12 % at 0.84, by 18 % at 0.3.
MOST_UNEQUAL_ALIKE, MORE_UNEQUAL = 0.035, 0.6
# A sensor whose pixels differ in gain has one direction and degree everywhere: blocks differ from it by 6 % at most,
# those of the frames by 11 % in the most even cut-out, else by 21 % and more.
LEAST_VARIATION = 0.08
# By this part cells of different colour differ from each other, and the two green ones by far less.
LEAST_COLOUR, MOST_UNEQUAL_GREENS = 0.1, 0.3


def find_polarization_mosaic(picture: NDArray[Any]) -> Literal["", "mono", "colour"]:
    """Tell the raw frame of a division-of-focal-plane polarization camera from other pictures.

    It cannot tell which pixel has which polarizer, only that the two of a diagonal are crossed. A scene in which
    nothing is polarized looks like any other picture.

    Parameters
    ----------
    picture : array, shape (Y, X)
        Read in windows of 256 x 256 pixels, so that it may be lazy.

    Returns
    -------
    str
        "mono", "colour" (2 x 2 cells of polarizers behind a red, green, green or blue filter each), or "" for what is
        no such frame or not of 8 to 16 unsigned bits.
    """
    if picture.ndim != 2 or picture.dtype.kind != "u" or picture.dtype.itemsize > 2:
        return ""
    if min(picture.shape) < LEAST_SIDE:
        return ""
    tiles = [
        np.asarray(picture[top : top + TILE, left : left + TILE])
        for top in _starts(picture.shape[0])
        for left in _starts(picture.shape[1])
    ]
    colour = _has_colour_cells(tiles)
    blocks = np.concatenate([_blocks(tile, 4 if colour else 2) for tile in tiles], axis=1)
    first, second, unequal, intensity, roughness = blocks
    polarized = np.hypot(first, second)
    speaks = (polarized > roughness) & (polarized > LEAST_POLARIZATION * intensity)
    if speaks.sum() < LEAST_BLOCKS or speaks.mean() < LEAST_SHARE:
        return ""
    inequality = float(np.median(np.abs(unequal[speaks]) / polarized[speaks]))
    first, second, intensity = first[speaks], second[speaks], intensity[speaks]
    if (
        inequality > _most_unequal_sums(first, second)
        or _variation(first, second, intensity) < LEAST_VARIATION
    ):
        return ""
    if (
        _balance(first, second) < LEAST_DIAGONAL
        or _balance(first + second, first - second) < LEAST_DIFFERENCE
    ):
        return ""
    return "colour" if colour else "mono"


def _most_unequal_sums(first: NDArray[Any], second: NDArray[Any]) -> float:
    """How unequal the sums of the diagonals may be where light of such directions came from a scene."""
    directions = np.exp(1j * np.arctan2(second, first))
    alike = float(np.abs(directions.mean()))
    return min(MOST_UNEQUAL_SUMS, MOST_UNEQUAL_ALIKE + MORE_UNEQUAL * (1 - alike))


def _variation(first: NDArray[Any], second: NDArray[Any], intensity: NDArray[Any]) -> float:
    """How far S1/S0 and S2/S0 typically lie from their median, as a part of that."""
    ratios = np.stack([first, second]) / intensity
    middle = np.median(ratios, axis=1, keepdims=True)
    return float(np.median(np.hypot(*(ratios - middle))) / max(float(np.hypot(*middle)[0]), 1e-9))


def _starts(length: int) -> list[int]:
    """Where the windows along one axis begin: a multiple of 4, which keeps every cell whole."""
    count = max(1, min(TILES, length // TILE))
    return [int(start) // 4 * 4 for start in np.linspace(0, max(0, length - TILE), count)]


def _blocks(tile: NDArray[Any], apart: int) -> NDArray[np.float64]:
    """Of each block: both differences along diagonals, that between their sums, intensity and roughness, (5, N)."""
    a, b, d, c = (_block_means(plane) for plane in demosaic(tile, ((0, 45), (135, 90))))
    values = tile.astype(np.float64)
    rows, columns = np.zeros_like(values), np.zeros_like(values)
    rows[:-apart] = (values[apart:] - values[:-apart]) ** 2
    columns[:, :-apart] = (values[:, apart:] - values[:, :-apart]) ** 2
    rough = np.sqrt((_block_means(rows) + _block_means(columns)) / 4)  # of one pixel, not of a difference
    return np.stack([a - d, b - c, (a + d - b - c) / np.sqrt(2), (a + b + c + d) / 2, rough])


def _block_means(plane: NDArray[Any]) -> NDArray[np.float64]:
    inner = plane[4:-4, 4:-4]  # the borders are not interpolated
    rows, columns = inner.shape[0] // BLOCK, inner.shape[1] // BLOCK
    inner = inner[: rows * BLOCK, : columns * BLOCK].astype(np.float64)
    return np.asarray(inner.reshape(rows, BLOCK, columns, BLOCK).mean(axis=(1, 3))).ravel()


def _has_colour_cells(tiles: list[NDArray[Any]]) -> bool:
    contrasts, greens = [], []
    for tile in tiles:
        rows, columns = (length // 2 * 2 for length in tile.shape)
        cells = tile[:rows, :columns].reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3))
        red, green, blue, other_green = (
            _block_means(plane) for plane in demosaic(cells, ((0, 45), (135, 90)))
        )
        total = np.maximum(red + green + other_green + blue, 1e-9)
        highest = np.maximum(np.maximum(red, blue), (green + other_green) / 2)
        lowest = np.minimum(np.minimum(red, blue), (green + other_green) / 2)
        contrasts.append(4 * (highest - lowest) / total)
        greens.append(4 * np.abs(green - other_green) / total)
    if not any(each.size for each in contrasts):  # too small for a single block of cells
        return False
    contrast = float(np.median(np.concatenate(contrasts)))
    return bool(
        contrast > LEAST_COLOUR and np.median(np.concatenate(greens)) < MOST_UNEQUAL_GREENS * contrast
    )


def _balance(left: NDArray[Any], right: NDArray[Any]) -> float:
    """The smaller over the larger of two root mean squares."""
    small, large = sorted((float(np.mean(left**2)), float(np.mean(right**2))))
    return float(np.sqrt(small / large)) if large else 0.0
