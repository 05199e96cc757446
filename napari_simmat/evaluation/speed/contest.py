"""Ours beside stock segment-anything on the same images and clicks, in turns: times, and how alike the masks are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.metrics import iou
from napari_simmat.evaluation.protocol import objects
from napari_simmat.evaluation.speed.scenes import Scene, enlarged, fresh, user_picture
from napari_simmat.evaluation.speed.stock import stock_predictor
from napari_simmat.evaluation.speed.timing import Course, Pairs
from napari_simmat.images import MultiChannelImage, as_image
from napari_simmat.inference import Frame, Prompt, Segmenter
from napari_simmat.inference.cache import forget
from napari_simmat.models import BaseModel
from napari_simmat.training import first_click

__all__ = ["CLICKS", "Agreement", "Contest"]

CLICKS = 3
"""Clicks on each image that was encoded."""


@dataclass
class Agreement:
    """IoU for the same first click on real objects, one value for each object.

    Attributes
    ----------
    with_stock : list of float
        Of our mask and stock's on the same picture: nothing but what speed has cost.
    ours, stock : list of float
        Of each of the two and the object.
    channels : list of float
        Of the object and our mask on the image itself, untrained, with more in it than a picture can hold.
    """

    with_stock: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)
    stock: list[float] = field(default_factory=list)
    channels: list[float] = field(default_factory=list)


class Contest:
    """Ours and stock SAM with the same weights on the same device.

    Parameters
    ----------
    base : BaseModel
    device : torch.device

    Attributes
    ----------
    encoding, clicking : Pairs
        What was measured so far.
    by_image : dict of str to Pairs
        Encoding times of each image.
    """

    def __init__(self, base: BaseModel, device: torch.device) -> None:
        self.encoding, self.clicking = Pairs(), Pairs()
        self.by_image: dict[str, Pairs] = {}
        self._base, self._device = base, device
        self._stock = stock_predictor(base, device)
        self._number = 0

    def race(self, scenes: Sequence[Scene], runs: int, course: Course, *, seed: int = 0) -> None:
        """Encode and click on each image in turn, at least `runs` times in all, after a first one that does not count.

        Stock is given the colour picture, `set_image` resizes it, normalises it and encodes it. Ours is given the image
        with all its channels and goes the whole way from there. Both have the image at the size of the encoder's frame.
        A click is answered with three masks of the image's size by both, each click at a place of its own.
        """
        rng = np.random.default_rng(seed)
        side = self._base.sam.side
        shown = [(scene.name, enlarged(scene.image, side)) for scene in scenes]
        pictures = [user_picture(image, self._base) for _, image in shown]
        self._encode(shown[0][1], pictures[0], Pairs())
        for k in range(-(-runs // len(shown)) * len(shown)):
            (name, image), picture = shown[k % len(shown)], pictures[k % len(shown)]
            pairs = Pairs()
            segmenter = self._encode(image, picture, pairs)
            for place in _places(image.shape, CLICKS + (k == 0), rng):
                self._click(segmenter, place, self.clicking)
            if k == 0:  # the very first answer sets up what later ones use
                del self.clicking.stock[0], self.clicking.ours[0]
            for kept in (self.encoding, self.by_image.setdefault(name, Pairs())):
                kept.stock += pairs.stock
                kept.ours += pairs.ours
            course.step(f"encoded {name}")

    def agree(self, scenes: Sequence[Scene], most_objects: int, course: Course) -> Agreement:
        """Click on the deepest point of objects, as evenly over the images as they have objects.

        Both are given the same colour picture of each image at its own size and the same place of it, and answer with
        SAM's single mask, which is the one that the product shows.

        Raises
        ------
        SimmatError
            There is no object.
        """
        found = Agreement()
        for left, scene in zip(range(len(scenes), 0, -1), scenes, strict=True):
            share = -(-(most_objects - len(found.ours)) // left)
            masks = [mask for _, mask in objects(scene.instances)][: max(0, share)]
            if masks:
                picture = user_picture(scene.image, self._base)
                self._stock.set_image(picture)
                colours = as_image(picture, channel_axis=2, modality="rgb", name=scene.name)
                on_picture, on_channels = (
                    Segmenter(image, model=self._base, device=str(self._device))
                    for image in (colours, scene.image)
                )
            for mask in masks:
                place = first_click(mask)
                prompt = Prompt().with_point(*place)
                ours = on_picture.answer(prompt).mask()
                theirs = self._ask_stock(place, three=False)[0]
                found.with_stock.append(iou(ours, theirs))
                found.ours.append(iou(ours, mask))
                found.stock.append(iou(theirs, mask))
                found.channels.append(iou(on_channels.answer(prompt).mask(), mask))
            course.step(f"compared masks on {scene.name}")
        if not found.ours:
            raise SimmatError(
                "The images have no labelled object to click on; give label images in which each object has a number of "
                "its own and 0 is background."
            )
        return found

    def _encode(self, image: MultiChannelImage, picture: NDArray[np.uint8], pairs: Pairs) -> Segmenter:
        forget()
        self._number += 1
        opened = fresh(image, self._number)
        return pairs.measure(
            lambda: self._stock.set_image(picture),
            lambda: Segmenter(opened, model=self._base, device=str(self._device)),
            self._device,
        )

    def _click(self, segmenter: Segmenter, place: tuple[float, float], pairs: Pairs) -> None:
        def ours() -> list[NDArray[np.bool_]]:
            candidates = segmenter.answer(Prompt().with_point(*place))
            return [candidates.mask(k) for k in range(len(candidates.scores))]

        pairs.measure(lambda: self._ask_stock(place, three=True), ours, self._device)

    def _ask_stock(self, place: tuple[float, float], *, three: bool) -> NDArray[np.bool_]:
        points = np.array([_as_stock_counts(place, Frame(self._stock.original_size, self._base.sam.side))])
        masks: NDArray[np.bool_]
        masks, _, _ = self._stock.predict(points, np.array([1]), multimask_output=three)
        return masks


def _as_stock_counts(place: tuple[float, float], frame: Frame) -> tuple[float, float]:
    """A place (y, x) in an image as (x, y) for stock's predictor, so that it has the same place in the encoder's frame.

    Stock multiplies numbers of pixels by the scale, which takes the middle of a pixel to its upper left: in an image of
    256 pixels by 1.5 pixels of the frame, enough for another mask where there is more than one.
    """
    x, y = frame.to_frame(*place)
    scale_y, scale_x = frame.scale
    return x / scale_x, y / scale_y


def _places(shape: tuple[int, int], count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    """Pixels (y, x) anywhere in an image, none twice."""
    drawn = rng.choice(shape[0] * shape[1], count, replace=False)
    return [(float(place // shape[1]), float(place % shape[1])) for place in drawn]
