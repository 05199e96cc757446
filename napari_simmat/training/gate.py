"""The gate: a new adapter version is kept only if it answers held-out corrections at least as well as before.

Of fewer than six objects none can be spared: what passed goes on to learn from those that judged it, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.models import Adapter, BaseModel
from napari_simmat.training.clicks import first_click
from napari_simmat.training.corrections import Correction, Corrections
from napari_simmat.training.watch import Watch

FEW = 6
"""Below this number of objects none can be spared: those that judged are learnt from afterwards."""

_SHARE = 0.2
_SHARE_OF_FEW = 0.4
_IMAGES_TO_SPLIT_BY = 4


@dataclass(frozen=True, eq=False)
class Split:
    """Corrections to learn from, and those that judge.

    Attributes
    ----------
    learn : list of Correction
    judge : list of Correction
    is_of_few : bool
        Whether there are so few that those that judged should be learnt from once they have judged.
    """

    learn: list[Correction]
    judge: list[Correction]
    is_of_few: bool = False


def split(corrections: Corrections, *, most_images: int = 6, most_objects: int = 24) -> Split | None:
    """How corrections are divided.

    A fifth is held out, by whole images where there are at least four of them; two of five or four objects, one of
    three or two. One object leaves nothing to judge by.

    What is held out follows from the pixels, not from chance: in a later round, the same objects judge again, and
    (unless they were few) none that was learnt from before.

    Returns
    -------
    Split or None
        None if there is only one object.
    """
    items = sorted(corrections, key=rank)
    if len(items) < 2:
        return None
    if len(items) < FEW:
        count = max(1, round(_SHARE_OF_FEW * len(items)))
        return Split(items[count:], items[:count], is_of_few=True)
    groups = sorted(corrections.by_image(), key=lambda group: rank(group[0], by_image=True))
    if len(groups) >= _IMAGES_TO_SPLIT_BY:
        count = min(most_images, max(1, round(_SHARE * len(groups))))
        judge = [c for group in groups[:count] for c in group]
        learn = [c for group in groups[count:] for c in group]
    else:
        count = max(1, round(_SHARE * len(items)))
        judge, learn = items[:count], items[count:]
    return Split(learn, sorted(judge, key=rank)[:most_objects])


def rank(correction: Correction, *, by_image: bool = False) -> str:
    """A fixed place in a random order of all objects (or images) there are."""
    label = "" if by_image else f"/{correction.label}"
    return drawn(f"{correction.image.content_key()}{label}")


def drawn(key: str) -> str:
    """A fixed place in a random order of all keys there are."""
    return hashlib.sha256(key.encode()).hexdigest()


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
            mask = correction.mask
            found = segmenter.answer(Prompt().with_point(*first_click(mask))).mask()
            values.append(int((found & mask).sum()) / int((found | mask).sum()))
    return float(np.mean(values))
