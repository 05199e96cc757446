"""A small network that says what each place of an image is: a class map, for painting classes.

As the auxiliary head of multi-modal SAMs with LoRA experts (arXiv 2412.04220) it takes several scales to one width,
brings them to the finest and mixes them there. Its scales are the embedding, which says what is there, and the picture
that the transfer layer made, at an eighth and a fourth, which say where exactly.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_simmat.errors import AdapterError
from napari_simmat.models.encoders import EMBEDDING_CHANNELS, STRIDE
from napari_simmat.models.heads import Head

__all__ = ["CLASS_CELL", "MOST_CLASSES", "ClassHead", "class_head_of", "class_names_of"]

CLASS_CELL = 4
"""Pixels of the encoder's frame in one cell of the class map, each way."""

MOST_CLASSES = 254
"""Class maps are written as images of 8 bits, of which 0 is background."""

KIND = "classes"
_WIDTH, _FINE = 32, 16
_MOST_CHANNELS = 4096


class ClassHead(nn.Module):
    """Embedding and picture to a map of classes, background first.

    Parameters
    ----------
    classes : int
        How many beside the background.
    channels : int
        Of the picture.
    """

    def __init__(self, classes: int, channels: int = 3) -> None:
        super().__init__()
        self.drop = nn.Dropout2d(0.1)
        self.embedding = nn.Conv2d(EMBEDDING_CHANNELS, _WIDTH, 1)
        self.fourth = nn.Conv2d(channels, _FINE, 5, stride=CLASS_CELL, padding=2)
        self.eighth = nn.Conv2d(_FINE, _FINE, 3, stride=2, padding=1)
        self.mix = nn.Conv2d(_WIDTH + 2 * _FINE, _WIDTH, 3, padding=1)
        self.out = nn.Conv2d(_WIDTH, classes + 1, 1)

    def forward(self, embedding: Tensor, picture: Tensor) -> Tensor:
        """Logits of the classes.

        Parameters
        ----------
        embedding : Tensor, (B, 256, h, w)
        picture : Tensor, (B, C, 16 h, 16 w)

        Returns
        -------
        Tensor, (B, 1 + classes, 4 h, 4 w)
        """
        fine = F.gelu(self.fourth(picture))
        middle = self.eighth(fine)
        coarse = self.embedding(self.drop(embedding))
        scales = [_wider(coarse, STRIDE // CLASS_CELL), _wider(middle, 2), fine]
        logits: Tensor = self.out(F.gelu(self.mix(F.gelu(torch.cat(scales, 1)))))
        return logits


def class_names_of(head: Head) -> tuple[list[str], list[str]]:
    """Names and colours of the classes of an adapter's head, in the order of their numbers from 1.

    Raises
    ------
    AdapterError
        The head is no such one, or is damaged.
    """
    names, colours = (_texts(head.config.get(key)) for key in ("names", "colours"))
    if head.kind != KIND or not 0 < len(names) == len(colours) <= MOST_CLASSES:
        raise AdapterError(
            "The classes of this adapter are damaged; learn them anew or load another adapter."
        )
    return names, colours


def class_head_of(head: Head) -> ClassHead:
    """The network of an adapter's head, ready to answer.

    Raises
    ------
    AdapterError
        The head is no such one, or is damaged.
    """
    names, _ = class_names_of(head)
    channels = head.config.get("channels")
    if not isinstance(channels, int) or not 0 < channels <= _MOST_CHANNELS:
        raise AdapterError(
            "The classes of this adapter are damaged; learn them anew or load another adapter."
        )
    return head.filled(lambda: ClassHead(len(names), channels))


def _texts(value: Any) -> list[str]:
    """A list of texts as it is, and nothing of anything else."""
    is_right = isinstance(value, list) and all(isinstance(each, str) for each in value)
    return list(value) if is_right else []


def _wider(x: Tensor, times: int) -> Tensor:
    return F.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)
