"""RGBP-Glass: glass in colour and linear polarization.

H. Mei et al., Glass segmentation using intensity and spectral polarization cues, CVPR 2022. Form, from the authors' page:
`train/` and `test/`, each with `image/*_rgb.tiff`, `aolp/*_aolp.tiff`, `dolp/*_dolp.tiff` and `mask/*_mask.png`; `edge/`,
`reflection/` and the lists of instances beside them are not needed.

Angle and degree have three channels, one for each colour, and the authors' reader turns their order round (blue, green,
red) but not that of `image`; so does this one. The unit of the angle is found from its range (`degrees.angle_unit`).

Nine channels are S0, S1 and S2 of each colour, with the picture as S0: what colour, angle and degree say, but for the
angle's jump from 180 to 0 degrees. Whether the picture is linear in light is not documented; S1/S0 and S2/S0, which the
model sees, do not depend on it. Six channels are these ratios alone, D cos 2A and D sin 2A of each colour.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from napari_simmat.images.aims.degrees import (
    angle_unit,
    degree_of,
    normalised_stokes,
    ratio_channels,
    spread,
    stokes_names,
)
from napari_simmat.images.aims.item import AimsDataset, AimsItem, Loaded, Split
from napari_simmat.images.aims.planes import colour_planes, require_alike
from napari_simmat.images.aims.regions import mask_in, regions
from napari_simmat.images.aims.scenes import LABELS, Role
from napari_simmat.images.aims.splits import Form, scenes_of
from napari_simmat.images.image import MultiChannelImage

__all__ = ["RGBP_GLASS"]

LAYOUT = "train/ and test/ with the folders image/, aolp/, dolp/ and mask/"

CLASSES = {1: "glass"}

FORM = Form(
    "aims:rgbp-glass",
    LAYOUT,
    {
        "rgb": Role("the colour picture", ("rgb", "image", "images", "color", "colour", "s0", "intensity")),
        "aolp": Role("angle of polarization", ("aolp", "aop")),
        "dolp": Role("degree of polarization", ("dolp", "dop")),
        "labels": LABELS,
    },
    containers=("rgbpglass", "pgsnet"),
)


def _open(path: Path, channels: int, split: Split, limit: int | None) -> list[AimsItem]:
    needs = [frozenset({"aolp", "dolp", "labels"} | ({"rgb"} if channels == 9 else set()))]
    scenes = scenes_of(path, FORM, needs, split, None)
    some = spread([scene.file("aolp") for scene in scenes])
    items = []
    for scene in scenes[:limit]:
        rgb = scene.file("rgb") if channels == 9 else None
        files = scene.file("aolp"), scene.file("dolp"), scene.file("labels")
        read, classes = partial(_read, scene.key, some, rgb, *files), partial(mask_in, files[-1])
        item = AimsItem(
            scene.key, rgb or files[0], files[-1], class_names=CLASSES, read=read, read_classes=classes
        )
        items.append(item)
    return items


def _read(key: str, some: tuple[Path, ...], rgb: Path | None, aolp: Path, dolp: Path, mask: Path) -> Loaded:
    unit = angle_unit(some)
    angle = colour_planes(aolp)[::-1].astype(np.float64) * unit.radians
    degree = degree_of(colour_planes(dolp), dolp.name)[::-1]
    require_alike(key, [angle.shape[1:], degree.shape[1:]])
    ratios = normalised_stokes(degree, angle)
    said = (
        f"Angles of polarization were taken as {unit.text}, and the order of their colours turned round.",
    )
    labels = regions(mask_in(mask))
    if rgb is None:
        flat = ratios.reshape(6, *ratios.shape[2:])
        image = MultiChannelImage(
            flat, ratio_channels(), modality="generic", source=aolp, name=key, assumptions=said
        )
        return image, labels
    s0 = colour_planes(rgb).astype(np.float32)
    require_alike(key, [s0.shape[1:], angle.shape[1:]])
    stokes = np.concatenate([s0[:, None], s0[:, None] * ratios], axis=1).reshape(9, *s0.shape[1:])
    image = MultiChannelImage(
        stokes, stokes_names(), modality="polarization", source=rgb, name=key, assumptions=said
    )
    return image, labels


RGBP_GLASS = AimsDataset(
    FORM.name,
    "RGBP-Glass (Mei et al., CVPR 2022)",
    LAYOUT,
    {
        6: "S1/S0 and S2/S0 of red, green and blue, from angle and degree of polarization",
        9: "S0, S1 and S2 of red, green and blue, from the colour picture, angle and degree of polarization",
    },
    9,
    _open,
)
