"""What the sensor saw: an array of channels, what each channel is, and where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.camera import Camera, default_camera
from napari_simmat.images.dask_later import is_lazy
from napari_simmat.images.files.envi_header import DATA_SUFFIXES
from napari_simmat.images.georeference import GeoReference
from napari_simmat.images.hashing import hash_pixels
from napari_simmat.images.modalities import require_modality

__all__ = ["Channel", "MultiChannelImage", "loaded", "some_rows"]

GROUP_BYTES = 128 << 20
"""How much of a lazy image `planes` reads at once."""

SOME_ROWS = 16
"""Rows that `some_rows` looks at."""


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
    data : ndarray or dask array, shape (C, Y, X)
        Pixels of any boolean, integer or floating type. Kept as it is but for the byte order, which becomes
        the machine's, and seen through a read-only view. A dask array is read piece by piece, when needed.
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
    origin : (int, int)
        Row and column of the first pixel in the image that this one is a window of.
    georeference : GeoReference, optional
        Where on Earth it lies.
    camera : Camera, optional
        The geometry that it was taken with.
    facts : mapping of str to str
        What else the file says that a specialist would want to know.
    levels : sequence of array, each (C, y, x)
        Coarser versions of a lazy image, finest first, `data` itself not among them.
    stored : array, shape (C', Y', X'), optional
        The numbers in the file that `data` was computed from, where they are others: what `identity` is of.

    Raises
    ------
    ImageError
        If the array is not (C, Y, X) with at least one pixel and one channel, holds complex numbers or
        objects, or has another number of channels than `channels`.
    """

    data: Any
    channels: tuple[Channel, ...] = ()
    modality: str = "generic"
    pixel_size: tuple[float, float] | None = None
    pixel_unit: str = "pixel"
    source: Path | None = None
    name: str = ""
    assumptions: tuple[str, ...] = ()
    origin: tuple[int, int] = (0, 0)
    georeference: GeoReference | None = None
    camera: Camera | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    levels: tuple[Any, ...] = ()
    stored: Any = field(default=None, repr=False)
    remembered: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

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
        if isinstance(data, np.ndarray):
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

    @property
    def is_lazy(self) -> bool:
        """Whether pixels are read only when needed."""
        return is_lazy(self.data)

    def plane(self, i: int) -> NDArray[Any]:
        """One channel, (Y, X), in memory."""
        return loaded(self.data[i])

    def planes(self) -> Iterator[NDArray[Any]]:
        """All channels one after the other, each (Y, X) in memory.

        Of a lazy image several are read at once where they are small, since some files store them interleaved.
        """
        size = int(np.prod(self.shape)) * self.data.dtype.itemsize
        group = max(1, GROUP_BYTES // size) if self.is_lazy else self.n_channels
        for first in range(0, self.n_channels, group):
            yield from loaded(self.data[first : first + group])

    def window(self, top: int, left: int, bottom: int, right: int) -> MultiChannelImage:
        """A part of the image as an image of its own, in memory.

        Parameters
        ----------
        top, left, bottom, right : int
            First row and column, and the row and column after the last; cut to the image.

        Raises
        ------
        ImageError
            If no pixel is inside.
        """
        rows, columns = self.shape
        top, left, bottom, right = max(0, top), max(0, left), min(rows, bottom), min(columns, right)
        if top >= bottom or left >= right:
            raise ImageError(
                f"The window of rows {top} to {bottom} and columns {left} to {right} holds no pixel of "
                f"{self.name!r}, which has {rows} rows and {columns} columns; choose another."
            )
        georeference, camera = self.georeference, self._camera_of_the_whole
        if camera is not None:
            assert camera.principal_point is not None
            y, x = camera.principal_point
            camera = replace(camera, principal_point=(y - top, x - left))
        return replace(
            self,
            data=loaded(self.data[:, top:bottom, left:right]),
            origin=(self.origin[0] + top, self.origin[1] + left),
            georeference=georeference.shifted(top, left) if georeference is not None else None,
            camera=camera,
            levels=(),
            stored=self._stored_window(top, left, bottom, right),
        )

    def thinned(self, step: int) -> MultiChannelImage:
        """Every so manieth row and column as an image of its own: what is seen at a glance. A lazy one stays lazy.

        Parameters
        ----------
        step : int
            At least 1; with 1 it is the image itself.
        """
        if step <= 1:
            return self
        height, width = self.pixel_size or (1.0, 1.0)
        camera = self._camera_of_the_whole
        return replace(
            self,
            data=self.data[:, ::step, ::step],
            pixel_size=None if self.pixel_size is None else (height * step, width * step),
            georeference=None,
            camera=None if camera is None else camera.thinned(step),
            levels=(),
            stored=None,
        )

    @property
    def _camera_of_the_whole(self) -> Camera | None:
        """The camera with its axis in pixels of this image; that of depth is assumed where it is not known."""
        camera = self.camera
        if camera is None and {"depth", "disparity"} & set(self.roles):
            camera = default_camera(self.shape)
        if camera is None or camera.principal_point is not None:
            return camera
        rows, columns = self.shape
        return replace(camera, principal_point=((rows - 1) / 2, (columns - 1) / 2))

    def _stored_window(self, top: int, left: int, bottom: int, right: int) -> Any:
        if self.stored is None or self.stored.shape[1:] != self.shape:
            return None
        return loaded(self.stored[:, top:bottom, left:right])

    def overview(self, longest: int = 1024, channels: Sequence[int] | None = None) -> NDArray[Any]:
        """Every so manieth pixel of some channels, from the coarsest level that has enough of them.

        Parameters
        ----------
        longest : int
            At most about so many rows and columns.
        channels : sequence of int, optional
            All of them where not given.

        Returns
        -------
        ndarray, shape (C, y, x)
        """
        enough = [level for level in self.levels if max(level.shape[1:]) >= longest]
        data = enough[-1] if enough else self.data
        step = max(1, -(-max(data.shape[1:]) // longest))
        if channels is not None:
            return np.stack([loaded(data[i, ::step, ::step]) for i in channels])
        return loaded(data[:, ::step, ::step])

    @cached_property
    def identity(self) -> str:
        """Which image it is, whatever its numbers are taken for: what its objects are kept under.

        A hash of the pixels as stored, with their shape and type, and of the rows and columns if those are others.
        Slices of a stack and windows of a large image differ also by their place: many of them are empty. Of a lazy
        image only a coarse grid of pixels is looked at, with the file's size and date and the image's place in it.

        Returns
        -------
        str
            32 hexadecimal digits.
        """
        if self.stored is None:
            return self._hash_of(self.data)
        regridded = "" if self.stored.shape[1:] == self.shape else f"{self.shape}"
        return self._hash_of(self.stored, regridded)

    def content_key(self) -> str:
        """Hash of what a model would see of it: as `identity`, but of the pixels as they are taken.

        Equal for equal pixels, whatever the image's name or modality; of a lazy image only if its numbers are taken
        in the same sample format.

        Returns
        -------
        str
            32 hexadecimal digits, computed once.
        """
        return self._content_key

    @cached_property
    def _content_key(self) -> str:
        if self.stored is None:
            return self.identity
        if not self.is_lazy:
            return self._hash_of(self.data)
        return self._hash_of(self.data, f"{self.identity} {self.facts.get('sample format', '')}")

    def pixel_key(self) -> str:
        """Hash of the same pixels as `content_key`, three to ten times as fast, for what is kept for a while alone.

        What journals know an image by stays what it is; embeddings are looked up while somebody waits.

        Returns
        -------
        str
            32 hexadecimal digits, computed once.
        """
        return self._pixel_key

    @cached_property
    def _pixel_key(self) -> str:
        if self.is_lazy:
            return self.content_key()
        told = f"{self.data.dtype.name} {self.data.shape} {self.origin} {self.facts.get('slice', '')}"
        return hash_pixels(self.data, told)

    def _hash_of(self, data: Any, more: str = "") -> str:
        digest = hashlib.blake2b(digest_size=16)
        digest.update(f"{data.dtype.name} {data.shape}{more}".encode())
        if self.origin != (0, 0) or "slice" in self.facts:
            digest.update(f"{self.origin} {self.facts.get('slice', '')}".encode())
        if is_lazy(data):
            try:
                stat = self.source.stat() if self.source is not None else None
            except OSError:
                stat = None
            told = f"{stat.st_size} {stat.st_mtime_ns} {self.name}" if stat else ""
            digest.update(f"{told}{self.facts.get('part', '')}".encode())
            digest.update(some_rows(data[0]).data)
            return digest.hexdigest()
        for channel in data:
            digest.update(np.ascontiguousarray(channel).data)
        return digest.hexdigest()

    def with_modality(self, modality: str) -> MultiChannelImage:
        """The same pixels taken as another modality."""
        return replace(self, modality=modality)

    def with_channels(self, channels: Sequence[Channel]) -> MultiChannelImage:
        """The same pixels with other words about their channels."""
        return replace(self, channels=tuple(channels))


def loaded(array: Any) -> NDArray[Any]:
    """The pixels of an array in memory, whatever it is.

    Raises
    ------
    ImageError
        If a lazy array's file cannot be read any more.
    """
    if not is_lazy(array):
        return np.asarray(array)
    try:
        return np.asarray(array.compute(scheduler="threads", num_workers=2))
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # storage libraries and codecs raise anything at all
        raise ImageError(
            f"The pixels cannot be read ({type(error).__name__}: {str(error)[:100]}); "
            "check that the file is still there and complete."
        ) from error


def some_rows(plane: Any) -> NDArray[Any]:
    """Rows spread over a plane, the first and the last among them, in memory.

    Parameters
    ----------
    plane : ndarray or dask array, shape (Y, X)
    """
    rows = np.unique(np.linspace(0, len(plane) - 1, SOME_ROWS).astype(int))
    return np.ascontiguousarray(np.stack([loaded(plane[row]) for row in rows]))


def real_array(array: Any, name: str) -> Any:
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
    if not is_lazy(array):
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
    if array.dtype.isnative:
        return array
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def stem_of(path: Path) -> str:
    """File name without its suffix, ".ome.tif" and ".img.hdr" counted as one."""
    stem = path.stem
    if path.suffix.lower() == ".hdr" and Path(stem).suffix[1:].lower() in DATA_SUFFIXES:
        stem = Path(stem).stem
    return stem[:-4] if stem.lower().endswith(".ome") and len(stem) > 4 else stem
