"""Weights of the foundation model that an adapter has its own copy of, because they were trained themselves.

The mask decoder's query tokens are called ``token.<path>`` in an adapter, all other weights ``weight.<path>``, with
the path that they have in the foundation model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from napari_simmat.models.additions import Addition, matches, walk

__all__ = ["TOKENS", "named_weights", "own_weights", "restore_weights", "rounded", "tensor_name"]

TOKENS = ("mask_decoder.mask_tokens", "mask_decoder.iou_token")
"""Paths of the learnt query vectors of SAM's mask decoder."""


def named_weights(root: nn.Module) -> Iterator[tuple[str, nn.Module, str, nn.Parameter]]:
    """Every weight of the foundation model: path without additions, its module, its name there, and itself."""
    for _, path, module in walk(root):
        if not isinstance(module, Addition):
            for name, weight in module.named_parameters(recurse=False):
                yield f"{path}.{name}", module, name, weight


def own_weights(root: nn.Module, patterns: Iterable[str]) -> None:
    """Give a model its own copy of the weights whose paths match; those of others stay shared."""
    wanted = tuple(patterns)
    for path, module, name, weight in list(named_weights(root)):
        if matches(path, wanted):
            setattr(module, name, nn.Parameter(weight.detach().clone(), requires_grad=False))


def restore_weights(root: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put an adapter's own weights in place.

    Raises
    ------
    RuntimeError
        A weight is of another network.
    """
    places = {tensor_name(path): (module, name, weight) for path, module, name, weight in named_weights(root)}
    for path, value in tensors.items():
        if not path.startswith(("weight.", "token.")):
            continue
        if path not in places:
            raise RuntimeError(f"there is no {path}")
        module, name, weight = places[path]
        if weight.shape != value.shape:
            raise RuntimeError(f"{path} has shape {tuple(value.shape)}, expected {tuple(weight.shape)}")
        setattr(module, name, nn.Parameter(value.to(weight, copy=True), requires_grad=False))


def tensor_name(path: str) -> str:
    """What a weight is called in an adapter."""
    owner = path.removesuffix(".weight")
    return f"token.{owner}" if owner in TOKENS else f"weight.{path}"


def rounded(tensor: Tensor) -> Tensor:
    """A tensor as it is saved: in half precision, where that changes it by less than a thousandth.

    Returns
    -------
    Tensor, float32
        Rounded to numbers of half precision; as it was where numbers are too large or too small for that.
    """
    exact = tensor.detach().float()
    half = exact.half().float()
    lost = (half - exact).norm()
    return half if torch.isfinite(lost) and lost <= 1e-3 * exact.norm() else exact
