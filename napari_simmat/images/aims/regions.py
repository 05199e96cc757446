"""From semantic labels, one class for each pixel, to objects: what is clicked on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.aims.planes import stored

__all__ = ["BACKGROUND", "VOID", "classes_in", "mask_in", "numbered", "regions"]

BACKGROUND = 0
"""The class of unlabelled pixels; black where classes are colours."""

VOID = 255
"""The class that 8-bit label images use for pixels which nobody can name; not a class of any of these datasets."""

MOST_CLASSES = 256
"""More colours than these are a photograph or a lossy file, not labels."""


def regions(classes: NDArray[Any]) -> NDArray[np.int32]:
    """Number the connected regions of each class but the background.

    Pixels that touch at a side or a corner are connected.

    Parameters
    ----------
    classes : ndarray of int, shape (Y, X)
        The class of each pixel, 0 for none.

    Returns
    -------
    ndarray, shape (Y, X), int32
        1, 2, ... for the regions, the lowest class first; 0 elsewhere.
    """
    from scipy import ndimage  # half a second that only those who read labels need

    out = np.zeros(classes.shape, np.int32)
    count = 0
    for value in np.unique(classes).tolist():
        if value != BACKGROUND:
            found, new = ndimage.label(classes == value, structure=np.ones((3, 3), bool))
            out[found > 0] = found[found > 0] + count
            count += new
    return out


def numbered(*keys: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Number the different combinations of several maps.

    Parameters
    ----------
    *keys : ndarray of int, shape (Y, X) each
        Such as class and instance; below 65536.
    where : ndarray of bool, shape (Y, X)
        Which pixels are objects.

    Returns
    -------
    ndarray, shape (Y, X), int32
        1, 2, ... in the order of the first key, then of the second, ...; 0 elsewhere.
    """
    joint = np.zeros(where.shape, np.int64)
    for key in keys:
        joint = joint * 65536 + key
    out = np.zeros(where.shape, np.int32)
    out[where] = np.unique(joint[where], return_inverse=True)[1].reshape(-1) + 1
    return out


def classes_in(path: Path) -> NDArray[np.int32]:
    """The class of each pixel in a label image.

    Parameters
    ----------
    path : Path
        One channel of whole numbers, a palette picture (its numbers count), or a colour for each class, black for none.

    Returns
    -------
    ndarray, shape (Y, X), int32
        0 for none, which `VOID` is too; of colours, 65536 red + 256 green + blue, and white is void.

    Raises
    ------
    ImageError
        If it cannot be read or holds no classes.
    """
    planes = stored(path, indices=True)
    if planes.dtype.kind not in "bui" and not np.array_equal(planes, np.rint(planes)):
        raise ImageError(
            f"{path.name} holds fractional or missing values, expected the number of a class in each pixel."
        )
    if len(planes) not in (1, 3):
        raise ImageError(
            f"{path.name} has {len(planes)} channels, expected labels in one channel or as red, green and blue."
        )
    wide = planes.astype(np.int32)
    if len(wide) == 1:
        return np.where(wide[0] == VOID, BACKGROUND, wide[0])
    joint = (wide[0] << 16) + (wide[1] << 8) + wide[2]
    count = len(np.unique(joint))
    if count > MOST_CLASSES:
        raise ImageError(
            f"{path.name} holds {count} colours, expected one for each class; labels must not be saved as JPEG or "
            "as a photograph."
        )
    return np.where(joint == 0xFFFFFF, BACKGROUND, joint)


def mask_in(path: Path) -> NDArray[np.int32]:
    """A mask of two values, such as 0 and 255, as one class; of values between them the upper half counts.

    Parameters
    ----------
    path : Path
        A picture of one channel, or of three that are alike.

    Returns
    -------
    ndarray, shape (Y, X), int32
        1 inside, 0 outside.

    Raises
    ------
    ImageError
        If it cannot be read or its channels differ.
    """
    planes = stored(path, indices=True)
    if any(not np.array_equal(planes[0], other) for other in planes[1:]):
        raise ImageError(f"{path.name} is a colour picture, expected a mask in black and white.")
    full = 1 if planes.dtype == bool or planes.max() <= 1 else 255 if planes.max() <= 255 else planes.max()
    return np.asarray(planes[0] > full / 2, np.int32)
