"""Masks as run-lengths inside their bounding boxes: what ten thousand objects can be read from in a moment."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

_LEVEL = 1  # most of what there is to win, at a tenth of the time
MOST_PIXELS = 1 << 31
"""Larger masks than this are none: what a damaged file says must not be believed."""


def pack(crop: NDArray[np.bool_]) -> bytes:
    """Run-lengths of a mask, row by row, the first of background.

    Parameters
    ----------
    crop : (h, w) bool

    Returns
    -------
    bytes
        Unsigned 32-bit numbers, the lowest byte first, compressed by zlib.
    """
    flat = np.ascontiguousarray(crop, bool).ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(edges, prepend=0, append=flat.size)
    if flat.size and flat[0]:
        runs = np.concatenate([[0], runs])
    return zlib.compress(runs.astype("<u4").tobytes(), _LEVEL)


def unpack(packed: bytes, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (h, w) that `pack` wrote.

    Raises
    ------
    ValueError
        These are no run-lengths of a mask of this shape.
    """
    size = shape[0] * shape[1]
    if not 0 < size <= MOST_PIXELS:
        raise ValueError(f"a mask of {shape[0]} x {shape[1]} pixels")
    unpacker = zlib.decompressobj()
    try:
        # No mask has more runs than pixels and one: whatever would unpack to more is none.
        data = unpacker.decompress(packed, 4 * (size + 1))
    except zlib.error as error:
        raise ValueError(f"no run-lengths ({error})") from error
    if not unpacker.eof or len(data) % 4:
        raise ValueError("run-lengths that do not end")
    runs = np.frombuffer(data, "<u4").astype(np.int64)
    if runs.sum() != size:
        raise ValueError(f"run-lengths of {runs.sum()} pixels for a mask of {size}")
    values = np.zeros(len(runs), bool)
    values[1::2] = True
    return np.repeat(values, runs).reshape(shape)
