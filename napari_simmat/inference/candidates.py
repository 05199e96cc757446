"""Three answers to a prompt, and which of them is shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_simmat.inference.frame import Frame


@dataclass(frozen=True, eq=False)
class Candidates:
    """Three answers to a prompt, and the one to show.

    Attributes
    ----------
    logits : ndarray, (3, h, w)
        Low-resolution masks in `frame`; (3, 256, 256) in the whole frame of the encoder.
    scores : ndarray, (3,)
        Predicted IoU of each.
    shown : int
        The one that the user chose, else the one that the product shows.
    frame : Frame
        Where the image lies in the encoder's frame, or the close-up on which the prompt was answered.
    """

    logits: NDArray[np.float32]
    scores: NDArray[np.float32]
    shown: int
    frame: Frame

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the masks."""
        return self.frame.image_shape

    def mask(self, index: int | None = None) -> NDArray[np.bool_]:
        """Mask (Y, X) of a candidate, by default of the shown one."""
        return self.frame.to_mask(self.logits[self.shown if index is None else index])

    @cached_property
    def score(self) -> float:
        """Predicted IoU of the shown candidate, between 0 and 1."""
        return float(np.clip(self.scores[self.shown], 0.0, 1.0))


def arrange(logits: NDArray[np.float32], scores: NDArray[np.float32], frame: Frame) -> Candidates:
    """Three candidates from SAM's single mask and its three masks for an ambiguous prompt.

    The single mask is the one to show: off SAM's own domain the predicted IoU misleads, and showing the mask of
    the highest prediction loses ten points of one-click IoU against it (`docs/benchmarks.md`). It takes the place
    of whichever of the three is most like it, so the other two stay as alternatives.

    Parameters
    ----------
    logits : ndarray, (4, h, w)
        The single mask first.
    scores : ndarray, (4,)
    frame : Frame
    """
    positive = logits > 0
    common = (positive[1:] & positive[0]).sum((1, 2))
    either = (positive[1:] | positive[0]).sum((1, 2))
    shown = int(np.argmax(common / np.maximum(either, 1)))
    three, their_scores = logits[1:].copy(), scores[1:].copy()
    three[shown], their_scores[shown] = logits[0], scores[0]
    return Candidates(three, their_scores, shown, frame)
