"""What a file says before anybody has decided which axis holds the channels."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from napari_simmat.errors import ImageError
from napari_simmat.images.camera import Camera
from napari_simmat.images.dask_later import da, is_lazy
from napari_simmat.images.georeference import GeoReference
from napari_simmat.images.image import Channel
from napari_simmat.images.missing import as_measured, said_of_missing
from napari_simmat.images.physics.reflectance import Reflectance

__all__ = ["MAX_BYTES", "MEMORY_VARIABLE", "Raw", "memory_budget", "reason", "require_size"]

MAX_BYTES = 4 << 30
"""The largest decoded image: images are held in memory as a whole."""

MEMORY_VARIABLE = "NAPARI_SIMMAT_MEMORY_MB"
"""Megabytes that an image may take, where the user knows better."""

# A small file that unpacks to this many bytes, and this many times its own length, was made to fill the
# memory: what deflate packs best, zeros, it packs a thousandfold.
SUSPICIOUS_BYTES = 256 << 20
SUSPICIOUS_RATIO = 2000


@dataclass(frozen=True)
class Raw:
    """Pixels as stored and every word that the file has about them.

    Parameters
    ----------
    array : ndarray or dask array
        As stored; lazy where it is large.
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
    modality, sample_format : str
        Where the file itself says so: keys of `MODALITIES` and `SAMPLE_FORMATS`.
    georeference, camera, facts
        As in `MultiChannelImage`.
    reflectance : Reflectance, optional
        How the stored values become reflectance, where the file or its references say so: what the sample format
        "reflectance" does.
    levels : tuple of arrays
        Coarser versions with the same axes, finest first.
    missing : float, optional
        The value that the file declares as "not measured"; still in `array`.
    parts : tuple of str
        Names of the images or arrays that the file holds, if there are several.
    part : str
        Which of them this is.
    """

    array: Any
    axes: str = ""
    channels: tuple[Channel, ...] = ()
    opacity: tuple[int, tuple[int, ...]] | None = None
    pixel_size: tuple[float, float] | None = None
    pixel_unit: str = "pixel"
    assumptions: tuple[str, ...] = ()
    modality: str = ""
    sample_format: str = ""
    georeference: GeoReference | None = None
    camera: Camera | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    reflectance: Reflectance | None = None
    levels: tuple[Any, ...] = ()
    missing: float | None = None
    parts: tuple[str, ...] = ()
    part: str = ""

    def without_opacity(self) -> Raw:
        """The same without its opacity, which is no measurement."""
        if self.opacity is None:
            return self
        axis, indices = self.opacity
        return replace(self, array=_without_indices(self.array, indices, axis), opacity=None)

    def measured(self) -> Raw:
        """The same with NaN for what was not measured, as is needed before arrays of several files are put together."""
        array, is_missing = as_measured(self.array, self.missing)
        said = (said_of_missing(self.missing),) if is_missing else ()
        return replace(self, array=array, missing=None, assumptions=(*self.assumptions, *said))


def _without_indices(array: Any, indices: tuple[int, ...], axis: int) -> Any:
    return da.delete(array, indices, axis) if is_lazy(array) else np.delete(array, indices, axis)


def memory_budget() -> int:
    """Bytes that an image may take: half of the memory that is free, at most `MAX_BYTES`, or what the user says."""
    told = os.environ.get(MEMORY_VARIABLE, "")
    if told.isdecimal():
        return int(told) << 20
    return min(MAX_BYTES, int(psutil.virtual_memory().available) // 2)


def require_size(path: Path, shape: tuple[int, ...], itemsize: int) -> None:
    """Refuse a shape that is empty or that cannot be meant, before anything is allocated.

    Raises
    ------
    ImageError
        If there is no pixel, or more of them than `memory_budget` allows or than the file can really hold.
    """
    if not shape or min(shape) < 1:
        raise ImageError(f"{path.name} declares an image of shape {shape}, expected at least one pixel.")
    size = itemsize
    for length in shape:
        size *= length
    declared = f"{path.name} declares an image of shape {shape}, which is {size / 2**30:.1f} GiB in memory"
    most = memory_budget()
    if size > most:
        raise ImageError(
            f"{declared}, more than the {most / 2**30:.1f} GiB that can be opened here; crop it, or give it more memory "
            f"with {MEMORY_VARIABLE} (in MB)."
        )
    stored = path.stat().st_size
    if size > SUSPICIOUS_BYTES and size > SUSPICIOUS_RATIO * stored:
        raise ImageError(
            f"{declared}, but the file has {stored} bytes, too few for a real image; get the file again."
        )


def reason(error: Exception) -> str:
    """What a parser said, in one short printable line."""
    text = "".join(c if c.isprintable() else " " for c in str(error))
    return " ".join(text.split())[:120] or type(error).__name__
