"""Images as the model sees them, in the encoder's frame, and mirror images of them as the sensor would see those."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_simmat.images import ModalityProfile, MultiChannelImage
from napari_simmat.images.physics.derived import Mirror
from napari_simmat.inference import Frame

Effect = tuple[list[int], list[float]]
"""What a mirror does to channels beside moving their pixels: their order and their signs."""

_MOST_BYTES = 2 * 2**30


class Inputs:
    """Model inputs (C, H, W) by the number of their image, in half precision; the latest used are kept.

    Parameters
    ----------
    images : sequence of MultiChannelImage
    profile : ModalityProfile
    side : int
        Side of the encoder's frame.

    Attributes
    ----------
    frames : list of Frame
        How each image lies in the encoder's frame.
    """

    def __init__(self, images: Sequence[MultiChannelImage], profile: ModalityProfile, *, side: int) -> None:
        self._images = list(images)
        self._profile = profile
        self._kept: OrderedDict[int, Tensor] = OrderedDict()
        self.frames = [Frame(image.shape, side) for image in images]
        # A mirror turns the plane of polarization, and surfaces lean the other way.
        axes: tuple[Mirror, ...] = ("rows", "columns", "both")
        self._effects = {axis: profile.mirrored(axis) for axis in axes}

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        if index not in self._kept:
            made = self._profile.model_input(self._images[index], self.frames[index].shape)
            self._kept[index] = torch.from_numpy(made).half()
            while sum(t.nelement() * 2 for t in self._kept.values()) > _MOST_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
        self._kept.move_to_end(index)
        return self._kept[index]

    def mirrors(self, shape: tuple[int, int], rng: np.random.Generator) -> list[tuple[Mirror, Effect]]:
        """Mirrors for a window of this shape, each by the toss of a coin, of those that leave the physics right."""
        chosen: list[tuple[Mirror, Effect]] = []
        axes: tuple[Mirror, ...] = ("columns", "rows", "both")
        for axis in axes:
            tossed = rng.random() < 0.5
            if tossed and (axis != "both" or shape[0] == shape[1]) and (effect := self._effects[axis]):
                chosen.append((axis, effect))
        return chosen


def mirrored(x: Tensor, axis: Mirror, effect: Effect) -> Tensor:
    """A window (C, H, W) in a mirror; its channels change places and signs as the physics asks."""
    x = {"columns": lambda: x.flip(2), "rows": lambda: x.flip(1), "both": lambda: x.transpose(1, 2)}[axis]()
    order, signs = effect
    if order != sorted(order):
        x = x[order]
    return x if min(signs) > 0 else x * x.new_tensor(signs)[:, None, None]


def mirrored_labels(labels: NDArray[np.int32], axis: Mirror) -> NDArray[np.int32]:
    """A label image (H, W) in a mirror."""
    return {"columns": labels[:, ::-1], "rows": labels[::-1], "both": labels.T}[axis]
