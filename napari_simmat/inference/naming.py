"""What masks are called: by text, with a head that was taught by a CLIP, or by the user's own named masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_simmat.errors import AdapterError, PromptError
from napari_simmat.inference.frame import Frame
from napari_simmat.inference.segmenter import Segmenter
from napari_simmat.models.encoders import STRIDE
from napari_simmat.models.name_head import CELL, Names, names_of

__all__ = ["BY_OWN", "BY_TEXT", "Naming", "Ranked", "cover_of", "nearest_of_own", "shown_part"]

BY_TEXT = "by text"
BY_OWN = "nearest of your own names"

LEARN_FIRST = (
    "There are no names to choose from: teach the adapter names with a CLIP, or name some objects of each kind "
    "yourself."
)


@dataclass(frozen=True)
class Ranked:
    """What one mask may be called.

    Attributes
    ----------
    label : int
    names : tuple of str
        The likeliest first.
    similarities : tuple of float
        Cosine of each, -1 to 1: no probability.
    """

    label: int
    names: tuple[str, ...]
    similarities: tuple[float, ...]

    @property
    def name(self) -> str:
        """The likeliest."""
        return self.names[0]


def shown_part(embedding: Tensor, frame: Frame) -> Tensor:
    """The part of an embedding (1, 256, h, w) of a padded frame that shows the image."""
    height, width = (-(-n // STRIDE) for n in frame.shape)
    return embedding[:, :, :height, :width]


def cover_of(mask: NDArray[np.bool_], frame: Frame, cell: int = CELL) -> Tensor:
    """Share of each cell of the frame's part with the image that a mask (Y, X) covers, (h, w)."""
    height, width = (-(-n // cell) * cell for n in frame.shape)
    window = F.interpolate(torch.from_numpy(mask.astype(np.float32))[None, None], frame.shape, mode="area")
    padded = F.pad(window, (0, width - frame.shape[1], 0, height - frame.shape[0]))
    return F.avg_pool2d(padded, cell)[0, 0]


class Naming:
    """What the head of an adapter says of one image.

    Parameters
    ----------
    segmenter : Segmenter
        Of the image, with the adapter.

    Raises
    ------
    AdapterError
        The adapter has no names, or they are damaged.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        names = names_of(segmenter.adapter.heads)
        if names is None:
            raise AdapterError(
                f"The adapter {segmenter.adapter.card.name!r} was taught no names; teach it some with a CLIP first "
                "(napari-simmat teach)."
            )
        self.names: Names = names
        self.frame = segmenter.frame
        self._segmenter = segmenter
        with torch.inference_mode():
            self.cells = names.head.cells(shown_part(segmenter.embedding, segmenter.frame).float().cpu())[0]

    def rank(
        self, masks: Mapping[int, NDArray[np.bool_]], names: Sequence[str] | None = None
    ) -> list[Ranked]:
        """What each mask (Y, X) may be called, of some of the names or of all that the adapter knows.

        Raises
        ------
        AdapterError
            It does not know one of the names.
        """
        known, texts = self.names.texts_of(list(names or []))
        cover = [cover_of(mask, self.frame) for mask in masks.values()]
        if not cover or not known:
            return []
        with torch.inference_mode():
            similar = self.names.head.regions(self.cells, torch.stack(cover)) @ texts.T
        return [_ranked(label, known, row) for label, row in zip(masks, similar, strict=True)]

    def text_map(self, name: str) -> Tensor:
        """How much more like a name each cell is than like the other names and the background, (h, w), about -1 to 1."""
        known, _ = self.names.texts_of([name])
        with torch.inference_mode():
            texts = torch.cat([self.names.texts, self.names.background[None]])
            similar = torch.einsum("dhw,kd->khw", self.names.head.text_map(self.cells), texts)
        own = self.names.config.classes.index(known[0])
        return similar[own] - similar[[k for k in range(len(similar)) if k != own]].amax(0)


def _ranked(label: int, names: Sequence[str], similar: Tensor) -> Ranked:
    order = similar.argsort(descending=True, stable=True).tolist()
    return Ranked(label, tuple(names[k] for k in order), tuple(float(similar[k]) for k in order))


def nearest_of_own(
    segmenter: Segmenter, masks: Mapping[int, NDArray[np.bool_]], own: Mapping[str, Sequence[Tensor]]
) -> list[Ranked]:
    """What each mask may be called of the names that the user gave to others: those of the nearest prototype.

    A prototype is the mean direction of a class's masks in the embedding. No text is involved.

    Parameters
    ----------
    segmenter : Segmenter
    masks : mapping of int to (Y, X) bool array
    own : mapping of str to sequence of Tensor
        For each class what `own_feature` gave of its masks.

    Raises
    ------
    PromptError
        There is no class.
    """
    if not own:
        raise PromptError(LEARN_FIRST)
    names = sorted(own)
    prototypes = torch.stack([F.normalize(torch.stack(list(own[name])).mean(0), dim=0) for name in names])
    found = []
    for label, mask in masks.items():
        found.append(_ranked(label, names, prototypes @ own_feature(segmenter, mask)))
    return found


def own_feature(segmenter: Segmenter, mask: NDArray[np.bool_]) -> Tensor:
    """Mean of the embedding over a mask (Y, X), less that of the whole image, of length one: (256,)."""
    part = shown_part(segmenter.embedding, segmenter.frame)[0].float().cpu()
    cover = cover_of(mask, segmenter.frame, STRIDE)[: part.shape[1], : part.shape[2]]
    inside = (part * cover).sum((1, 2)) / cover.sum().clamp_min(1e-6)
    return F.normalize(inside - part.mean((1, 2)), dim=0)
