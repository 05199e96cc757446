"""Regions to learn names from, where nobody has drawn any: what the model segments by itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_simmat.inference import Segmenter
from napari_simmat.inference.everything import everything

__all__ = ["automatic_masks"]

_GRID = 12
"""Clicks along the longer side: names are learnt from what is large enough to be seen by a teacher."""


def automatic_masks(
    segmenter: Segmenter, *, most: int = 40, taken: NDArray[np.bool_] | None = None
) -> list[NDArray[np.bool_]]:
    """Masks (Y, X) that the model is sure of, none twice, the surest first.

    Parameters
    ----------
    segmenter : Segmenter
    most : int
        So many at most.
    taken : (Y, X) bool, optional
        Where there are masks already.
    """
    found = []
    for proposal in everything(segmenter, grid=_GRID, taken=taken)[:most]:
        mask = np.zeros(segmenter.image.shape, bool)
        mask[proposal.window] = proposal.crop
        found.append(mask)
    return found
