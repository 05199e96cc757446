"""napari with the panel docked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QTimer

from napari_simmat.images.opened import open_file
from napari_simmat.journal import Journal
from napari_simmat.plugin.interpreter import keep_what_is_imported
from napari_simmat.plugin.panel import SimmatPanel
from napari_simmat.plugin.pictures import add_layer, layer_data, read_layer
from napari_simmat.plugin.taken import Taken

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
    paths: Sequence[str | Path] = (),
    *,
    modality: str | None = None,
    channel_axis: int | None = None,
    sample_format: str | None = None,
    index: Sequence[int] | None = None,
    part: str | None = None,
) -> None:
    """Open napari with the panel and the files, and return when it is closed.

    Parameters
    ----------
    paths : sequence of path
        Each becomes one image layer; the last one is worked on first.
    modality, channel_axis, sample_format, index, part
        As `napari_simmat.open_image` takes them; the slice can be left with napari's sliders.

    Raises
    ------
    ImageError
        If a file is no image; no window is opened then.
    """
    told = any(each is not None for each in (modality, channel_axis, sample_format, index, part))
    layers = []
    for path in paths:
        if not told:
            layers.append(read_layer(path))
            continue
        taken = Taken(open_file(path, part=part), channel_axis, modality, sample_format)
        if index is not None:
            taken.image(index)  # refused before there is a window, if it is not in the stack
        layers.append(layer_data(taken.image(), taken))
    keep_what_is_imported()
    viewer = napari.Viewer(title="napari: SimMat")
    for layer in layers:
        add_layer(viewer, layer)
    for axis, position in enumerate(index or ()):
        viewer.dims.set_current_step(axis, position)
    dock_panel(viewer)
    QTimer.singleShot(0, viewer.reset_view)  # the panel has made the canvas narrower
    napari.run()
