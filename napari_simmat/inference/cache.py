"""Embeddings kept in memory, so that going back to an image or an adapter version costs nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from napari_simmat.images import MultiChannelImage
from napari_simmat.inference.compute import uses_bfloat16
from napari_simmat.models import Adapter, BaseModel

_VERSION = 2
"""To be raised whenever the same image, adapter and model give another embedding."""


class EmbeddingCache:
    """The most recently used embeddings, up to a number of bytes. Safe to use from several threads.

    Parameters
    ----------
    max_bytes : int
        One embedding of the default model takes 4 MiB.
    """

    def __init__(self, max_bytes: int = 32 * 2**20) -> None:
        self.max_bytes = max_bytes
        self._entries: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """The embedding under `key`, made now if it is not there."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        made = make()
        with self._lock:
            self._entries[key] = made
            while self._size() > self.max_bytes and len(self._entries) > 1:
                self._entries.popitem(last=False)
        return made

    def __contains__(self, key: Hashable) -> bool:
        """Whether an embedding is there."""
        with self._lock:
            return key in self._entries

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def _size(self) -> int:
        return sum(t.element_size() * t.nelement() for t in self._entries.values())


@dataclass(frozen=True)
class EmbeddingKeys:
    """What an embedding depends on, and what its early features do: keys for memory and disk.

    Attributes
    ----------
    early, embedding : tuple
        Of plain values.
    """

    early: tuple[object, ...]
    embedding: tuple[object, ...]

    @classmethod
    def of(
        cls,
        image: MultiChannelImage,
        adapter: Adapter,
        base: BaseModel,
        device: torch.device,
        side: int,
        blank: Collection[int] = (),
    ) -> Self:
        """The keys for an image that is seen by a model with an adapter, at a size, without some channels."""
        precision = "bfloat16" if uses_bfloat16(device.type) else "float32"
        common: tuple[object, ...] = (
            *(_VERSION, str(torch.__version__), base.sha256, image.pixel_key()),
            *(side, str(device), precision, *sorted(blank)),
        )
        late = tuple(f"encoder.{layer}" for layer in base.sam.encoder.late_layers)
        decoder = ("mask_decoder.*",)
        return cls(
            ("early", *common, adapter.fingerprint_without((*decoder, *late))),
            ("embedding", *common, adapter.fingerprint_without(decoder)),
        )


EMBEDDINGS = EmbeddingCache()
"""Shared by all segmenters of the process."""

EARLY = EmbeddingCache(64 * 2**20)
"""Early features, 1.3 to 13 MB each: an adapter that learnt in late layers alone begins there."""


def forget() -> None:
    """Forget all that is kept in memory."""
    EMBEDDINGS.clear()
    EARLY.clear()
