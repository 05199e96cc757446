"""An adapter's tensors: what they are called, how they come into a model and out of it again.

=================================  =================================================================================
name                               what
=================================  =================================================================================
``mat.<name>``                     the transfer layer
``lora.<path>.a``, ``.b``          low-rank update of the linear layer at that path
``mlp.<path>.down``, ``.up``, ..   bottleneck beside an MLP
``prompt.<path>.tokens``           tokens in front of an attention's projections
``prefix.<path>.keys``, ..         keys and values of an attention
``token.<path>``                   a query token of the mask decoder
``weight.<path>``                  any other weight of the foundation model that was trained itself
``heads.<name>.<tensor>``          a head, see `napari_simmat.models.heads`
``expert.<member>.<name>``         any of these, of one member of modality experts alone
``gate.<name>``                    what weighs the members (`napari_simmat.models.experts`)
=================================  =================================================================================

Paths are those in the foundation model. Weights and additions are kept in half precision where that changes a tensor
by less than a thousandth; what was learnt is rounded before it is judged, so that a file gives the same masks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from napari_simmat.models.additions import Addition, additions, restore
from napari_simmat.models.lora import LoRALinear
from napari_simmat.models.own_weights import named_weights, restore_weights, rounded, tensor_name
from napari_simmat.models.parallel_mlp import ParallelMLP
from napari_simmat.models.sam import AdaptedSam, Sam
from napari_simmat.models.tokens import PrefixTokens, PromptTokens

__all__ = ["EXPERT", "GATE", "KINDS", "in_file", "put_in_place", "taken_out", "unknown"]

KINDS: dict[str, type[Addition]] = {
    kind.kind: kind for kind in (LoRALinear, ParallelMLP, PromptTokens, PrefixTokens)
}
"""What may stand beside modules, by the first word of its tensors' names."""

EXPERT, GATE = "expert", "gate"

_OTHERS = ("mat", "token", "weight", EXPERT, GATE)


def put_in_place(sam: Sam, tensors: Mapping[str, Tensor]) -> None:
    """Give a model an adapter's own weights and additions; modules are exchanged in it, shared weights stay.

    Raises
    ------
    KeyError, RuntimeError
        The tensors are of another network.
    """
    restore_weights(sam, tensors)
    for word, kind in KINDS.items():
        own: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith(f"{word}."):
                path, _, leaf = name.removeprefix(f"{word}.").rpartition(".")
                own.setdefault(path, {})[leaf] = tensor
        restore(sam, kind, own)


def taken_out(model: AdaptedSam, before: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a model has learnt.

    Parameters
    ----------
    model : AdaptedSam
        Not merged.
    before : mapping of str to Tensor
        The tensors of the adapter that it was built from. Weights in there stay the adapter's own, also those that
        the model no longer has, such as a first convolution that the transfer layer has replaced.
    """
    tensors = {f"mat.{name}": value for name, value in model.mat.state_dict().items()}
    for path, found in additions(model.sam):
        for name, value in found.learnt().items():
            tensors[f"{found.kind}.{path}.{name}"] = rounded(value)
    transfer = {id(p) for p in model.mat.parameters()}
    for path, _, _, weight in named_weights(model.sam):
        name = tensor_name(path)
        if id(weight) not in transfer and (name in before or weight.requires_grad):
            tensors[name] = _kept(name, weight)
    return {k: v for k, v in before.items() if k.startswith("weight.")} | tensors


def _kept(name: str, weight: nn.Parameter) -> Tensor:
    return weight.detach() if name.startswith("token.") else rounded(weight)


def in_file(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as they are saved: in half precision what loses nothing more by it."""
    return {name: _smaller(name, tensor) for name, tensor in tensors.items()}


def _smaller(name: str, tensor: Tensor) -> Tensor:
    if name.startswith(f"{EXPERT}."):
        name = name.split(".", 2)[2]
    if name.startswith(("mat.", "token.", f"{GATE}.")):
        return tensor
    half = tensor.half()
    return half if half.float().equal(tensor) else tensor


def unknown(names: Iterable[str]) -> str | None:
    """The first name, if any, that is none of an adapter's tensors."""
    known = {*KINDS, *_OTHERS}
    return next((name for name in names if name.partition(".")[0] not in known), None)
