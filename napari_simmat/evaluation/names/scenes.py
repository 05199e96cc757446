"""Generated scenes with captions: things of a shape, a colour and a texture on a mottled ground.

Some combinations of the three are held out of everything that is learnt, though each word occurs in others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

__all__ = ["Combination", "Scene", "Vocabulary", "draw_one", "draw_scene"]

Floats = NDArray[np.float32]

_COLOURS = {
    "red": (0.85, 0.13, 0.12),
    "green": (0.15, 0.65, 0.18),
    "blue": (0.13, 0.25, 0.85),
    "yellow": (0.92, 0.82, 0.12),
    "purple": (0.55, 0.15, 0.68),
}
_SHAPES = ("circle", "square", "triangle", "star")
_TEXTURES = ("plain", "striped", "dotted")
_CORNERS = {"square": 4, "triangle": 3}


@dataclass(frozen=True)
class Combination:
    """What a thing is."""

    shape: str
    colour: str
    texture: str

    @property
    def name(self) -> str:
        """In words, such as "striped green triangle"."""
        return f"{self.texture} {self.colour} {self.shape}"


@dataclass(frozen=True)
class Vocabulary:
    """Shapes, colours and textures, and which combinations of them are held out.

    Attributes
    ----------
    shapes, colours, textures : tuple of str
    """

    shapes: tuple[str, ...] = _SHAPES
    colours: tuple[str, ...] = tuple(_COLOURS)
    textures: tuple[str, ...] = _TEXTURES

    @property
    def held_out(self) -> list[Combination]:
        """Those that lie on one diagonal, so that each word occurs in many others; 12 of 60 for the default words."""
        return [each for k, each in self._all() if k]

    @property
    def learnt(self) -> list[Combination]:
        """All others."""
        return [each for k, each in self._all() if not k]

    def _all(self) -> list[tuple[bool, Combination]]:
        words = product(enumerate(self.shapes), enumerate(self.colours), enumerate(self.textures))
        count = len(self.colours)
        return [
            ((s + c + 2 * t) % count == 0, Combination(shape, colour, texture))
            for (s, shape), (c, colour), (t, texture) in words
        ]


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and the things on it.

    Attributes
    ----------
    rgb : (Y, X, 3) uint8
    labels : (Y, X) int32
        1, 2, ... in the order of `things`; 0 is the ground.
    things : tuple of Combination
    """

    rgb: NDArray[np.uint8]
    labels: NDArray[np.int32]
    things: tuple[Combination, ...]

    @property
    def caption(self) -> str:
        """All things in words."""
        return " and ".join(f"a {thing.name}" for thing in self.things)


def draw_scene(things: Sequence[Combination], rng: np.random.Generator, *, side: int = 448) -> Scene:
    """A scene with these things, at places of their own, none of which overlap.

    Parameters
    ----------
    things : sequence of Combination
        At most nine.
    rng : Generator
    side : int
        Rows and columns.
    """
    canvas = _ground(side, rng)
    labels = np.zeros((side, side), np.int32)
    places = rng.permutation(9)[: len(things)]
    cell = side / 3
    for number, (thing, place) in enumerate(zip(things, places, strict=True), 1):
        radius = cell * rng.uniform(0.27, 0.4)
        room = cell / 2 - radius
        y = (place // 3 + 0.5) * cell + rng.uniform(-room, room)
        x = (place % 3 + 0.5) * cell + rng.uniform(-room, room)
        labels[_draw(canvas, thing, (y, x), radius, rng)] = number
    return Scene(_exposed(canvas, rng), labels, tuple(things))


def draw_one(
    thing: Combination, rng: np.random.Generator, *, side: int, others: Sequence[Combination] = ()
) -> NDArray[np.uint8]:
    """A picture that one thing fills, with parts of others at its border, (side, side, 3)."""
    canvas = _ground(side, rng)
    for other in others:
        angle = rng.uniform(0, 2 * np.pi)
        y, x = side * (0.5 + 0.75 * np.array([np.sin(angle), np.cos(angle)]))
        _draw(canvas, other, (float(y), float(x)), side * 0.35, rng)
    middle = side * (0.5 + rng.uniform(-0.06, 0.06, 2))
    _draw(canvas, thing, (float(middle[0]), float(middle[1])), side * rng.uniform(0.3, 0.42), rng)
    return _exposed(canvas, rng)


def _ground(side: int, rng: np.random.Generator) -> Floats:
    """A dull ground, darker here and there."""
    mottles = gaussian_filter(rng.normal(size=(side, side)), side / 24)
    fine = gaussian_filter(rng.normal(size=(side, side)), 1.0)
    level = rng.uniform(0.3, 0.7) + 0.08 * mottles / mottles.std() + 0.03 * fine / fine.std()
    tint = 1 + rng.uniform(-0.08, 0.08, 3)
    ground: Floats = (level[..., None] * tint).astype(np.float32)
    return ground


def _draw(
    canvas: Floats, thing: Combination, middle: tuple[float, float], radius: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Paint a thing; its mask."""
    turn = rng.uniform(0, 2 * np.pi)
    y, x = np.ogrid[: canvas.shape[0], : canvas.shape[1]]
    dy, dx = (y - middle[0]) / radius, (x - middle[1]) / radius
    u, v = np.cos(turn) * dx + np.sin(turn) * dy, np.cos(turn) * dy - np.sin(turn) * dx
    mask = _inside(thing.shape, u, v)
    colour = np.clip(np.array(_COLOURS[thing.colour]) + rng.normal(0, 0.04, 3), 0, 1)
    light = _light(thing.texture, u, v, rng)[mask][:, None]
    canvas[mask] = colour * (1 - light) + 0.96 * light
    return mask


def _inside(shape: str, u: Floats, v: Floats) -> NDArray[np.bool_]:
    far, angle = np.hypot(u, v), np.arctan2(v, u)
    if shape == "circle":
        inside: NDArray[np.bool_] = far < 0.9
    elif shape == "star":
        inside = far < 0.7 + 0.28 * np.cos(5 * angle)
    else:
        sector = 2 * np.pi / _CORNERS[shape]
        to_side = far * np.cos((angle + sector / 2) % sector - sector / 2)
        inside = to_side < np.cos(sector / 2)
    return inside


def _light(texture: str, u: Floats, v: Floats, rng: np.random.Generator) -> Floats:
    """How much white lies over each place."""
    period, phase = rng.uniform(0.3, 0.4), rng.uniform(0, 1, 2)
    a, b = u / period + phase[0], v / period + phase[1]
    if texture == "striped":
        light = (a % 1 < 0.5) * (v * 0 + 1)
    elif texture == "dotted":
        light = np.hypot(a % 1 - 0.5, b % 1 - 0.5) < 0.3
    else:
        light = u * 0 + v * 0
    return np.asarray(light, np.float32) * 0.75


def _exposed(canvas: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """As a camera gives it: another exposure each time, a little noise."""
    noisy = canvas * rng.uniform(0.8, 1.1) + rng.normal(0, 0.02, canvas.shape)
    return (np.clip(noisy, 0, 1) * 255).astype(np.uint8)
