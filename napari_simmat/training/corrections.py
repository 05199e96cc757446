"""What the user accepted or fixed, and the memory of it that training replays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import TrainingError
from napari_simmat.images import MultiChannelImage
from napari_simmat.inference import Prompt

Source = Literal["clicks", "brush", "dataset"]


@dataclass(frozen=True, eq=False)
class Correction:
    """An object that the user accepted or fixed.

    Attributes
    ----------
    image : MultiChannelImage
    window : (slice, slice)
        Rows and columns of its bounding box. Kept instead of whole masks: of hundreds of objects in one image these took
        more memory than the training.
    crop : ndarray of bool, (h, w)
        Its mask in there.
    prompt : Prompt, optional
        The clicks that it took, where it was made by clicks.
    label : int
        Its number in the label image.
    source : str
        How the mask came about: "clicks", "brush" or "dataset".
    """

    image: MultiChannelImage
    window: tuple[slice, slice]
    crop: NDArray[np.bool_]
    prompt: Prompt | None = None
    label: int = 0
    source: Source = "clicks"

    @classmethod
    def of(
        cls,
        image: MultiChannelImage,
        mask: NDArray[np.bool_],
        *,
        prompt: Prompt | None = None,
        label: int = 0,
        source: Source = "clicks",
    ) -> Correction:
        """The correction with this mask (Y, X)."""
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        window = tuple(slice(int(k[0]), int(k[-1]) + 1) if len(k) else slice(0, 0) for k in (rows, columns))
        return cls(image, (window[0], window[1]), mask[window].copy(), prompt, label, source)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Mask (Y, X), made anew each time."""
        mask = np.zeros(self.image.shape, bool)
        mask[self.window] = self.crop
        return mask


class Corrections:
    """The replay memory: one correction for each object, in the order in which they came."""

    def __init__(self, corrections: Iterable[Correction] = ()) -> None:
        self._items: dict[tuple[str, int], Correction] = {}
        for correction in corrections:
            self.add(correction)

    @classmethod
    def from_labels(cls, image: MultiChannelImage, instances: NDArray[np.integer]) -> Corrections:
        """Every object of a label image.

        Parameters
        ----------
        image : MultiChannelImage
        instances : ndarray of int, (Y, X)
            0 is background.

        Raises
        ------
        TrainingError
            The labels are not of the image's shape.
        """
        if instances.shape != image.shape:
            raise TrainingError(
                f"The labels of {image.name!r} are {instances.shape}, the image is {image.shape} (rows, columns); "
                "give labels of this image."
            )
        numbers = np.unique(instances)
        return cls(
            Correction.of(image, instances == n, label=int(n), source="dataset") for n in numbers if n > 0
        )

    def add(self, correction: Correction) -> None:
        """Remember an object; it replaces an earlier one of the same image and label."""
        self._items[correction.image.content_key(), correction.label] = correction

    def remove(self, image: MultiChannelImage, label: int) -> None:
        """Forget an object, if it is there."""
        self._items.pop((image.content_key(), label), None)

    def by_image(self) -> list[list[Correction]]:
        """The corrections of each image, images in the order in which they came."""
        groups: dict[str, list[Correction]] = {}
        for (key, _), correction in self._items.items():
            groups.setdefault(key, []).append(correction)
        return list(groups.values())

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Correction]:
        return iter(self._items.values())
