"""Machine parts on a tilted, cluttered bench, measured by structured light from one side.

`parts_scene` builds a height map of the bench and looks at it through a pinhole camera: every ray
is followed down to the first surface that it meets, and the depth along the optical axis is recorded in millimetres.
The pattern comes from a projector beside the camera. What its light does not reach is not measured, as is what is too
steep or too shiny: depth 0, shadows along one side of every edge, holes on polished parts. Noise grows with the square of
the distance, as it does in triangulation, and flying pixels lie between the two sides of an edge.

It is not trivial in depth: the bench falls by several times the height of a part from one side of the picture to the
other, so that no depth separates them; boards lie on it whose steps are as high as those of the parts, and grooves run
through it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_simmat.images.simulate.sensor import Random, place, smooth_noise

__all__ = ["PARTS_FOCAL_LENGTH", "PARTS_SETS", "parts_scene"]

PARTS_SETS = {"parts-train": range(1, 7), "parts-test": range(7, 11)}
"""Seeds of the bundled scenes: six to learn from, four to be judged on."""

PARTS_FOCAL_LENGTH = 420.0
"""Of the camera, in pixels; its principal point is the middle of the picture."""

CELL = 0.9  # mm of the height map
MARGIN = 60.0  # mm of bench around what the camera sees
BASELINE = 180.0  # mm from the camera to the projector
NOISE = 0.9e-6  # standard deviation of depth in mm divided by the square of depth

Floats = NDArray[np.float64]


class _Bench:
    """Height above the bench in mm, and what lies there, over a square grid with the origin in its middle."""

    def __init__(self, random: Random, size: tuple[float, float]) -> None:
        self.shape = (int(size[0] / CELL), int(size[1] / CELL))
        self.size = size
        rows, columns = self.shape
        self.y, self.x = np.mgrid[
            -size[0] / 2 : size[0] / 2 : rows * 1j, -size[1] / 2 : size[1] / 2 : columns * 1j
        ]
        self.height = np.zeros(self.shape)
        self.labels = np.zeros(self.shape, np.uint16)
        self.shine = np.zeros(self.shape)

    def at(self, field: NDArray[Any], y: Floats, x: Floats) -> NDArray[Any]:
        """Values of a map at places in mm: those of the nearest cell."""
        row = ((y / self.size[0] + 0.5) * (self.shape[0] - 1) + 0.5).astype(np.intp)
        column = ((x / self.size[1] + 0.5) * (self.shape[1] - 1) + 0.5).astype(np.intp)
        inside = np.clip(row, 0, self.shape[0] - 1), np.clip(column, 0, self.shape[1] - 1)
        return np.asarray(field[inside])

    def turned(self, y: float, x: float, angle: float) -> tuple[Floats, Floats]:
        """Coordinates (v, u) of all cells in the frame of something that lies at (y, x)."""
        dy, dx = self.y - y, self.x - x
        return dy * np.cos(angle) - dx * np.sin(angle), dx * np.cos(angle) + dy * np.sin(angle)

    def put(self, rise: Floats, label: int, shine: float) -> None:
        """Lay something on what is there: `rise` in mm, 0 outside it."""
        inside = rise > 0
        self.height = self.height + rise
        self.labels[inside] = label
        self.shine[inside] = shine


def parts_scene(
    seed: int, shape: tuple[int, int] = (208, 272)
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Parts on a bench as a depth camera sees them.

    Parameters
    ----------
    seed : int
        The same seed gives the same scene.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    depth : ndarray, shape (Y, X), uint16
        Depth along the optical axis in mm; 0 where there is no measurement.
    instances : ndarray, shape (Y, X), uint16
        One number per part where the camera sees it, measured or not; 0 elsewhere. Seven to
        eleven, 18 to 68 pixels across in the bundled scenes.
    """
    random = Random(seed)
    distance = random.uniform(620.0, 760.0)  # mm to the bench along the optical axis
    tilt, turn = random.uniform(0.15, 0.42), random.uniform(0.0, 2 * np.pi)
    bench = _furnished(random, shape, distance)
    camera = _Camera(shape, distance, tilt, turn)
    points, y, x, height = camera.meet(bench)
    lit = camera.lit(bench, points)
    depth = points[2]
    instances = bench.at(bench.labels, y, x)
    flank = np.hypot(*np.gradient(height)) * PARTS_FOCAL_LENGTH / depth  # height gained per length
    shine = bench.at(bench.shine, y, x)
    speckle = smooth_noise(random, shape, 1.1) + 0.6 * smooth_noise(random, shape, 4.0)
    missing = ~lit | (flank > 6.0) | (shine * 2.2 + speckle > 3.1)
    smeared = gaussian_filter(depth, 0.5)  # a pixel on an edge sees both sides
    ripple = 0.25 * np.sin(points[0] * 0.55 + random.uniform(0.0, 6.0))  # of the projected fringes
    noise = (
        NOISE * depth**2 * (random.standard_normal(shape) + 0.8 * smooth_noise(random, shape, 1.0)) + ripple
    )
    measured = np.rint(smeared + noise)
    return np.where(missing, 0, np.clip(measured, 1, 65535)).astype(np.uint16), instances


class _Camera:
    """A pinhole above the bench. Its frame: x right, y down, z along the optical axis, in mm."""

    def __init__(self, shape: tuple[int, int], distance: float, tilt: float, turn: float) -> None:
        y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
        middle = [(n - 1) / 2 for n in shape]
        self.rays = np.stack(
            [(x - middle[1]) / PARTS_FOCAL_LENGTH, (y - middle[0]) / PARTS_FOCAL_LENGTH, np.ones(shape)]
        )
        # The bench's normal faces the camera; its axes are those of the picture, laid down on it.
        self.normal = np.array([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), -np.cos(tilt)])
        self.right = np.array([1.0, 0.0, 0.0]) - self.normal[0] * self.normal
        self.right /= np.sqrt(self.right @ self.right)
        self.down = np.cross(self.right, self.normal)
        self.foot = np.array([0.0, 0.0, distance])

    def on_bench(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """Place (y, x) on the bench and height above it of points of the camera's frame."""
        offset = points - self.foot.reshape(3, *(1,) * (points.ndim - 1))
        y, x, height = (np.tensordot(axis, offset, 1) for axis in (self.down, self.right, self.normal))
        return y, x, height

    def meet(self, bench: _Bench) -> tuple[Floats, Floats, Floats, Floats]:
        """Follow every ray down, half a millimetre of height a step, to the first surface.

        Returns
        -------
        points : ndarray, shape (3, Y, X)
            In the camera's frame.
        y, x, height : ndarray, shape (Y, X)
            On the bench.
        """
        reach = float(self.normal @ self.foot)
        slope = np.tensordot(self.normal, self.rays, 1)
        found = np.zeros(self.rays.shape[1:], bool)
        points = self.rays * (reach / slope)
        for level in np.arange(float(bench.height.max()), 0.0, -0.5):
            at = self.rays * ((reach + level) / slope)
            y, x, _ = self.on_bench(at)
            ground = bench.at(bench.height, y, x)
            hit = ~found & (ground >= level)
            # Within one step it is the top of something; deeper down, a wall.
            exact = self.rays * ((reach + np.minimum(ground, level + 0.5)) / slope)
            points = np.where(hit, exact, points)
            found |= hit
        y, x, height = self.on_bench(points)
        return points, y, x, height

    def lit(self, bench: _Bench, points: Floats) -> NDArray[np.bool_]:
        """Whether the projector's light reaches points of the surface."""
        _, _, height = self.on_bench(points)
        projector = np.array([BASELINE, 0.0, 0.0])[:, None, None]
        towards = projector - points
        rise = np.tensordot(self.normal, towards, 1)
        free = np.ones(height.shape, bool)
        for level in np.arange(0.75, float(bench.height.max()) + 0.5, 0.75):
            y, x, _ = self.on_bench(points + towards * ((level - height) / rise))
            free &= (level < height + 0.6) | (bench.at(bench.height, y, x) < level)
        return free


def _furnished(random: Random, shape: tuple[int, int], distance: float) -> _Bench:
    """The bench with boards, grooves and parts on it."""
    scale = distance / PARTS_FOCAL_LENGTH  # mm per pixel
    seen = tuple(n * scale for n in shape)
    bench = _Bench(random, (1.3 * seen[0] + 2 * MARGIN, 1.3 * seen[1] + 2 * MARGIN))
    angle = random.uniform(0.0, np.pi)
    groove, _ = bench.turned(0.0, 0.0, angle)
    pitch = random.uniform(50.0, 90.0)
    bench.height = np.where(np.mod(groove, pitch) < random.uniform(5.0, 9.0), 0.0, random.uniform(3.0, 6.0))
    for _ in range(random.randint(2, 4)):
        y, x = (random.uniform(-0.5, 0.5) * n for n in seen)
        v, u = bench.turned(y, x, angle + random.uniform(-0.4, 0.4))
        board = (np.abs(v) < random.uniform(30.0, 70.0)) & (np.abs(u) < random.uniform(60.0, 160.0))
        bench.put(np.where(board, random.uniform(5.0, 14.0), 0.0), 0, 0.0)
    bench.height = bench.height + 0.15 * smooth_noise(random, bench.shape, 7.0)
    sizes = np.exp(random.uniform(np.log(11.0), np.log(36.0), random.randint(6, 12)))
    for label, (row, column, radius) in enumerate(place(random, shape, sizes, gap=5.0, margin=2.0), start=1):
        y, x = (row - (shape[0] - 1) / 2) * scale, (column - (shape[1] - 1) / 2) * scale
        kind = PARTS[random.randint(len(PARTS))]
        v, u = bench.turned(y, x, random.uniform(0.0, 2 * np.pi))
        rise = kind(random, v, u, 0.92 * radius * scale)
        # A part bridges what is below: it lies level on the highest point under it.
        inside = rise > 0
        below = bench.height[inside]
        bench.height[inside] = np.percentile(below, 95)
        bench.put(rise, label, random.choice([0.0, 0.3, 0.7], p=[0.5, 0.3, 0.2]))
    return bench


def _washer(random: Random, v: Floats, u: Floats, radius: float) -> Floats:
    distance = np.hypot(v, u)
    ring = (distance < radius) & (distance > radius * random.uniform(0.35, 0.6))
    return np.where(ring, random.uniform(4.0, 9.0), 0.0)


def _nut(random: Random, v: Floats, u: Floats, radius: float) -> Floats:
    sides = [np.abs(u * np.cos(a) + v * np.sin(a)) for a in np.deg2rad([0.0, 60.0, 120.0])]
    apothem = 0.86 * radius
    distance = np.hypot(v, u)
    bevel = np.clip(0.25 * (radius * 0.98 - distance), -0.2 * radius, 0.0)
    body = (np.max(sides, axis=0) < apothem) & (distance > 0.48 * radius)
    return np.asarray(np.where(body, np.maximum(min(radius * 0.6, 18.0) + bevel, 1.0), 0.0))


def _bolt(random: Random, v: Floats, u: Floats, radius: float) -> Floats:
    """A bolt that lies on its side: a shaft with a thread and a head."""
    thick = max(radius * random.uniform(0.16, 0.24), 3.0)
    shaft = 2 * np.sqrt(np.maximum(thick**2 - v**2, 0.0)) * (np.abs(u) < radius)
    shaft *= 1.0 + 0.06 * np.sin(u * 2.2) * (u > -0.2 * radius)
    head = (
        (np.abs(u + 0.78 * radius) < 0.2 * radius) * 2 * np.sqrt(np.maximum((1.7 * thick) ** 2 - v**2, 0.0))
    )
    bolt = np.maximum(shaft, head)
    return np.where(bolt > 1.0, bolt, 0.0)


def _bracket(random: Random, v: Floats, u: Floats, radius: float) -> Floats:
    """An angle of sheet metal with a rib and two holes."""
    arm = radius * random.uniform(0.45, 0.6)
    inside = (np.abs(u) < 0.75 * radius) & (np.abs(v) < 0.65 * radius)
    inside &= ~((u > -0.75 * radius + arm) & (v > -0.65 * radius + arm))
    for hole in ((-0.65 * radius + arm / 2, 0.45 * radius), (0.35 * radius, -0.75 * radius + arm / 2)):
        inside &= np.hypot(v - hole[0], u - hole[1]) > 0.16 * radius
    rib = np.abs(u + v + 0.75 * radius) < 0.1 * radius
    return np.where(inside, random.uniform(3.0, 7.0) + 5.0 * rib, 0.0)


def _cap(random: Random, v: Floats, u: Floats, radius: float) -> Floats:
    """A domed cap."""
    inside = 1.0 - (v**2 + u**2) / radius**2
    high = min(radius * random.uniform(0.35, 0.6), 24.0)
    return np.where(inside > 0, 1.5 + high * np.sqrt(np.maximum(inside, 0.0)), 0.0)


def _gear(random: Random, v: Floats, u: Floats, radius: float) -> Floats:
    teeth = random.randint(9, 16)
    distance, angle = np.hypot(v, u), np.arctan2(v, u)
    rim = radius * (0.9 + 0.09 * np.tanh(3.0 * np.sin(teeth * angle)))
    web = (distance > 0.35 * radius) & (distance < 0.7 * radius)
    high = random.uniform(7.0, 13.0)
    return np.where((distance < rim) & (distance > 0.18 * radius), high - 4.0 * web, 0.0)


PARTS = (_washer, _nut, _bolt, _bracket, _cap, _gear)
