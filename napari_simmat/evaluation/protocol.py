"""How an adapter is put to the test on images with instance labels: simulated clicks, one object after the other."""

from __future__ import annotations

import math
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation.metrics import iou
from napari_simmat.evaluation.scores import ObjectScore, class_of, size_of
from napari_simmat.evaluation.summary import Evaluation, summarise
from napari_simmat.images import MultiChannelImage, chosen_profile
from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.inference.regions import refuse_large
from napari_simmat.models import Adapter, BaseModel
from napari_simmat.training.clicks import Place, deepest, first_click, jittered, next_click

SMALLEST = 30
"""Objects with fewer pixels are skipped."""

Labels = NDArray[np.integer]
Item = tuple[MultiChannelImage, Labels] | tuple[MultiChannelImage, Labels, Labels | None]
"""An image, the numbers (Y, X) of its objects and, where known, the class (Y, X) of each pixel."""


def evaluate(
    dataset: Iterable[Item],
    *,
    adapter: Adapter | None = None,
    profile: str | None = None,
    clicks: int = 1,
    jitter: float = 0.0,
    seed: int = 0,
    class_names: Mapping[int, str] | None = None,
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
    dataset : iterable of (MultiChannelImage, label image) or (MultiChannelImage, label image, class image)
        Taken one by one, so a generator keeps the memory of one image.
    adapter : Adapter, optional
        By default the untrained one, fitted to each image.
    profile : str, optional
        Without an adapter: how an image becomes model input, a name of `MODALITIES` or the path of a JSON file.
    clicks : int
        N, the clicks on each object.
    jitter : float
        People do not hit the middle: each click is drawn evenly from the pixels of the object or error region within
        `jitter` times its depth of its deepest point. 0 is that point, 1 the largest disc that fits in.
    seed : int
        Of the jitter. What is drawn depends on it and on the object alone, not on other objects or their order, so
        evaluations of several adapters begin with the same clicks.
    class_names : mapping of int to str, optional
        Names of the numbers in the class images.
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
    began = time.perf_counter()
    images = 0

    def count(done: int) -> None:
        nonlocal images
        images = done
        if on_image is not None:
            on_image(done)

    scores = evaluate_objects(
        dataset,
        adapter=adapter,
        profile=profile,
        clicks=clicks,
        jitter=jitter,
        seed=seed,
        class_names=class_names,
        on_image=count,
        cancel=cancel,
        base=base,
        device=device,
    )
    return summarise(scores, images=images, jitter=jitter, seed=seed, seconds=time.perf_counter() - began)


def evaluate_objects(
    dataset: Iterable[Item],
    *,
    adapter: Adapter | None = None,
    profile: str | None = None,
    clicks: int = 1,
    jitter: float = 0.0,
    seed: int = 0,
    class_names: Mapping[int, str] | None = None,
    on_image: Callable[[int], None] | None = None,
    cancel: threading.Event | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
) -> list[ObjectScore]:
    """As `evaluate`, but what was found of each object; `summarise` makes figures of it."""
    if clicks < 1:
        raise SimmatError(f"Got {clicks} clicks, expected at least 1.")
    if not (math.isfinite(jitter) and jitter >= 0 and seed >= 0):
        raise SimmatError(f"Got a jitter of {jitter:g} and the seed {seed}, expected numbers of at least 0.")
    scores: list[ObjectScore] = []
    number = -1
    for number, (image, instances, *more) in enumerate(dataset):
        classes = more[0] if more else None
        check_labels(image, instances, classes)
        segmenter = segmenter_for(image, adapter=adapter, profile=profile, base=base, device=device)
        for label, mask in objects(instances):
            if cancel is not None and cancel.is_set():
                raise Cancelled("The evaluation was cancelled.")
            prompt, curve, best = click_curve(segmenter, mask, clicks, clicking(mask, jitter, seed))
            class_number, class_name = class_of(mask, classes, class_names or {})
            area = int(np.count_nonzero(mask))
            scores.append(
                ObjectScore(
                    image=image.name,
                    image_number=number,
                    label=label,
                    area=area,
                    size=size_of(area),
                    class_number=class_number,
                    class_name=class_name,
                    clicks=tuple((y, x, s) for (y, x), s in zip(prompt.points, prompt.labels, strict=True)),
                    ious=tuple(curve),
                    best_candidate=best,
                )
            )
        if on_image is not None:
            on_image(number + 1)
    if not scores:
        raise SimmatError(
            f"Found no object of at least {SMALLEST} pixels in {number + 1} images; give label images in which "
            "each object has a number of its own and 0 is background."
        )
    return scores


def check_labels(image: MultiChannelImage, instances: Labels, classes: Labels | None = None) -> None:
    """Refuse an image that is not seen as a whole, and labels that are not its own.

    Raises
    ------
    SimmatError
    """
    refuse_large(image)
    for name, labels in (("labels", instances), ("classes", classes)):
        if labels is not None and labels.shape != image.shape:
            raise SimmatError(
                f"The {name} of {image.name!r} are {labels.shape}, the image is {image.shape} (rows, columns); "
                f"give {name} of this image."
            )


def segmenter_for(
    image: MultiChannelImage,
    *,
    adapter: Adapter | None,
    profile: str | None,
    base: BaseModel | None,
    device: str | None,
) -> Segmenter:
    """What answers on an image: with the adapter, or untrained with the profile of that name."""
    wanted = chosen_profile(profile, image) if profile is not None and adapter is None else None
    return Segmenter(image, adapter=adapter, profile=wanted, model=base, device=device)


def objects(instances: Labels) -> Iterable[tuple[int, NDArray[np.bool_]]]:
    """Numbers and masks (Y, X) of the objects that count."""
    numbers, areas = np.unique(instances, return_counts=True)
    for number, area in zip(numbers, areas, strict=True):
        if number > 0 and area >= SMALLEST:
            yield int(number), instances == number


def clicking(mask: NDArray[np.bool_], jitter: float, seed: int) -> Place:
    """Where an object is clicked: the same places for the same object, whatever else is evaluated."""
    if jitter == 0:
        return deepest
    return jittered(jitter, np.random.default_rng((seed, zlib.crc32(np.packbits(mask).tobytes()))))


def click_curve(
    segmenter: Segmenter, mask: NDArray[np.bool_], clicks: int, place: Place = deepest
) -> tuple[Prompt, list[float], float]:
    """The clicks on an object, IoU of the shown mask after each of N, and of the best candidate after the first."""
    prompt = Prompt().with_point(*first_click(mask, place))
    candidates = segmenter.answer(prompt)
    shown = candidates.mask()
    curve = [iou(shown, mask)]
    best = max(iou(candidates.mask(k), mask) for k in range(len(candidates.scores)))
    while len(curve) < clicks:
        correction = next_click(mask, shown, place)
        if correction is None:
            curve += [curve[-1]] * (clicks - len(curve))
            break
        prompt = prompt.with_point(*correction)
        shown = segmenter.answer(prompt).mask()
        curve.append(iou(shown, mask))
    return prompt, curve, best
