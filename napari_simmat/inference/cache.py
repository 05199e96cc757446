"""Embeddings kept in memory, so that going back to an image or an adapter version costs nothing."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

from torch import Tensor


class EmbeddingCache:
    """The most recently used embeddings, up to a number of bytes. Safe to use from several threads.

    Parameters
    ----------
    max_bytes : int
        One embedding of the default model takes 4 MiB.
    """

    def __init__(self, max_bytes: int = 256 * 2**20) -> None:
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

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def _size(self) -> int:
        return sum(t.element_size() * t.nelement() for t in self._entries.values())


EMBEDDINGS = EmbeddingCache()
"""Shared by all segmenters of the process."""
