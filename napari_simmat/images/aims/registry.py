"""The datasets of the benchmark by name."""

from __future__ import annotations

import os
from pathlib import Path

from napari_simmat.errors import ImageError
from napari_simmat.images.aims.item import AimsDataset, AimsItem, Split
from napari_simmat.images.aims.nir import NIR
from napari_simmat.images.aims.nyu import NYU
from napari_simmat.images.aims.rgbp_glass import RGBP_GLASS
from napari_simmat.images.aims.thermal_glass import THERMAL_GLASS
from napari_simmat.images.aims.zju import ZJU

__all__ = ["AIMS", "open_aims"]

AIMS: dict[str, AimsDataset] = {each.name: each for each in (NIR, THERMAL_GLASS, NYU, RGBP_GLASS, ZJU)}
"""Every dataset of the AIMS benchmark (Any Image Modality Segmentation, arXiv:2409.08083) by its name."""


def open_aims(
    name: str, path: str | os.PathLike[str], split: Split = "train", limit: int | None = None
) -> list[AimsItem]:
    """List the scenes of a benchmark dataset that the user has downloaded, without reading their pixels.

    Parameters
    ----------
    name : str
        A key of `AIMS`, such as "aims:nir", or that with a number of channels, such as "aims:nir:1".
    path : path
        The unpacked folder; of NYU Depth v2 also its file. `AIMS[name].layout` says what is looked for.
    split : {"train", "test"}
    limit : int, optional
        Only so many, the first ones.

    Returns
    -------
    list of AimsItem
        In the order of their names. `load` gives `(MultiChannelImage, labels)`.

    Raises
    ------
    ImageError
        If there is no such dataset, number of channels, split or scene, with what was found and what was expected.

    Warns
    -----
    UserWarning
        If scenes are left out because files of theirs are missing.
    """
    key, _, count = name.strip().lower().removeprefix("aims:").partition(":")
    dataset = AIMS.get(f"aims:{key}")
    if dataset is None or (count and f"{dataset.name}:{count}" not in dataset.names):
        known = dataset.names if dataset else [each for one in AIMS.values() for each in one.names]
        raise ImageError(f"There is no dataset {name!r}; choose one of {', '.join(known)}.")
    if split not in ("train", "test"):
        raise ImageError(f"There is no split {split!r}; choose train or test.")
    if limit is not None and limit < 1:
        raise ImageError(f"The limit is {limit} images, expected at least 1.")
    return dataset.open(Path(path), int(count) if count else dataset.default, split, limit)
