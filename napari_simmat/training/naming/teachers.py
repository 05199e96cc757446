"""Who teaches names: anything that embeds pictures and sentences in one space, such as a CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_simmat.errors import TrainingError

__all__ = ["BACKGROUND", "MOST_NAMES", "TEMPLATES", "Teacher", "checked_names", "texts_of"]

TEMPLATES = (
    "{}",
    "a photo of a {}.",
    "a photo of the {}.",
    "a close-up photo of a {}.",
    "a cropped photo of a {}.",
    "a blurry photo of a {}.",
    "a bright photo of a {}.",
    "a dark photo of a {}.",
    "a photo of many {}.",
    "a photo of a small {}.",
    "a photo of a large {}.",
    "an image of a {}.",
)
"""Sentences around a name; their embeddings are averaged, as CLIP's authors do with their 80 (arXiv 2103.00020)."""

BACKGROUND = "background"
"""What is none of the names: a map of a name is where that name is likelier than this, too."""

MOST_NAMES = 1000


class Teacher(Protocol):
    """Embeds pictures and texts as directions in one space.

    Attributes
    ----------
    name : str
        For people, and for the adapter's settings.
    side : int
        Rows and columns of the pictures that it takes.
    """

    name: str
    side: int

    def embed_pictures(self, pictures: Tensor) -> Tensor:
        """Directions (N, D), of length one, of pictures (N, 3, side, side) in red, green, blue from 0 to 1."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Directions (N, D), of length one, of sentences."""
        ...


def texts_of(teacher: Teacher, names: Sequence[str], templates: Sequence[str] = TEMPLATES) -> Tensor:
    """Directions (K, D) of names: the mean over the templates, brought back to length one."""
    found = []
    for name in names:
        directions = teacher.embed_texts([template.format(name) for template in templates])
        found.append(F.normalize(F.normalize(directions, dim=-1).mean(0), dim=0))
    return torch.stack(found)


def checked_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names as they were typed, without blanks around them, each once.

    Raises
    ------
    TrainingError
        There are none, too many, or one is no name.
    """
    listed = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    if not listed or len(listed) > MOST_NAMES:
        raise TrainingError(
            f"Got {len(listed)} names, expected 1 to {MOST_NAMES}; give the classes that objects may have, such as "
            "crop, weed."
        )
    wrong = [name for name in listed if len(name) > 80 or not name.isprintable()]
    if wrong:
        raise TrainingError(f"Got the name {wrong[0][:40]!r}, expected one line of at most 80 letters.")
    return listed
