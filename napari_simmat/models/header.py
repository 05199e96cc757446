"""What a .safetensors file says of itself, looked at before anything of it is believed.

The format is eight bytes with the length of a JSON header, the header, and the numbers. A hostile file lies in the
header: tensors larger than the file or any memory, several on the same bytes, types that nobody asked for.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any

from napari_simmat.errors import SimmatError

__all__ = ["FLOATS", "HeaderError", "check_header"]

FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Types of weights, with their size in bytes."""

_MOST_BYTES = 4 << 30  # ViT-H trained as a whole, in float32, has 2.6 GB
_MOST_HEADER = 16 << 20
_MOST_TENSORS = 20_000
_MOST_AXES = 8


class HeaderError(SimmatError):
    """A file that cannot be what it says; the text goes on a sentence that begins with its name."""


def check_header(path: Path, types: Collection[str] = FLOATS) -> dict[str, tuple[int, ...]]:
    """Look at the header of a .safetensors file alone.

    Parameters
    ----------
    path : Path
    types : collection of str
        Which types of numbers may be in it, as the format names them; keys of `FLOATS`.

    Returns
    -------
    dict of str to tuple of int
        Shape of each tensor.

    Raises
    ------
    HeaderError
        It is cut short, too large, no JSON, or tensors overlap, leave gaps, have other sizes than their shapes say, or
        types that are not allowed.
    OSError
        The file cannot be read.
    """
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise HeaderError(f"has {size / 1e9:.1f} GB, expected at most {_MOST_BYTES / 1e9:.1f}")
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(_MOST_HEADER, size - 8):
            raise HeaderError(f"has no header that fits into its {size:,} bytes")
        text = file.read(length)
    try:
        header = json.loads(text, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise HeaderError(f"has a header that is no JSON ({str(error)[:60]})") from error
    if not isinstance(header, dict):
        raise HeaderError("has a header without names")
    header.pop("__metadata__", None)
    if len(header) > _MOST_TENSORS:
        raise HeaderError(f"holds {len(header):,} tensors, expected at most {_MOST_TENSORS:,}")
    spans = {name: _span(name, entry, types) for name, entry in header.items()}
    at = 0
    for name, (begin, end) in sorted(spans.items(), key=lambda item: item[1]):
        if begin != at:
            what = "overlaps another one" if begin < at else "leaves a gap before it"
            raise HeaderError(f"holds a tensor {name[:60]!r} that {what}")
        at = end
    if at != size - 8 - length:
        raise HeaderError(f"has {size - 8 - length:,} bytes of numbers, its header says {at:,}")
    return {name: tuple(entry["shape"]) for name, entry in header.items()}


def _span(name: str, entry: Any, types: Collection[str]) -> tuple[int, int]:
    """First byte of a tensor and the one after its last."""
    what = f"holds a tensor {name[:60]!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise HeaderError(f"{what} without type, shape and place")
    kind, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in types:
        raise HeaderError(f"{what} of type {str(kind)[:20]!r}, expected {', '.join(sorted(types))}")
    if not _are_counts(shape) or len(shape) > _MOST_AXES:
        raise HeaderError(f"{what} with the shape {str(shape)[:60]}")
    if not _are_counts(place) or len(place) != 2 or place[0] > place[1]:
        raise HeaderError(f"{what} at {str(place)[:60]}, which is no place")
    if math.prod(shape) * FLOATS[kind] != place[1] - place[0]:
        raise HeaderError(f"{what} of shape {str(shape)[:60]} in {place[1] - place[0]:,} bytes")
    return place[0], place[1]


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and 0 <= v < 2**63 for v in values)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found
