"""ZJU-RGB-P: 394 street scenes behind a polarizer at four angles, in colour, with eight classes.

K. Xiang, K. Yang and K. Wang, Polarization-driven semantic segmentation via efficient attention-bridged fusion, Optics
Express 29, 2021. Others read it as `train/` and `val/`, each with the folders `0/`, `45/`, `90/` and `135/` (files
such as `1_image0_0.png`), perhaps `aolp/` and `dolp/`, and `label/` (`1_image0.png`), with the classes 0 unlabelled, 1
building, 2 glass, 3 car, 4 road, 5 tree, 6 sky, 7 pedestrian and 8 bicycle. Its archive was not at hand, so the angles
may be told by folders or by the end of file names ("0", "45" or "I45"), and labels may be numbers, a palette or colours;
that 0 is no class follows readers that leave it out of their scores.
Where there are no four angles, `s0/`, `aolp/` and `dolp/` make up for them.

The nine channels are S0, S1 and S2 of red, green and blue: S0, degree and angle of polarization without the angle's jump
from 180 to 0 degrees. Objects are the connected regions of each class, without the classes 0 and 255.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.images.aims.degrees import (
    angle_unit,
    degree_of,
    normalised_stokes,
    spread,
    stokes_names,
)
from napari_simmat.images.aims.item import AimsDataset, AimsItem, Loaded, Split
from napari_simmat.images.aims.planes import colour_planes, require_alike
from napari_simmat.images.aims.regions import classes_in, regions
from napari_simmat.images.aims.scenes import LABELS, Role, Scene
from napari_simmat.images.aims.splits import Form, scenes_of
from napari_simmat.images.image import MultiChannelImage
from napari_simmat.images.physics.polarization import ANGLES, stokes_of_four

__all__ = ["ZJU"]

CLASSES = dict(
    enumerate(("building", "glass", "car", "road", "tree", "sky", "pedestrian", "bicycle"), start=1)
)
LAYOUT = "train/ and val/ (or test/) with the folders 0/, 45/, 90/, 135/ and label/"


def _angle(degrees: int) -> Role:
    names = (
        f"i{degrees}",
        f"{degrees}",
        f"{degrees:03d}",
        f"{degrees}deg",
        f"pol{degrees}",
        f"pol{degrees:03d}",
    )
    return Role(f"the picture at {degrees} degrees", tuple(dict.fromkeys(names)))


FORM = Form(
    "aims:zju",
    LAYOUT,
    {
        **{f"i{degrees}": _angle(degrees) for degrees in ANGLES},
        "s0": Role("the picture without a polarizer", ("s0", "rgb", "image", "images", "image0")),
        "aolp": Role("angle of polarization", ("aolp", "aop")),
        "dolp": Role("degree of polarization", ("dolp", "dop")),
        "labels": LABELS,
    },
    containers=("zjurgbp", "rgbpdataset", "rgbp", "zju"),
)
FOUR = tuple(f"i{degrees}" for degrees in ANGLES)
THREE = ("s0", "aolp", "dolp")
NEEDS = [frozenset({*FOUR, "labels"}), frozenset({*THREE, "labels"})]


def _open(path: Path, channels: int, split: Split, limit: int | None) -> list[AimsItem]:
    scenes = scenes_of(path, FORM, NEEDS, split, None)
    degrees = [scene for scene in scenes if not scene.files.keys() >= set(FOUR)]
    some = spread([scene.file("aolp") for scene in degrees])
    return [_item(scene, some) for scene in scenes[:limit]]


def _item(scene: Scene, some: tuple[Path, ...]) -> AimsItem:
    labels = scene.file("labels")
    read: Callable[[], Loaded]
    if scene.files.keys() >= set(FOUR):
        files = [scene.file(role) for role in FOUR]
        read = partial(_read_angles, scene.key, files, labels)
    else:
        files = [scene.file(role) for role in THREE]
        read = partial(_read_degrees, scene.key, files, labels, some)
    return AimsItem(
        scene.key,
        files[0],
        labels,
        class_names=CLASSES,
        read=read,
        read_classes=partial(classes_in, labels),
    )


def _read_angles(key: str, files: Sequence[Path], labels: Path) -> Loaded:
    pictures = [colour_planes(path) for path in files]
    require_alike(key, [picture.shape[1:] for picture in pictures])
    stokes = stokes_of_four(*pictures)  # (3 parameters, 3 colours, Y, X)
    return _image(key, stokes.swapaxes(0, 1), files[0], ()), regions(classes_in(labels))


def _read_degrees(key: str, files: Sequence[Path], labels: Path, some: tuple[Path, ...]) -> Loaded:
    unit = angle_unit(some)
    s0, angle, degree = (colour_planes(path) for path in files)
    require_alike(key, [s0.shape[1:], angle.shape[1:], degree.shape[1:]])
    ratios = normalised_stokes(degree_of(degree, files[2].name), angle.astype(np.float64) * unit.radians)
    s0 = s0.astype(np.float32)[:, None]
    said = (f"Angles of polarization were taken as {unit.text}.",)
    return _image(key, np.concatenate([s0, s0 * ratios], axis=1), files[0], said), regions(classes_in(labels))


def _image(key: str, stokes: NDArray[Any], source: Path, said: tuple[str, ...]) -> MultiChannelImage:
    """An image of Stokes parameters (colour, parameter, Y, X)."""
    return MultiChannelImage(
        np.ascontiguousarray(stokes.reshape(9, *stokes.shape[2:])),
        stokes_names(),
        modality="polarization",
        source=source,
        name=key,
        assumptions=said,
    )


ZJU = AimsDataset(
    FORM.name,
    "ZJU-RGB-P (Xiang, Yang and Wang, Optics Express 2021)",
    LAYOUT,
    {9: "S0, S1 and S2 of red, green and blue"},
    9,
    _open,
)
