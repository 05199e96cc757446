"""A hash of many pixels, by as many cores as there are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.images.side_by_side import each_at_once

_PIECE = 1 << 20
"""Bytes that are hashed at once: a millisecond's work."""


def hash_pixels(planes: Iterable[NDArray[Any]], about: str) -> str:
    """Hash of the numbers of planes, in their order, and of a text about them.

    Each megabyte of a plane is hashed on its own (SHA-256, which processors have instructions for), and so are these
    hashes together.

    Parameters
    ----------
    planes : iterable of ndarray
        Taken one by one.
    about : str

    Returns
    -------
    str
        32 hexadecimal digits.
    """
    found: dict[tuple[int, int], bytes] = {}

    def write(place: tuple[int, int], part: memoryview) -> None:
        found[place] = hashlib.sha256(part).digest()

    def tasks() -> Iterable[partial[None]]:
        for number, plane in enumerate(planes):
            if plane.size:
                whole = np.ascontiguousarray(plane).reshape(-1).view(np.uint8).data
                for start in range(0, len(whole), _PIECE):
                    yield partial(write, (number, start), whole[start : start + _PIECE])

    each_at_once(tasks())
    together = hashlib.sha256(about.encode())
    for place in sorted(found):
        together.update(found[place])
    return together.hexdigest()[:32]
