"""OpenEXR, as renderers and depth estimators write it. The package OpenEXR need not be installed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from napari_simmat.errors import ImageError
from napari_simmat.images.image import Channel
from napari_simmat.images.raw import Raw, reason, require_size
from napari_simmat.images.roles import COLOURS

__all__ = ["read_exr"]

# What OpenEXR packs best, zeros, it packs a thousandfold.
LEAST_SUSPICIOUS, MOST_PACKED = 32 << 20, 1500
ORDER = ("R", "G", "B", "Y")  # other channels follow in the order of their names
LETTERS = dict(zip(("R", "G", "B"), COLOURS, strict=True))
DEPTH_NAMES = ("z", "depth", "distance")


def read_exr(path: Path, *, part: str | None = None) -> Raw:
    """Read the channels of an OpenEXR file with their names.

    Parameters
    ----------
    path : Path
        A file that begins as one.
    part : str, optional
        Which of its parts; the first where not given.

    Returns
    -------
    Raw
        Axes "CYX", float32 (or uint32 where all channels are), without the opacity channel A. Z is depth.

    Raises
    ------
    ImageError
        If the file is damaged or too large, its channels differ in size, or OpenEXR is not installed.
    """
    try:
        import OpenEXR
    except ImportError:
        raise ImageError(
            f"{path.name} is an OpenEXR file, which needs the package OpenEXR to be read; install it (pip install "
            "OpenEXR) or save the file as TIFF."
        ) from None
    try:
        # One thread: the library's own pool outlives the file.
        with OpenEXR.File(str(path), separate_channels=True, header_only=True, num_threads=0) as file:
            headers = [dict(each.header) for each in file.parts]
        names = _names(headers)
        number = 0 if part is None else _index(names, part, path)
        rows, columns = _shape(headers[number])
        require_size(path, (max(1, len(headers[number].get("channels", ()))), rows, columns), 4)
        for header in headers:  # of all parts, for the library reads them all
            _require_plausible(header, path)
        with OpenEXR.File(str(path), separate_channels=True, num_threads=0) as file:
            parts = file.parts[number : number + 1]  # none where the pixels are damaged
            planes = {name: np.asarray(each.pixels) for each in parts for name, each in each.channels.items()}
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # the library raises what its C++ throws
        raise ImageError(
            f"{path.name} is a damaged OpenEXR file{_why(error)}, expected a complete one; get the file again or "
            "save it anew."
        ) from error
    if not planes:
        raise ImageError(
            f"{path.name} is a damaged OpenEXR file, expected a complete one; get the file again."
        )
    raw = _described(planes, path)
    return Raw(
        raw.array,
        raw.axes,
        raw.channels,
        assumptions=raw.assumptions,
        parts=tuple(names) if len(names) > 1 else (),
        part=names[number] if len(names) > 1 else "",
    )


def _require_plausible(header: dict[str, Any], path: Path) -> None:
    """Refuse sizes for which the library would take much memory, before it does."""
    rows, columns = _shape(header)
    tiles = header.get("tiles")
    tile = tiles.xSize * tiles.ySize if tiles is not None else 0
    declared = 4 * max(1, len(header.get("channels", ()))) * max(rows * columns, tile)
    if declared > LEAST_SUSPICIOUS and declared > MOST_PACKED * path.stat().st_size:
        raise ImageError(
            f"{path.name} is a damaged OpenEXR file: it declares {declared >> 20} MiB, but has {path.stat().st_size} "
            "bytes, too few for a real image; get the file again."
        )


def _why(error: Exception) -> str:
    """What the library said, unless that is only that it could not."""
    text = reason(error)
    return "" if text.startswith("Unable to open") else f" ({text})"


def _described(planes: dict[str, Any], path: Path) -> Raw:
    names = sorted(planes, key=lambda name: (_rank(name), name))
    opaque = [name for name in names if name.split(".")[-1] == "A" and len(names) > 1]
    kept = [name for name in names if name not in opaque]
    shapes = {planes[name].shape for name in kept}
    if not kept or len(shapes) != 1 or any(len(shape) != 2 for shape in shapes):
        raise ImageError(
            f"{path.name} has channels of the sizes {sorted(shapes)}, expected one size for all; save them alike."
        )
    dtype: Any = np.uint32 if all(planes[name].dtype == np.uint32 for name in kept) else np.float32
    said = (f"The opacity channel {opaque[0]} was left out.",) if opaque else ()
    array = np.stack([planes[name].astype(dtype) for name in kept])
    return Raw(array, "CYX", _channels(kept), assumptions=said)


def _channels(names: list[str]) -> tuple[Channel, ...]:
    letters = [name.split(".")[-1] for name in names]
    coloured = set(LETTERS) <= set(letters)
    channels = []
    for name, letter in zip(names, letters, strict=True):
        if coloured and letter in LETTERS and letters.count(letter) == 1:
            channels.append(Channel(LETTERS[letter], role=LETTERS[letter]))
        elif {part.casefold() for part in name.split(".")} & set(DEPTH_NAMES) and letter.casefold() in (
            *DEPTH_NAMES,
            "v",
            "r",
            "y",
        ):
            channels.append(Channel(name, "m", role="depth"))
        else:
            channels.append(Channel(name))
    return tuple(channels)


def _rank(name: str) -> int:
    letter = name.split(".")[-1]
    return ORDER.index(letter) if letter in ORDER else len(ORDER)


def _names(headers: list[dict[str, Any]]) -> list[str]:
    found: list[str] = []
    for i, header in enumerate(headers):
        name = str(header.get("name", "")).strip() or f"part {i + 1}"
        found.append(name if name not in found else f"{name} ({i + 1})")
    return found


def _index(names: list[str], part: str, path: Path) -> int:
    if part not in names:
        raise ImageError(f"{path.name} has no image {part!r}; choose one of {', '.join(names[:20])}.")
    return names.index(part)


def _shape(header: dict[str, Any]) -> tuple[int, int]:
    low, high = (np.asarray(corner, np.int64) for corner in header["dataWindow"])
    columns, rows = (int(side) for side in high - low + 1)
    if min(rows, columns) < 1 or math.prod((rows, columns)) > 1 << 40:
        raise ImageError(
            f"The file declares {rows} x {columns} pixels, expected an image; get the file again."
        )
    return rows, columns
