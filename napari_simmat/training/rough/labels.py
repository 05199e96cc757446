"""What people say of objects without drawing them: points with signs, boxes, scribbles, coarse outlines.

These types hold coordinates and nothing else. What learns from them takes nothing else either, so no mask can reach it;
and what was shown is what is learnt from, in every step: nothing is drawn anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from napari_simmat.errors import TrainingError
from napari_simmat.images import MultiChannelImage

Point = tuple[float, float]
"""(y, x) in image pixels, pixel centres at integers."""

Box = tuple[float, float, float, float]
"""(y0, x0, y1, x1)."""


@dataclass(frozen=True)
class Scribble:
    """A line that lies within the object (sign 1) or outside of it (sign 0).

    Attributes
    ----------
    path : tuple of (y, x)
        At least two points, joined by straight lines.
    sign : int
    """

    path: tuple[Point, ...]
    sign: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", _points(self.path, "a scribble", least=2))
        object.__setattr__(self, "sign", _sign(self.sign))


@dataclass(frozen=True)
class RoughObject:
    """What was shown of one object.

    Attributes
    ----------
    points : tuple of (y, x)
    signs : tuple of int
        One per point: 1 the object, 0 not the object. All 1 where none are given.
    box : (y0, x0, y1, x1), optional
        Around the whole object, its corners in any order.
    scribbles : tuple of Scribble
    polygon : tuple of (y, x)
        A coarse outline, at least three corners.

    Raises
    ------
    TrainingError
        Something is no such thing, or nothing says where the object is.
    """

    points: tuple[Point, ...] = ()
    signs: tuple[int, ...] = ()
    box: Box | None = None
    scribbles: tuple[Scribble, ...] = ()
    polygon: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        points = _points(self.points, "an object's points")
        signs = tuple(_sign(s) for s in _listed(self.signs, "an object's signs")) or (1,) * len(points)
        if len(signs) != len(points):
            raise TrainingError(
                f"Got {len(points)} points and {len(signs)} signs, expected one sign (1 object, 0 not the object) for "
                "each point."
            )
        for each in _listed(self.scribbles, "an object's scribbles"):
            if not isinstance(each, Scribble):
                raise TrainingError(f"Got {type(each).__name__} as a scribble, expected a line of points.")
        polygon = _points(self.polygon, "an outline", least=3) if len(self.polygon) else ()
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "signs", signs)
        object.__setattr__(self, "box", None if self.box is None else _box(self.box))
        object.__setattr__(self, "scribbles", tuple(self.scribbles))
        object.__setattr__(self, "polygon", polygon)
        if not (1 in signs or self.box or polygon or any(s.sign for s in self.scribbles)):
            raise TrainingError(
                "An object has nothing that says where it is; give it a point with the sign 1, a box, a scribble or an "
                "outline."
            )

    @property
    def inside(self) -> tuple[Point, ...]:
        """All that was said to be the object: positive points, and corners of positive scribbles."""
        own = [p for p, sign in zip(self.points, self.signs, strict=True) if sign]
        return (*own, *(p for s in self.scribbles if s.sign for p in s.path))

    @property
    def outside(self) -> tuple[Point, ...]:
        """All that was said not to be the object."""
        own = [p for p, sign in zip(self.points, self.signs, strict=True) if not sign]
        return (*own, *(p for s in self.scribbles if not s.sign for p in s.path))

    @property
    def around(self) -> Box | None:
        """The box, or that of the outline; None if neither was drawn."""
        if self.box is not None or not self.polygon:
            return self.box
        ys, xs = zip(*self.polygon, strict=True)
        return min(ys), min(xs), max(ys), max(xs)

    @property
    def everything(self) -> tuple[Point, ...]:
        """All points there are, to see where it lies."""
        around = self.around
        corners = () if around is None else (around[:2], around[2:])
        return (*self.inside, *self.outside, *corners)


@dataclass(frozen=True, eq=False)
class RoughLabels:
    """An image, and what was shown of objects in it.

    Attributes
    ----------
    image : MultiChannelImage
    objects : tuple of RoughObject

    Raises
    ------
    TrainingError
        Something else than `RoughObject` was given, such as a mask, or one lies outside of the image.
    """

    image: MultiChannelImage
    objects: tuple[RoughObject, ...]

    def __post_init__(self) -> None:
        objects = _listed(self.objects, "the objects")
        for number, each in enumerate(objects, start=1):
            if not isinstance(each, RoughObject):
                raise TrainingError(
                    f"Got {type(each).__name__} as an object of {self.image.name!r}, expected points, boxes, scribbles "
                    "or outlines: rough labels take no masks."
                )
            self._check_place(number, each)
        object.__setattr__(self, "objects", tuple(objects))

    def _check_place(self, number: int, each: RoughObject) -> None:
        height, width = self.image.shape
        seen = [(y, x) for y, x in (*each.inside, *each.outside)]
        for y, x in seen:
            if not (-0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5):
                raise TrainingError(
                    f"Object {number} of {self.image.name!r} has a point at ({y:g}, {x:g}), expected row and column in "
                    f"an image of {height} x {width} pixels; correct it, or give the prompts of this image."
                )
        around = each.around
        if around is not None and (
            around[0] > height - 0.5 or around[1] > width - 0.5 or around[2] < -0.5 or around[3] < -0.5
        ):
            raise TrainingError(
                f"Object {number} of {self.image.name!r} has a box outside of the image of {height} x {width} pixels; "
                "correct it, or give the prompts of this image."
            )

    def __len__(self) -> int:
        return len(self.objects)


def _points(given: object, what: str, least: int = 0) -> tuple[Point, ...]:
    found = []
    for each in _listed(given, what):
        pair = _listed(each, what)
        if len(pair) != 2:
            raise TrainingError(f"Got {pair!r} in {what}, expected row and column (y, x).")
        found.append((_number(pair[0], what), _number(pair[1], what)))
    if len(found) < least:
        raise TrainingError(f"Got {len(found)} points in {what}, expected at least {least}.")
    return tuple(found)


def _box(given: object) -> Box:
    four = [_number(v, "a box") for v in _listed(given, "a box")]
    if len(four) != 4:
        raise TrainingError(f"Got {len(four)} numbers in a box, expected y0, x0, y1, x1.")
    y0, x0, y1, x1 = four
    if y0 == y1 or x0 == x1:
        raise TrainingError(f"Got the box {four}, expected one with an area.")
    return min(y0, y1), min(x0, x1), max(y0, y1), max(x0, x1)


def _sign(given: object) -> int:
    if isinstance(given, bool) or given not in (0, 1):
        raise TrainingError(f"Got the sign {given!r}, expected 1 (object) or 0 (not the object).")
    return int(str(given))


def _number(given: object, what: str) -> float:
    try:
        value = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value) or isinstance(given, (str, bool)):
        raise TrainingError(f"Got {given!r} in {what}, expected a number.")
    return value


def _listed(given: object, what: str) -> Sequence[object]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise TrainingError(f"Got {given!r} for {what}, expected a list.")
    return list(given)
