"""What is minimised: Dice and cross-entropy on low-resolution logits, and the error of the predicted IoU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CROSS_ENTROPY = 5.0
CANDIDATES = 0.5
IOU = 1.0


def mask_loss(logits: Tensor, targets: Tensor, *, cross_entropy: float = CROSS_ENTROPY) -> Tensor:
    """Dice + weight x cross-entropy of each mask.

    Parameters
    ----------
    logits : Tensor, (B, K, h, w)
    targets : Tensor, (B, 1, h, w)
        Share of each cell that the object covers, 0 to 1.
    cross_entropy : float
        Weight of the cross-entropy beside Dice.

    Returns
    -------
    Tensor, (B, K)
    """
    p = logits.sigmoid()
    overlap = (p * targets).sum((2, 3))
    dice = 1 - (2 * overlap + 1) / ((p * p).sum((2, 3)) + (targets * targets).sum((2, 3)) + 1)
    entropy = F.binary_cross_entropy_with_logits(logits, targets.expand_as(logits), reduction="none")
    return dice + cross_entropy * entropy.mean((2, 3))


def answer_loss(logits: Tensor, scores: Tensor, targets: Tensor) -> Tensor:
    """Loss of SAM's four answers to each prompt: a scalar.

    The single mask is the one that is shown, so it counts in full; of the three candidates the best counts by half,
    so that they stay alternatives; and each predicted IoU should be the true one.

    Parameters
    ----------
    logits : Tensor, (B, 4, h, w)
        The single mask first.
    scores : Tensor, (B, 4)
    targets : Tensor, (B, 1, h, w)
    """
    per_mask = mask_loss(logits, targets)
    with torch.no_grad():
        answer, truth = logits > 0, targets > 0.5
        union = (answer | truth).sum((2, 3)).clamp_min(1)
        iou = (answer & truth).sum((2, 3)) / union
    shown, candidates = per_mask[:, 0].mean(), per_mask[:, 1:].amin(1).mean()
    return shown + CANDIDATES * candidates + IOU * F.mse_loss(scores, iou)
