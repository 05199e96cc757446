"""Masks of everything in an image: a grid of clicks, of whose answers the sure and stable ones are kept.

The rules are those of Segment Anything (arXiv 2304.02643, appendix B): predicted IoU, stability of the mask when its
threshold is moved, no mask twice, small holes and islands away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_simmat.inference.candidates import Candidates
from napari_simmat.inference.prompts import Prompt
from napari_simmat.inference.proposing import (
    SMALLEST,
    OnStep,
    Proposal,
    Window,
    answers,
    without_doubles,
)
from napari_simmat.inference.segmenter import Segmenter

__all__ = ["GRID", "STABLE", "SURE", "everything", "tidied"]

GRID = 24
"""Clicks along the longer side of the image."""
SURE = 0.8
"""Predicted IoU from which a mask is kept. Segment Anything's 0.88 is for photographs; other sensors answer lower."""
STABLE = 0.9
"""IoU from which a mask is kept of those at a threshold one higher and one lower."""

_OFFSET = 1.0
_ALIKE = 0.7
_LARGEST = 0.6
"""A mask of more than this share of the image is background."""
_HOLE = 0.02
"""Holes and islands of less than this share of a mask go."""


def everything(
    segmenter: Segmenter,
    *,
    grid: int = GRID,
    sure: float = SURE,
    stable: float = STABLE,
    taken: NDArray[np.bool_] | None = None,
    on_step: OnStep = lambda done, total: None,
) -> list[Proposal]:
    """Proposals for all that looks like an object, the surest first.

    Parameters
    ----------
    segmenter : Segmenter
    grid : int
        Clicks along the longer side.
    sure : float
        Predicted IoU from which a mask is kept.
    stable : float
        Stability from which it is kept: the IoU of the masks where the logits are above 1 and above -1.
    taken : ndarray of bool, (Y, X), optional
        Pixels of objects that are known: nobody clicks there.
    on_step : callable
        Told how many clicks of how many are answered; may raise to stop.
    """
    prompts = _clicks(segmenter.image.shape, grid, taken)
    found: list[Proposal] = []
    for done, (prompt, candidates) in enumerate(answers(segmenter, prompts), 1):
        on_step(done, len(prompts))
        found += _good(prompt, candidates, sure, stable)
        if done % 256 == 0:
            found = without_doubles(found, alike=_ALIKE)
    return without_doubles(found, taken, alike=_ALIKE)


def tidied(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A mask without its small holes and small islands; what is large of either stays."""
    bound = _HOLE * np.count_nonzero(mask)
    holes = _small_parts(~mask, bound)
    return np.asarray((mask | holes) & ~_small_parts(mask, bound))


def _small_parts(mask: NDArray[np.bool_], bound: float) -> NDArray[np.bool_]:
    """The connected parts of a mask that have fewer pixels than so many."""
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    is_small = sizes < bound
    is_small[0] = False
    return np.asarray(is_small[parts])


def _clicks(shape: tuple[int, int], grid: int, taken: NDArray[np.bool_] | None) -> list[Prompt]:
    """A grid of clicks, as dense along both sides."""
    step = max(shape) / grid
    rows, columns = (max(1, round(n / step)) for n in shape)
    places: Sequence[tuple[float, float]] = [
        ((row + 0.5) * shape[0] / rows - 0.5, (column + 0.5) * shape[1] / columns - 0.5)
        for row in range(rows)
        for column in range(columns)
    ]
    return [
        Prompt().with_point(round(y, 1), round(x, 1))
        for y, x in places
        if taken is None or not taken[round(y), round(x)]
    ]


def _good(prompt: Prompt, candidates: Candidates, sure: float, stable: float) -> list[Proposal]:
    """The candidates for a click that are sure and stable, the surest of which stands for the click."""
    found = []
    for k, (logits, score) in enumerate(zip(candidates.logits, candidates.scores, strict=True)):
        if score < sure or _stability(logits) < stable:
            continue
        proposal = _proposal(prompt, k, float(score), candidates.mask(k))
        if proposal is not None:
            found.append(proposal)
    return found


def _stability(logits: NDArray[np.float32]) -> float:
    inner, outer = np.count_nonzero(logits > _OFFSET), np.count_nonzero(logits > -_OFFSET)
    return inner / outer if outer else 0.0


def _proposal(prompt: Prompt, candidate: int, score: float, mask: NDArray[np.bool_]) -> Proposal | None:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    window: Window = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    crop = np.pad(mask[window], 1)
    crop = tidied(crop)[1:-1, 1:-1]
    area = np.count_nonzero(crop)
    if area < SMALLEST or area > _LARGEST * mask.size:
        return None
    y, x = prompt.points[0]
    chosen = Prompt(points=((y, x),), labels=(1,), candidate=candidate)
    return Proposal(chosen, min(max(score, 0.0), 1.0), window, crop)
