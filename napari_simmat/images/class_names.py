"""Names of the numbers in class images: `classes.json` beside the folder of those images."""

from __future__ import annotations

import colorsys
import json
import zlib
from pathlib import Path

from napari_simmat.errors import ImageError

FILE = "classes.json"
MAX_BYTES = 1 << 20


def load_class_names(path: Path) -> dict[int, str]:
    """Read a JSON object from number to name, such as ``{"1": "crop", "2": "weed"}``; no file is no names.

    Raises
    ------
    ImageError
        If the file cannot be read or holds something else.
    """
    if not path.exists():
        return {}
    wanted = 'expected each number with its name, such as {"1": "crop", "2": "weed"}'
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(f"{path.name} has {path.stat().st_size} bytes, {wanted}.")
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror}), {wanted}; mend or remove it.") from error
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{path.name} is no JSON ({error}), {wanted}; mend or remove it.") from error
    if not isinstance(found, dict):
        raise ImageError(f"{path.name} holds {found!r:.40}, {wanted}; mend or remove it.")
    names: dict[int, str] = {}
    for number, name in found.items():
        whole = number.isascii() and number.isdigit() and len(number) < 10
        if not (whole and isinstance(name, str) and name):
            raise ImageError(f"{path.name} holds {number!r:.20}: {name!r:.40}, {wanted}; mend or remove it.")
        names[int(number)] = name
    return names


def colour_of(name: str) -> str:
    """The colour of a class for which nobody has chosen one, "#rrggbb": always the same for the same name."""
    hue = zlib.crc32(name.encode()) / 2**32
    return "#" + "".join(f"{round(255 * each):02x}" for each in colorsys.hsv_to_rgb(hue, 0.75, 0.95))
