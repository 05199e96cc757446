"""Windows of rough labels: what a step sees, and the user's prompts in it.

As with corrections (`napari_simmat.training.scenes`), but without masks: an object's place is where it was clicked, and
where only points say where it is, its size is taken from a first, coarse answer of the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from napari_simmat.images import ModalityProfile
from napari_simmat.images.physics.derived import Mirror
from napari_simmat.inference.frame import LOW, Frame
from napari_simmat.models.encoders import STRIDE
from napari_simmat.training.inputs import Inputs, mirrored
from napari_simmat.training.rough import hints
from napari_simmat.training.rough.labels import Point, RoughLabels, RoughObject
from napari_simmat.training.scenes import WINDOW

_ROOM = 1.6  # an object's longer side may be the window's side divided by this
_SHARE = 0.6  # of a box that has to be in the window
_STROKES = 3  # points that stand for a scribble in a prompt
_OTHERS = 2  # objects nearby that the teacher is told of


@dataclass(frozen=True)
class Place:
    """Where a window lies, and how it is mirrored.

    Attributes
    ----------
    frame : Frame
        Of the image.
    start : (int, int)
        First row and column in the frame.
    shape : (int, int)
        Rows and columns of the window before it is mirrored.
    shrink : float
        Pixels of the window for one of the frame, at most 1.
    mirrors : tuple of str
        One after the other.
    """

    frame: Frame
    start: tuple[int, int]
    shape: tuple[int, int]
    shrink: float
    mirrors: tuple[Mirror, ...] = ()

    @property
    def seen_shape(self) -> tuple[int, int]:
        """Rows and columns of the mirrored window."""
        return self.shape[::-1] if self.mirrors.count("both") % 2 else self.shape

    def to_window(self, y: float, x: float) -> Point:
        """(y, x) in the window of a point (y, x) of the image."""
        fx, fy = self.frame.to_frame(y, x)
        row, column = (((v + 0.5 - s) * self.shrink - 0.5) for v, s in zip((fy, fx), self.start, strict=True))
        height, width = self.shape
        for axis in self.mirrors:
            if axis == "rows":
                row = height - 1 - row
            elif axis == "columns":
                column = width - 1 - column
            else:
                row, column, height, width = column, row, width, height
        return row, column

    def back(self, cells: Tensor) -> Tensor:
        """Masks (.., h, w) of the mirrored window as they are without the mirrors."""
        for axis in reversed(self.mirrors):
            cells = in_mirror(cells, axis)
        return cells


@dataclass(frozen=True, eq=False)
class Shown:
    """An object in a window, in its pixels.

    Attributes
    ----------
    number : int
        Its place among the objects of the image.
    points : tuple of (y, x)
    signs : tuple of int
    box : (y0, x0, y1, x1) or None
    known : ndarray of int8, (4 h, 4 w)
        What is certain, see `hints`.
    others : tuple of (y, x)
        Where the nearest other objects are, which are not this one.
    """

    number: int
    points: tuple[Point, ...]
    signs: tuple[int, ...]
    box: tuple[float, float, float, float] | None
    known: hints.Known
    others: tuple[Point, ...] = ()

    @property
    def as_taught(self) -> Shown:
        """As the teacher is asked: told also of what the nearest other objects are."""
        return replace(
            self, points=(*self.points, *self.others), signs=(*self.signs, *(0 for _ in self.others))
        )


@dataclass(frozen=True, eq=False)
class RoughWindow:
    """What a step sees.

    Attributes
    ----------
    scene : int
        Number of the image.
    place : Place
    x : Tensor, (C, H, W)
        Model input.
    objects : tuple of Shown
    offset : (int, int)
        The window's first cell in the frame's grid.
    """

    scene: int
    place: Place
    x: Tensor
    objects: tuple[Shown, ...]
    offset: tuple[int, int]

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the decoder's masks that show the image."""
        height, width = self.place.seen_shape
        return -(-height // LOW), -(-width // LOW)


class RoughScenes:
    """All images with rough labels, ready to draw windows from.

    Parameters
    ----------
    labels : sequence of RoughLabels
    profile : ModalityProfile
    side : int
        Side of the encoder's frame.
    flexible : bool
        Whether the encoder takes windows smaller than that.
    sizes : sequence of float
        For each image, about how long objects of which only points are known are, in pixels of the frame.
    """

    def __init__(
        self,
        labels: Sequence[RoughLabels],
        profile: ModalityProfile,
        *,
        side: int,
        flexible: bool,
        sizes: Sequence[float] = (),
    ) -> None:
        self.labels = list(labels)
        self._side = side
        self._window = min(WINDOW, side) if flexible else side
        self._is_padded = not flexible  # such an encoder fills its frame up
        self.profile = profile
        self._inputs = Inputs([each.image for each in labels], profile, side=side)
        self.sizes = list(sizes) or [0.0] * len(labels)
        self.objects = [(scene, number) for scene, each in enumerate(labels) for number in range(len(each))]

    def chosen(self, most: int, rng: np.random.Generator) -> list[tuple[int, Place]]:
        """Places of windows that show every object, few objects from several; at most so many."""
        found: list[tuple[int, Place]] = []
        rounds = max(1, min(4, most // len(self.objects)))
        for _ in range(rounds):
            covered: set[tuple[int, int]] = set()
            for k in rng.permutation(len(self.objects)):
                scene, number = self.objects[int(k)]
                if (scene, number) in covered or len(found) >= most:
                    continue
                place = self._around(scene, number, rng)
                found.append((scene, place))
                covered |= {
                    (scene, n) for n, each in enumerate(self.labels[scene].objects) if _is_in(each, place)
                }
                covered.add((scene, number))
        return found

    def window(self, scene: int, place: Place, rng: np.random.Generator, *, mirror: bool) -> RoughWindow:
        """What is seen there, mirrored by chance as the physics allows where that is wanted."""
        (top, left), shrink = place.start, place.shrink
        height, width = (round(n / shrink) for n in place.shape)
        x = self._inputs[scene][:, top : top + height, left : left + width].float()
        if shrink < 1:
            x = F.interpolate(x[None], place.shape, mode="bilinear", antialias=True, align_corners=False)[0]
        mirrors = self._inputs.mirrors(place.shape, rng) if mirror else []
        for axis, effect in mirrors:
            x = mirrored(x, axis, effect)
        place = Place(place.frame, place.start, place.shape, place.shrink, tuple(axis for axis, _ in mirrors))
        offset = (round(top * shrink / STRIDE), round(left * shrink / STRIDE))
        return RoughWindow(scene, place, x.contiguous(), self._shown(scene, place), offset)

    def _around(self, scene: int, number: int, rng: np.random.Generator) -> Place:
        frame, each = self._inputs.frames[scene], self.labels[scene].objects[number]
        xs, ys = zip(*(frame.to_frame(y, x) for y, x in each.everything), strict=True)
        size = max(max(ys) - min(ys), max(xs) - min(xs), 0.0 if each.around else self.sizes[scene])
        shrink = min(1.0, self._window / (size * _ROOM)) if size else 1.0
        shrink = max(shrink, self._window / self._side)
        reach, step = round(self._window / shrink), STRIDE / shrink
        starts, shape = [], []
        for low, high, length in zip((min(ys), min(xs)), (max(ys), max(xs)), frame.shape, strict=True):
            middle = (low + high) / 2 + rng.uniform(-0.25, 0.25) * max(0.0, reach - size)
            start = 0.0 if length <= reach else float(np.clip(middle - reach / 2, 0, length - reach))
            starts.append(round(round(start / step) * step))
            shape.append(max(1, round(min(reach, length - starts[-1]) * shrink)))
        return Place(frame, (starts[0], starts[1]), (shape[0], shape[1]), shrink)

    def _shown(self, scene: int, place: Place) -> tuple[Shown, ...]:
        height, width = place.seen_shape
        grid = tuple(-(-n // STRIDE) * STRIDE // LOW for n in (height, width))
        if self._is_padded:
            grid = (self._side // LOW, self._side // LOW)
        objects = [_moved(each, place) for each in self.labels[scene].objects]
        plain = replace(place, mirrors=())  # a mirrored window shows the same objects, whatever is rounded
        own = [k for k, each in enumerate(self.labels[scene].objects) if _is_in(each, plain)]
        shown = []
        for k in own:
            known = hints.nothing_known((grid[0], grid[1]))
            moved = objects[k]
            if moved.box is not None:
                hints.mark_box(known, _cells(moved.box))
            if moved.polygon:
                hints.mark_outline(known, [_cell(p) for p in moved.polygon])
            for other, each in enumerate(objects):
                if other != k:
                    _mark_inside(known, each, 0)
            hints.mark_points(known, [_cell(p) for p in _signed(moved, 0)], 0)
            for scribble in moved.scribbles:
                if not scribble.sign:
                    hints.mark_line(known, [_cell(p) for p in scribble.path], 0)
            _mark_inside(known, moved, 1)
            points, signs = _prompted(moved, (height, width))
            box = None if moved.around is None else _clipped(moved.around, (height, width))
            others = [_prompted(each, (height, width)) for n, each in enumerate(objects) if n != k]
            middle = (
                points[0] if points else ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) if box else (0.0, 0.0)
            )
            positive = [p for theirs, kinds in others for p, sign in zip(theirs, kinds, strict=True) if sign]
            nearest = sorted(positive, key=lambda p: math.dist(p, middle))[:_OTHERS]
            shown.append(Shown(k, points, signs, box, known, tuple(nearest)))
        return tuple(shown)


def in_mirror(cells: Tensor, axis: Mirror) -> Tensor:
    """Masks (.., h, w) in a mirror."""
    if axis == "both":
        return cells.mT
    return cells.flip(-2 if axis == "rows" else -1)


def _cell(point: Point) -> Point:
    """A point of the window in cells of the decoder's masks."""
    return (point[0] + 0.5) / LOW - 0.5, (point[1] + 0.5) / LOW - 0.5


def _cells(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    return (*_cell(box[:2]), *_cell(box[2:]))


def _mark_inside(known: hints.Known, each: RoughObject, value: int) -> None:
    hints.mark_points(known, [_cell(p) for p in _signed(each, 1)], value)
    for scribble in each.scribbles:
        if scribble.sign:
            hints.mark_line(known, [_cell(p) for p in scribble.path], value)


def _signed(each: RoughObject, wanted: int) -> list[Point]:
    return [p for p, sign in zip(each.points, each.signs, strict=True) if sign == wanted]


def _moved(each: RoughObject, place: Place) -> RoughObject:
    """An object in the window's pixels."""
    box = each.box
    if box is not None:
        (y0, x0), (y1, x1) = place.to_window(*box[:2]), place.to_window(*box[2:])
        box = (y0, x0, y1, x1)
    return RoughObject(
        points=tuple(place.to_window(*p) for p in each.points),
        signs=each.signs,
        box=box,
        scribbles=tuple(type(s)(tuple(place.to_window(*p) for p in s.path), s.sign) for s in each.scribbles),
        polygon=tuple(place.to_window(*p) for p in each.polygon),
    )


def _prompted(moved: RoughObject, shape: tuple[int, int]) -> tuple[tuple[Point, ...], tuple[int, ...]]:
    """The points of a prompt: those of the user, and some on each scribble."""
    found = list(zip(moved.points, moved.signs, strict=True))
    for scribble in moved.scribbles:
        found += [(p, scribble.sign) for p in hints.spread(hints.along(scribble.path, 4.0), _STROKES)]
    height, width = shape  # alike on both sides: a mirrored window shows the same
    seen = [(p, s) for p, s in found if -0.5 <= p[0] <= height - 0.5 and -0.5 <= p[1] <= width - 0.5]
    return tuple(p for p, _ in seen), tuple(sign for _, sign in seen)


def _is_in(each: RoughObject, place: Place) -> bool:
    """Whether a window shows enough of an object to ask for it."""
    height, width = place.seen_shape
    moved = _moved(each, place)
    _, signs = _prompted(moved, (height, width))
    if moved.around is None:
        return 1 in signs
    y0, x0, y1, x1 = moved.around
    seen = _clipped(moved.around, (height, width))
    area = max(0.0, seen[2] - seen[0]) * max(0.0, seen[3] - seen[1])
    return area >= _SHARE * (y1 - y0) * (x1 - x0)


def _clipped(
    box: tuple[float, float, float, float], shape: tuple[int, int]
) -> tuple[float, float, float, float]:
    y0, x0, y1, x1 = box
    height, width = shape
    return max(y0, 0.0), max(x0, 0.0), min(y1, height - 1.0), min(x1, width - 1.0)
