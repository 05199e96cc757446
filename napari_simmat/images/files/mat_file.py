"""The arrays of numbers and texts in a MATLAB file of version 5 to 7, read in Python alone.

SciPy's reader leaves its memory, and ends the program, where such a file is damaged. Format: MathWorks, "MAT-File
Format", level 5. Objects, function handles, structures and sparse or complex arrays are passed over.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

__all__ = ["Variable", "read_numbers", "read_texts", "variables_of"]

HEAD_BYTES = 4096
MAX_VARIABLES = 4096

_STORAGE = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXT = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
_NUMBERS = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_CELL, _CHAR = 1, 4
_MATRIX, _COMPRESSED = 14, 15
_COMPLEX, _LOGICAL = 0x0800, 0x0200


@dataclass(frozen=True)
class Variable:
    """One variable: where it lies and what its head says.

    Parameters
    ----------
    name : str
    shape : tuple of int
    kind : int
        Class of the array in the numbers of the format.
    dtype : dtype or None
        Of an array of real numbers; None for anything else.
    offset, length : int
        Its bytes in the file.
    compressed : bool
    order : str
        "<" or ">".
    data : int
        Where its values begin, after decompression.
    """

    name: str
    shape: tuple[int, ...]
    kind: int
    dtype: np.dtype[Any] | None
    offset: int
    length: int
    compressed: bool
    order: str
    data: int

    @property
    def holds_texts(self) -> bool:
        """Whether it is text, or cells that may be."""
        return self.kind in (_CELL, _CHAR)


def variables_of(path: Path) -> list[Variable]:
    """All variables with readable heads; values are not looked at.

    Raises
    ------
    ValueError
        If the file is damaged or truncated.
    """
    found: list[Variable] = []
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(128)
        if len(header) < 128 or header[126:] not in (b"IM", b"MI"):
            raise ValueError("its header is damaged")
        order = "<" if header[126:] == b"IM" else ">"
        place = 128
        while place + 8 <= size and len(found) < MAX_VARIABLES:
            file.seek(place)
            kind, length = struct.unpack(order + "2I", file.read(8))
            if kind not in (_MATRIX, _COMPRESSED):
                raise ValueError(f"an element of the unknown kind {kind} stands at byte {place}")
            if place + 8 + length > size:
                raise ValueError(f"it is truncated: a variable ends at byte {place + 8 + length} of {size}")
            variable = _variable(file, place + 8, length, kind == _COMPRESSED, order)
            found += [variable] if variable is not None else []
            place += 8 + length
    return found


def read_numbers(path: Path, variable: Variable) -> NDArray[Any]:
    """The values of an array of real numbers.

    Raises
    ------
    ValueError
        If they are not all there.
    """
    if variable.dtype is None:
        raise ValueError(f"{variable.name} holds no real numbers")
    count = math.prod(variable.shape)
    body = _body(path, variable, variable.data + 8 + 8 * count + 8)
    kind, start, length, _ = _element(body, variable.data, variable.order)
    storage = np.dtype(variable.order + _STORAGE.get(kind, "V0"))
    if not storage.itemsize or length != count * storage.itemsize or start + length > len(body):
        raise ValueError(f"the values of {variable.name} are damaged or not all there")
    flat = np.frombuffer(body, storage, count, start)
    return flat.astype(variable.dtype).reshape(variable.shape, order="F")


def read_texts(path: Path, variable: Variable) -> list[str]:
    """The text of a char array of one row, or of each cell that is one; others are empty."""
    body = _body(path, variable, 1 << 22)
    if variable.kind == _CHAR:
        return _rows(body, variable.data, variable.shape, variable.order)
    texts = []
    place = variable.data
    for _ in range(min(math.prod(variable.shape), 1 << 16)):
        kind, start, _, place_after = _element(body, place, variable.order)
        head = _head(body[start:], variable.order) if kind == _MATRIX else None
        rows = _rows(body, start + head[4], head[2], variable.order) if head and head[0] == _CHAR else []
        texts.append(rows[0] if len(rows) == 1 else "")
        place = place_after
    return texts


def _rows(body: bytes, place: int, shape: tuple[int, ...], order: str) -> list[str]:
    kind, start, length, _ = _element(body, place, order)
    coding = _TEXT.get(kind)
    if coding is None or len(shape) != 2:
        return []
    coding = f"{coding}-{'le' if order == '<' else 'be'}" if coding == "utf-16" else coding
    letters = body[start : start + length].decode(coding, "replace")
    rows = shape[0]
    return [letters[i::rows].strip() for i in range(min(rows, 1 << 16))]


def _variable(file: BinaryIO, offset: int, length: int, compressed: bool, order: str) -> Variable | None:
    raw = file.read(min(length, HEAD_BYTES))
    start = 0
    if compressed:
        raw = zlib.decompressobj().decompress(raw, HEAD_BYTES)
        start = 8  # a matrix with a tag of its own
    head = _head(raw[start:], order)
    if head is None:
        return None
    kind, flags, shape, name, data = head
    dtype = np.dtype(_NUMBERS[kind]) if kind in _NUMBERS and not flags & _COMPLEX else None
    if dtype is not None and flags & _LOGICAL:
        dtype = np.dtype(bool)
    return Variable(name, shape, kind, dtype, offset, length, compressed, order, start + data)


def _head(raw: bytes, order: str) -> tuple[int, int, tuple[int, ...], str, int] | None:
    """Class, flags, shape, name and place of the values of a matrix; None if it does not say."""
    try:
        _, start, _, place = _element(raw, 0, order)
        flags = struct.unpack_from(order + "I", raw, start)[0]
        kind, start, length, place = _element(raw, place, order)
        if kind != 5 or length % 4 or not 8 <= length <= 128:
            return None
        shape = struct.unpack_from(f"{order}{length // 4}i", raw, start)
        _, start, length, place = _element(raw, place, order)
        name = raw[start : start + length].decode("latin-1")
    except (struct.error, ValueError):
        return None
    return (flags & 0xFF, flags, shape, name, place) if min(shape) >= 0 else None


def _element(raw: bytes, place: int, order: str) -> tuple[int, int, int, int]:
    """Kind, start and length of the element at a place, and where the next one begins."""
    if not 0 <= place <= len(raw) - 8:
        raise ValueError("it is truncated within a variable")
    first, second = struct.unpack_from(order + "2I", raw, place)
    if first >> 16:  # short ones keep their few bytes in the tag
        return first & 0xFFFF, place + 4, min(first >> 16, 4), place + 8
    return first, place + 8, second, place + 8 + -(-second // 8) * 8


def _body(path: Path, variable: Variable, most: int) -> bytes:
    """The bytes of a variable, decompressed, but no more than can be of use."""
    with path.open("rb") as file:
        file.seek(variable.offset)
        raw = file.read(variable.length)
    return zlib.decompressobj().decompress(raw, most) if variable.compressed else raw
