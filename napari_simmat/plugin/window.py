"""napari with the panel docked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QTimer

from napari_simmat.images import open_image
from napari_simmat.journal import Journal
from napari_simmat.plugin.panel import SimmatPanel
from napari_simmat.plugin.pictures import add_layer, layer_data, read_layer

_TITLE = "SimMat"


def dock_panel(viewer: Any, *, journal: Journal | None = None) -> SimmatPanel:
    """Dock the panel at the right of a napari window.

    Parameters
    ----------
    viewer : napari.Viewer
    journal : Journal, optional
        By default the user's own.
    """
    panel = SimmatPanel(viewer, journal=journal)
    viewer.window.add_dock_widget(panel, name=_TITLE, area="right")
    return panel


def open_window(
    paths: Sequence[str | Path] = (), *, modality: str | None = None, channel_axis: int | None = None
) -> None:
    """Open napari with the panel and the files, and return when it is closed.

    Parameters
    ----------
    paths : sequence of path
        Each becomes one image layer; the last one is worked on first.
    modality, channel_axis
        As `napari_simmat.open_image` takes them.

    Raises
    ------
    ImageError
        If a file is no image; no window is opened then.
    """
    told = modality is not None or channel_axis is not None
    layers = [
        layer_data(open_image(path, modality=modality, channel_axis=channel_axis))
        if told
        else read_layer(path)
        for path in paths
    ]
    viewer = napari.Viewer(title="napari: SimMat")
    for layer in layers:
        add_layer(viewer, layer)
    dock_panel(viewer)
    QTimer.singleShot(0, viewer.reset_view)  # the panel has made the canvas narrower
    napari.run()
