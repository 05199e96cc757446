"""Large TIFF images, of which only the tiles or strips that are looked at are read and decoded."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.dask_later import da
from napari_simmat.images.lazy import FileArray, as_dask, block_shape, from_file

__all__ = ["lazy_series"]

MAX_SEGMENT_BYTES = 512 << 20
"""The largest tile or strip that is decoded: each is decoded as a whole, whatever is wanted of it."""

Decode = Callable[..., tuple[Any, tuple[int, int, int, int, int], tuple[int, int, int, int]]]


@dataclass(frozen=True, eq=False)
class Tiles:
    """One page of a TIFF file, in the order planes (separate samples), rows, columns, samples (contiguous).

    Parameters
    ----------
    path : Path
        The file; opened for each block.
    shape : (int, int, int, int)
        Of the page.
    dtype : dtype
        Of the decoded values.
    segment : (int, int)
        Rows and columns of a tile or strip.
    offsets, counts : tuple of int
        Where each tile or strip lies in the file; one of no bytes holds zeros only.
    decode : callable
        Of tifffile: bytes and number of a segment to its pixels, position and shape.
    tables : bytes, optional
        Shared tables of JPEG.
    """

    path: Path
    shape: tuple[int, int, int, int]
    dtype: np.dtype[Any]
    segment: tuple[int, int]
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    decode: Decode
    tables: bytes | None = None
    nodata: float = 0

    @property
    def ndim(self) -> int:
        """Always 4."""
        return 4

    def __getitem__(self, index: Any) -> NDArray[Any]:
        index = index if isinstance(index, tuple) else (index,)
        index = tuple(i for i in index if i is not Ellipsis)
        index = (*index, *(slice(None),) * (4 - len(index)))
        bounds = [_bounds(i, n) for i, n in zip(index, self.shape, strict=True)]
        (s0, s1), (y0, y1), (x0, x1), (c0, c1) = bounds
        box = np.full((s1 - s0, y1 - y0, x1 - x0, c1 - c0), self.nodata, self.dtype)
        with self.path.open("rb") as file:
            for number in self._numbers(bounds):
                offset, count = self.offsets[number], self.counts[number]
                if not count:
                    continue
                file.seek(offset)
                pixels, (s, _, y, x, _), _ = self.decode(file.read(count), number, jpegtables=self.tables)
                if pixels is None:
                    continue
                pixels = pixels[0, : self.shape[1] - y, : self.shape[2] - x]
                top, left = max(y, y0), max(x, x0)
                bottom, right = min(y + pixels.shape[0], y1), min(x + pixels.shape[1], x1)
                box[s - s0, top - y0 : bottom - y0, left - x0 : right - x0] = pixels[
                    top - y : bottom - y, left - x : right - x, c0:c1
                ]
        return np.asarray(box[tuple(_within(i, n) for i, n in zip(index, self.shape, strict=True))])

    def _numbers(self, bounds: list[tuple[int, int]]) -> list[int]:
        """The segments that touch a box."""
        (s0, s1), (y0, y1), (x0, x1), _ = bounds
        rows, columns = self.segment
        down, across = -(-self.shape[1] // rows), -(-self.shape[2] // columns)
        return [
            (s * down + j) * across + i
            for s in range(s0, s1)
            for j in range(y0 // rows, -(-y1 // rows))
            for i in range(x0 // columns, -(-x1 // columns))
        ]


def _bounds(index: Any, length: int) -> tuple[int, int]:
    """First position and the one after the last that an index touches."""
    if not isinstance(index, slice):
        place = int(index) % length
        return place, place + 1
    places = range(length)[index]
    if not len(places):
        return 0, 0
    return min(places[0], places[-1]), max(places[0], places[-1]) + 1


def _within(index: Any, length: int) -> Any:
    """The index once the array begins where `_bounds` says."""
    first, end = _bounds(index, length)
    if not isinstance(index, slice):
        return 0
    step = index.step or 1
    return slice(None, None, step) if step > 0 else slice(end - first - 1, None, step)


def lazy_series(series: tifffile.TiffPageSeries, shape: tuple[int, ...], path: Path) -> Any:
    """The pixels of a series as a dask array, of which nothing is read.

    Parameters
    ----------
    series : TiffPageSeries
        Images of one shape and type.
    shape : tuple of int
        Of the series as it is wanted.
    path : Path
        The file, for errors.

    Raises
    ------
    ImageError
        If tiles are missing or too large to be decoded.
    """
    page = series.keyframe
    dtype = np.dtype(series.dtype)
    in_file = dtype.newbyteorder(page.parent.byteorder)
    if series.dataoffset is not None:
        array = FileArray(_path_of(page), tuple(shape), in_file, series.dataoffset)
        return from_file(array)
    pages = [_page(each, page, dtype, path) for each in series.pages]
    stacked = da.stack(pages) if len(pages) > 1 else pages[0]  # type: ignore[no-untyped-call]
    return stacked.reshape(shape)


def _path_of(page: Any) -> Path:
    return Path(page.parent.filehandle.path)  # an OME image may be spread over several files


def _page(page: Any, keyframe: Any, dtype: np.dtype[Any], path: Path) -> Any:
    planes, depth, rows, columns, samples = keyframe.shaped
    if depth != 1:
        raise ImageError(
            f"{path.name} is a large TIFF of volumes, which cannot be opened; save its planes as pages."
        )
    down, across = (
        (keyframe.tilelength, keyframe.tilewidth) if keyframe.is_tiled else (keyframe.rowsperstrip, columns)
    )
    down = min(down, rows) if not keyframe.is_tiled else down
    expected = planes * math.ceil(rows / down) * math.ceil(columns / across)
    if min(len(page.dataoffsets), len(page.databytecounts)) < expected:
        raise ImageError(
            f"{path.name} declares an image of shape {(planes, rows, columns, samples)} but has "
            f"{len(page.dataoffsets)} of {expected} tiles or strips, too few for a real image; get the file again."
        )
    size = down * across * samples * dtype.itemsize
    if size > MAX_SEGMENT_BYTES:
        if keyframe.compression == 1 and not keyframe.is_tiled and expected == planes == 1:
            in_file = dtype.newbyteorder(keyframe.parent.byteorder)
            shape = (planes, rows, columns, samples)
            return as_dask(
                FileArray(_path_of(page), shape, in_file, page.dataoffsets[0]),
                block_shape(shape, dtype.itemsize),
            )
        raise ImageError(
            f"{path.name} stores its pixels in pieces of {size / 2**30:.1f} GiB, more than the "
            f"{MAX_SEGMENT_BYTES / 2**30:g} GiB that can be decoded at once; save it in tiles."
        )
    tiles = Tiles(
        path=_path_of(page),
        shape=(planes, rows, columns, samples),
        dtype=dtype,
        segment=(down, across),
        offsets=tuple(page.dataoffsets),
        counts=tuple(page.databytecounts),
        decode=_lzw_decoder(keyframe, dtype)
        if keyframe.compression == tifffile.COMPRESSION.LZW
        else keyframe.decode,
        tables=keyframe.jpegtables,
        nodata=keyframe.nodata if -(2**31) < keyframe.nodata < 2**31 else 0,
    )
    unit = (1, down, across, samples)
    return as_dask(tiles, block_shape(tiles.shape, dtype.itemsize, unit))


def _lzw_decoder(page: Any, dtype: np.dtype[Any]) -> Decode:
    """Decode LZW through libtiff, each segment wrapped into a file of its own.

    The decoder that tifffile uses leaves its memory, and ends the program, where the data are damaged.
    """
    place = page.decode  # with no data it tells where a segment belongs
    order = page.parent.byteorder
    bits, predictor = page.bitspersample, page.predictor
    kind = {"u": 1, "b": 1, "i": 2, "f": 3}[dtype.kind]

    def decode(data: bytes, number: int, *, jpegtables: bytes | None = None) -> Any:
        _, position, shape = place(None, number)
        _, rows, columns, samples = shape
        wrapped = _wrapped(data, order, (rows, columns, samples), bits, kind, predictor)
        pixels = imagecodecs.tiff_decode(wrapped)
        return pixels.reshape(1, rows, columns, samples).astype(dtype, copy=False), position, shape

    return decode


def _wrapped(
    data: bytes, order: str, shape: tuple[int, int, int], bits: int, kind: int, predictor: int
) -> bytes:
    """A TIFF file of one strip of LZW data."""
    rows, columns, samples = shape
    start = 8 + 2 + 13 * 12 + 4
    arrays = start, start + 2 * samples
    data_at = start + 4 * samples
    one = samples == 1
    two = samples == 2
    packed_bits = struct.pack(order + "2H", bits, bits) if two else struct.pack(order + "H2x", bits)
    packed_kind = struct.pack(order + "2H", kind, kind) if two else struct.pack(order + "H2x", kind)

    def at(offset: int) -> bytes:
        return struct.pack(order + "I", offset)

    def short(value: int) -> bytes:
        return struct.pack(order + "H2x", value)

    entries = [
        (256, 4, 1, at(columns)),
        (257, 4, 1, at(rows)),
        (258, 3, samples, packed_bits if one or two else at(arrays[0])),
        (259, 3, 1, short(5)),
        (262, 3, 1, short(1)),
        (273, 4, 1, at(data_at)),
        (277, 3, 1, short(samples)),
        (278, 4, 1, at(rows)),
        (279, 4, 1, at(len(data))),
        (284, 3, 1, short(1)),
        (317, 3, 1, short(predictor)),
        (338, 3, max(0, samples - 1), b""),
        (339, 3, samples, packed_kind if one or two else at(arrays[1])),
    ]
    del entries[11]
    out = io.BytesIO()
    out.write((b"II*\0" if order == "<" else b"MM\0*") + at(8) + struct.pack(order + "H", len(entries)))
    for code, type_, count, value in entries:
        out.write(struct.pack(order + "HHI", code, type_, count) + value)
    out.write(at(0))
    out.write(bytes(start - out.tell()))
    out.write(struct.pack(f"{order}{samples}H", *[bits] * samples))
    out.write(struct.pack(f"{order}{samples}H", *[kind] * samples))
    out.write(data)
    return out.getvalue()
