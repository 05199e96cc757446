"""MATLAB's .mat files of version 5 and before; version 7.3 is HDF5.

Objects and function handles are never loaded: only arrays of numbers are asked for by name.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from scipy import io

from napari_simmat.errors import ImageError
from napari_simmat.images.containers import (
    MAX_CHANNELS,
    Description,
    choose,
    described,
    holds_image,
    holds_names,
    holds_wavelengths,
)
from napari_simmat.images.raw import Raw, reason, require_size

__all__ = ["read_matlab"]

_DTYPES: dict[str, np.dtype[Any]] = {
    "double": np.dtype(np.float64),
    "single": np.dtype(np.float32),
    "logical": np.dtype(bool),
    **{f"{sign}int{bits}": np.dtype(f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def read_matlab(path: Path, *, part: str | None = None) -> Raw:
    """Read an array of a MATLAB file up to version 7.

    Parameters
    ----------
    path : Path
        The file.
    part : str, optional
        Name of the variable; the largest that can be an image where not given.

    Returns
    -------
    Raw
        In memory: these files are compressed as a whole.

    Raises
    ------
    ImageError
        If there is no such variable, or the file is damaged.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _read(path, part)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # the parser raises anything at all on damaged files
        raise ImageError(
            f"{path.name} is a damaged or unusual MATLAB file ({reason(error)}); get the file again or save it anew."
        ) from error


def _read(path: Path, part: str | None) -> Raw:
    variables = {name: (tuple(int(n) for n in shape), kind) for name, shape, kind in io.whosmat(path)}
    shapes = {
        name: shape
        for name, (shape, kind) in variables.items()
        if kind in _DTYPES and holds_image(shape, _DTYPES[kind])
    }
    name, said = choose(path, shapes, part)
    require_size(path, shapes[name], _DTYPES[variables[name][1]].itemsize)
    beside = [
        other
        for other, (shape, kind) in variables.items()
        if other != name
        and max(shape, default=0) == int(np.prod(shape, dtype=object)) <= MAX_CHANNELS
        and (
            (kind in _DTYPES and holds_wavelengths(other))
            or (kind in ("char", "cell") and holds_names(other))
        )
    ]
    loaded = io.loadmat(path, variable_names=[name, *beside])
    array = np.asarray(loaded[name])
    if array.shape != shapes[name] or array.dtype.kind not in "buif":
        raise ImageError(f"{path.name} holds {name!r} in another form than it says; get the file again.")
    raw = Raw(
        array,
        assumptions=(said,) if said else (),
        facts={"variable": name},
        parts=tuple(shapes) if len(shapes) > 1 else (),
        part=name,
    )
    return described(raw, _description([loaded[other] for other in beside], array.shape))


def _description(values: list[Any], shape: tuple[int, ...]) -> Description:
    wavelengths: list[float] = []
    names: list[str] = []
    for value in values:
        flat = np.asarray(value).ravel()
        if flat.size not in shape:
            continue
        if flat.dtype.kind in "uif" and not wavelengths:
            wavelengths = flat.tolist()
        elif flat.dtype.kind in "UO" and not names:
            cells = [np.asarray(cell).ravel() for cell in flat.tolist()]
            names = [str(cell[0]) if cell.size == 1 else "" for cell in cells]
    return Description(wavelengths=wavelengths, names=names, assumed_axes="YXC")
