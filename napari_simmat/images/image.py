"""What the sensor saw: an array of channels, what each channel is, and where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.modalities import require_modality

__all__ = ["Channel", "MultiChannelImage"]


@dataclass(frozen=True)
class Channel:
    """One channel of an image.

    Parameters
    ----------
    name : str
        What people call it.
    unit : str
        Unit of the pixel values, empty where unknown.
    wavelength_nm : float, optional
        Centre wavelength in nanometres.
    role : str
        What the channel measures where that is known ("red", "green", "blue", "nir", "depth", "disparity",
        ...), else empty. Roles, not names, decide what stands for colour.
    """

    name: str
    unit: str = ""
    wavelength_nm: float | None = None
    role: str = ""


@dataclass(frozen=True, eq=False)
class MultiChannelImage:
    """A multi-channel image with a fixed channel order.

    Parameters
    ----------
    data : ndarray, shape (C, Y, X)
        Pixels of any boolean, integer or floating type. Kept as it is but for the byte order, which becomes
        the machine's, and seen through a read-only view.
    channels : sequence of Channel
        One for each channel; empty for the default names "channel 0", "channel 1", ...
    modality : str
        One of `napari_simmat.images.MODALITIES`.
    pixel_size : tuple of float, optional
        Height and width of a pixel in `pixel_unit`.
    pixel_unit : str
        Unit of `pixel_size`.
    source : Path, optional
        The file that it was read from.
    name : str
        What people call the image; the stem of `source` where not given.
    assumptions : sequence of str
        One sentence for each thing that the reader assumed.

    Raises
    ------
    ImageError
        If the array is not (C, Y, X) with at least one pixel and one channel, holds complex numbers or
        objects, or has another number of channels than `channels`.
    """

    data: NDArray[Any]
    channels: tuple[Channel, ...] = ()
    modality: str = "generic"
    pixel_size: tuple[float, float] | None = None
    pixel_unit: str = "pixel"
    source: Path | None = None
    name: str = ""
    assumptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        data = real_array(self.data, self.name or "the array")
        if data.ndim != 3:
            raise ImageError(
                f"The pixels have shape {data.shape}, expected (channels, rows, columns); "
                "use as_image() with channel_axis to bring another layout into this order."
            )
        if 0 in data.shape:
            raise ImageError(
                f"The pixels have shape {data.shape}, expected at least one channel, row and column."
            )
        data = data.view()
        data.flags.writeable = False
        channels = tuple(self.channels) or tuple(Channel(f"channel {i}") for i in range(len(data)))
        if len(channels) != len(data):
            raise ImageError(
                f"{len(channels)} channels are described but the pixels hold {len(data)}; give one each."
            )
        require_modality(self.modality)
        set_field = object.__setattr__  # the dataclass is frozen for everyone else
        set_field(self, "data", data)
        set_field(self, "channels", channels)
        set_field(self, "assumptions", tuple(self.assumptions))
        if not self.name:
            set_field(self, "name", stem_of(self.source) if self.source else "image")

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.data)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, (Y, X)."""
        return self.data.shape[1], self.data.shape[2]

    @property
    def roles(self) -> tuple[str, ...]:
        """The role of each channel, "" where it has none."""
        return tuple(channel.role for channel in self.channels)

    def content_key(self) -> str:
        """Hash of pixels, shape and type: equal for equal content, whatever its name or modality.

        Returns
        -------
        str
            32 hexadecimal digits, computed once.
        """
        return self._content_key

    @cached_property
    def _content_key(self) -> str:
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"{self.data.dtype.name} {self.data.shape}".encode())
        for channel in self.data:
            digest.update(np.ascontiguousarray(channel).data)
        return digest.hexdigest()

    def with_modality(self, modality: str) -> MultiChannelImage:
        """The same pixels taken as another modality."""
        return replace(self, modality=modality)

    def with_channels(self, channels: Sequence[Channel]) -> MultiChannelImage:
        """The same pixels with other words about their channels."""
        return replace(self, channels=tuple(channels))


def real_array(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The array in the machine's byte order, refused where its type is not a real number.

    Parameters
    ----------
    array : ndarray
        Any array.
    name : str
        What to call it in the error.

    Raises
    ------
    ImageError
        If the type is complex, object, text, time or structured.
    """
    array = np.asarray(array)
    kind = array.dtype.kind
    if kind == "c":
        raise ImageError(
            f"{name} holds complex numbers ({array.dtype}), expected real ones; "
            "save its magnitude and phase as two channels."
        )
    if kind not in "biuf":
        raise ImageError(
            f"{name} holds values of type {array.dtype}, expected integers or floating-point numbers."
        )
    if array.dtype.itemsize > 8:  # extended precision: no library below knows it
        return array.astype(np.float64)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def stem_of(path: Path) -> str:
    """File name without its suffix, ".ome.tif" counted as one."""
    stem = path.stem
    return stem[:-4] if stem.lower().endswith(".ome") and len(stem) > 4 else stem
