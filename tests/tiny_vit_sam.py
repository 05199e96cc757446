"""A small SAM of Meta's code with random weights, for tests that need no good masks."""

from __future__ import annotations

import torch

from napari_simmat.models import BaseModel, Sam
from napari_simmat.models.encoders import ViTEncoder, build_vit

DEPTH, WIDTH, HEADS = 4, 32, 2


def small_vit(seed: int = 0) -> BaseModel:
    """Four blocks of width 32, two of them over the whole frame of 256 pixels; relative positions that do something."""
    torch.manual_seed(seed)
    sam = Sam(ViTEncoder(build_vit(depth=DEPTH, width=WIDTH, heads=HEADS, global_blocks=(1, 3), side=256)))
    for name, weight in sam.named_parameters():
        if "rel_pos" in name or "pos_embed" in name:
            weight.data.normal_(std=0.3)
    return BaseModel("small_vit", f"{seed:064x}", sam.eval().requires_grad_(False))
