"""Small pictures of masks on the image, for buttons."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPixmap

from napari_simmat.images import MultiChannelImage
from napari_simmat.images.image import loaded
from napari_simmat.images.looks.composites import painter_for
from napari_simmat.images.looks.display import as_rgb
from napari_simmat.plugin.pictures import Spec, pictures_of, render
from napari_simmat.plugin.stage import MASK

_SIDE = 512
_MARGIN = 0.25
_SMALLEST = 24
_FINER = 2
"""Smoothing has so many pixels on a side for each that is shown; more take time that nobody sees."""


@dataclass(frozen=True, eq=False)
class Backdrop:
    """An image made small enough to draw thumbnails at once.

    Attributes
    ----------
    rgb : (Y, X, 3) uint8
    step : int
        Every so manieth pixel of the image.
    """

    rgb: NDArray[np.uint8]
    step: int


def backdrop(image: MultiChannelImage, spec: Spec | None = None) -> Backdrop:
    """The backdrop of an image, by default as it is shown at first; of a lazy image only what it needs is read."""
    step = max(1, max(image.shape) // _SIDE)
    wanted = pictures_of(image)[0].spec if spec is None else spec
    if image.is_lazy:
        painter = painter_for(image, wanted)
        planes = iter([loaded(image.data[i, ::step, ::step]) for i in painter.needs])
        return Backdrop(as_rgb(painter.paint(planes)), step)
    small = replace(image, data=image.data[:, ::step, ::step])
    return Backdrop(render(small, wanted), step)


def crop_around(masks: tuple[NDArray[np.bool_], ...], behind: Backdrop) -> tuple[slice, slice]:
    """The part of a backdrop that holds all these masks, with some margin."""
    union = np.any([mask[:: behind.step, :: behind.step] for mask in masks], axis=0)
    slices = []
    for axis in (0, 1):
        found = np.flatnonzero(union.any(axis=1 - axis))
        length = union.shape[axis]
        first, last = (int(found[0]), int(found[-1]) + 1) if found.size else (0, length)
        pad = max(_MARGIN * (last - first), (_SMALLEST - (last - first)) / 2, 1)
        slices.append(slice(max(0, int(first - pad)), min(length, int(last + pad))))
    return slices[0], slices[1]


def thumbnail(mask: NDArray[np.bool_], behind: Backdrop, crop: tuple[slice, slice], size: QSize) -> QIcon:
    """The mask on its part of the backdrop, filling `size`."""
    colour = QColor(MASK)
    cut = behind.rgb[crop]
    fine = max(1, min(cut.shape[0] // size.height(), cut.shape[1] // size.width()) // _FINER)
    rgb = cut[::fine, ::fine].astype(np.float32)
    inside = mask[:: behind.step, :: behind.step][crop][::fine, ::fine]
    tint = np.array([colour.red(), colour.green(), colour.blue()], np.float32)
    rgb[inside] = 0.45 * rgb[inside] + 0.55 * tint
    data: Any = np.ascontiguousarray(rgb.astype(np.uint8))
    height, width = data.shape[:2]
    picture = QImage(data.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    scaled = QPixmap.fromImage(picture).scaled(
        size, Qt.AspectRatioMode.KeepAspectRatioByExpanding, Qt.TransformationMode.SmoothTransformation
    )
    left, top = (scaled.width() - size.width()) // 2, (scaled.height() - size.height()) // 2
    return QIcon(scaled.copy(left, top, size.width(), size.height()))
