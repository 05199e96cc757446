"""What names are learnt from: of each image what the student sees, and what the teacher says of it and its regions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_simmat.images import ModalityProfile, MultiChannelImage
from napari_simmat.inference import Frame
from napari_simmat.inference.compute import autocast
from napari_simmat.inference.naming import cover_of, shown_part
from napari_simmat.models import AdaptedSam
from napari_simmat.training.naming.teachers import Teacher
from napari_simmat.training.naming.views import crops_of, picture_of, squeezed, without

__all__ = ["Lesson", "Seen", "lesson_of", "similarity_loss"]

_LEAST_REST = 0.05  # of the image


@dataclass(eq=False)
class Seen:
    """An image at one size in the encoder's frame.

    Attributes
    ----------
    frame : Frame
    early : Tensor or None
        Early features of the whole frame, where the late part is trained.
    embedding : Tensor, (1, 256, h, w)
        Of the whole frame.
    cover : Tensor, (N, h', w')
        Share of each of the head's cells that each region covers.
    """

    frame: Frame
    early: Tensor | None
    embedding: Tensor
    cover: Tensor

    @property
    def part(self) -> Tensor:
        """The part of the embedding with the image, (1, 256, h, w)."""
        return shown_part(self.embedding, self.frame)


@dataclass(eq=False)
class Lesson:
    """One image.

    Attributes
    ----------
    image : MultiChannelImage
    masks : list of (Y, X) bool arrays
        Its regions, last what belongs to none of them, if that is much.
    things : int
        How many of them were given.
    whole : Tensor, (D,)
        What the teacher says of the whole image.
    regions : Tensor, (N, D)
        What it says of each region.
    seen : dict of int to Seen
        What the student sees, by the longest side in the encoder's frame.
    """

    image: MultiChannelImage
    masks: list[NDArray[np.bool_]]
    things: int
    whole: Tensor
    regions: Tensor
    seen: dict[int, Seen] = field(default_factory=dict)


def lesson_of(image: MultiChannelImage, masks: Sequence[NDArray[np.bool_]], teacher: Teacher) -> Lesson:
    """Ask the teacher about an image and its regions, each of which it sees with and without its surroundings.

    What belongs to no region is one, too: the teacher sees it with all others faded.
    """
    listed = [mask for mask in masks if mask.any()]
    picture = picture_of(image)
    whole = teacher.embed_pictures(squeezed(picture, teacher.side))[0]
    regions = whole.new_zeros(0, len(whole))
    things = len(listed)
    if listed:
        both = teacher.embed_pictures(crops_of(picture, listed, teacher.side))
        regions = F.normalize(both.reshape(2, things, -1).mean(0), dim=-1)
        rest = ~np.any(listed, axis=0)
        if rest.mean() >= _LEAST_REST:
            seen = teacher.embed_pictures(squeezed(without(picture, rest), teacher.side))
            listed, regions = [*listed, rest], torch.cat([regions, seen])
    return Lesson(image, listed, things, whole, regions)


@torch.no_grad()
def look(
    lesson: Lesson, model: AdaptedSam, profile: ModalityProfile, side: int, *, keep_early: bool = False
) -> Seen:
    """Have the student see the image of a lesson, its longest side of so many pixels."""
    device = next(model.parameters()).device
    frame = Frame(lesson.image.shape, side)
    x = torch.from_numpy(profile.model_input(lesson.image, frame.shape))[None].to(device)
    with autocast(device):
        early = model.early_of_frame(x, side)
        embedding = model.late(early).float()
    cells = [cover_of(mask, frame) for mask in lesson.masks]
    cover = torch.stack(cells).to(device) if cells else torch.zeros(0, 1, 1, device=device)
    return Seen(frame, early.detach() if keep_early else None, embedding, cover)


def similarity_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """1 - cosine, the mean over directions (N, D) of length one."""
    return 1 - (found * wanted).sum(-1).mean()
