"""PNG and JPEG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_simmat.errors import ImageError
from napari_simmat.images.image import Channel
from napari_simmat.images.raw import Raw, reason, require_size
from napari_simmat.images.roles import COLOURS
from napari_simmat.images.statements import parsed, stated

__all__ = ["read_picture"]

ORIENTATION = 0x0112  # EXIF tag


def read_picture(path: Path, *, indices: bool = False) -> Raw:
    """Read a PNG or JPEG file.

    Parameters
    ----------
    path : Path
        A file that begins as one.
    indices : bool
        Whether the numbers of a palette image are wanted instead of its colours, as for labels.

    Returns
    -------
    Raw
        Axes "YX" or "YXS".

    Raises
    ------
    ImageError
        If the file is damaged or too large.
    """
    try:
        with Image.open(path) as picture:
            require_size(path, (picture.height, picture.width, len(picture.getbands())), 2)
            return _read(picture, path, indices)
    except (ImageError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise ImageError(
            f"{path.name} declares more pixels than a picture may have; save it as TIFF."
        ) from None
    except Exception as error:  # codecs raise anything at all on damaged files
        raise ImageError(
            f"{path.name} is a damaged picture ({reason(error)}); get the file again or save it anew."
        ) from error


def _read(picture: Image.Image, path: Path, indices: bool) -> Raw:
    assumptions = []
    if picture.getexif().get(ORIENTATION, 1) != 1:
        assumptions.append("The camera's orientation mark was ignored: pixels are shown as stored.")
    if picture.mode in ("CMYK", "YCCK"):
        assumptions.append("The four printing inks were converted to red, green and blue.")
        picture = picture.convert("RGB")
    elif picture.mode in ("P", "PA") and not indices:
        assumptions.append("The numbers of the palette picture were replaced by their colours.")
        picture = picture.convert("RGBA" if picture.mode == "PA" or "transparency" in picture.info else "RGB")
    array = _pixels(picture, path)
    if array.ndim == 3 and array.shape[2] in (2, 4):
        assumptions.append("The opacity channel was left out; give channel axis 2 to keep it.")
    said = parsed(str(picture.info.get("Description", "")))
    return stated(_described(array, tuple(assumptions)), said)


def _described(array: NDArray[Any], assumptions: tuple[str, ...]) -> Raw:
    if array.ndim == 2:
        return Raw(array, "YX", assumptions=assumptions)
    count = array.shape[2]
    channels = tuple(Channel(colour, role=colour) for colour in COLOURS) if count >= 3 else ()
    opacity = (2, (count - 1,)) if count in (2, 4) else None
    return Raw(array, "YXS", channels, opacity=opacity, assumptions=assumptions)


def _pixels(picture: Image.Image, path: Path) -> NDArray[Any]:
    with path.open("rb") as file:
        header = file.read(26)
    deep_colour = picture.format == "PNG" and header[24] == 16 and header[25] != 0
    if deep_colour:  # Pillow would silently keep 8 of the 16 bits
        return np.asarray(imagecodecs.png_decode(path.read_bytes()))
    array = np.asarray(picture)
    return array.astype(np.uint16) if picture.mode == "I" and picture.format == "PNG" else array
