"""MATLAB's .mat files of version 5 and before; version 7.3 is HDF5.

Objects and function handles are never loaded: only arrays of numbers are asked for by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

from napari_simmat.errors import ImageError
from napari_simmat.images.files.containers import (
    MAX_CHANNELS,
    Description,
    choose,
    described,
    holds_image,
    holds_names,
    holds_wavelengths,
)
from napari_simmat.images.files.mat_file import Variable, read_numbers, read_texts, variables_of
from napari_simmat.images.raw import Raw, reason, require_size

__all__ = ["read_matlab"]


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
        return _read(path, part)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # the parser raises anything at all on damaged files
        raise ImageError(
            f"{path.name} is a damaged or unusual MATLAB file ({reason(error)}); get the file again or save it anew."
        ) from error


def _read(path: Path, part: str | None) -> Raw:
    variables = {variable.name: variable for variable in variables_of(path)}
    shapes = {
        name: variable.shape
        for name, variable in variables.items()
        if variable.dtype is not None and holds_image(variable.shape, variable.dtype)
    }
    name, said = choose(path, shapes, part)
    dtype = variables[name].dtype
    require_size(path, shapes[name], dtype.itemsize if dtype is not None else 8)
    raw = Raw(
        read_numbers(path, variables[name]),
        assumptions=(said,) if said else (),
        facts={"variable": name},
        parts=tuple(shapes) if len(shapes) > 1 else (),
        part=name,
    )
    return described(raw, _description(path, variables.values(), shapes[name]))


def _description(path: Path, variables: Iterable[Variable], shape: tuple[int, ...]) -> Description:
    wavelengths: list[float] = []
    names: list[str] = []
    for variable in variables:
        count = math.prod(variable.shape)
        is_list = count in shape and max(variable.shape) == count <= MAX_CHANNELS
        if variable.dtype is not None and is_list and holds_wavelengths(variable.name) and not wavelengths:
            wavelengths = read_numbers(path, variable).ravel().tolist()
        elif variable.holds_texts and holds_names(variable.name) and variable.shape != shape and not names:
            texts = read_texts(path, variable)
            names = texts if len(texts) in shape else []
    return Description(wavelengths=wavelengths, names=names, assumed_axes="YXC")
