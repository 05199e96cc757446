"""A model ready to answer: adapter in place, encoder frozen, decoder folded.

Most of that takes its time in Python, a tenth of a second beside a window that is being drawn. What an untrained adapter
needs of it belongs to the base model alone and is made once.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch

from napari_simmat.inference.compute import products
from napari_simmat.inference.frozen import freeze
from napari_simmat.inference.recorded_decoder import decoder_for
from napari_simmat.models import AdaptedSam, Adapter, BaseModel
from napari_simmat.models.decoder import PromptDecoder
from napari_simmat.models.sam import Sam

__all__ = ["ready"]

_OF_BASES: WeakKeyDictionary[BaseModel, tuple[torch.dtype, Sam, PromptDecoder]] = WeakKeyDictionary()


def ready(adapter: Adapter, base: BaseModel) -> tuple[AdaptedSam, PromptDecoder]:
    """A model that answers with this adapter, and its decoder; not to be trained or changed, parts of it are shared.

    Parameters
    ----------
    adapter : Adapter
    base : BaseModel
        On the device where it is to answer.

    Raises
    ------
    AdapterError
        The adapter belongs to another base model, or its tensors do not fit it.
    """
    transfer = adapter.build_transfer_alone(base)
    if transfer is None:
        model = adapter.build_merged(base)
        freeze(model)
        return model, decoder_for(model.sam, _products(base), is_shared=False)
    found = _OF_BASES.get(base)
    if found is None or found[0] != _products(base):
        model = adapter.build_merged(base)
        freeze(model)
        decoder = decoder_for(model.sam, _products(base), is_shared=True)
        found = _OF_BASES[base] = _products(base), model.sam, decoder
    _, sam, decoder = found
    return AdaptedSam(transfer, sam), decoder


def _products(base: BaseModel) -> torch.dtype:
    return products(next(base.sam.parameters()).device)
