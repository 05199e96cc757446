"""What speed is measured on: labelled images at the model's size, and the pictures that stock SAM gets of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np
import torch
from numpy.typing import NDArray

from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.protocol import check_labels, objects
from napari_simmat.images import DatasetItem, MultiChannelImage, open_dataset, sample_path
from napari_simmat.images.modality import COLOUR_MOMENTS
from napari_simmat.images.roles import COLOURS
from napari_simmat.models import Adapter, BaseModel
from napari_simmat.training import Correction

__all__ = [
    "SETS",
    "Scene",
    "enlarged",
    "fresh",
    "handful",
    "load_scenes",
    "sample_items",
    "user_picture",
]

SETS = ("camouflage", "glass", "metamers", "warm", "parts", "seedlings")
"""The bundled sets, one for each kind of sensor."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A labelled image.

    Attributes
    ----------
    name : str
    image : MultiChannelImage
    instances : ndarray of int, (Y, X)
        0 is background.
    """

    name: str
    image: MultiChannelImage
    instances: NDArray[np.integer]


def sample_items() -> list[DatasetItem]:
    """The bundled test images: the first of each set, then the second of each, and so on."""
    sets = [open_dataset(sample_path(f"{name}-test")) for name in SETS]
    return [item for row in zip_longest(*sets) for item in row if item is not None]


def load_scenes(items: Sequence[DatasetItem], most: int) -> list[Scene]:
    """Read the first images.

    Raises
    ------
    SimmatError
        An image is too large to be seen as a whole, or its labels are not its own.
    """
    scenes = []
    for item in items[:most]:
        image, instances = item.load()
        check_labels(image, instances)
        folder = item.image_path.parents[1].name
        scenes.append(Scene(f"{folder}/{item.stem}", image, instances))
    return scenes


def enlarged(image: MultiChannelImage, side: int) -> MultiChannelImage:
    """The same image with a longest side of `side` pixels, by taking the nearest pixel."""
    rows, columns = image.shape
    scale = side / max(rows, columns)
    y, x = (
        np.minimum(((np.arange(max(1, round(n * scale))) + 0.5) / scale).astype(int), n - 1)
        for n in (rows, columns)
    )
    pixels = np.ascontiguousarray(
        np.asarray(image.data)[:, y[:, None], x]
    )  # channel after channel, as readers give it
    return replace(image, data=pixels, stored=None, levels=(), camera=None, georeference=None, origin=(0, 0))


def fresh(image: MultiChannelImage, number: int) -> MultiChannelImage:
    """The same pixels as an image that no cache of embeddings or hashes has seen: another place in a larger one."""
    return replace(image, origin=(number + 1, 0))


def user_picture(image: MultiChannelImage, base: BaseModel) -> NDArray[np.uint8]:
    """The colour picture that a user of stock SAM would have made of an image.

    Returns
    -------
    ndarray, (Y, X, 3), uint8
        The pseudo-colours of the image's profile at its own size; what no picture can hold is cut off.
    """
    adapter = Adapter.untrained(image, base=base)
    model = adapter.build_merged(base)
    device = next(model.parameters()).device
    with torch.inference_mode():
        seen = torch.from_numpy(adapter.profile.model_input(image, image.shape))[None].to(device)
        rgb = model.mat(seen)[0].float().cpu()
    moments = torch.tensor([COLOUR_MOMENTS[colour] for colour in COLOURS])
    picture = rgb * moments[:, 1, None, None] + moments[:, 0, None, None]
    return np.asarray((picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous())


def handful(items: Sequence[DatasetItem], count: int) -> list[Correction]:
    """The first objects of a dataset, to learn from.

    Raises
    ------
    SimmatError
        There is no object.
    """
    found: list[Correction] = []
    for scene in _loaded(items):
        for label, mask in objects(scene.instances):
            found.append(Correction.of(scene.image, mask, label=label, source="dataset"))
            if len(found) == count:
                return found
    if not found:
        raise SimmatError(
            "The images have no labelled object to click or to learn from; give label images in which each object has "
            "a number of its own and 0 is background."
        )
    return found


def _loaded(items: Sequence[DatasetItem]) -> Iterator[Scene]:
    for k in range(len(items)):
        yield from load_scenes(items[k : k + 1], 1)
