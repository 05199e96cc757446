"""Which labelled objects are worth a second look: those whose masks are the most doubtful."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable

import numpy as np
from pydantic import BaseModel as Model
from pydantic import Field

from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation.protocol import SMALLEST, Item, check_labels, objects, segmenter_for
from napari_simmat.inference.doubt import Doubter
from napari_simmat.models import Adapter, BaseModel

__all__ = ["Reviewed", "ReviewedImage", "ReviewedObject", "review"]


class ReviewedObject(Model):
    """One labelled object."""

    image: str
    label: int
    y: float = Field(description="Row of its middle, in pixels of the image.")
    x: float
    area: int
    doubt: float = Field(
        description="One minus (mean IoU of its mask with those that other prompts give) times (one minus how far it "
        "blends in with what surrounds it): 0 certain, 1 not."
    )


class ReviewedImage(Model):
    """All labelled objects of one image."""

    image: str
    objects: int
    doubt: float = Field(description="Mean doubt of its objects.")


class Reviewed(Model):
    """What is worth a second look."""

    images: list[ReviewedImage] = Field(description="The most uncertain first.")
    objects: list[ReviewedObject] = Field(description="The most uncertain first.")


def review(
    dataset: Iterable[Item],
    *,
    adapter: Adapter | None = None,
    profile: str | None = None,
    seed: int = 0,
    on_image: Callable[[int], None] | None = None,
    cancel: threading.Event | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
) -> Reviewed:
    """Rank labelled objects, and their images, by how doubtful their masks are (`napari_simmat.inference.doubt`).

    Parameters
    ----------
    dataset : iterable of (MultiChannelImage, label image)
    adapter, profile, base, device : optional
        As for `napari_simmat.evaluation.evaluate`.
    seed : int
        Of the prompts.
    on_image : callable, optional
        Told how many images are done.
    cancel : threading.Event, optional
        Set it to stop at the next object.

    Raises
    ------
    SimmatError
        There is no object, labels and image do not fit, or an image is too large to be seen as a whole.
    Cancelled
    """
    found: list[ReviewedObject] = []
    done = 0
    for done, (image, instances, *_) in enumerate(dataset, 1):
        check_labels(image, instances)
        segmenter = segmenter_for(image, adapter=adapter, profile=profile, base=base, device=device)
        doubter = Doubter(segmenter, instances > 0)
        for label, mask in objects(instances):
            if cancel is not None and cancel.is_set():
                raise Cancelled("The review was cancelled.")
            ys, xs = np.nonzero(mask)
            found.append(
                ReviewedObject(
                    image=image.name,
                    label=label,
                    y=round(float(ys.mean()), 1),
                    x=round(float(xs.mean()), 1),
                    area=len(ys),
                    doubt=round(doubter.about(mask, seed=seed).value, 4),
                )
            )
        if on_image is not None:
            on_image(done)
    if not found:
        raise SimmatError(
            f"Found no object of at least {SMALLEST} pixels in {done} images; give label images in which each object "
            "has a number of its own and 0 is background."
        )
    by_image: dict[str, list[float]] = defaultdict(list)
    for each in found:
        by_image[each.image].append(each.doubt)
    images = [
        ReviewedImage(image=name, objects=len(doubts), doubt=round(float(np.mean(doubts)), 4))
        for name, doubts in by_image.items()
    ]
    return Reviewed(
        images=sorted(images, key=lambda each: -each.doubt),
        objects=sorted(found, key=lambda each: -each.doubt),
    )
