"""What is drawn over an image: its objects, the proposed mask, the clicks and the box.

Layers are held by reference, never by name. Any of them may be deleted, renamed or hidden by the user at
any time; what is needed next is made again. Deleting the objects does not delete what was accepted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Labels, Points, Shapes
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray
from psygnal import Signal

from napari_simmat.annotator import LabelTarget
from napari_simmat.inference import Prompt
from napari_simmat.plugin.geometry import TRANSFORM_EVENTS, follow, plane_transform
from napari_simmat.plugin.later import put_off_tools

POSITIVE, NEGATIVE, MASK = "#2ecc71", "#ff4757", "#00d8ff"
OWNED = "napari-simmat"
"""Key in the metadata of the layers made here."""

Spot = tuple[Any, tuple[int, ...], tuple[int, int] | None]
"""An image layer, a slice of it and the first pixel of a region of that, if it is one."""

_EDITS = ("paint", "set_data", "data")


class Stage:
    """Layers over the image at hand.

    Parameters
    ----------
    viewer : napari.Viewer
    """

    edited = Signal(bool)
    """Somebody may have changed the objects layer, and whether that was a whole stroke; emitted often, and also when
    nothing changed."""

    gone = Signal(object)
    """An objects layer is not shown any more."""

    selected = Signal(int)
    """Another label was selected in the objects layer of the image at hand."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._image_layer: Any = None
        self._objects: dict[Spot, Any] = {}
        self._preview: Any = None
        self._strong: float | None = None
        self._clicks: Any = None
        self._signs: tuple[int, ...] = ()  # of the clicks that are shown
        self._box: Any = None
        self._shape = (1, 1)
        self._index: tuple[int, ...] = ()
        self._region: tuple[int, int] | None = None
        self._removed_objects = False
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def image_layer(self) -> Any:
        """The image layer at hand, or None."""
        return self._image_layer

    @property
    def origin(self) -> tuple[int, int]:
        """Row and column in the image layer of the first pixel that is worked on."""
        return self._region or (0, 0)

    @property
    def objects(self) -> Any:
        """The Labels layer with the objects of the image at hand, or None."""
        return self._objects.get(self._spot)

    @property
    def regions(self) -> list[Any]:
        """The Labels layers of all regions of the image, or slice, at hand."""
        return [layer for spot, layer in self._objects.items() if spot[:2] == self._spot[:2]]

    @property
    def objects_were_removed(self) -> bool:
        """Whether the user deleted the objects layer of the image at hand."""
        return self._image_layer is not None and self._removed_objects and self.objects is None

    def set_image_layer(
        self,
        layer: Any,
        shape: tuple[int, int] = (1, 1),
        *,
        index: tuple[int, ...] = (),
        region: tuple[int, int] | None = None,
    ) -> None:
        """Draw over another image of so many rows and columns, or over none.

        Parameters
        ----------
        layer : napari Image layer or None
        shape : (int, int)
            Rows and columns of what is worked on.
        index : tuple of int
            Which slice of a stack it is.
        region : (int, int), optional
            Its first row and column, where only a region of the image is worked on.
        """
        if self._image_layer is not None:
            for name in TRANSFORM_EVENTS:
                getattr(self._image_layer.events, name).disconnect(self._follow)
        self._drop_drawings()
        before = self._spot
        self._image_layer, self._shape, self._index, self._region = layer, shape, index, region
        self._removed_objects = False
        if before != self._spot:
            self._leave(before)
        if self.objects is not None and self.objects.data.shape != tuple(shape):
            self.objects.visible = False  # objects of the same layer, but taken as an image of another shape
            self._forget(self._spot)
        if layer is not None:
            for name in TRANSFORM_EVENTS:
                getattr(layer.events, name).connect(self._follow)
            self.show_slice(True)

    def show_slice(self, is_shown: bool) -> None:
        """Show or hide the objects of the slice at hand, of all its regions; its mask and clicks go with them."""
        drawings = [layer for layer in (self._preview, self._clicks, self._box) if layer is not None]
        for layer in (*self.regions, *drawings):
            layer.visible = is_shown

    def show_objects(self, labels: NDArray[np.int32]) -> LabelTarget:
        """The objects layer of the image at hand, made from these labels if there is none."""
        if self.objects is None:
            layer = self._add("labels", labels.copy(), name=f"{self._place_name()} objects", opacity=0.55)
            self._objects[self._spot] = layer
            self._removed_objects = False
            for event in _EDITS:
                getattr(layer.events, event).connect(self._on_edited)
            layer.events.selected_label.connect(self._on_selected)
        return self.objects  # type: ignore[no-any-return]

    @property
    def is_drawing(self) -> bool:
        """Whether a brush stroke on the objects is under way; napari tells of it when it ends."""
        return bool(getattr(self.objects, "_block_history", False))

    @property
    def has_clicks(self) -> bool:
        """Whether the layer for clicks is there."""
        return self._clicks is not None

    def prepare_mask(self) -> bool:
        """Make the layer for the mask, which takes napari a moment, so that a click need not; False if it is there."""
        if self._preview is not None:
            return False
        self.show_mask(np.zeros(self._shape, bool))
        return True

    def prepare_clicks(self) -> bool:
        """The same for the clicks."""
        if self._clicks is not None:
            return False
        self._make_clicks()
        return True

    def show_mask(self, mask: NDArray[np.bool_] | None, *, faint: bool = False) -> None:
        """Draw the proposed mask, or none; faintly, if nobody has clicked yet."""
        if mask is None and self._preview is None:
            return
        data = np.zeros(self._shape, np.uint8) if mask is None else mask.view(np.uint8)
        if self._preview is None:
            colours = DirectLabelColormap(color_dict={None: "transparent", 0: "transparent", 1: MASK})
            # A copy: what is shown is written over by the next mask.
            self._preview = self._add(
                "labels", data.copy(), name="proposed mask", opacity=0.5, colormap=colours
            )
            self._preview.editable = False
            if self._region is not None:
                frame = self._preview.bounding_box
                frame.line_color, frame.line_thickness, frame.points = MASK, 1.5, False
                frame.visible = True
        elif mask is not None or self._preview.data.any():
            self._redraw(data)
        if faint and self._strong is None:
            self._strong = self._preview.opacity  # as the user may have set it
            self._preview.opacity = self._strong / 2
        elif not faint and self._strong is not None:
            self._preview.opacity, self._strong = self._strong, None
        self._raise_clicks()

    def _redraw(self, data: NDArray[np.uint8]) -> None:
        """Show another mask; in the same array nothing but the picture on the canvas has to be made anew."""
        shown = self._preview.data
        if isinstance(shown, np.ndarray) and shown.shape == data.shape and shown.dtype == data.dtype:
            shown[...] = data
            self._preview.refresh(thumbnail=False, highlight=False, extent=False)
        else:
            self._preview.data = data.copy()

    def show_prompt(self, prompt: Prompt) -> None:
        """Draw the points and the box of a prompt."""
        self.show_box(prompt.box)
        if not prompt.points and self._clicks is None:
            return
        if self._clicks is None:
            self._make_clicks()
        # One event at the end: at each of these napari would draw them, and look for the extent of all layers anew.
        with self._clicks.events.blocker_all():
            self._clicks.selected_data = set()
            self._place_clicks(np.asarray(prompt.points, float).reshape(-1, 2), prompt.labels)
        self._clicks.refresh(thumbnail=False)
        self._raise_clicks()

    def _place_clicks(self, points: NDArray[np.float64], labels: tuple[int, ...]) -> None:
        """Put the points where they are; colours that stay are not set, which costs napari more than the points."""
        shown, self._signs = self._signs, labels
        is_alike = len(self._clicks.data) == len(shown) and labels[: len(shown)] == shown[: len(labels)]
        if is_alike and len(points) <= len(shown) + 1:
            if len(points) > len(shown):
                self._clicks.current_face_color = POSITIVE if labels[-1] else NEGATIVE
            self._clicks.data = points
            return
        self._clicks.data = points
        if len(points):
            self._clicks.face_color = [POSITIVE if label else NEGATIVE for label in labels]

    def show_box(self, box: tuple[float, float, float, float] | None) -> None:
        """Draw a box (y0, x0, y1, x1), or none."""
        if box is None:
            if self._box is not None and len(self._box.data):
                self._box.data = []
            return
        y0, x0, y1, x1 = box
        corners = np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)])
        if self._box is None:
            width = max(1.0, max(self._shape) / 300)
            style = {"edge_color": MASK, "face_color": "transparent", "edge_width": width}
            self._box = self._add("shapes", [corners], name="box", shape_type="rectangle", **style)
            self._box.editable = False
        else:
            self._box.data = [corners]

    def close(self) -> None:
        """Stop listening and take the drawings away; image and objects stay."""
        self.set_image_layer(None)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for spot in list(self._objects):
            self._forget(spot)

    def _add(self, kind: str, data: Any, **options: Any) -> Any:
        """Add a layer on the image without changing what the user has selected."""
        maker = {"labels": Labels, "points": Points, "shapes": Shapes}[kind]
        placed = plane_transform(self._image_layer, self.origin)
        layer = maker(data, metadata={OWNED: True}, **placed, **options)
        if isinstance(layer, Labels):
            put_off_tools(layer)
        chosen = self._viewer.layers.selection
        before = list(chosen)
        # napari selects what is added; as it is not to stay so, the window need not show it for each of three layers.
        with chosen.events.blocker_all():
            self._viewer.layers.insert(self._place_of(layer), layer)
            self._viewer.layers.selection = before
        return layer

    def _place_of(self, layer: Any) -> int:
        """Where a new layer goes in the list: on top, objects below the mask that may become one."""
        layers = self._viewer.layers
        if isinstance(layer, Labels) and self._preview is not None and self._preview in layers:
            return int(layers.index(self._preview))
        return len(layers)

    def _make_clicks(self) -> None:
        self._clicks = self._add("points", np.empty((0, 2)), name="clicks", border_width=0.12)
        self._clicks.current_size = max(4.0, max(self._shape) / 60)
        self._clicks.current_border_color = "white"
        self._signs = ()
        self._clicks.canvas_size_limits = (9, 13)
        self._clicks.editable = False

    def _raise_clicks(self) -> None:
        """Keep clicks and box above the mask that they made."""
        layers = self._viewer.layers
        for layer in (self._box, self._clicks):
            if layer is not None and layers.index(layer) < len(layers) - 1:
                layers.move(layers.index(layer), len(layers))

    def _drop_drawings(self) -> None:
        for layer in (self._preview, self._clicks, self._box):
            if layer is not None and layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._preview = self._clicks = self._box = None

    @property
    def _spot(self) -> Spot:
        return self._image_layer, self._index, self._region

    def _place_name(self) -> str:
        """The image at hand with its slice and region, for people."""
        name = str(self._image_layer.name)
        if self._index:
            labels = list(self._image_layer.axis_labels)[: len(self._index)]
            letters = [label if len(label) == 1 else "slice " for label in map(str, labels)]
            name += "".join(f" {letter}{i}" for letter, i in zip(letters, self._index, strict=True))
        return name if self._region is None else f"{name} ({self._region[0]}, {self._region[1]})"

    def _leave(self, spot: Spot) -> None:
        """Hide the objects of another image or slice; those of another region stay in sight. Empty ones go."""
        for each, layer in list(self._objects.items()):
            if each == spot and (spot[1] or spot[2] is not None) and not np.any(layer.data):
                self._forget(each)
                self._viewer.layers.remove(layer)
            elif each[:2] == spot[:2] != self._spot[:2] and self._image_layer is not None:
                layer.visible = False

    def _forget(self, spot: Spot) -> None:
        layer = self._objects.pop(spot)
        for event in _EDITS:
            getattr(layer.events, event).disconnect(self._on_edited)
        layer.events.selected_label.disconnect(self._on_selected)

    def _follow(self, event: Any = None) -> None:
        for layer in (self._preview, self._clicks, self._box):
            if layer is not None:
                follow(layer, self._image_layer, self.origin)
        for (image_layer, _, region), layer in self._objects.items():
            if image_layer == self._image_layer:
                follow(layer, image_layer, region or (0, 0))

    def _on_edited(self, event: Any = None) -> None:
        self.edited.emit(event is not None and event.type == "paint")

    def _on_selected(self, event: Any) -> None:
        if event.source == self.objects:
            self.selected.emit(int(event.source.selected_label))

    def _on_removed(self, event: Any) -> None:
        gone = event.value
        for name in ("_preview", "_clicks", "_box"):
            if getattr(self, name) == gone:
                setattr(self, name, None)
        for spot, objects in list(self._objects.items()):
            if objects == gone or spot[0] == gone:
                self._forget(spot)
                if objects == gone or objects not in self._viewer.layers:
                    self.gone.emit(objects)
                self._removed_objects |= spot == self._spot and spot[0] != gone
