"""When it is enough: objects that are neither learnt from nor judged by are asked now and then.

The gate must stay honest. So its objects are set apart first; a fifth of those that are left, the next ones in the gate's
order, watch the training, and the others are learnt from. The weights with which the watching objects were answered best
come out, and training ends when they have not been answered better for a while. The gate then judges by objects that had
no say in this. In halves (`napari_simmat.training.regularisers.halves`) it is the second half that watches.

A handful of objects is soon answered as well as ever, long before others are: watched from the first steps on, trainings
were stopped after a fifth of what they needed (`docs/benchmarks.md`). So the first half of a training is not watched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from napari_simmat.inference import autocast
from napari_simmat.models import AdaptedSam
from napari_simmat.training.average import put
from napari_simmat.training.clicks import first_click
from napari_simmat.training.corrections import Correction, Corrections
from napari_simmat.training.gate import rank
from napari_simmat.training.samples import Sample, in_frame, targets_of

LEAST = 8
"""Of fewer objects to learn from none is set apart."""

_SHARE = 0.2
_IMAGES_TO_SPLIT_BY = 4
_LOOKS = 10
_PATIENCE = 4  # looks


def watchers(corrections: Sequence[Correction]) -> tuple[list[Correction], list[Correction]]:
    """Those to learn from and those that watch, by whole images where there are at least four."""
    if len(corrections) < LEAST:
        return list(corrections), []
    groups = sorted(Corrections(corrections).by_image(), key=lambda group: rank(group[0], by_image=True))
    if len(groups) < _IMAGES_TO_SPLIT_BY:
        groups = [[c] for c in sorted(corrections, key=rank)]
    count = max(1, round(_SHARE * len(groups)))
    watch, learn = ([c for group in part for c in group] for part in (groups[:count], groups[count:]))
    return learn, watch


class Stopping:
    """Looks at the model now and then and remembers where it was best.

    Parameters
    ----------
    parameters : sequence of nn.Parameter
        What is remembered.
    score : callable
        How good the model is as it stands; more is better.
    steps : int
        Of the whole training; it is looked at ten times in its second half.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], score: Callable[[], float], steps: int) -> None:
        self._parameters = list(parameters)
        self._score = score
        self._every = max(1, steps // (2 * _LOOKS))
        self._first, self._last = steps / 2, steps
        self._best = -np.inf
        self._values: list[Tensor] = []
        self._since = 0
        self.best_step = 0

    def enough(self, step: int) -> bool:
        """Whether to stop after this step, of 1, 2, ..."""
        if step < self._first or (step % self._every and step != self._last):
            return False
        score = self._score()
        if score > self._best:
            self._best, self.best_step, self._since = score, step, 0
            self._values = [p.detach().clone() for p in self._parameters]
        else:
            self._since += 1
        return self._since >= _PATIENCE

    def settle(self) -> None:
        """Let the parameters be the best ones seen."""
        if self._values:
            put(self._parameters, self._values)


def window_iou(model: AdaptedSam, samples: Sequence[Sample]) -> float:
    """Mean IoU of the single mask, in cells of the decoder, after one click in the middle of each object."""
    return float(np.mean([value for sample in samples for value in _answers(model, sample)]))


@torch.no_grad()
def _answers(model: AdaptedSam, sample: Sample) -> list[float]:
    device = next(model.parameters()).device
    truth = targets_of(sample.masks, device)[:, 0] > 0.5
    points = in_frame([first_click(m) for m in sample.masks], sample.offset, device)
    labels = torch.ones(len(sample.masks), 1, device=device)
    with autocast(device):
        logits, _ = model.sam.decode(sample.embed(), points=points, labels=labels, offset=sample.offset)
    answer = logits[:, 0] > 0
    either = (answer | truth).sum((1, 2)).clamp_min(1)
    values: list[float] = ((answer & truth).sum((1, 2)) / either).tolist()
    return values
