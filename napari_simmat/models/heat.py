"""A small network that says where objects are: a heatmap with a peak in the middle of each (the idea of UOIS-SAM)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_simmat.models.encoders import EMBEDDING_CHANNELS, STRIDE

__all__ = ["CELL", "HeatHead"]

CELL = 8
"""Pixels of the encoder's frame in one cell of the heatmap, each way: half of what the embedding has."""

_WIDTH = 32
_PICTURE_WIDTH = 16
_RARE = -4.0
"""Where the heatmap begins, as a logit: nearly no cell is the middle of an object."""


class HeatHead(nn.Module):
    """Three layers of convolution on the embedding and on the picture that the transfer layer made.

    The embedding says what is there, the picture where exactly: its cells are a fourth as large.

    Parameters
    ----------
    channels : int
        Of the picture: 3, or as many as a transfer layer inside of the encoder leaves.
    """

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.channels = channels
        self.drop = nn.Dropout2d(0.2)
        self.embedding = nn.Conv2d(EMBEDDING_CHANNELS, _WIDTH, 1)
        self.picture = nn.Sequential(
            nn.Conv2d(channels, _PICTURE_WIDTH // 2, 5, stride=4, padding=2),
            nn.GELU(),
            nn.Conv2d(_PICTURE_WIDTH // 2, _PICTURE_WIDTH, 3, stride=2, padding=1),
        )
        self.mix = nn.Conv2d(_WIDTH + _PICTURE_WIDTH, _WIDTH, 3, padding=1)
        self.heat = nn.Conv2d(_WIDTH, 1, 3, padding=1)
        assert self.heat.bias is not None
        nn.init.constant_(self.heat.bias, _RARE)

    def forward(self, embedding: Tensor, picture: Tensor) -> Tensor:
        """Logits of the heatmap.

        Parameters
        ----------
        embedding : Tensor, (B, 256, h, w)
        picture : Tensor, (B, C, 16 h, 16 w)

        Returns
        -------
        Tensor, (B, 2 h, 2 w)
        """
        coarse = self.embedding(self.drop(embedding))
        fine = self.picture(picture)
        wide = F.interpolate(coarse, scale_factor=STRIDE // CELL, mode="bilinear", align_corners=False)
        mixed = F.gelu(self.mix(F.gelu(torch.cat([wide, fine], 1))))
        heat: Tensor = self.heat(mixed)
        return heat[:, 0]
