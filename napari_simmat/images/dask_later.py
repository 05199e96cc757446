"""dask.array, imported when a lazy array is first met: most images are none, and the import takes half a second."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = ["da", "is_lazy"]

if TYPE_CHECKING:
    import dask.array as da
else:

    class _Later:
        def __getattr__(self, name: str) -> Any:
            return getattr(importlib.import_module("dask.array"), name)

    da = _Later()


def is_lazy(array: object) -> bool:
    """Whether an array is a dask array, found without importing dask."""
    return type(array).__module__.startswith("dask.array")
