"""What is proposed, doubted and painted, drawn over the image: outlines of masks, a layer that glows, a class map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import Colormap, DirectLabelColormap
from numpy.typing import NDArray

from napari_simmat.inference.painting import ClassMap
from napari_simmat.inference.proposing import Proposal
from napari_simmat.plugin.geometry import TRANSFORM_EVENTS, follow, plane_transform
from napari_simmat.plugin.later import put_off_tools
from napari_simmat.plugin.stage import OWNED, Stage

GHOST, CHOSEN = "#ffd166", "#ff6bd6"
_OUTLINE = 2
_GLOW = Colormap([[1.0, 0.8, 0.2, 0.0], [1.0, 0.5, 0.1, 0.3], [1.0, 0.1, 0.2, 0.55]], name="doubt")
"""Clear where nothing is in doubt, and nowhere so dense that the image could not be seen through it."""


class Ghosts:
    """Three layers over the image at hand, made when they are needed and gone with the image.

    Parameters
    ----------
    viewer : napari.Viewer
    stage : Stage
        Knows the image layer.
    """

    def __init__(self, viewer: Any, stage: Stage) -> None:
        self._viewer, self._stage = viewer, stage
        self._outlines: Any = None
        self._doubt: Any = None
        self._classes: Any = None
        self._over: Any = None
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def outlines(self) -> Any:
        """The layer of proposals, or None."""
        return self._outlines

    @property
    def doubt(self) -> Any:
        """The layer of doubts, or None."""
        return self._doubt

    @property
    def classes(self) -> Any:
        """The layer of painted classes, or None."""
        return self._classes

    def show_proposals(
        self, proposals: Sequence[Proposal], chosen: int | None, shape: tuple[int, int]
    ) -> None:
        """Draw the outline of each, and of the chosen one in another colour."""
        if not proposals and self._outlines is None:
            return
        data = np.zeros(shape, np.uint16)
        # The chosen one last, then the surest: what is drawn later lies above.
        order = sorted(range(len(proposals)), key=lambda k: (k == chosen, -k))
        for k in order:
            proposal = proposals[k]
            data[proposal.window][proposal.crop] = 1 if k == chosen else k + 2
        if self._outlines is None:
            colours = DirectLabelColormap(color_dict={None: GHOST, 0: "transparent", 1: CHOSEN})
            layer = Labels(
                data,
                name="proposals",
                colormap=colours,
                metadata={OWNED: True},
                **self._placed(),
            )
            layer.contour = _OUTLINE
            layer.editable = False
            put_off_tools(layer)
            self._outlines = layer
            self._insert(layer)
        elif self._outlines.data.shape == data.shape:
            self._outlines.data[...] = data
            self._outlines.refresh(thumbnail=False, highlight=False, extent=False)
        else:
            self._outlines.data = data

    def show_doubt(self, values: NDArray[np.float32] | None) -> None:
        """Draw where masks are uncertain, or nothing."""
        if values is None:
            if self._doubt is not None:
                self._viewer.layers.remove(self._doubt)
            return
        if self._doubt is not None:
            self._doubt.data = values
            return
        self._doubt = Image(
            values,
            name="uncertainty",
            colormap=_GLOW,
            blending="translucent",
            contrast_limits=(0.0, 1.0),
            metadata={OWNED: True},
            **self._placed(),
        )
        self._insert(self._doubt)

    def show_classes(self, painted: ClassMap | None, colours: Mapping[str, str]) -> None:
        """Draw a class map in these colours, or nothing."""
        if self._classes is not None:
            self._viewer.layers.remove(self._classes)
        if painted is None:
            return
        wanted = dict(zip(painted.names, painted.colours, strict=True)) | dict(colours)
        table: dict[int | None, Any] = {
            k: wanted[name] for k, name in enumerate(painted.names, 1) if name in wanted
        }
        layer = Labels(
            painted.numbers.copy(),
            name="painted classes",
            colormap=DirectLabelColormap(color_dict={None: "transparent", 0: "transparent", **table}),
            opacity=0.4,
            metadata={OWNED: True},
            **self._placed(),
        )
        layer.editable = False
        put_off_tools(layer)
        self._classes = layer
        self._insert(layer)

    def clear(self) -> None:
        """Take all layers away."""
        for layer in (self._outlines, self._doubt, self._classes):
            if layer is not None and layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._outlines = self._doubt = self._classes = None
        self._listen(None)

    def close(self) -> None:
        """Take all layers away and stop listening."""
        self.clear()
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def _placed(self) -> dict[str, Any]:
        self._listen(self._stage.image_layer)
        return plane_transform(self._stage.image_layer, self._stage.origin)

    def _insert(self, layer: Any) -> None:
        """Add a layer without changing what the user has selected."""
        layers = self._viewer.layers
        before = list(layers.selection)
        with layers.selection.events.blocker_all():
            layers.append(layer)
            layers.selection = before

    def _listen(self, image_layer: Any) -> None:
        if self._over is not None:
            for name in TRANSFORM_EVENTS:
                with suppress(ValueError, RuntimeError):
                    getattr(self._over.events, name).disconnect(self._follow)
        self._over = image_layer
        if image_layer is not None:
            for name in TRANSFORM_EVENTS:
                getattr(image_layer.events, name).connect(self._follow)

    def _follow(self, event: Any = None) -> None:
        for layer in (self._outlines, self._doubt, self._classes):
            if layer is not None and self._stage.image_layer is not None:
                follow(layer, self._stage.image_layer, self._stage.origin)

    def _on_removed(self, event: Any) -> None:
        if event.value == self._outlines:
            self._outlines = None
        if event.value == self._doubt:
            self._doubt = None
        if event.value == self._classes:
            self._classes = None
