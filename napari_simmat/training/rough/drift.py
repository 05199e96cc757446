"""When to stop without masks: when the teacher leaves the anchor.

A model that learns from its own answers can talk itself into anything. So it is watched how much its answers still have
in common with those of the frozen anchor that keep to the user's clicks. That falls while it learns, and falls on when it
drifts: below a bound the training ends, and the weights of the last look above it come out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from napari_simmat.training.average import put
from napari_simmat.training.stopping import Stopping

BOUND = 0.35
"""Mean IoU with the anchor's believed masks below which training ends."""

_LAST = 12  # answers that are averaged
_EVERY = 4  # steps between two looks


class Drift(Stopping):
    """Follows the distance from the anchor.

    Parameters
    ----------
    parameters : sequence of nn.Parameter
        What is gone back to.

    Attributes
    ----------
    went_too_far : bool
        Whether training was ended.
    """

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self._trained = list(parameters)
        self._ious: deque[float] = deque(maxlen=_LAST)
        self._good = [p.detach().clone() for p in self._trained]
        self.went_too_far = False
        self.best_step = 0

    def note(self, ious: Tensor) -> None:
        """IoU of the teacher's masks with those of the anchor in one step."""
        self._ious.extend(ious.tolist())

    def enough(self, step: int) -> bool:
        """Whether to stop after this step."""
        if step % _EVERY or len(self._ious) < _LAST:
            return False
        if float(np.mean(self._ious)) < BOUND:
            self.went_too_far = True
            return True
        self._good, self.best_step = [p.detach().clone() for p in self._trained], step
        return False

    def settle(self) -> None:
        """Go back to before it went too far."""
        if self.went_too_far:
            put(self._trained, self._good)
