"""The gate: a new adapter version is kept only if it answers held-out corrections at least as well as before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.models import Adapter, BaseModel
from napari_simmat.training.clicks import first_click
from napari_simmat.training.corrections import Correction, Corrections
from napari_simmat.training.trainer import Watch

FEW = 6
"""Below this number of objects each in turn is held out."""

_SHARE = 0.2
_MOST_FOLDS = 3
_IMAGES_TO_SPLIT_BY = 4


@dataclass(frozen=True, eq=False)
class Split:
    """Corrections to learn from, and those that judge."""

    learn: list[Correction]
    judge: list[Correction]


def splits(
    corrections: Corrections, rng: np.random.Generator, *, most_images: int = 6, most_objects: int = 24
) -> list[Split]:
    """How corrections are divided.

    A fifth is held out, by whole images where there are at least four of them. Of fewer than six objects, each in
    turn (at most three of them) is held out of a training of its own. One object leaves nothing to judge by.

    Returns
    -------
    list of Split
        Empty if there is only one object.
    """
    items = list(corrections)
    if len(items) < 2:
        return []
    if len(items) < FEW:
        order = rng.permutation(len(items))[:_MOST_FOLDS]
        return [Split([c for k, c in enumerate(items) if k != out], [items[out]]) for out in sorted(order)]
    groups = corrections.by_image()
    if len(groups) >= _IMAGES_TO_SPLIT_BY:
        count = min(most_images, max(1, round(_SHARE * len(groups))))
        chosen = set(rng.permutation(len(groups))[:count].tolist())
        judge = [c for k in sorted(chosen) for c in groups[k]]
        learn = [c for k, group in enumerate(groups) if k not in chosen for c in group]
    else:
        count = max(1, round(_SHARE * len(items)))
        picked = set(rng.permutation(len(items))[:count].tolist())
        judge = [items[k] for k in sorted(picked)]
        learn = [c for k, c in enumerate(items) if k not in picked]
    if len(judge) > most_objects:
        keep = sorted(rng.permutation(len(judge))[:most_objects].tolist())
        judge = [judge[k] for k in keep]
    return [Split(learn, judge)]


def one_click_iou(
    adapter: Adapter, corrections: Sequence[Correction], *, base: BaseModel, device: str, watch: Watch
) -> float:
    """Mean IoU of the shown mask after one click at the deepest point of each object."""
    values = []
    for group in Corrections(corrections).by_image():
        watch.check()
        segmenter = Segmenter(group[0].image, adapter=adapter, model=base, device=device)
        for correction in group:
            watch.check()
            found = segmenter.answer(Prompt().with_point(*first_click(correction.mask))).mask()
            union = int((found | correction.mask).sum())
            values.append(int((found & correction.mask).sum()) / union)
    return float(np.mean(values))
