"""Which axis holds the channels: found from what the file says, never guessed.

An array without axis names is unambiguous in three cases only: it has two axes (one channel); it has three of
which exactly one, the first or the last, has length 1 (one channel); or it is (Y, X, 3) of 8-bit integers,
which every picture library writes for red, green, blue and no sensor writes for anything else. All others
could as well be stacks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import AmbiguousAxesError, ImageError
from napari_simmat.images.raw import Raw

__all__ = ["channels_first"]

STACKS = {"Z": "depth", "T": "time"}


def channels_first(raw: Raw, name: str, channel_axis: int | None = None) -> tuple[NDArray[Any], str]:
    """Bring an array into the order (C, Y, X).

    Parameters
    ----------
    raw : Raw
        Array and axis letters as stored.
    name : str
        What to call it in errors.
    channel_axis : int, optional
        The user's word, which counts more than the file's. Negative numbers count from the end.

    Returns
    -------
    array : ndarray, shape (C, Y, X)
        A view where possible.
    assumption : str
        A sentence if something was taken for granted, else empty.

    Raises
    ------
    AmbiguousAxesError
        If any of several axes could be the channels.
    ImageError
        If the array is a stack, has too few or too many axes, or `channel_axis` does not exist.
    """
    array, axes = raw.array, raw.axes
    if array.ndim < 2:
        raise ImageError(
            f"{name} holds an array of shape {array.shape}, expected an image with rows and columns."
        )
    if channel_axis is not None:
        return _as_told(array, axes, name, channel_axis), ""
    if axes:
        return _by_letters(array, axes, name), ""
    return _by_shape(array, name)


def _as_told(array: NDArray[Any], axes: str, name: str, channel_axis: int) -> NDArray[Any]:
    if not -array.ndim <= channel_axis < array.ndim:
        raise ImageError(
            f"{name} has no axis {channel_axis}: its shape is {array.shape}, so the channel axis lies "
            f"between 0 and {array.ndim - 1}."
        )
    if array.ndim == 2:
        raise ImageError(
            f"{name} is a single channel of shape {array.shape}; open it without a channel axis."
        )
    first = np.moveaxis(array, channel_axis, 0)
    rest = _without(axes, channel_axis) if axes else ""
    while first.ndim > 3:
        short = [
            i for i in range(1, first.ndim) if first.shape[i] == 1 and (not rest or rest[i - 1] not in "YX")
        ]
        if not short:
            raise ImageError(
                f"{name} has shape {array.shape}, which beside the channel axis {channel_axis} leaves "
                f"{first.ndim - 1} axes, expected rows and columns; save one slice of the stack as a file of "
                "its own."
            )
        first = first[(slice(None),) * short[0] + (0,)]
        rest = _without(rest, short[0] - 1) if rest else ""
    return first.swapaxes(1, 2) if rest == "XY" else first


def _by_letters(array: NDArray[Any], axes: str, name: str) -> NDArray[Any]:
    shape = array.shape
    if len(axes) != len(shape) or axes.count("Y") != 1 or axes.count("X") != 1:
        raise ImageError(
            f"{name} has axes {axes} of shape {shape}, expected rows (Y) and columns (X) once each."
        )
    said = f"axes {axes}, shape {shape}"
    others = [i for i, letter in enumerate(axes) if letter not in "YXCS" and shape[i] > 1]
    alone = len(others) == 1 and "C" not in axes and "S" not in axes
    for i in others:
        if axes[i] in STACKS:
            hint = f", or say that axis {i} holds the channels if it does" if alone else ""
            raise ImageError(
                f"{name} is a stack of {shape[i]} images along its {STACKS[axes[i]]} axis ({said}), expected "
                f"one image; save one slice as a file of its own{hint}."
            )
    if alone:
        raise _ambiguous(name, shape, axes, others)
    if others:
        raise ImageError(
            f"{name} holds several images ({said}), expected one with rows, columns and channels; "
            "save one of them as a file of its own."
        )
    order = [axes.index(letter) for letter in "CSYX" if letter in axes]
    dropped = tuple(i for i in range(len(axes)) if i not in order)
    kept = [i - sum(j < i for j in dropped) for i in order]
    array = array.squeeze(dropped).transpose(kept)
    return array.reshape(-1, *array.shape[-2:])


def _by_shape(array: NDArray[Any], name: str) -> tuple[NDArray[Any], str]:
    shape = array.shape
    axes = list(range(array.ndim))  # which stored axis each axis of the squeezed array is
    while len(axes) > 3 and any(shape[i] == 1 for i in axes):
        axes.remove(next(i for i in axes if shape[i] == 1))
    if len(axes) > 3:
        raise ImageError(
            f"{name} has {len(shape)} axes (shape {shape}), expected an image with rows, columns and at most "
            "one axis of channels; save one slice of the stack as an array of its own."
        )
    if len(axes) == 2:
        return array[None], ""
    array = array.squeeze(tuple(i for i in range(array.ndim) if i not in axes))
    first, middle, last = array.shape
    if array.shape == (1, 1, 1) or (first == 1 and middle > 1 and last > 1):
        return array, ""
    if last == 1 and first > 1 and middle > 1:
        return array.transpose(2, 0, 1), ""
    if array.dtype == np.uint8 and last == 3 and min(first, middle) > 3:
        return array.transpose(2, 0, 1), "The last axis, of length 3, was taken as red, green and blue."
    # The channel axis is nearly always the first or the last, and shorter than rows and columns.
    likely = sorted((0, 2, 1), key=lambda i: (i == 1, array.shape[i]))
    raise _ambiguous(name, shape, "", [axes[i] for i in likely])


def _ambiguous(name: str, shape: tuple[int, ...], axes: str, candidates: list[int]) -> AmbiguousAxesError:
    said = f"axes {axes}, shape {shape}" if axes else f"shape {shape}, without axis names"
    return AmbiguousAxesError(
        f"{name} does not say which of its axes holds the channels ({said}); give the channel axis, for "
        f"example {candidates[0]}, which has length {shape[candidates[0]]}.",
        shape=shape,
        axes=axes,
        candidates=candidates,
    )


def _without(axes: str, i: int) -> str:
    i %= len(axes)
    return axes[:i] + axes[i + 1 :]
