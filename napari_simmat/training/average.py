"""The exponential moving average of the trained weights: what training at a constant rate settles around."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

_SHARE = 0.15  # of the training that the average looks back over
_LEAST = 5


class Average:
    """Moving average of parameters.

    The average after step t is d a + (1 - d) theta with d = min(1 - 1 / n, (1 + t) / (10 + t)): it looks back over the
    last n steps, and over few of them at first, so that the random start is soon forgotten.

    Parameters
    ----------
    parameters : sequence of nn.Parameter
    steps : int
        Of the whole training; n is 0.15 of them, at least 5.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], steps: int) -> None:
        self._parameters = list(parameters)
        self._average = [p.detach().clone() for p in self._parameters]
        self._decay = 1 - 1 / max(_LEAST, _SHARE * steps)
        self._count = 0

    @torch.no_grad()
    def update(self) -> None:
        """Take the parameters as they are after a step into account."""
        self._count += 1
        decay = min(self._decay, (1 + self._count) / (10 + self._count))
        for average, parameter in zip(self._average, self._parameters, strict=True):
            average.lerp_(parameter, 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The parameters are their averages in here."""
        trained = [p.detach().clone() for p in self._parameters]
        self.settle()
        try:
            yield
        finally:
            put(self._parameters, trained)

    def settle(self) -> None:
        """Let the parameters be their averages."""
        put(self._parameters, self._average)


@torch.no_grad()
def put(parameters: Sequence[nn.Parameter], values: Sequence[torch.Tensor]) -> None:
    """Write values into parameters."""
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)
