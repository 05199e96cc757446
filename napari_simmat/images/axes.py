"""Which axis holds the channels: found from what the file says, never guessed.

An array without axis names is unambiguous in three cases only: it has two axes (one channel); it has three of
which exactly one, the first or the last, has length 1 (one channel); or it is (Y, X, 3) of 8-bit integers,
which every picture library writes for red, green, blue and no sensor writes for anything else. All others
could as well be stacks.

A stack over time (T) or depth (Z) is a sequence of images; one slice of it is looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_simmat.errors import AmbiguousAxesError, ImageError
from napari_simmat.images.raw import Raw

__all__ = ["Layout", "layout_of"]

STACKS = {"T": "time", "Z": "depth"}


@dataclass(frozen=True)
class Layout:
    """What each axis of a stored array is.

    Attributes
    ----------
    channels : tuple of int
        The axes that together make up the channels, the slowest first; none: a single channel.
    rows, columns : int
    stack : tuple of (str, int)
        Letter and axis of each axis over which there are several images.
    assumption : str
        A sentence if something was taken for granted, else empty.
    is_colour : bool
        Whether the channels were taken as red, green and blue.
    """

    channels: tuple[int, ...]
    rows: int
    columns: int
    stack: tuple[tuple[str, int], ...] = ()
    assumption: str = ""
    is_colour: bool = False

    def image(self, array: Any, index: Sequence[int] = ()) -> Any:
        """One image of the array.

        Parameters
        ----------
        array : ndarray or dask array
            The one that the layout was made for, or a coarser version of it.
        index : sequence of int
            Position along each axis of `stack`.

        Returns
        -------
        array, shape (C, Y, X)
            A view where possible.
        """
        kept = (*self.channels, self.rows, self.columns)
        places = dict(zip((axis for _, axis in self.stack), index, strict=True))
        key = tuple(slice(None) if i in kept else places.get(i, 0) for i in range(array.ndim))
        order = [sorted(kept).index(axis) for axis in kept]
        plane = array[key].transpose(order)
        return plane.reshape(-1, *plane.shape[-2:])


def layout_of(raw: Raw, name: str, channel_axis: int | None = None) -> Layout:
    """Find out what each axis of an array is.

    Parameters
    ----------
    raw : Raw
        Array and axis letters as stored.
    name : str
        What to call it in errors.
    channel_axis : int, optional
        The user's word, which counts more than the file's. Negative numbers count from the end.

    Raises
    ------
    AmbiguousAxesError
        If any of several axes could be the channels.
    ImageError
        If the array has too few axes or several kinds of images, or `channel_axis` does not exist.
    """
    shape, axes = tuple(raw.array.shape), raw.axes
    if len(shape) < 2:
        raise ImageError(f"{name} holds an array of shape {shape}, expected an image with rows and columns.")
    if channel_axis is not None:
        return _as_told(shape, axes, name, channel_axis)
    if axes:
        return _by_letters(shape, axes, name)
    return _by_shape(raw.array, name)


def _as_told(shape: tuple[int, ...], axes: str, name: str, channel_axis: int) -> Layout:
    if not -len(shape) <= channel_axis < len(shape):
        raise ImageError(
            f"{name} has no axis {channel_axis}: its shape is {shape}, so the channel axis lies "
            f"between 0 and {len(shape) - 1}."
        )
    if len(shape) == 2:
        raise ImageError(f"{name} is a single channel of shape {shape}; open it without a channel axis.")
    channel = channel_axis % len(shape)
    letters = axes or "?" * len(shape)
    rest = [i for i in range(len(shape)) if i != channel]
    named = [i for letter in "YX" for i in rest if letters[i] == letter]
    rows, columns = named if len(named) == 2 else _last_two(rest, shape)
    others = [i for i in rest if i not in (rows, columns) and shape[i] > 1]
    if len(others) > len(STACKS):
        raise ImageError(
            f"{name} has shape {shape}, which beside the channel axis {channel_axis} leaves {len(others) + 2} "
            "axes longer than 1, expected rows and columns, time and depth; save a part of it as a file of its own."
        )
    free = [letter for letter in ("Z", "T") if all(letters[i] != letter for i in others)]
    stack = [
        (letters[i] if letters[i] in STACKS else free.pop(0 if len(others) == 1 else -1), i) for i in others
    ]
    return Layout((channel,), rows, columns, tuple(stack))


def _last_two(rest: list[int], shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns where no letter says so: the last two axes longer than 1, else simply the last two."""
    long = [i for i in rest if shape[i] > 1]
    chosen = long[-2:] if len(long) >= 2 else rest[-2:]
    return chosen[0], chosen[1]


def _by_letters(shape: tuple[int, ...], axes: str, name: str) -> Layout:
    if len(axes) != len(shape) or axes.count("Y") != 1 or axes.count("X") != 1:
        raise ImageError(
            f"{name} has axes {axes} of shape {shape}, expected rows (Y) and columns (X) once each."
        )
    said = f"axes {axes}, shape {shape}"
    stack = tuple((axes[i], i) for i in range(len(axes)) if axes[i] in STACKS and shape[i] > 1)
    others = [i for i, letter in enumerate(axes) if letter not in "YXCSTZ" and shape[i] > 1]
    if len(others) == 1 and not stack and "C" not in axes and "S" not in axes:
        raise _ambiguous(name, shape, axes, others)
    if others or len({letter for letter, _ in stack}) < len(stack):
        raise ImageError(
            f"{name} holds several images ({said}), expected one with rows, columns and channels; "
            "save one of them as a file of its own."
        )
    channels = tuple(i for letter in "CS" for i in range(len(axes)) if axes[i] == letter)
    return Layout(channels, axes.index("Y"), axes.index("X"), stack)


def _by_shape(array: Any, name: str) -> Layout:
    shape = tuple(array.shape)
    axes = list(range(len(shape)))
    while len(axes) > 3 and any(shape[i] == 1 for i in axes):
        axes.remove(next(i for i in axes if shape[i] == 1))
    if len(axes) > 3:
        raise _ambiguous(name, shape, "", _likely(axes, shape))
    if len(axes) == 2:
        return Layout((), axes[0], axes[1])
    first, middle, last = (shape[i] for i in axes)
    if (first, middle, last) == (1, 1, 1) or (first == 1 and middle > 1 and last > 1):
        return Layout((axes[0],), axes[1], axes[2])
    if last == 1 and first > 1 and middle > 1:
        return Layout((axes[2],), axes[0], axes[1])
    if array.dtype == np.uint8 and last == 3 and min(first, middle) > 3:
        said = "The last axis, of length 3, was taken as red, green and blue."
        return Layout((axes[2],), axes[0], axes[1], assumption=said, is_colour=True)
    raise _ambiguous(name, shape, "", _likely(axes, shape))


def _likely(axes: list[int], shape: tuple[int, ...]) -> list[int]:
    """The channel axis is nearly always the first or the last, and shorter than rows and columns."""
    return sorted(axes, key=lambda i: (i not in (axes[0], axes[-1]), shape[i]))


def _ambiguous(name: str, shape: tuple[int, ...], axes: str, candidates: list[int]) -> AmbiguousAxesError:
    said = f"axes {axes}, shape {shape}" if axes else f"shape {shape}, without axis names"
    return AmbiguousAxesError(
        f"{name} does not say which of its axes holds the channels ({said}); give the channel axis, for "
        f"example {candidates[0]}, which has length {shape[candidates[0]]}.",
        shape=shape,
        axes=axes,
        candidates=candidates,
    )
