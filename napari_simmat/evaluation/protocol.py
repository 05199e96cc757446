"""How good an adapter is on images with instance labels: the protocol of deepest-point clicks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field

from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation.metrics import bootstrap_interval, clicks_to_reach, iou
from napari_simmat.images import MultiChannelImage, chosen_profile
from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.inference.regions import refuse_large
from napari_simmat.models import Adapter, BaseModel
from napari_simmat.training.clicks import first_click, next_click

SMALLEST = 30
"""Objects with fewer pixels are skipped."""

CAP = 20
"""Clicks at which the number of clicks to reach an IoU is given."""

Item = tuple[MultiChannelImage, NDArray[np.integer]]


class Evaluation(Model):
    """Figures of one evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: int = Field(description="Images looked at.")
    objects: int = Field(description="Objects clicked; those under 30 pixels are skipped.")
    clicks: int = Field(description="Clicks on each object.")
    miou: list[float] = Field(description="Mean IoU over objects of the shown mask after 1..N clicks.")
    miou_best_of_candidates: float = Field(
        description="Mean IoU of the best of the three candidates after 1 click."
    )
    noc80: float | None = Field(
        default=None, description="Mean clicks to an IoU of 0.80, at most 20; only if N = 20."
    )
    noc85: float | None = Field(
        default=None, description="Mean clicks to an IoU of 0.85, at most 20; only if N = 20."
    )
    noc90: float | None = Field(
        default=None, description="Mean clicks to an IoU of 0.90, at most 20; only if N = 20."
    )
    ci95: tuple[float, float] = Field(
        description="95 % bootstrap interval over images of the one-click mean IoU."
    )
    seconds: float = Field(description="Wall-clock time.")


def evaluate(
    dataset: Iterable[Item],
    *,
    adapter: Adapter | None = None,
    profile: str | None = None,
    clicks: int = 1,
    on_image: Callable[[int], None] | None = None,
    cancel: threading.Event | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
) -> Evaluation:
    """Click on every object as the product's user would, and measure the mask that the product shows.

    The first click is the deepest point of the object, each next one the deepest point of the largest error region,
    positive or negative; an object without error gets no further click.

    Parameters
    ----------
    dataset : iterable of (MultiChannelImage, label image)
        Taken one by one, so a generator keeps the memory of one image.
    adapter : Adapter, optional
        By default the untrained one, fitted to each image.
    profile : str, optional
        Without an adapter: how an image becomes model input, a name of `MODALITIES` or the path of a JSON file.
    clicks : int
        N, the clicks on each object.
    on_image : callable, optional
        Told how many images are done.
    cancel : threading.Event, optional
        Set it to stop at the next object.
    base, device : optional
        As for `Segmenter`.

    Returns
    -------
    Evaluation

    Raises
    ------
    SimmatError
        There is no object to click, labels and image do not fit, or an image is too large to be seen as a whole.
    Cancelled
    """
    if clicks < 1:
        raise SimmatError(f"Got {clicks} clicks, expected at least 1.")
    began = time.perf_counter()
    per_image: list[list[list[float]]] = []
    best: list[float] = []
    for image, instances in dataset:
        refuse_large(image)
        if instances.shape != image.shape:
            raise SimmatError(
                f"The labels of {image.name!r} are {instances.shape}, the image is {image.shape} (rows, columns); "
                "give labels of this image."
            )
        wanted = chosen_profile(profile, image) if profile is not None and adapter is None else None
        segmenter = Segmenter(image, adapter=adapter, profile=wanted, model=base, device=device)
        curves = []
        for mask in objects(instances):
            if cancel is not None and cancel.is_set():
                raise Cancelled("The evaluation was cancelled.")
            curve, of_three = click_curve(segmenter, mask, clicks)
            curves.append(curve)
            best.append(of_three)
        per_image.append(curves)
        if on_image is not None:
            on_image(len(per_image))
    curves = [curve for image_curves in per_image for curve in image_curves]
    if not curves:
        raise SimmatError(
            f"Found no object of at least {SMALLEST} pixels in {len(per_image)} images; give label images in which "
            "each object has a number of its own and 0 is background."
        )
    noc = {}
    if clicks == CAP:
        for percent in (80, 85, 90):
            noc[f"noc{percent}"] = float(np.mean([clicks_to_reach(c, percent / 100) for c in curves]))
    return Evaluation(
        images=len(per_image),
        objects=len(curves),
        clicks=clicks,
        miou=[float(v) for v in np.mean(curves, axis=0)],
        miou_best_of_candidates=float(np.mean(best)),
        ci95=bootstrap_interval([[curve[0] for curve in image] for image in per_image]),
        seconds=time.perf_counter() - began,
        **noc,
    )


def objects(instances: NDArray[np.integer]) -> Iterable[NDArray[np.bool_]]:
    """Masks (Y, X) of the objects that count."""
    numbers, areas = np.unique(instances, return_counts=True)
    for number, area in zip(numbers, areas, strict=True):
        if number > 0 and area >= SMALLEST:
            yield instances == number


def click_curve(segmenter: Segmenter, mask: NDArray[np.bool_], clicks: int) -> tuple[list[float], float]:
    """IoU of the shown mask after each of N clicks on an object, and of the best candidate after the first."""
    prompt = Prompt().with_point(*first_click(mask))
    candidates = segmenter.answer(prompt)
    shown = candidates.mask()
    curve = [iou(shown, mask)]
    best = max(iou(candidates.mask(k), mask) for k in range(len(candidates.scores)))
    while len(curve) < clicks:
        correction = next_click(mask, shown)
        if correction is None:
            curve += [curve[-1]] * (clicks - len(curve))
            break
        prompt = prompt.with_point(*correction)
        shown = segmenter.answer(prompt).mask()
        curve.append(iou(shown, mask))
    return curve, best
