"""Training in halves (the idea of BLO-SAM, arXiv 2402.16338): weights learn from one half, gates from the other.

BLO-SAM is bi-level: SAM's weights are fitted to one half of the few examples, and a prompt embedding to the loss of those
weights on the other half, so that it answers for what the weights do on examples that they were not fitted to. Here the
weights are those of the transfer layer and the LoRA updates; what is small enough to be judged by the other half are a
gate for each LoRA layer, one number that its update is multiplied by, and the decoder's tokens. The steps alternate, in
first order: neither level looks through the other's step.

After training the gates are multiplied into the updates, so an adapter is the same kind of file as without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from napari_simmat.models import AdaptedSam
from napari_simmat.models.adapter import TOKENS
from napari_simmat.models.lora import lora_layers
from napari_simmat.training.corrections import Correction, Corrections
from napari_simmat.training.gate import rank

_IMAGES_TO_SPLIT_BY = 4


def halves(corrections: Sequence[Correction]) -> tuple[list[Correction], list[Correction]]:
    """Two halves, by whole images where there are at least four; which is which follows from the pixels."""
    groups = sorted(Corrections(corrections).by_image(), key=lambda group: rank(group[0], by_image=True))
    if len(groups) < _IMAGES_TO_SPLIT_BY:
        groups = [[c] for c in sorted(corrections, key=rank)]
    first, second = ([c for group in groups[k::2] for c in group] for k in (0, 1))
    return first, second


class Gate(nn.Module):
    """One number that a matrix is multiplied by, 1 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.ones(()))

    def forward(self, b: Tensor) -> Tensor:
        """The gated matrix."""
        return self.gate * b


@contextmanager
def gated(model: AdaptedSam, parameters: Sequence[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Gates on the LoRA layers that are trained; multiplied into their updates at the end."""
    trained = {id(p) for p in parameters}
    layers = [layer for _, layer in lora_layers(model.sam) if id(layer.b) in trained]
    gates = [Gate().to(layer.b.device) for layer in layers]
    for layer, gate in zip(layers, gates, strict=True):
        parametrize.register_parametrization(layer, "b", gate)
    try:
        yield [gate.gate for gate in gates]
    finally:
        for layer in layers:
            parametrize.remove_parametrizations(layer, "b", leave_parametrized=True)


def tokens(model: AdaptedSam, parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    """Of the trained parameters, those of the decoder's tokens."""
    own = {id(p) for path in TOKENS for p in model.sam.get_submodule(path).parameters()}
    return [p for p in parameters if id(p) in own]
