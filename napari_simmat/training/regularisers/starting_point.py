"""L2 to the starting point, against forgetting (L2-SP, arXiv 1802.01483).

Weight decay pulls to zero, which an adapter's weights never were. Here half the squared distance to where training
starts is added to the loss, w / 2 * |theta - theta_0|^2: with a first adapter to start from, what it has learnt is what
the second round is held to. It goes with replay: corrections of earlier rounds among those to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class StartingPoint:
    """Where training starts, and the pull towards it.

    Parameters
    ----------
    parameters : sequence of nn.Parameter
        As they are before the first step.
    weight : float
        w; 0 does not pull.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], weight: float) -> None:
        self._weight = weight
        self._pairs = [(p, p.detach().clone()) for p in parameters] if weight else []

    @torch.no_grad()
    def pull(self) -> None:
        """Add w (theta - theta_0) to the gradients of the parameters that have one."""
        for parameter, start in self._pairs:
            if parameter.grad is not None:
                parameter.grad.add_(parameter - start, alpha=self._weight)
