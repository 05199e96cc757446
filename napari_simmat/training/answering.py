"""What a step of learning asks the model: a first click on some objects, and corrective ones on a few of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

from napari_simmat.inference import autocast, products
from napari_simmat.models import AdaptedSam
from napari_simmat.models.decoder import PromptDecoder
from napari_simmat.training.losses import answer_loss

__all__ = ["Answering", "Plainly"]


class Answering(ABC):
    """Answers clicks on one embedding, with gradients. The first are asked for first."""

    @abstractmethod
    def first(self, points: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Answer first clicks.

        Parameters
        ----------
        points : Tensor, (B, 1, 2)
        labels : Tensor, (B, 1)
        targets : Tensor, (B, 1, 4 h, 4 w)
            What the masks should be.

        Returns
        -------
        shown : Tensor, (B, 1, 4 h, 4 w)
            Logits of the single mask, without gradients.
        loss : Tensor
            A scalar.
        """

    @abstractmethod
    def again(self, points: Tensor, labels: Tensor, masks: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Answer N clicks on each object, (B, N, 2), on the masks that were shown; results as of `first`."""


class Plainly(Answering):
    """Asks for each operation as it comes.

    Parameters
    ----------
    model : AdaptedSam
    embed : callable
        Gives the embedding (1, 256, h, w).
    offset : (int, int)
        Its first cell in the frame's grid.
    """

    def __init__(self, model: AdaptedSam, embed: Callable[[], Tensor], offset: tuple[int, int]) -> None:
        device = next(model.parameters()).device
        self._decoder = PromptDecoder(model.sam, products(device))
        with autocast(device):
            embedding = embed()
        self._ground = self._decoder.ground(embedding, offset)

    def first(self, points: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """See `Answering.first`."""
        return self._told(points, labels, None, targets)

    def again(self, points: Tensor, labels: Tensor, masks: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """See `Answering.again`."""
        return self._told(points, labels, masks, targets)

    def _told(
        self, points: Tensor, labels: Tensor, masks: Tensor | None, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        logits, scores = self._decoder.answer(self._ground, points=points, labels=labels, masks=masks)
        return logits[:, :1].detach(), answer_loss(logits, scores, targets)
