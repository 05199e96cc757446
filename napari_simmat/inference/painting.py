"""The class of each pixel of an image, as an adapter's head of classes says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

from napari_simmat.errors import AdapterError
from napari_simmat.inference.proposing import Seen, seen_by
from napari_simmat.inference.segmenter import Segmenter
from napari_simmat.models import Adapter
from napari_simmat.models.class_head import CLASS_CELL, ClassHead, class_head_of, class_names_of

__all__ = ["HEAD", "ClassMap", "Part", "class_logits", "paint", "parts_of"]

HEAD = "classes"
"""Name of the head in an adapter."""

Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class ClassMap:
    """What each pixel is.

    Attributes
    ----------
    numbers : ndarray of uint8, (Y, X)
        0 is background, class k of `names` is k + 1.
    names, colours : sequence of str
        Of the classes, in order; colours as "#rrggbb".
    """

    numbers: NDArray[np.uint8]
    names: Sequence[str]
    colours: Sequence[str]

    def shares(self) -> dict[str, float]:
        """Share of the image that each class has."""
        counts = np.bincount(self.numbers.ravel(), minlength=len(self.names) + 1)
        return {name: float(counts[k]) / self.numbers.size for k, name in enumerate(self.names, 1)}


@dataclass(frozen=True, eq=False)
class Part:
    """A connected part of a class map.

    Attributes
    ----------
    name : str
        Its class.
    window, crop
        Bounding box in the image, and the mask in there.
    """

    name: str
    window: Window
    crop: NDArray[np.bool_]


def paint(segmenter: Segmenter) -> ClassMap:
    """The class map of a segmenter's image.

    Raises
    ------
    AdapterError
        The adapter has learnt no classes, or for other pictures.
    """
    head = _head_of(segmenter.adapter)
    names, colours = class_names_of(segmenter.adapter.heads[HEAD])
    seen = seen_by(segmenter)
    with torch.no_grad():
        logits = class_logits(head, seen)
        numbers = logits.argmax(0).to(torch.uint8).numpy()
    return ClassMap(numbers, names, colours)


def class_logits(head: ClassHead, seen: Seen) -> torch.Tensor:
    """Logits of the classes at each pixel of the image, (1 + classes, Y, X)."""
    cells = head(seen.embedding[None], seen.picture[None])
    height, width = seen.frame.shape
    frame = F.interpolate(cells, scale_factor=CLASS_CELL, mode="bilinear", align_corners=False)
    frame = frame[..., :height, :width]
    return F.interpolate(frame, seen.frame.image_shape, mode="bilinear", align_corners=False)[0]


def parts_of(painted: ClassMap, *, smallest: int, free: NDArray[np.bool_] | None = None) -> list[Part]:
    """The connected parts of each class, to become objects.

    Parameters
    ----------
    painted : ClassMap
    smallest : int
        Parts with fewer pixels are left out.
    free : ndarray of bool, (Y, X), optional
        Where they may lie: pixels of objects that are known belong to those.
    """
    found = []
    for number, name in enumerate(painted.names, 1):
        mask = painted.numbers == number
        labels, _ = ndimage.label(mask if free is None else mask & free)
        for k, box in enumerate(ndimage.find_objects(labels), 1):
            crop = labels[box] == k
            if np.count_nonzero(crop) >= smallest:
                found.append(Part(name, (box[0], box[1]), crop))
    return found


def _head_of(adapter: Adapter) -> ClassHead:
    head = adapter.heads.get(HEAD)
    if head is None:
        raise AdapterError(
            f"The adapter {adapter.card.name!r} has learnt no classes; give objects classes and learn them, or use "
            "finetune-classes."
        )
    return class_head_of(head)
