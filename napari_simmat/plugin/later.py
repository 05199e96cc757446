"""Puts off what napari makes of a Labels layer for tools that may never be taken up: the visuals of polygon and brush.

They are half of what it takes to add one, and the first mask of an image waits for that. What is drawn over a layer is
made when it is first to be seen, says napari; so nothing of these two is to be seen before their tool is in hand.
"""

from __future__ import annotations

from functools import partial
from typing import Any

_TOOLS = ("polygon", "brush_stroke")


def put_off_tools(layer: Any) -> None:
    """Have the visuals of a Labels layer's tools made when they are taken up; to be called before it is added.

    Parameters
    ----------
    layer : napari.layers.Labels
        Where a version of napari knows none of these, nothing is changed.
    """
    overlays = getattr(layer, "_overlays", {})
    for tool in (overlays[name] for name in _TOOLS if name in overlays):
        if hasattr(tool, "enabled") and not tool.enabled:
            tool.visible = False
            tool.events.enabled.connect(partial(_show, layer, tool))


def _show(layer: Any, tool: Any, event: Any = None) -> None:
    if tool.enabled and not tool.visible:
        tool.visible = True
        layer.events.scale()  # napari says where on the layer a visual is when the layer moves
