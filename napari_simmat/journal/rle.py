"""Masks as COCO run-lengths, made in time proportional to the object and not to the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco


def encode_mask(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Run-lengths of a mask as COCO's compressed RLE.

    Parameters
    ----------
    mask : (Y, X) bool

    Returns
    -------
    dict
        ``{"size": [Y, X], "counts": str}``, as `pycocotools.mask.decode` reads it.
    """
    columns = np.flatnonzero(mask.any(axis=0))
    first, last = (int(columns[0]), int(columns[-1]) + 1) if columns.size else (0, 0)
    return encode_window(mask[:, first:last], (slice(0, mask.shape[0]), slice(first, last)), mask.shape)


def encode_window(
    crop: NDArray[np.bool_], window: tuple[slice, slice], shape: tuple[int, ...]
) -> dict[str, Any]:
    """The same of a mask that is known inside of its bounding box.

    Parameters
    ----------
    crop : (h, w) bool
    window : (slice, slice)
        Where it lies, in rows and columns.
    shape : (int, int)
        Y and X.
    """
    height, width = shape
    counts = [height * width]
    if crop.any():
        first, last = window[1].start, window[1].stop
        # COCO runs go down the columns: what is left and right of the object only lengthens the outer runs.
        columns = np.zeros((last - first, height), bool)
        columns[:, window[0]] = crop.T
        strip = columns.ravel()
        edges = np.flatnonzero(np.diff(strip)) + 1
        runs = np.diff(np.concatenate([[0], edges, [strip.size]])).tolist()
        if strip[0]:
            runs.insert(0, 0)
        if len(runs) % 2:
            runs[-1] += (width - last) * height
        elif last < width:
            runs.append((width - last) * height)
        runs[0] += first * height
        counts = runs
    packed = coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)
    return {"size": [height, width], "counts": packed["counts"].decode("ascii")}


def decode_mask(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """Mask (Y, X) of COCO's compressed RLE."""
    packed = {"size": [int(n) for n in rle["size"]], "counts": str(rle["counts"]).encode("ascii")}
    return np.ascontiguousarray(coco.decode(packed)).astype(bool)
