"""What keeps SAM from forgetting while names are learnt: it answers random clicks as it did before (SAM-CLIP's L_SAM)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_simmat.inference.frame import Frame
from napari_simmat.models.decoder import PromptDecoder

__all__ = ["FOCAL", "random_points", "soft_mask_loss"]

FOCAL = 20.0
"""Weight of the focal part beside Dice, as in SAM."""


def soft_mask_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """SAM's focal and Dice loss, for answers that are themselves uncertain: a scalar, 0 at best up to rounding.

    The focal part is the cross-entropy less its smallest value, weighted with the square of the error (the quality focal
    loss of arXiv 2006.04388), so that it is zero where both agree; in Dice the target is a probability, too.

    Parameters
    ----------
    logits, wanted : Tensor, (B, K, h, w)
        Answers, and those that they should be.
    """
    p, target = logits.sigmoid(), wanted.sigmoid()
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    least = torch.nn.functional.binary_cross_entropy_with_logits(wanted, target, reduction="none")
    focal = ((p - target).square() * (entropy - least)).mean((2, 3))
    both = (p.square() + target.square()).sum((2, 3))
    dice = 1 - (2 * (p * target).sum((2, 3)) + 1) / (both + 1)
    return (FOCAL * focal + dice).mean()


def random_points(frame: Frame, count: int, rng: np.random.Generator) -> Tensor:
    """Clicks (B, 1, 2), (x, y) in the frame, anywhere on the image."""
    height, width = frame.shape
    places = rng.uniform(size=(count, 1, 2)) * (width, height)
    return torch.from_numpy(places.astype(np.float32))


def answers(decoder: PromptDecoder, embedding: Tensor, points: Tensor) -> Tensor:
    """All four masks (B, 4, h, w) for each click."""
    logits, _ = decoder.answer(
        decoder.ground(embedding), points=points, labels=torch.ones(points.shape[:2], device=points.device)
    )
    return logits
