"""Pictures of stacks and of large images: painted piece by piece, when somebody looks, off the event loop.

napari asks for pixels on the event loop and waits for them. What is not painted yet is shown coarsely, or as the
slice before, and painted on a thread of its own; then napari is told to look again. Where no window lives (a script
that reads a layer) the caller waits instead.
"""

from __future__ import annotations

import math
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QApplication

from napari_simmat.annotator import Job
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.image import loaded
from napari_simmat.images.looks.composites import painter_for
from napari_simmat.images.looks.painters import Painter
from napari_simmat.plugin.worker import Worker

__all__ = [
    "Level",
    "Painting",
    "Picturesque",
    "has_window",
    "levels_of",
    "painting_of",
    "small_copy",
    "watch",
]

TILE = 512
COARSEST = 2048
"""Longest side of the coarsest level, which is kept as a whole."""

CACHE_BYTES = 192 << 20
AT_ONCE = 1 << 18
"""A slice of so many pixels in memory is painted faster than anybody could be told to wait."""

FEW_CHANNELS = 16
"""So many channels are read together: files that store them interleaved are then read once."""

UNSEEN = 40
"""Grey of what is not painted yet."""

Key = tuple[tuple[int, ...], int, int, int]
Spec = Any


@dataclass(frozen=True)
class Level:
    """Every `step`-th pixel of the image (source 0) or of one of its coarser versions."""

    source: int
    step: int
    shape: tuple[int, int]


def levels_of(image: MultiChannelImage, *, is_large: bool) -> list[Level]:
    """The levels at which an image is shown, finest first: one only, unless it is large."""
    found = [Level(0, 1, image.shape)]
    if not is_large:
        return found
    for i, coarser in enumerate(image.levels, 1):
        if coarser.shape[1] < found[-1].shape[0] and coarser.shape[2] < found[-1].shape[1]:
            found.append(Level(i, 1, (coarser.shape[1], coarser.shape[2])))
    rows, columns = found[-1].shape
    last = -(-max(rows, columns) // COARSEST)
    steps = [2**k for k in range(1, 16) if 2**k < last] + [last] * (last > 1)
    found += [Level(found[-1].source, step, (-(-rows // step), -(-columns // step))) for step in steps]
    return found


def small_copy(image: MultiChannelImage, longest: int = COARSEST) -> MultiChannelImage:
    """A coarse version of an image in memory; slow where it has to be read from a file without coarser levels."""
    return replace(image, data=image.overview(longest), levels=())


class Painting:
    """Everything that has been painted of one image, or of the slices of one stack.

    Parameters
    ----------
    open_slice : callable
        Gives the image of a slice, for a position along each axis of `stack`; called on any thread.
    first : MultiChannelImage
        The slice at the beginning.
    stack : sequence of int
        Length of each axis over which there are several images; none for a single image.
    spec : str or tuple of int
        What is shown, as `painter_for` takes it.
    is_large : bool
        Whether it is shown at several levels.
    """

    def __init__(
        self,
        open_slice: Callable[[tuple[int, ...]], MultiChannelImage],
        first: MultiChannelImage,
        *,
        stack: Sequence[int] = (),
        spec: Spec,
        is_large: bool,
    ) -> None:
        self.stack = tuple(stack)
        self.is_large = is_large
        self.levels = levels_of(first, is_large=is_large)
        self.spec = spec
        self.painted: list[Key] = []
        """Every tile that was painted, in this order."""
        self.shown_on: set[Any] = set()
        """Layers whose coarsest level is painted."""
        self._open_slice = open_slice
        self._waits_for_disk = first.is_lazy
        self._tiles: OrderedDict[Key, NDArray[np.uint8]] = OrderedDict()
        self._models: OrderedDict[tuple[int, ...], tuple[MultiChannelImage, Any]] = OrderedDict()
        self._models[(0,) * len(self.stack)] = (first, None)
        self._painters: OrderedDict[tuple[int, ...], Painter] = OrderedDict()
        self._wanted: list[Key] = []
        self._error = ""
        self._lock = threading.RLock()

    @property
    def pictures(self) -> Any:
        """What napari is given as data: an array, or a list of them for several levels."""
        found = [Picturesque(self, i) for i in range(len(self.levels))]
        return found if self.is_large else found[0]

    def show(self, spec: Spec) -> None:
        """Show it in another way from now on; the caller makes napari look again."""
        with self._lock:
            self.spec = spec
            self._painters.clear()
            self._tiles.clear()
            self._wanted.clear()
            self.shown_on.clear()

    def small(self, index: tuple[int, ...] = ()) -> MultiChannelImage:
        """A coarse version of a slice, read once; slow the first time."""
        image, small = self._model(index or (0,) * len(self.stack))
        return small if small is not None else small_copy(image)

    def read(self, index: tuple[int, ...], level: int, window: tuple[slice, slice]) -> NDArray[np.uint8]:
        """Pixels (y, x, 3) of a level of a slice; what is not painted yet is coarse or grey."""
        wanted = self._tiles_of(index, level, window)
        with self._lock:
            missing = [key for key in wanted if key not in self._tiles]
        if missing and (self._is_quick() or not has_window()):
            for key in missing:
                self._paint(key)
            missing = []
        if missing:
            self._order(missing)
        return self._compose(wanted, level, window)

    # ------------------------------------------------------------------ inside

    def _is_quick(self) -> bool:
        rows, columns = self.levels[0].shape
        return not self._waits_for_disk and not self.is_large and rows * columns <= AT_ONCE

    def _tile_side(self, level: int) -> tuple[int, int]:
        """Tiles of one level; the coarsest is one tile, so that it is there as a whole or not at all."""
        shape = self.levels[level].shape
        return shape if level == len(self.levels) - 1 else (min(TILE, shape[0]), min(TILE, shape[1]))

    def _tiles_of(self, index: tuple[int, ...], level: int, window: tuple[slice, slice]) -> list[Key]:
        sides = self._tile_side(level)
        ranges = [
            range(each.start // side, -(-max(each.stop, each.start + 1) // side))
            for each, side in zip(window, sides, strict=True)
        ]
        return [(index, level, i, j) for i in ranges[0] for j in ranges[1]]

    def _compose(self, keys: list[Key], level: int, window: tuple[slice, slice]) -> NDArray[np.uint8]:
        rows, columns = window
        out = np.full((rows.stop - rows.start, columns.stop - columns.start, 3), UNSEEN, np.uint8)
        height, width = self._tile_side(level)
        with self._lock:
            for key in keys:
                tile = self._tiles.get(key)
                top, left = key[2] * height, key[3] * width
                bottom, right = (
                    min(a, b)
                    for a, b in zip((top + height, left + width), self.levels[level].shape, strict=True)
                )
                y = slice(max(top, rows.start), min(bottom, rows.stop))
                x = slice(max(left, columns.start), min(right, columns.stop))
                if y.start >= y.stop or x.start >= x.stop:
                    continue
                place = (
                    slice(y.start - rows.start, y.stop - rows.start),
                    slice(x.start - columns.start, x.stop - columns.start),
                )
                if tile is not None:
                    self._tiles.move_to_end(key)
                    out[place] = tile[y.start - top : y.stop - top, x.start - left : x.stop - left]
                else:
                    out[place] = self._instead(key, level, y, x)
        return out

    def _instead(self, key: Key, level: int, y: slice, x: slice) -> Any:
        """The coarsest level of the same slice, else the slice that was painted last."""
        last = len(self.levels) - 1
        coarse = self._tiles.get((key[0], last, 0, 0))
        if coarse is None:
            coarse = next((self._tiles[k] for k in reversed(self._tiles) if k[1] == last), None)
        if coarse is None:
            return UNSEEN
        rows, columns = (
            np.minimum(np.arange(part.start, part.stop) * small // full, small - 1)
            for part, small, full in zip((y, x), coarse.shape[:2], self.levels[level].shape, strict=True)
        )
        return coarse[rows[:, None], columns]

    def _order(self, keys: list[Key]) -> None:
        """Have tiles painted; what was wanted for a view that has gone is forgotten."""
        index, last = keys[0][0], len(self.levels) - 1
        with self._lock:
            coarse: Key = (index, last, 0, 0)
            first = [coarse] if coarse not in self._tiles and coarse not in keys else []
            kept = [key for key in self._wanted if key[1] == last and key[0] == index and key not in keys]
            self._wanted = list(dict.fromkeys([*first, *kept, *keys]))
        _worker().submit(
            Job(
                f"paint {id(self)}",
                "Drawing",
                work=self._paint_wanted,
                take=lambda _: None,
                progress=lambda *_: _look_again(self),
                failed=self._failed,
            )
        )

    def _paint_wanted(self, progress: Callable[[int, int, float], None]) -> None:
        done = 0
        while True:
            with self._lock:
                key = next((each for each in self._wanted if each not in self._tiles), None)
                if key is None:
                    self._wanted.clear()
                else:
                    self._wanted.remove(key)
            if key is None:
                break
            self._paint(key)
            done += 1
            if key[1] == len(self.levels) - 1 or done % 4 == 0:
                progress(done, done, 0.0)
        if done:
            progress(done, done, 0.0)

    def _failed(self, error: Exception) -> None:
        """Say once what is wrong: napari would ask for the same pixels again and again."""
        with self._lock:
            self._wanted.clear()
        if str(error) != self._error:
            self._error = str(error)
            from napari.utils.notifications import show_error

            show_error(str(error))

    def _paint(self, key: Key) -> None:
        index, level, i, j = key
        image, small = self._model(index)
        painter, spec = self._painter(index), self.spec
        height, width = self._tile_side(level)
        shown = self.levels[level]
        is_small = small is not None and small.shape == shown.shape
        source = small.data if is_small else (image.data, *image.levels)[shown.source]
        step = 1 if is_small else shown.step
        margin = getattr(painter, "margin", 0)
        bounds, cut = [], []
        for k, side, full in zip((i, j), (height, width), shown.shape, strict=True):
            start, stop = k * side, min((k + 1) * side, full)
            before, after = min(margin, start), min(margin, full - stop)
            bounds.append(slice((start - before) * step, (stop + after) * step, step))
            cut.append(slice(before, before + stop - start))
        pixels = source[(slice(None), *bounds)][list(painter.needs)]
        tile = _as_rgb(painter.paint(iter(loaded(pixels))))[cut[0], cut[1]]
        with self._lock:
            if spec != self.spec:
                return
            self._tiles[key] = np.ascontiguousarray(tile)
            self.painted.append(key)
            size = sum(each.nbytes for each in self._tiles.values())
            for old in list(self._tiles):
                if size <= CACHE_BYTES:
                    break
                if old[1] != len(self.levels) - 1 or old[0] != index:
                    size -= self._tiles.pop(old).nbytes

    def _model(self, index: tuple[int, ...]) -> tuple[MultiChannelImage, Any]:
        """A slice, and a small copy of it where one saves reading the file again."""
        with self._lock:
            found = self._models.get(index)
        if found is None:
            found = (self._open_slice(index), None)
        image, small = found
        if small is None and self.is_large and image.n_channels <= FEW_CHANNELS:
            small = small_copy(image)
        with self._lock:
            self._models[index] = (image, small)
            self._models.move_to_end(index)
            while len(self._models) > 2:
                self._models.popitem(last=False)
        return image, small

    def _painter(self, index: tuple[int, ...]) -> Painter:
        with self._lock:
            found, spec = self._painters.get(index), self.spec
        if found is None:
            image, small = self._model(index)
            found = painter_for(small if small is not None else image, spec)
            with self._lock:
                if spec == self.spec:
                    self._painters[index] = found
                while len(self._painters) > 8:
                    self._painters.popitem(last=False)
        return found


class Picturesque:
    """One level of a painting as an array (..., Y, X, 3) that is painted when it is turned into a real one.

    Indexing gives a part of it, still unpainted.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, painting: Painting, level: int, parts: tuple[Any, ...] | None = None) -> None:
        self.painting, self.level = painting, level
        full = (*painting.stack, *painting.levels[level].shape, 3)
        self._parts = tuple(range(n) for n in full) if parts is None else parts

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis that is left."""
        return tuple(len(part) for part in self._parts if isinstance(part, range))

    @property
    def ndim(self) -> int:
        """Number of axes that are left."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all values, if they were painted."""
        return self.size

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Picturesque:
        given = list(index) if isinstance(index, tuple) else [index]
        if Ellipsis in given:
            at = given.index(Ellipsis)
            given[at : at + 1] = [slice(None)] * (self.ndim - len(given) + 1)
        given += [slice(None)] * (self.ndim - len(given))
        if len(given) > self.ndim:
            raise IndexError(f"{len(given)} indices for {self.ndim} axes")
        left = iter(given)
        parts = tuple(
            part if not isinstance(part, range) else part[_whole(next(left))] for part in self._parts
        )
        return Picturesque(self.painting, self.level, parts)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        ranges = [part if isinstance(part, range) else range(part, part + 1) for part in self._parts]
        *stack, rows, columns, colours = ranges
        planes = []
        lengths = tuple(len(each) for each in stack)
        empty = 0 in (*lengths, len(rows), len(columns))
        for at in np.ndindex(*lengths) if not empty else ():
            index = tuple(each[i] for each, i in zip(stack, at, strict=True))
            y, x = (slice(min(each), max(each) + 1) for each in (rows, columns))
            plane = self.painting.read(index, self.level, (y, x))
            inside = [np.asarray(each) - min(each) for each in (rows, columns)]
            planes.append(plane[inside[0][:, None], inside[1]][..., list(colours)])
        shape = (*lengths, len(rows), len(columns), len(colours))
        array = np.stack(planes).reshape(shape) if planes else np.zeros(shape, np.uint8)
        left = tuple(slice(None) if isinstance(part, range) else 0 for part in self._parts)
        return array[left].astype(dtype or np.uint8, copy=False)


def painting_of(layer: Any) -> Painting | None:
    """The painting that a layer shows, if it shows one."""
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return data.painting if isinstance(data, Picturesque) else None


def has_window() -> bool:
    """Whether there is an event loop that must not wait, and that looks again later."""
    return QApplication.instance() is not None


def watch(viewer: Any) -> None:
    """Tell this viewer when more of its pictures is painted; without it only the current one is told."""
    _viewers.add(viewer)


def _look_again(painting: Painting) -> None:
    import napari

    viewers = {id(viewer): viewer for viewer in (*_viewers, napari.current_viewer()) if viewer is not None}
    for viewer in viewers.values():
        for layer in list(viewer.layers):
            if hasattr(layer, "rgb") and painting_of(layer) is painting:
                if painting.is_large and not painting.stack and layer not in painting.shown_on:
                    painting.shown_on.add(layer)
                    layer.data = painting.pictures  # napari keeps the coarsest level as it saw it at first
                else:
                    layer.refresh(extent=False)


def _whole(index: Any) -> Any:
    return index if isinstance(index, slice) else int(index)


def _as_rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(picture[..., None], 3, axis=-1) if picture.ndim == 2 else picture


_viewers: weakref.WeakSet[Any] = weakref.WeakSet()
_workers: list[Worker] = []


def _worker() -> Worker:
    """The thread that paints: one for all windows, made when the first picture needs it."""
    if not _workers or not _workers[0].is_alive:
        worker = Worker("simmat-paints")
        application = QApplication.instance()
        if application is not None:
            worker.moveToThread(application.thread())  # napari may slice on a thread without an event loop
        _workers[:] = [worker]
    return _workers[0]
