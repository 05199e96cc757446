"""The chain of directories of a TIFF file, followed far enough to see whether the file is all there.

TIFF readers take a chain that points behind the end of the file for one that ends: of a truncated stack they
show the pages that are left, as if they were the image.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["needed_bytes"]

# Size in bytes of one value of each TIFF type, by the code of the type.
TYPE_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}


def needed_bytes(path: Path) -> int:
    """How long the file must be at least to hold all of its directories and the values they point to.

    Parameters
    ----------
    path : Path
        A classic or big TIFF file.

    Returns
    -------
    int
        More than the length of the file if it is truncated. The pixels are not looked at.
    """
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        header = file.read(16)
        order = "<" if header[:2] == b"II" else ">"
        big = len(header) == 16 and struct.unpack(order + "H", header[2:4])[0] == 43
        if len(header) < (16 if big else 8):
            return 16 if big else 8
        offset: int = struct.unpack_from(order + ("Q" if big else "I"), header, 8 if big else 4)[0]
        seen: set[int] = set()
        needed: int = 0
        while offset and offset not in seen:
            seen.add(offset)
            needed = max(needed, offset + (8 if big else 2))
            if needed > length:
                return needed
            end, offset = _directory(file, offset, order, big)
            needed = max(needed, end)
            if needed > length:
                return needed
        return needed


def _directory(file: BinaryIO, offset: int, order: str, big: bool) -> tuple[int, int]:
    """Where the directory at `offset` and its values end, and the offset of the next one."""
    count_format, entry_format, inline = ("Q", "HHQQ", 8) if big else ("H", "HHII", 4)
    count_format, entry_format = order + count_format, order + entry_format
    file.seek(offset)
    count: int = struct.unpack(count_format, file.read(struct.calcsize(count_format)))[0]
    size = count * struct.calcsize(entry_format) + inline
    end: int = file.tell() + size
    if count > 4096:  # no directory has so many entries: what stands here is none
        return end, 0
    content = file.read(size)
    if len(content) < size:
        return end, 0
    for _, kind, n_values, value in struct.iter_unpack(entry_format, content[:-inline]):
        n_bytes = n_values * TYPE_SIZES.get(kind, 0)
        if n_bytes > inline:
            end = max(end, value + n_bytes)
    return end, struct.unpack(order + ("Q" if big else "I"), content[-inline:])[0]
