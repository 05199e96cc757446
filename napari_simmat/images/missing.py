"""The value that a file declares as "not measured": never a measurement, whatever the numbers mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_simmat.images.dask_later import da, is_lazy
from napari_simmat.images.image import some_rows

__all__ = ["as_measured", "missing_in", "said_of_missing", "with_gaps"]


def missing_in(array: Any, value: float | None) -> Any | None:
    """Where an array holds the value that stands for "not measured".

    Parameters
    ----------
    array : ndarray or dask array, shape (..., Y, X)
        As stored.
    value : float, optional
        As the file declares it.

    Returns
    -------
    boolean array of the same shape, or None
        None where no value of this type can be it. Of 8 bits every value occurs in pictures, so there all channels
        of a pixel must have it.
    """
    kind = array.dtype.kind
    if value is None or kind not in "iuf" or np.isnan(value):
        return None
    if kind == "f":
        if np.isfinite(value) and abs(value) > np.finfo(array.dtype).max:
            return None
    elif value != np.rint(value) or not np.iinfo(array.dtype).min <= value <= np.iinfo(array.dtype).max:
        return None
    mask = array == array.dtype.type(value)
    if array.dtype.itemsize > 1 or array.ndim < 3:
        return mask
    broadcast: Any = da.broadcast_to if is_lazy(array) else np.broadcast_to
    everywhere = mask.all(axis=0, keepdims=True)
    return broadcast(everywhere, array.shape)


def said_of_missing(value: float | None) -> str:
    """A sentence for people."""
    return f"Pixels of the value {value:g} are marked as not measured and were taken as missing."


def with_gaps(array: Any, mask: Any) -> Any:
    """The array with NaN under the mask, as floating-point numbers that hold all its values."""
    dtype = array.dtype if array.dtype.kind == "f" else np.result_type(array.dtype, np.float32)
    where: Any = da.where if is_lazy(array) or is_lazy(mask) else np.where
    return where(mask, dtype.type(np.nan), array.astype(dtype))


def as_measured(array: Any, value: float | None) -> tuple[Any, bool]:
    """Numbers as they are stored, with NaN for what was not measured.

    Parameters
    ----------
    array : ndarray or dask array, shape (..., Y, X)
        Integers without such a pixel stay as they are. Of a lazy array of integers only some rows are looked at.
    value : float, optional
        As in `missing_in`.

    Returns
    -------
    array : same shape
    is_missing : bool
        Whether anything was, or may be, missing.
    """
    mask = missing_in(array, value)
    if mask is None:
        return array, False
    if not is_lazy(array):
        return (with_gaps(array, mask), True) if mask.any() else (array, False)
    if array.dtype.kind != "f" and not some_rows(mask[(0,) * (mask.ndim - 2)]).any():
        return array, False
    return with_gaps(array, mask), True
