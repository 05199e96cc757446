"""How good one click is with some channels of the model left out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation.metrics import bootstrap_interval, iou
from napari_simmat.images import ModalityProfile, MultiChannelImage
from napari_simmat.images.modality import describe_channels
from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.models import Adapter, BaseModel

Blank = frozenset[int]
"""Channels of the model that are left out."""

Scene = tuple[MultiChannelImage, Sequence[tuple[NDArray[np.bool_], Prompt]]]
"""An image, and the masks (Y, X) of objects in it with what is shown to the model for each."""

Report = Callable[[int, int, str], None]
"""Is told how many embeddings are done, how many are known to be needed so far, and what for."""


class LeavingOut:
    """Measures sets of left-out channels on some scenes, each set once.

    Parameters
    ----------
    scenes : collection of Scene
        Gone through once for each call of `measure` that has something new to measure, so one that loads its images when
        it is gone through keeps the memory of one.
    adapter_for : callable
        The adapter to use on an image.
    base, device : optional
        As for `Segmenter`.
    on_step : callable, optional
        Told of progress.
    cancel : threading.Event, optional
        Set it to stop before the next embedding.
    """

    def __init__(
        self,
        scenes: Collection[Scene],
        *,
        adapter_for: Callable[[MultiChannelImage], Adapter],
        base: BaseModel | None = None,
        device: str | None = None,
        on_step: Report | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        self._scenes = scenes
        self._adapter_for = adapter_for
        self._base, self._device = base, device
        self._on_step, self._cancel = on_step, cancel
        self._done, self._total = 0, 0
        self._known: dict[Blank, list[list[float]]] = {}
        self._profile: ModalityProfile | None = None

    @property
    def profile(self) -> ModalityProfile:
        """What the model sees, the same channels in all images; known once something was measured."""
        assert self._profile is not None
        return self._profile

    def measure(self, blanks: Iterable[Blank], what: str) -> None:
        """Find the IoU of each object with each of these sets left out, as far as it is not known.

        Raises
        ------
        SimmatError
            The model does not see the same channels in all images.
        Cancelled
        """
        new = [blank for blank in dict.fromkeys(blanks) if blank not in self._known]
        if not new:
            return
        self._total += len(new) * len(self._scenes)
        found: dict[Blank, list[list[float]]] = {blank: [] for blank in new}
        for image, targets in self._scenes:
            adapter = self._adapter_for(image)
            self._same_channels(adapter.profile, image)
            for blank in new:
                if self._cancel is not None and self._cancel.is_set():
                    raise Cancelled("Leaving out channels was cancelled.")
                found[blank].append(self._ious(image, adapter, blank, targets) if targets else [])
                self._done += 1
                if self._on_step is not None:
                    self._on_step(self._done, self._total, what)
        self._known |= found

    def knows(self, blank: Blank) -> bool:
        """Whether a set was measured."""
        return blank in self._known

    def ious(self, blank: Blank) -> list[list[float]]:
        """IoU of each object of each image with a set left out that was measured."""
        return self._known[blank]

    def mean(self, blank: Blank) -> float:
        """Mean IoU over all objects with a set left out that was measured."""
        return float(np.mean([value for image in self._known[blank] for value in image]))

    def change(self, blank: Blank) -> tuple[float, tuple[float, float] | None]:
        """What leaving out a set changes in the mean IoU, and the 95 % interval of that over images.

        None instead of an interval if fewer than two images have objects.
        """
        differences = [
            [after - before for after, before in zip(*image, strict=True)]
            for image in zip(self._known[blank], self._known[frozenset()], strict=True)
        ]
        mean = float(np.mean([value for image in differences for value in image]))
        return mean, bootstrap_interval(differences) if sum(map(bool, differences)) > 1 else None

    def _ious(
        self,
        image: MultiChannelImage,
        adapter: Adapter,
        blank: Blank,
        targets: Sequence[tuple[NDArray[np.bool_], Prompt]],
    ) -> list[float]:
        segmenter = Segmenter(image, adapter=adapter, model=self._base, device=self._device, blank=blank)
        return [iou(segmenter.answer(prompt).mask(), mask) for mask, prompt in targets]

    def _same_channels(self, profile: ModalityProfile, image: MultiChannelImage) -> None:
        if self._profile is None:
            self._profile = profile
        first, here = ([seen.name for seen in each.sees] for each in (self._profile, profile))
        if first != here:
            raise SimmatError(
                f"The model sees {describe_channels(here)} in {image.name!r}, but {describe_channels(first)} in the "
                "first image; compare images with the same channels."
            )
