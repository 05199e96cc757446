"""Figures of merit for click segmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BOOTSTRAPS = 1000


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two masks; 1 if both are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def clicks_to_reach(ious: Sequence[float], target: float) -> int:
    """Number of the first click after which the IoU is at least `target`; the number of clicks if it never is."""
    return next((n for n, value in enumerate(ious, start=1) if value >= target), len(ious))


def bootstrap_interval(groups: Sequence[Sequence[float]], *, seed: int = 0) -> tuple[float, float]:
    """95 % interval of the mean over all values, drawing whole groups (images) with replacement.

    Objects of one image resemble each other, so images are what is drawn (percentile bootstrap, Efron 1979).

    Parameters
    ----------
    groups : sequence of sequences of float
        Values of each image; empty ones are left out.
    """
    filled = [g for g in groups if len(g)]
    sums = np.array([np.sum(g) for g in filled])
    counts = np.array([len(g) for g in filled])
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(filled), size=(BOOTSTRAPS, len(filled)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)
