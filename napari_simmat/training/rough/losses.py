"""What is minimised without masks (WeSAM, arXiv 2312.03502), and what the user's clicks add to it.

All masks are logits (N, h, w) in the decoder's cells; weights say which objects and cells count.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ALPHA, GAMMA = 0.8, 2.0
TEMPERATURE = 0.3


def focal(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Focal loss (arXiv 1708.02002) of each object, (N,): the mean over the cells that count.

    Parameters
    ----------
    logits, targets, weights : Tensor, (N, h, w)
    """
    entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    p = logits.sigmoid()
    missed = torch.where(targets > 0.5, 1 - p, p)
    balance = torch.where(targets > 0.5, ALPHA, 1 - ALPHA)
    loss = balance * missed**GAMMA * entropy * weights
    return loss.sum((1, 2)) / weights.sum((1, 2)).clamp_min(1)


def dice(logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Dice loss of each object, (N,): 0 where the masks are equal, 1 where they have nothing in common."""
    p = logits.sigmoid() * weights
    t = targets * weights
    return 1 - (2 * (p * t).sum((1, 2)) + 1) / (p.sum((1, 2)) + t.sum((1, 2)) + 1)


def iou_error(scores: Tensor, logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Squared error of the predicted IoU of each object, (N,), the pseudo-label taken for the truth."""
    with torch.no_grad():
        answer, truth, seen = logits > 0, targets > 0.5, weights > 0
        common = (answer & truth & seen).sum((1, 2))
        either = ((answer | truth) & seen).sum((1, 2))
        truly = common / either.clamp_min(1)
    return (scores - truly).square()


def click_error(logits: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy of each object at the cells of which the user said what they are, (N,).

    What is the object and what is not count alike, however many cells there are of each.

    Parameters
    ----------
    logits : Tensor, (N, h, w)
    known : Tensor of int8, (N, h, w)
        1, 0 or -1 (unknown).
    """
    entropy = F.binary_cross_entropy_with_logits(logits, (known == 1).to(logits), reduction="none")
    total = logits.new_zeros(len(logits))
    for value in (0, 1):
        cells = (known == value).to(logits)
        total = total + (entropy * cells).sum((1, 2)) / cells.sum((1, 2)).clamp_min(1)
    return total


def box_error(logits: Tensor, box: tuple[float, float, float, float]) -> Tensor:
    """How far a mask (h, w) is from reaching all sides of its box, in cells: the projection loss of BoxInst.

    arXiv 2012.02310: the largest value of each row and of each column should be 1 within the box.
    """
    p = logits.sigmoid()
    y0, x0, y1, x1 = box
    total = logits.new_zeros(())
    for axis, low, high in ((1, y0, y1), (0, x0, x1)):
        places = torch.arange(p.shape[1 - axis], device=p.device)
        wanted = ((places >= low - 0.5) & (places <= high + 0.5)).to(p)
        largest = p.amax(axis)
        overlap = 2 * (largest * wanted).sum() + 1
        total = total + 1 - overlap / (largest.square().sum() + wanted.sum() + 1)
    return total


def prototypes(embedding: Tensor, masks: Tensor, valid: Tensor) -> Tensor:
    """Mean direction of the embedding within each mask, and in the background: (N + 1, C) of unit length.

    The background is what no mask covers, so that there are two prototypes even where there is one object.

    Parameters
    ----------
    embedding : Tensor, (C, h, w)
    masks : Tensor of bool, (N, 4 h, 4 w)
    valid : Tensor of bool, (4 h, 4 w)
        Cells that show the image.
    """
    directions = F.normalize(embedding.float(), dim=0).flatten(1)
    background = valid & ~masks.any(0)
    shares = F.avg_pool2d(torch.cat([masks, background[None]])[:, None].float(), 4)[:, 0].flatten(1)
    means = shares @ directions.T / shares.sum(1, keepdim=True).clamp_min(1e-3)
    return F.normalize(means, dim=1)


def contrast(own: Tensor, anchors: Tensor) -> Tensor:
    """Each prototype should be nearest to the same one of the anchor: InfoNCE with cosines, a scalar.

    Row by row. (One ratio for all of them, as in the released code of WeSAM, is 0 for a single prototype and lets one
    good row hide the others.)

    Parameters
    ----------
    own, anchors : Tensor, (N, C)
        Of unit length; N is at least 2, or it is 0.
    """
    similar = own @ anchors.T / TEMPERATURE
    return F.cross_entropy(similar, torch.arange(len(own), device=own.device))
