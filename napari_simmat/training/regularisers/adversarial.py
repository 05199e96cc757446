"""One adversarial step in the picture that the transfer layer makes (the idea of ASAM, arXiv 2405.00256, reduced).

ASAM tunes SAM on pictures that a diffusion model changed so that SAM's loss rises. No diffusion model is at hand, and
what a sensor with other channels sees is no photograph. So the step is taken where every modality has become a picture,
in the output y of the transfer layer, by the fast gradient sign method (arXiv 1412.6572): the loss is also asked for at
y + epsilon sign(dL/dy), masks and first clicks unchanged, and both count by half. (Corrective clicks
follow the answer.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn


class Adversary:
    """Takes the step.

    Parameters
    ----------
    transfer : nn.Module
        The model's transfer layer.
    epsilon : float
        Size of the step in each pixel, in standard deviations of the pictures that the base model was made for.
        0: none is taken.
    """

    def __init__(self, transfer: nn.Module, epsilon: float) -> None:
        self._transfer = transfer
        self._epsilon = epsilon

    def backward(self, loss: Callable[[], Tensor], share: float) -> float:
        """Gradients of a loss, times `share`, and of the loss after the step; gives the former's value.

        Parameters
        ----------
        loss : callable
            Computes the loss by way of the transfer layer, the same each time but for what that layer gives.
        share : float
        """
        if not self._epsilon:
            value = loss()
            (share * value).backward()  # type: ignore[no-untyped-call]
            return float(value.detach())
        with self._watched() as seen:
            value = loss()
        (0.5 * share * value).backward()  # type: ignore[no-untyped-call]
        gradient = seen[0].grad
        assert gradient is not None
        with self._moved(self._epsilon * gradient.sign()):
            (0.5 * share * loss()).backward()  # type: ignore[no-untyped-call]
        return float(value.detach())

    @contextmanager
    def _watched(self) -> Iterator[list[Tensor]]:
        """Keep what the transfer layer gives, to read its gradient."""
        seen: list[Tensor] = []

        def keep(module: nn.Module, inputs: object, picture: Tensor) -> Tensor:
            if not picture.requires_grad:  # a transfer layer without weights before the encoder's own stem
                picture = picture.detach().requires_grad_(True)
            picture.retain_grad()
            seen.append(picture)
            return picture

        handle = self._transfer.register_forward_hook(keep)
        try:
            yield seen
        finally:
            handle.remove()

    @contextmanager
    def _moved(self, step: Tensor) -> Iterator[None]:
        """Add the step to what the transfer layer gives."""
        handle = self._transfer.register_forward_hook(lambda module, inputs, picture: picture + step)
        try:
            yield
        finally:
            handle.remove()
