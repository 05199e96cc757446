"""From scratch: the same network without anything that it learnt from photographs, the paper's lower bound."""

from __future__ import annotations

from torch import nn

from napari_simmat.models.adapter import Adapter
from napari_simmat.models.base import BaseModel
from napari_simmat.models.own_weights import named_weights, tensor_name
from napari_simmat.models.sam import Sam
from napari_simmat.models.seeding import seeded
from napari_simmat.models.transfer import build_transfer

__all__ = ["random_start"]


def random_start(untrained: Adapter, base: BaseModel, seed: int) -> Adapter:
    """An adapter whose weights for encoder, mask decoder and transfer layer are random.

    The prompt encoder stays SAM's: it sees no image, and is frozen in every strategy.

    Parameters
    ----------
    untrained : Adapter
        Its profile and kind of transfer layer are taken.
    base : BaseModel
        The network whose architecture is taken.
    seed : int
    """
    untrained.belongs_to(base)
    with seeded(seed):
        sam = Sam(base.sam.encoder.fresh())
        mat = build_transfer(untrained.card.mat, untrained.profile.n_channels, sam.encoder.first_convolution)
        for module in mat.modules():
            _forget(module)
    tensors = {f"mat.{name}": value for name, value in mat.state_dict().items()}
    for path, _, _, weight in named_weights(sam):
        if not path.startswith("prompt_encoder."):
            tensors[tensor_name(path)] = weight
    return Adapter(untrained.profile, untrained.card.model_copy(update={"strategy": "scratch"}), tensors)


def _forget(module: nn.Module) -> None:
    """Random weights for a layer that starts with others, such as pseudo-colours."""
    reset = getattr(module, "reset_parameters", None)
    if callable(reset):
        reset()
