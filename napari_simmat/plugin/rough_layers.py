"""What lies in the user's layers, read as rough labels of the image at hand.

Points are clicks: their sign is the feature ``sign`` (1 or 0), else a red point means "not the object". Rectangles are
boxes; ellipses, polygons and turned rectangles are outlines; lines and paths are scribbles, red ones outside of the
object. The feature ``object`` says what belongs together. Without it each positive point, box, outline and scribble is an
object of its own, but for points and scribbles within one box or outline, which are that object's; what is negative
belongs to the object nearest to it. In a stack what lies in the slice at hand is read: clicks on others do not count.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from napari.layers import Points, Shapes
from numpy.typing import NDArray

from napari_simmat.errors import TrainingError
from napari_simmat.plugin.geometry import to_pixels
from napari_simmat.plugin.stage import OWNED
from napari_simmat.training.rough import RoughObject, Scribble
from napari_simmat.training.rough.hints import along

_CORNERS = 32  # of an ellipse
_ALIGNED = 1.0  # degrees that a rectangle may be turned and still be a box

Place = tuple[float, float]


@dataclass
class _Piece:
    """One point or shape, in pixels of what is worked on."""

    kind: str
    """point, box, outline or scribble"""
    places: list[Place]
    sign: int
    object: Hashable | None

    @property
    def middle(self) -> Place:
        ys, xs = zip(*self.places, strict=True)
        return sum(ys) / len(ys), sum(xs) / len(xs)

    @property
    def area(self) -> float:
        ys, xs = zip(*self.places, strict=True)
        return (max(ys) - min(ys)) * (max(xs) - min(xs))

    def holds(self, place: Place) -> bool:
        ys, xs = zip(*self.places, strict=True)
        return min(ys) <= place[0] <= max(ys) and min(xs) <= place[1] <= max(xs)


@dataclass
class _Group:
    pieces: list[_Piece] = field(default_factory=list)

    def made(self) -> RoughObject:
        points = [(piece.places[0], piece.sign) for piece in self.pieces if piece.kind == "point"]
        scribbles = tuple(Scribble(tuple(p.places), p.sign) for p in self.pieces if p.kind == "scribble")
        boxes = [piece for piece in self.pieces if piece.kind == "box"]
        outlines = [piece for piece in self.pieces if piece.kind == "outline"]
        if len(boxes) > 1 or len(outlines) > 1:
            raise TrainingError(
                f"The object {self.pieces[0].object!r} has {len(boxes)} boxes and {len(outlines)} outlines, expected at "
                "most one of each; give them different numbers in the feature 'object'."
            )
        box = None
        if boxes:
            ys, xs = zip(*boxes[0].places, strict=True)
            box = min(ys), min(xs), max(ys), max(xs)
        return RoughObject(
            points=tuple(p for p, _ in points),
            signs=tuple(s for _, s in points),
            box=box,
            scribbles=scribbles,
            polygon=tuple(outlines[0].places) if outlines else (),
        )


def rough_objects(
    viewer: Any, image_layer: Any, origin: tuple[int, int], shape: tuple[int, int]
) -> list[RoughObject]:
    """Rough labels in all visible layers of points and shapes that are the user's own.

    Parameters
    ----------
    viewer : napari.Viewer
    image_layer : napari Image layer
        What the labels lie on.
    origin : (int, int)
        Row and column in it of the first pixel that is worked on.
    shape : (int, int)
        Rows and columns of what is worked on; what lies elsewhere is left out.

    Raises
    ------
    TrainingError
        An object has two boxes or outlines.
    """

    def is_in(place: Place) -> bool:
        return -0.5 <= place[0] <= shape[0] - 0.5 and -0.5 <= place[1] <= shape[1] - 0.5

    def moved(layer: Any, data: NDArray[np.float64]) -> Place:
        world = np.asarray(layer.data_to_world(data), float)
        position = np.array(viewer.dims.point, float)
        position[-len(world) :] = world
        y, x = to_pixels(image_layer, position[-image_layer.ndim :])
        return y - origin[0], x - origin[1]

    pieces = []
    for layer in viewer.layers:
        if layer.visible and not layer.metadata.get(OWNED) and isinstance(layer, (Points, Shapes)):
            read = _points if isinstance(layer, Points) else _shapes
            for piece in read(layer, viewer, moved):
                if is_in(piece.places[0] if piece.kind == "point" else piece.middle):
                    pieces.append(piece)
    return [group.made() for group in _grouped(pieces)]


def _points(layer: Any, viewer: Any, moved: Callable[[Any, Any], Place]) -> Iterator[_Piece]:
    for k, data in enumerate(layer.data):
        if _is_here(layer, viewer, data) and layer.shown[k]:
            sign = _sign(layer, k, layer.face_color[k])
            yield _Piece("point", [moved(layer, data)], sign, _object(layer, k))


def _shapes(layer: Any, viewer: Any, moved: Callable[[Any, Any], Place]) -> Iterator[_Piece]:
    for k, (corners, kind) in enumerate(zip(layer.data, layer.shape_type, strict=True)):
        if not all(_is_here(layer, viewer, corner) for corner in corners):
            continue
        own, sign = _object(layer, k), _sign(layer, k, layer.edge_color[k])
        if kind in ("line", "path"):
            yield _Piece("scribble", [moved(layer, c) for c in corners], sign, own)
        elif kind == "rectangle" and _is_upright(places := [moved(layer, c) for c in corners]):
            yield _Piece("box", places, 1, own)
        else:
            outline = _ellipse(corners) if kind == "ellipse" else corners
            yield _Piece("outline", [moved(layer, c) for c in outline], 1, own)


def _is_here(layer: Any, viewer: Any, data: NDArray[np.float64]) -> bool:
    """Whether something lies in the slice that is shown, along the axes that both have."""
    world = np.asarray(layer.data_to_world(data), float)
    position = np.asarray(viewer.dims.point, float)[-len(world) :]
    steps = np.array([each.step for each in viewer.dims.range], float)[-len(world) :]
    hidden = np.array([axis not in viewer.dims.displayed for axis in range(viewer.dims.ndim)])[-len(world) :]
    return bool((np.abs(world - position)[hidden] <= 0.5 * steps[hidden]).all())


def _is_upright(places: list[Place]) -> bool:
    (y0, x0), (y1, x1) = places[0], places[1]
    turned = math.degrees(math.atan2(y1 - y0, x1 - x0)) % 90
    return min(turned, 90 - turned) <= _ALIGNED


def _ellipse(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on the ellipse in a box of four corners; napari keeps the box."""
    middle = corners.mean(0)
    a, b = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)[:, None]
    found: NDArray[np.float64] = middle + np.cos(angles) * a + np.sin(angles) * b
    return found


def _feature(layer: Any, name: str, k: int) -> Any:
    """A value of the table of features; None where there is none."""
    if name not in layer.features.columns:
        return None
    value = layer.features[name].iloc[k]
    missing = (
        value is None or (isinstance(value, (float, np.floating)) and not np.isfinite(value)) or value == ""
    )
    return None if missing else value


def _object(layer: Any, k: int) -> Hashable | None:
    value = _feature(layer, "object", k)
    if value is None:
        return None
    return (
        int(value) if isinstance(value, (int, float, np.number)) and float(value).is_integer() else str(value)
    )


def _sign(layer: Any, k: int, colour: NDArray[np.float64]) -> int:
    value = _feature(layer, "sign", k)
    if value is not None:
        return int(
            str(value).strip().lower()
            not in ("0", "0.0", "-1", "-1.0", "-", "negative", "false", "background")
        )
    red, green, blue = (float(v) for v in colour[:3])
    return int(not (red > 0.5 and red > 1.8 * green and red > 1.8 * blue))


def _grouped(pieces: list[_Piece]) -> list[_Group]:
    """What belongs to one object."""
    groups: dict[Hashable, _Group] = {}
    alone: list[_Group] = []
    for piece in pieces:
        if piece.object is not None:
            groups.setdefault(piece.object, _Group()).pieces.append(piece)
    for piece in pieces:
        if piece.object is None and piece.kind in ("box", "outline"):
            alone.append(_Group([piece]))
    around = [(piece.area, group, piece) for group in [*groups.values(), *alone] for piece in group.pieces]
    around = sorted((a for a in around if a[2].kind in ("box", "outline")), key=lambda a: a[0])
    for piece in pieces:
        if piece.object is None and piece.kind in ("point", "scribble") and piece.sign:
            holder = next((group for _, group, other in around if all(map(other.holds, piece.places))), None)
            if holder is None:
                alone.append(_Group([piece]))
            else:
                holder.pieces.append(piece)
    every = [g for g in [*groups.values(), *alone] if any(p.sign for p in g.pieces)]
    marks = [[q for p in group.pieces if p.sign for q in along([*p.places], 8.0)] for group in every]
    lost = [p for p in pieces if not p.sign and (p.object is None or not any(p in g.pieces for g in every))]
    for piece in lost:
        if every:
            nearest = min(range(len(every)), key=lambda k: min(math.dist(m, piece.middle) for m in marks[k]))
            every[nearest].pieces.append(piece)
    return every
