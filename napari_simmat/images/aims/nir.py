"""The RGB-NIR scene dataset: 477 outdoor and indoor scenes in colour and near infrared.

M. Brown and S. Süsstrunk, Multi-spectral SIFT for scene category recognition, CVPR 2011. It unpacks to
`nirscene1/country/0000_rgb.tiff`, `nirscene1/country/0000_nir.tiff` and so on, for the categories country, field,
forest, indoor, mountain, oldbuilding, street, urban and water. Both pictures of a pair come from colour cameras behind
filters that part near 750 nm, so no channel has a centre wavelength that is known.

It has no labels. The benchmark's authors labelled a hundred of the scenes; in what form they give these out is not
known here, so a label image is found by its folder (`labels/country/0000.png`, `labels/country_0000.png`, ...) or by the
end of its name (`country/0000_label.png`). Labels in a folder called `instances` are numbers of objects and are taken as
they are; of any other, classes become one object for each connected region, without the classes 0 and 255.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_simmat.images.aims.item import AimsDataset, AimsItem, Loaded, Split
from napari_simmat.images.aims.planes import colour_channels, colour_planes, grey_plane, stacked
from napari_simmat.images.aims.regions import classes_in, regions
from napari_simmat.images.aims.scenes import LABELS, Role
from napari_simmat.images.aims.splits import Form, scenes_of
from napari_simmat.images.image import Channel, MultiChannelImage
from napari_simmat.images.readers import open_labels

__all__ = ["NIR"]

LAYOUT = (
    "a folder such as nirscene1/ with country/0000_rgb.tiff and country/0000_nir.tiff, and labels/country/0000.png "
    "for the scenes that are labelled"
)
CUTOFF = "light beyond about 750 nm, of which the camera tells no colours"

FORM = Form(
    "aims:nir",
    LAYOUT,
    {
        "rgb": Role(
            "the colour picture", ("rgb", "rgbimages", "visible", "vis", "color", "colour", "image", "images")
        ),
        "nir": Role("near infrared", ("nir", "nirimages", "nearinfrared", "infrared", "ir")),
        "instances": Role("numbered objects", ("instances", "instance")),
        "labels": LABELS,
    },
    containers=("nirscene1", "nirscene", "nirscenes", "rgbnir", "ivrg", "ivrgnir"),
    has_split=False,
)


def _open(path: Path, channels: int, split: Split, limit: int | None) -> list[AimsItem]:
    pictures = {"nir"} if channels == 1 else {"nir", "rgb"}
    needs = [frozenset(pictures | {labels}) for labels in ("labels", "instances")]
    items = []
    for scene in scenes_of(path, FORM, needs, split, limit):
        nir, rgb = scene.file("nir"), scene.file("rgb") if channels == 4 else None
        numbered = "instances" in scene.files
        labels = scene.file("instances" if numbered else "labels")
        read = partial(_read, scene.key, nir, rgb, labels, numbered)
        classes = partial(_numbered_classes if numbered else classes_in, labels)
        items.append(AimsItem(scene.key, nir, labels, read=read, read_classes=classes))
    return items


def _read(key: str, nir: Path, rgb: Path | None, labels: Path, numbered: bool) -> Loaded:
    parts = [grey_plane(nir)]
    described: tuple[Channel, ...] = (Channel("nir", role="nir"),)
    if rgb is not None:
        colours = colour_planes(rgb)
        parts.insert(0, colours)
        described = (*colour_channels(colours), *described)
    image = MultiChannelImage(
        stacked(key, *parts),
        described,
        modality="nir" if rgb is None else "rgb+x",
        source=nir,
        name=key,
        facts={"near infrared": CUTOFF},
    )
    return image, open_labels(labels) if numbered else regions(classes_in(labels))


def _numbered_classes(path: Path) -> NDArray[np.int32]:
    """All objects of one class, since numbers alone tell none."""
    return (open_labels(path) > 0).astype(np.int32)


NIR = AimsDataset(
    FORM.name,
    "RGB-NIR scene dataset (Brown and Süsstrunk, CVPR 2011)",
    LAYOUT,
    {1: "near infrared", 4: "red, green, blue and near infrared"},
    4,
    _open,
)
