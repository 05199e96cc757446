"""How good painted classes are: the IoU of each class over all pixels of a dataset, and their mean."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from pydantic import BaseModel as Model
from pydantic import Field

from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation.protocol import Item, check_labels, segmenter_for
from napari_simmat.inference.painting import paint
from napari_simmat.models import Adapter, BaseModel

__all__ = ["ClassFigures", "class_name_of", "evaluate_classes"]

BACKGROUND = "background"


class ClassFigures(Model):
    """Painted classes against class images."""

    miou: float = Field(description="Mean IoU over the classes that occur, background left out.")
    miou_with_background: float
    iou: dict[str, float] = Field(description="IoU of each class over all pixels of all images.")
    images: int
    pixels: int


def class_name_of(number: int, names: Mapping[int, str]) -> str:
    """What a class is called whose number may have no name."""
    return names.get(number, f"class {number}")


def evaluate_classes(
    dataset: Iterable[Item],
    *,
    adapter: Adapter,
    class_names: Mapping[int, str] | None = None,
    on_image: Callable[[int], None] | None = None,
    cancel: threading.Event | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
) -> ClassFigures:
    """Paint the classes of an adapter over each image, and compare them with its class image.

    Parameters
    ----------
    dataset : iterable of (MultiChannelImage, label image, class image)
        Objects whose class is 0 are left out; so are images without class image.
    adapter : Adapter
        Has learnt classes. They are those of the dataset that have the same names.
    class_names : mapping of int to str, optional
        Names of the numbers in class images.
    on_image, cancel, base, device : optional
        As for `napari_simmat.evaluation.evaluate`.

    Raises
    ------
    SimmatError
        No image has classes, or the adapter has learnt none.
    Cancelled
    """
    union: dict[str, int] = {}
    common: dict[str, int] = {}
    images = pixels = 0
    for done, (image, instances, *more) in enumerate(dataset, 1):
        if cancel is not None and cancel.is_set():
            raise Cancelled("The evaluation was cancelled.")
        classes = more[0] if more else None
        if classes is None:
            continue
        check_labels(image, instances, classes)
        segmenter = segmenter_for(image, adapter=adapter, profile=None, base=base, device=device)
        painted = paint(segmenter)
        counts = (classes > 0) | (instances == 0)
        truth = {class_name_of(int(k), class_names or {}): classes == k for k in np.unique(classes) if k}
        truth[BACKGROUND] = classes == 0
        said = {name: painted.numbers == k for k, name in enumerate(painted.names, 1)}
        said[BACKGROUND] = painted.numbers == 0
        nothing = np.zeros(image.shape, bool)
        for name in truth.keys() | said.keys():
            one, other = truth.get(name, nothing) & counts, said.get(name, nothing) & counts
            common[name] = common.get(name, 0) + int(np.count_nonzero(one & other))
            union[name] = union.get(name, 0) + int(np.count_nonzero(one | other))
        images, pixels = images + 1, pixels + int(np.count_nonzero(counts))
        if on_image is not None:
            on_image(done)
    if not images:
        raise SimmatError(
            "No image of this dataset has classes, so painted ones cannot be judged; add class images in classes/."
        )
    ious = {name: round(common[name] / union[name], 4) for name in sorted(union) if union[name]}
    own = [value for name, value in ious.items() if name != BACKGROUND]
    return ClassFigures(
        miou=round(float(np.mean(own)), 4) if own else 0.0,
        miou_with_background=round(float(np.mean(list(ious.values()))), 4),
        iou=ious,
        images=images,
        pixels=pixels,
    )
