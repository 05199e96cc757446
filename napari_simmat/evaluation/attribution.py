"""Which channels a mask comes from: what leaving them out changes, and how few of them would do."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field

from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.leaving_out import Blank, LeavingOut, Report, Scene
from napari_simmat.evaluation.parts import Part, image_parts, model_parts, needed
from napari_simmat.evaluation.protocol import SMALLEST, Item, check_labels, objects
from napari_simmat.images import MultiChannelImage, chosen_profile
from napari_simmat.inference import Prompt
from napari_simmat.models import Adapter, BaseModel
from napari_simmat.training.clicks import first_click

TOLERANCE = 0.02
"""Channels suffice if their mean IoU is less than this below that of all."""

NOTHING: Blank = frozenset()


class Effect(Model):
    """What one channel, or several together, are worth to the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the channel, or of the first and last one.")
    channels: list[int] = Field(
        description="What is left out: numbers of channels that the model sees, from 0."
    )
    miou_without: float = Field(description="One-click mean IoU without them.")
    change: float = Field(description="That minus the one with all channels: below 0 where they help.")
    ci95: tuple[float, float] | None = Field(
        description="95 % bootstrap interval over images of the change; none for a single image."
    )
    miou_alone: float | None = Field(
        default=None, description="One-click mean IoU with all others left out, where that was looked at."
    )


class Chosen(Model):
    """The channel that was added next, and how good those are that were chosen so far."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the channel, or of the first and last one.")
    channels: list[int] = Field(description="Numbers of channels that the model sees, from 0.")
    miou: float = Field(description="One-click mean IoU with this and the ones before it.")


class Sufficient(Model):
    """Channels that do nearly as well as all, chosen one after the other: each time the one that helps most.

    Greedy, so a smaller set may exist.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tolerance: float = Field(description="How far below the mean IoU of all channels is near enough.")
    steps: list[Chosen] = Field(
        description="In the order of the choice; empty if an empty image does as well."
    )
    image_channels: list[str] = Field(description="Channels of the image that those are made of.")


class Attribution(Model):
    """What channels are worth to a model that was made for all of them.

    It says what this model makes use of, not what one would reach that is trained without a channel: such a model may
    find the same in other channels.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: int = Field(description="Images looked at.")
    objects: int = Field(description="Objects clicked.")
    miou: float = Field(description="One-click mean IoU with all channels.")
    miou_of_none: float = Field(description="One-click mean IoU with every channel left out, an empty image.")
    model_channels: list[Effect] = Field(description="Of the channels that the model sees, in their order.")
    image_channels: list[Effect] = Field(
        description="Of the channels of the image that the model makes use of: each is left out with all that is "
        "computed from it."
    )
    sufficient: Sufficient | None = Field(
        description="Which channels of the model would do; none if not asked."
    )
    seconds: float = Field(description="Wall-clock time.")


def attribute_channels(
    dataset: Iterable[Item],
    *,
    adapter: Adapter | None = None,
    profile: str | None = None,
    groups: int | None = None,
    select: bool = True,
    tolerance: float = TOLERANCE,
    on_step: Report | None = None,
    cancel: threading.Event | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
) -> Attribution:
    """Leave channels out, and see what becomes of the masks after one click on the deepest point of each object.

    A channel that is left out is replaced by its mean over the image in what the model sees (0 after z-scoring): no
    structure is left in it, and its level stays one that the model knows.

    Parameters
    ----------
    dataset : iterable of (MultiChannelImage, label image)
        Gone through several times. A collection that loads its images when it is gone through keeps the memory of one;
        a generator is taken into memory as a whole.
    adapter : Adapter, optional
        By default the untrained one, fitted to each image.
    profile : str, optional
        Without an adapter: how an image becomes model input, a name of `MODALITIES` or the path of a JSON file.
    groups : int, optional
        Leave out so many runs of neighbouring channels instead of single ones: for spectra, whose neighbouring bands
        say the same, so that no single one is missed.
    select : bool
        Whether to look for channels that suffice: at worst about C^2 / 2 more embeddings of each image.
    tolerance : float
        How far below the mean IoU of all channels is near enough for that.
    on_step : callable, optional
        Told how many embeddings are done, how many are known to be needed so far, and what for.
    cancel : threading.Event, optional
        Set it to stop before the next embedding.
    base, device : optional
        As for `Segmenter`.

    Raises
    ------
    SimmatError
        There is no object to click, labels and image do not fit, an image is too large to be seen as a whole, or the
        images have different channels.
    Cancelled
    """
    scenes = _Scenes(dataset if isinstance(dataset, Collection) else list(dataset))
    return _attribute(
        scenes,
        adapter=adapter,
        profile=profile,
        groups=groups,
        select=select,
        tolerance=tolerance,
        on_step=on_step,
        cancel=cancel,
        base=base,
        device=device,
    )


def attribute_object(
    image: MultiChannelImage,
    mask: NDArray[np.bool_],
    *,
    adapter: Adapter | None = None,
    prompt: Prompt | None = None,
    profile: str | None = None,
    groups: int | None = None,
    select: bool = True,
    tolerance: float = TOLERANCE,
    on_step: Report | None = None,
    cancel: threading.Event | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
) -> Attribution:
    """As `attribute_channels`, of one object.

    Parameters
    ----------
    image : MultiChannelImage
    mask : ndarray of bool, (Y, X)
        The object as it should be, such as the mask that the user accepted.
    prompt : Prompt, optional
        What is shown to the model; by default a click at the deepest point of the mask.
    adapter, profile, groups, select, tolerance, on_step, cancel, base, device
        As for `attribute_channels`.

    Raises
    ------
    SimmatError
        The mask is empty or of another shape, or the image too large to be seen as a whole.
    Cancelled
    """
    mask = np.asarray(mask, bool)
    check_labels(image, mask.astype(np.uint8))
    if not mask.any():
        raise SimmatError(f"The mask in {image.name!r} is empty; choose an object.")
    shown = Prompt().with_point(*first_click(mask)) if prompt is None else prompt
    return _attribute(
        [(image, [(mask, shown)])],
        adapter=adapter,
        profile=profile,
        groups=groups,
        select=select,
        tolerance=tolerance,
        on_step=on_step,
        cancel=cancel,
        base=base,
        device=device,
    )


class _Scenes(Collection[Scene]):
    """The objects of a dataset with the click on each, made anew each time that it is gone through."""

    def __init__(self, dataset: Collection[Item]) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __contains__(self, scene: object) -> bool:
        return any(scene is each for each in self)

    def __iter__(self) -> Iterator[Scene]:
        for image, instances, *_ in self._dataset:
            check_labels(image, instances)
            masks = [mask for _, mask in objects(instances)]
            yield image, [(mask, Prompt().with_point(*first_click(mask))) for mask in masks]


def _attribute(
    scenes: Collection[Scene],
    *,
    adapter: Adapter | None,
    profile: str | None,
    groups: int | None,
    select: bool,
    tolerance: float,
    on_step: Report | None,
    cancel: threading.Event | None,
    base: BaseModel | None,
    device: str | None,
) -> Attribution:
    if not (math.isfinite(tolerance) and tolerance >= 0):
        raise SimmatError(f"Got a tolerance of {tolerance:g}, expected an IoU of at least 0.")
    began = time.perf_counter()

    def adapter_for(image: MultiChannelImage) -> Adapter:
        if adapter is not None:
            return adapter
        wanted = None if profile is None else chosen_profile(profile, image)
        return Adapter.untrained(image, profile=wanted, base=base)

    trial = LeavingOut(
        scenes, adapter_for=adapter_for, base=base, device=device, on_step=on_step, cancel=cancel
    )
    trial.measure([NOTHING], "all channels")
    ious = trial.ious(NOTHING)
    if not any(ious):
        raise SimmatError(
            f"Found no object of at least {SMALLEST} pixels in {len(ious)} images; give label images in which "
            "each object has a number of its own and 0 is background."
        )
    of_model, of_image = model_parts(trial.profile, groups), image_parts(trial.profile, groups)
    everything = frozenset(range(trial.profile.n_channels))
    trial.measure([everything, *(part.channels for part in (*of_model, *of_image))], "left out")
    sufficient = _sufficient(trial, of_model, everything, tolerance) if select else None
    return Attribution(
        images=len(ious),
        objects=sum(map(len, ious)),
        miou=trial.mean(NOTHING),
        miou_of_none=trial.mean(everything),
        model_channels=[_effect(trial, part, everything) for part in of_model],
        image_channels=[_effect(trial, part, everything) for part in of_image],
        sufficient=sufficient,
        seconds=time.perf_counter() - began,
    )


def _effect(trial: LeavingOut, part: Part, everything: Blank) -> Effect:
    change, interval = trial.change(part.channels)
    others = everything - part.own
    return Effect(
        name=part.name,
        channels=sorted(part.channels),
        miou_without=trial.mean(part.channels),
        change=change,
        ci95=interval,
        miou_alone=trial.mean(others) if trial.knows(others) else None,
    )


def _sufficient(trial: LeavingOut, parts: Sequence[Part], everything: Blank, tolerance: float) -> Sufficient:
    """Greedy forward selection, from an empty image until it is good enough, at the latest with all channels.

    Those that later ones made superfluous are taken out again, the earliest first.
    """
    what, enough = "which suffice", trial.mean(NOTHING) - tolerance
    left, remaining, chosen = everything, list(parts), list[Part]()
    while remaining and trial.mean(left) < enough:
        trial.measure([left - part.channels for part in remaining], what)
        best = max(remaining, key=lambda part: trial.mean(left - part.channels))
        remaining.remove(best)
        chosen.append(best)
        left -= best.channels
    for part in chosen[:-1]:
        # What groups share is still shown by the others.
        without = everything.difference(*(other.channels for other in chosen if other is not part))
        trial.measure([without], what)
        if trial.mean(without) >= enough:
            chosen.remove(part)
            left = without
    steps, hidden = list[Chosen](), everything
    for part in chosen:
        hidden -= part.channels
        trial.measure([hidden], what)
        steps.append(Chosen(name=part.name, channels=sorted(part.channels), miou=trial.mean(hidden)))
    return Sufficient(
        tolerance=tolerance, steps=steps, image_channels=needed(trial.profile, everything - left)
    )
