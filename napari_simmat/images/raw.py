"""What a file says before anybody has decided which axis holds the channels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.image import Channel

__all__ = ["MAX_BYTES", "Raw", "require_size"]

MAX_BYTES = 4 << 30
"""The largest decoded image: images are held in memory as a whole."""


@dataclass(frozen=True)
class Raw:
    """Pixels as stored and every word that the file has about them.

    Parameters
    ----------
    array : ndarray
        As stored.
    axes : str
        One letter for each axis, in the manner of tifffile: Y and X rows and columns, C channels, S samples
        of a pixel, Z and T stacks, I, Q and others unknown. Empty where the file does not say.
    channels : tuple of Channel
        In the order of the channel axis, empty where nothing is known.
    opacity : tuple, optional
        An axis and the indices on it that hold opacity. `channels` do not count them; the assumption about
        them is the last one.
    pixel_size, pixel_unit
        As in `MultiChannelImage`.
    assumptions : tuple of str
        What the reader decided, one sentence each.
    """

    array: NDArray[Any]
    axes: str = ""
    channels: tuple[Channel, ...] = ()
    opacity: tuple[int, tuple[int, ...]] | None = None
    pixel_size: tuple[float, float] | None = None
    pixel_unit: str = "pixel"
    assumptions: tuple[str, ...] = ()

    def without_opacity(self) -> Raw:
        """The same without its opacity, which is no measurement."""
        if self.opacity is None:
            return self
        axis, indices = self.opacity
        return replace(self, array=np.delete(self.array, indices, axis), opacity=None)


def require_size(path: Path, shape: tuple[int, ...], itemsize: int) -> None:
    """Refuse a shape that is empty or that would not fit into memory, before anything is allocated."""
    if not shape or min(shape) < 1:
        raise ImageError(f"{path.name} declares an image of shape {shape}, expected at least one pixel.")
    size = itemsize
    for length in shape:
        size *= length
    if size > MAX_BYTES:
        raise ImageError(
            f"{path.name} declares an image of shape {shape}, which is {size / 2**30:.1f} GiB in memory, "
            f"more than the {MAX_BYTES >> 30} GiB that can be opened; crop it or save it in tiles."
        )
