"""Arrays that stay in their file: every block is read when it is asked for, and nothing is kept."""

from __future__ import annotations

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.dask_later import da

__all__ = ["IN_MEMORY_BYTES", "FileArray", "as_dask", "block_shape", "from_file"]

IN_MEMORY_BYTES = 256 << 20
"""Smaller images are read at once: what is in memory cannot vanish with its disk, and is quicker."""

BLOCK_BYTES = 16 << 20
"""About how many bytes one block of a lazy array has."""

MAPPED_BYTES = 32 << 20
"""About how much of a file is mapped at once."""

INTERLEAVED_LINES, INTERLEAVED_PIXELS = 16, 128
"""Channels of one block where each line, or each pixel, holds all of them: few, for one channel should not cost
computing them all, but not so few that going through all channels means reading the file very often."""


class Stored(Protocol):
    """What `as_dask` can wrap: something with a shape and a type that reads what it is indexed with."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def ndim(self) -> int: ...

    def __getitem__(self, index: Any) -> NDArray[Any]: ...


@dataclass(frozen=True)
class FileArray:
    """An uncompressed array in a file.

    The file is mapped for each block, the block copied and the map dropped: pages that stay mapped count as memory
    of the program.

    Parameters
    ----------
    path : Path
        The file.
    stored : tuple of int
        Shape in the order in which the values follow each other, the last axis fastest.
    dtype_in_file : dtype
        Type with the byte order of the file.
    offset : int
        Bytes before the first value.
    order : tuple of int
        Which stored axis each axis of the array is; as stored where not given.
    """

    path: Path
    stored: tuple[int, ...]
    dtype_in_file: np.dtype[Any]
    offset: int = 0
    order: tuple[int, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(self.stored[i] for i in self.stored_axes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of what is read: the machine's byte order."""
        return self.dtype_in_file.newbyteorder("=")

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.stored)

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return math.prod(self.stored) * self.dtype_in_file.itemsize

    @property
    def stored_axes(self) -> tuple[int, ...]:
        """Which stored axis each axis of the array is."""
        return self.order or tuple(range(len(self.stored)))

    def __getitem__(self, index: Any) -> NDArray[Any]:
        index = index if isinstance(index, tuple) else (index,)
        index = tuple(i for i in index if i is not Ellipsis)
        index = (*index, *(slice(None),) * (self.ndim - len(index)))
        wanted: list[Any] = [0] * self.ndim
        for axis, i in zip(self.stored_axes, index, strict=True):
            wanted[axis] = i
        kept = [axis for axis in range(self.ndim) if isinstance(wanted[axis], slice)]
        order = [kept.index(axis) for axis in self.stored_axes if axis in kept]
        try:
            return np.asarray(self._read(wanted).transpose(order), order="C")
        except (OSError, ValueError) as error:
            raise ImageError(
                f"{self.path.name} cannot be read any more ({getattr(error, 'strerror', None) or 'it is shorter'} "
                "than when it was opened); get the file again."
            ) from error

    def _read(self, wanted: list[Any]) -> NDArray[Any]:
        """The wanted values in stored order, one slab along the slowest axis after the other."""
        first, rest = wanted[0], tuple(wanted[1:])
        places = range(self.stored[0])[first if isinstance(first, slice) else slice(first, first + 1 or None)]
        below = tuple(
            len(range(n)[i]) for n, i in zip(self.stored[1:], rest, strict=True) if isinstance(i, slice)
        )
        found = np.empty((len(places), *below), self.dtype)
        if not found.size:
            return found if isinstance(first, slice) else found[0]
        row = math.prod(self.stored[1:]) * self.dtype_in_file.itemsize
        sparse = found.size // len(places) * self.dtype_in_file.itemsize * 64 < row
        at_once = max(1, MAPPED_BYTES // max(1, row * abs(places.step)))
        with self.path.open("rb") as file:
            for start in range(0, len(places), at_once):
                some = places[start : start + at_once]
                low, high = min(some[0], some[-1]), max(some[0], some[-1]) + 1
                slab = self._mapped(file, low * row, (high - low, *self.stored[1:]), sparse)
                steps = slice(
                    some[0] - low,
                    None if some[-1] == low and some.step < 0 else some[-1] - low + 1,
                    some.step,
                )
                found[start : start + len(some)] = slab[(steps, *rest)]
        return found if isinstance(first, slice) else found[0]

    def _mapped(self, file: BinaryIO, start: int, shape: tuple[int, ...], sparse: bool) -> NDArray[Any]:
        """A part of the file as an array over mapped pages, which are let go with it."""
        begin = self.offset + start
        aligned = begin - begin % mmap.ALLOCATIONGRANULARITY
        length = begin - aligned + math.prod(shape) * self.dtype_in_file.itemsize
        pages = mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ, offset=aligned)
        if sparse and hasattr(pages, "madvise"):
            pages.madvise(mmap.MADV_RANDOM)  # else the system reads ahead what nobody wants
        return np.ndarray(shape, self.dtype_in_file, pages, begin - aligned)


def from_file(array: FileArray, *, interleaved: bool = False) -> Any:
    """The array in memory if it is small, else lazily.

    Parameters
    ----------
    array : FileArray
        Read in blocks of values that follow each other in the file.
    interleaved : bool
        Whether the first axis is one of many channels that lie beside each other in the file.

    Returns
    -------
    ndarray or dask array
    """
    if array.nbytes <= IN_MEMORY_BYTES:
        return array[...]
    if not interleaved:
        block = block_shape(array.stored, array.dtype.itemsize)
        return as_dask(array, [block[i] for i in array.stored_axes])
    by_pixel = array.stored_axes[0] == array.ndim - 1
    bands = min(array.shape[0], INTERLEAVED_PIXELS if by_pixel else INTERLEAVED_LINES)
    return as_dask(array, (bands, *block_shape(array.shape[1:], array.dtype.itemsize * bands)))


def as_dask(array: Stored, chunks: Sequence[int]) -> da.Array:
    """The array as a dask array that reads block by block.

    Parameters
    ----------
    array : Stored
        Indexed with integers and slices only.
    chunks : sequence of int
        Shape of a block.
    """
    meta = np.empty((0,) * array.ndim, array.dtype)
    lazy: da.Array = da.from_array(  # type: ignore[no-untyped-call]
        array, chunks=tuple(chunks), name=False, meta=meta, asarray=False, fancy=False
    )
    return lazy


def block_shape(shape: Sequence[int], itemsize: int, unit: Sequence[int] = ()) -> tuple[int, ...]:
    """Shape of blocks of about `BLOCK_BYTES` that are long along the last axes.

    Parameters
    ----------
    shape : sequence of int
        Of the array.
    itemsize : int
        Bytes of a value.
    unit : sequence of int
        Blocks have a multiple of this, as the file is stored in such; ones where not given.

    Returns
    -------
    tuple of int
    """
    block = [min(a, b) for a, b in zip(unit or (1,) * len(shape), shape, strict=True)]
    room = max(1, BLOCK_BYTES // itemsize // math.prod(block))
    for axis in reversed(range(len(shape))):
        times = min(room, -(-shape[axis] // block[axis]))
        block[axis] = min(shape[axis], block[axis] * times)
        room = max(1, room // times)
    return tuple(block)
