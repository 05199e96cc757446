"""The window: a napari panel, the reader and the samples. Qt and napari live here alone.

Names are imported on first use: napari imports this module to read a file, long before it needs the panel.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from napari_simmat.plugin._triton import keep_triton_out

_HOMES = {
    "SimmatPanel": "panel",
    "dock_panel": "window",
    "get_reader": "contributions",
    "glass_sample": "contributions",
    "metamers_sample": "contributions",
    "motorcycle_sample": "contributions",
    "open_window": "window",
    "parts_sample": "contributions",
    "run_demo": "demo",
    "seedlings_sample": "contributions",
    "simulated_sample": "contributions",
    "warm_sample": "contributions",
}

__all__ = [
    "SimmatPanel",
    "dock_panel",
    "get_reader",
    "glass_sample",
    "metamers_sample",
    "motorcycle_sample",
    "open_window",
    "parts_sample",
    "run_demo",
    "seedlings_sample",
    "simulated_sample",
    "warm_sample",
]

if TYPE_CHECKING:
    from napari_simmat.plugin.contributions import (
        get_reader,
        glass_sample,
        metamers_sample,
        motorcycle_sample,
        parts_sample,
        seedlings_sample,
        simulated_sample,
        warm_sample,
    )
    from napari_simmat.plugin.demo import run_demo
    from napari_simmat.plugin.panel import SimmatPanel
    from napari_simmat.plugin.window import dock_panel, open_window


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        keep_triton_out()
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
