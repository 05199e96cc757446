"""RGB-Thermal-Glass: 5,551 pairs of colour and temperature, with masks of glass.

D. Huo, J. Wang, Y. Qian and Y.-H. Yang, Glass segmentation with RGB-thermal image pairs, IEEE Transactions on Image
Processing 32, 2023. The authors' own reader expects `train/` and `test/`, in them a folder for each place, in that a
folder for each picture, and in that `rgb.png`, `temperature.npy`, `mask.png` (255 is glass) and `boundary.png`, which is
not needed. Folders `rgb/`, `thermal/` and `mask/` with one name for each scene are found as well.

Temperatures are absolute where their median is one that a scene can have: -40 to 60 as degrees Celsius, 200 to 340 as
kelvin. Nobody documents the unit; of pictures (8 bits) and any other numbers it stays unknown, and only differences
within a picture count.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.images.aims.item import AimsDataset, AimsItem, Loaded, Split
from napari_simmat.images.aims.planes import colour_channels, colour_planes, grey_plane, stacked
from napari_simmat.images.aims.regions import mask_in, regions
from napari_simmat.images.aims.scenes import LABELS, Role
from napari_simmat.images.aims.splits import Form, scenes_of
from napari_simmat.images.image import Channel, MultiChannelImage
from napari_simmat.images.physics.thermal import ZERO_CELSIUS

__all__ = ["THERMAL_GLASS"]

LAYOUT = (
    "train/ and test/ with a folder for each scene that holds rgb.png, temperature.npy and mask.png, or with the folders "
    "rgb/, thermal/ and mask/"
)
CLASSES = {1: "glass"}
CELSIUS, KELVIN = (-40.0, 60.0), (200.0, 340.0)

FORM = Form(
    "aims:thermal-glass",
    LAYOUT,
    {
        "rgb": Role("the colour picture", ("rgb", "visible", "vis", "color", "colour", "image", "images")),
        "thermal": Role(
            "temperature", ("temperature", "temperatures", "thermal", "thermals", "tir", "lwir", "ir", "t")
        ),
        "labels": LABELS,
    },
    containers=("rgbthermalglass", "rgbtglass", "rgbt"),
)


def _open(path: Path, channels: int, split: Split, limit: int | None) -> list[AimsItem]:
    needs = [frozenset({"thermal", "labels"} | ({"rgb"} if channels == 4 else set()))]
    items = []
    for scene in scenes_of(path, FORM, needs, split, limit):
        thermal, rgb = scene.file("thermal"), scene.file("rgb") if channels == 4 else None
        mask = scene.file("labels")
        read, classes = partial(_read, scene.key, thermal, rgb, mask), partial(mask_in, mask)
        items.append(AimsItem(scene.key, thermal, mask, class_names=CLASSES, read=read, read_classes=classes))
    return items


def _read(key: str, thermal: Path, rgb: Path | None, mask: Path) -> Loaded:
    temperature, unit = _in_celsius(grey_plane(thermal))
    parts = [temperature]
    described: tuple[Channel, ...] = (Channel("thermal", unit=unit, role="thermal"),)
    if rgb is not None:
        colours = colour_planes(rgb)
        parts.insert(0, colours)
        described = (*colour_channels(colours), *described)
    said = (
        ()
        if unit
        else ("The numbers of the thermal camera were taken without a unit: they are no temperatures.",)
    )
    image = MultiChannelImage(
        stacked(key, *parts),
        described,
        modality="thermal" if rgb is None else "rgb+x",
        source=thermal,
        name=key,
        assumptions=said,
    )
    return image, regions(mask_in(mask))


def _in_celsius(plane: NDArray[Any]) -> tuple[NDArray[Any], str]:
    """The plane in degrees Celsius and its unit, or as it is and "" where it can be no temperature."""
    finite = plane[np.isfinite(plane)] if plane.dtype.kind == "f" else plane[:0]
    middle = float(np.median(finite)) if finite.size else np.nan
    if CELSIUS[0] <= middle <= CELSIUS[1]:
        return plane.astype(np.float32), "°C"
    if KELVIN[0] <= middle <= KELVIN[1]:
        return (plane.astype(np.float64) - ZERO_CELSIUS).astype(np.float32), "°C"
    return plane, ""


THERMAL_GLASS = AimsDataset(
    FORM.name,
    "RGB-Thermal-Glass (Huo, Wang, Qian and Yang, IEEE TIP 2023)",
    LAYOUT,
    {1: "temperature", 4: "red, green, blue and temperature"},
    4,
    _open,
)
