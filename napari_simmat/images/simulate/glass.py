"""Clear glass on a patterned table, seen by a polarization camera: what intensity hides, polarization shows.

`glass_scene` looks obliquely, along parallel rays, at lenses, drops, rods and bevelled panes of clear glass on a table.
In every pixel the ray meets a surface of known normal and refractive index. Fresnel's formulae give what it reflects of
the overcast sky, mostly polarized across the plane of incidence; Snell's law tells where on the table the refracted ray
arrives, through which of the two faces the table is seen, with the opposite, weaker polarization. The reflection makes
the glass brighter by a few percent, much less than the table's texture varies, so that intensity hides it. The texture
is matt and therefore unpolarized. The camera is tilted and rolled differently in each scene.

A polarization camera of the kind of the Sony IMX250MZR records it: blur, polarizers of finite extinction over the
pixels in squares of 90, 45, 135 and 0 degrees, photon noise (in its Gaussian limit), read noise, 12 bits. It is not
trivial in polarization either: glossy patches of the table and dark pebbles are polarized as well and are not glass,
the angle of polarization turns with the surface and with the camera, parts of the glass mirror a horizon as dark as the
table behind them and are unpolarized, and the mosaic turns fine texture into false polarization.

Left out: caustics, shadows of the glass, light that is reflected more than once, and the glass's own absorption.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from napari_simmat.images.simulate.bodies import Body, Ellipsoid, Facets, Rod
from napari_simmat.images.simulate.fresnel import (
    behind_polarizer,
    diattenuated,
    fresnel,
    reflected_direction,
    refracted_direction,
)
from napari_simmat.images.simulate.ground import GROUNDS
from napari_simmat.images.simulate.sensor import Random, place, recorded, smooth_noise

__all__ = ["GLASS_SETS", "glass_scene"]

GLASS_SETS = {"glass-train": range(1, 6), "glass-test": range(6, 10)}
"""Seeds of the bundled scenes: five to learn from, four to be judged on."""

LAYOUT = np.deg2rad([[90.0, 45.0], [135.0, 0.0]])
INDICES = (1.33, 1.46, 1.52, 1.62)  # water, fused silica, crown and flint glass
STONE, VARNISH = 1.55, 1.5
EXTINCTION = 300.0
PSF_SIGMA = 1.1  # pixels
TOP, FULL_WELL, READ_NOISE = 4095, 10500.0, 2.5  # 12 bits; electrons
EXPOSURE = 7200.0  # counts for the radiance of the zenith, without a polarizer
GAP = 12.0  # pixels between things

Floats = NDArray[np.float64]


def glass_scene(
    seed: int, shape: tuple[int, int] = (224, 288)
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Clear glass on a patterned table, as a polarization camera's raw frame.

    Parameters
    ----------
    seed : int
        The same seed gives the same scene.
    shape : tuple of int
        Rows and columns of the sensor, both even.

    Returns
    -------
    mosaic : ndarray, shape (Y, X), uint16
        Counts of 12 bits behind polarizers at 90 and 45 degrees in even rows, 135 and 0 degrees in odd ones.
    instances : ndarray, shape (Y, X), uint16
        One number per piece of glass where it is visible, 0 elsewhere. Six to ten, 19 to
        94 pixels across in the bundled scenes.
    """
    stokes, instances, random = _seen(seed, shape)
    stokes = np.stack([gaussian_filter(s, PSF_SIGMA) for s in stokes])
    angles = np.tile(LAYOUT, (shape[0] // 2, shape[1] // 2))
    grey = EXPOSURE * random.uniform(0.9, 1.1) * behind_polarizer(stokes, angles, EXTINCTION)
    mosaic = recorded(random, grey, top=TOP, full_well=FULL_WELL, read_noise=READ_NOISE)
    return mosaic, instances


def _seen(seed: int, shape: tuple[int, int]) -> tuple[Floats, NDArray[np.uint16], Random]:
    """Stokes parameters before the camera, the labels, and the source of what is random from there on."""
    random = Random(seed)
    view = _View(random, shape, ground=GROUNDS[seed % len(GROUNDS)])
    stokes = view.table()
    front = np.zeros(shape)  # distance to the camera of what is seen so far
    instances = np.zeros(shape, np.uint16)
    radii = np.exp(random.uniform(np.log(11.0), np.log(0.19 * min(shape)), random.randint(8, 13)))
    places = place(random, shape, radii, gap=GAP)
    stones = set(random.choice(len(places), min(len(places) // 3, 2), replace=False).tolist())
    count = 0
    for i, (row, column, radius) in enumerate(places):
        where = view.origin[:2, int(row), int(column)]
        body = _pebble(random, where, radius) if i in stones else _glass(random, where, radius)
        distance, normal = body.met(view.origin, view.towards)
        seen = distance > front
        front[seen] = distance[seen]
        if i in stones:
            stokes[:, seen] = view.stone(random, normal[:, seen])
            instances[seen] = 0
        else:
            count += 1
            surface = view.origin[:, seen] + distance[seen] * view.towards[:, None]
            stokes[:, seen] = view.glass(surface, normal[:, seen], n=INDICES[random.randint(len(INDICES))])
            instances[seen] = count
    return stokes, instances, random


class _View:
    """Camera, table and sky of one scene. Radiances are in units of the mean sky's."""

    def __init__(
        self, random: Random, shape: tuple[int, int], ground: Callable[[Random, tuple[int, int]], Floats]
    ) -> None:
        self.tilt = random.uniform(0.55, 0.8)  # of the line of sight from the table's normal, radians
        self.towards = np.array([0.0, -np.sin(self.tilt), np.cos(self.tilt)])
        self.roll = random.uniform(-np.pi / 2, np.pi / 2)  # of the camera about its line of sight
        y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
        right = x * np.cos(self.roll) - y * np.sin(self.roll)
        along = (-y * np.cos(self.roll) - x * np.sin(self.roll)) / np.cos(self.tilt)  # foreshortened
        right, along = right - right.min(), along - along.min()
        self.origin = np.stack([right, along, np.zeros(shape)])
        self.wind = random.uniform(0.0, 2 * np.pi)  # where the sky is brightest
        self.margin = 40
        size = (int(along.max()) + 2 * self.margin + 1, int(right.max()) + 2 * self.margin + 1)
        reflectance = ground(random, size) * random.uniform(0.85, 1.0)
        light = 1.0 + 0.12 * smooth_noise(random, size, 60.0)
        self.ground = reflectance * np.clip(light, 0.6, 1.3)
        patches = smooth_noise(random, size, 14.0)
        self.gloss = 0.06 + 0.5 * np.clip(1.2 * (patches - 1.1), 0.0, 1.0)
        self.mean = float(self.ground.mean())

    def on_table(self, field: Floats, a: Floats, b: Floats) -> Floats:
        """Values of a field of the table at points of it."""
        return np.asarray(map_coordinates(field, [b + self.margin, a + self.margin], order=1, mode="nearest"))

    def sky(self, direction: Floats) -> Floats:
        """Radiance that comes from a direction: overcast, a hazy band along the horizon, the table below it."""
        a, b, h = direction
        up = np.clip(h, 0.0, 1.0)
        overcast = 0.7 + 0.45 * up  # brighter overhead, after Moon and Spencer, but paler
        side = 0.3 * (a * np.cos(self.wind) + b * np.sin(self.wind))
        open_ = np.clip(h / 0.3, 0.0, 1.0)
        open_ = open_ * open_ * (3.0 - 2.0 * open_)
        return np.asarray(open_ * (overcast + side) + (1.0 - open_) * self.mean)

    def azimuth(self, vectors: Floats) -> Floats:
        """Of vectors on the table, counter-clockwise from the columns' direction as the camera sees them."""
        upward = vectors[1] * np.cos(self.tilt) + vectors[2] * np.sin(self.tilt)
        return np.asarray(np.arctan2(upward, vectors[0]) + self.roll)

    def reflection(self, normal: Floats, n: float) -> tuple[Floats, Floats, Floats, Floats]:
        """Light reflected into the camera; reflectances across and along; azimuth of "across"."""
        looking = -self.towards.reshape(3, *(1,) * (normal.ndim - 1))
        cosine = np.clip(-np.sum(looking * normal, axis=0), 0.0, 1.0)
        across, along = fresnel(cosine, n)
        azimuth = self.azimuth(np.cross(normal, np.broadcast_to(looking, normal.shape), axis=0))
        sky = _unpolarized(self.sky(reflected_direction(looking, normal)))
        return diattenuated(sky, across, along, azimuth), across, along, azimuth

    def table(self) -> Floats:
        """The bare table: matt, with a weak gloss that is stronger in patches."""
        normal = np.zeros_like(self.origin)
        normal[2] = 1.0
        gloss = self.on_table(self.gloss, *self.origin[:2])
        mirrored, across, along, azimuth = self.reflection(normal, VARNISH)
        matt = _unpolarized(self.on_table(self.ground, *self.origin[:2]))
        through = diattenuated(matt, 1.0 - gloss * across, 1.0 - gloss * along, azimuth)
        return np.asarray(through + gloss * mirrored)

    def glass(self, surface: Floats, normal: Floats, n: float) -> Floats:
        """A clear body with a flat base: reflection above, and what is seen through its two faces.

        Parameters
        ----------
        surface, normal : ndarray, shape (3, N)
            Where rays enter it.
        n : float
            Refractive index.
        """
        mirrored, across, along, azimuth = self.reflection(normal, n)
        inward = refracted_direction(np.broadcast_to(-self.towards[:, None], normal.shape), normal, n)
        down = np.maximum(-inward[2], 0.05)
        a, b = surface[:2] + inward[:2] * (surface[2] / down)
        base_across, base_along = fresnel(down, 1.0 / n)
        upright = np.broadcast_to(np.array([[0.0], [0.0], [1.0]]), normal.shape)
        base_azimuth = self.azimuth(np.cross(upright, inward, axis=0))
        table = _unpolarized(self.on_table(self.ground, a, b))
        within = diattenuated(table, 1.0 - base_across, 1.0 - base_along, base_azimuth)
        # What the base reflects came in through the far side: low above the table where the base reflects totally.
        back = _unpolarized(self.sky(reflected_direction(inward, upright)))
        within += 0.92 * diattenuated(back, base_across, base_along, base_azimuth)
        return np.asarray(mirrored + diattenuated(within, 1.0 - across, 1.0 - along, azimuth))

    def stone(self, random: Random, normal: Floats) -> Floats:
        """A dark pebble, worn smooth: half of the polish of glass, and opaque."""
        mirrored, across, along, azimuth = self.reflection(normal, STONE)
        tone = random.uniform(0.2, 0.6) * (1.0 + 0.08 * random.standard_normal(normal.shape[1]))
        matt = _unpolarized(tone * (0.55 + 0.45 * normal[2]))
        polish = random.uniform(0.25, 0.6)
        through = diattenuated(matt, 1.0 - polish * across, 1.0 - polish * along, azimuth)
        return np.asarray(through + polish * mirrored)


def _unpolarized(radiance: Floats) -> Floats:
    return np.stack([radiance, np.zeros_like(radiance), np.zeros_like(radiance)])


def _glass(random: Random, where: Floats, radius: float) -> Body:
    """A lens or drop, a rod, or a bevelled pane."""
    kind = random.randint(3)
    turn = random.uniform(0.0, np.pi)
    a, b = where
    if kind == 0:
        rise = random.uniform(0.35, 0.8)  # angle between glass and table at the rim
        ball = radius / np.sin(rise)
        aspect = random.uniform(0.75, 1.25)
        return Ellipsoid((a, b, -ball * np.cos(rise)), (ball, ball * aspect, ball), turn)
    if kind == 1:
        rise = random.uniform(0.6, 0.95)
        thick = max(radius * random.uniform(0.25, 0.4), 5.0)
        ball = thick / np.sin(rise)
        return Rod((a, b, -ball * np.cos(rise)), ball, 1.15 * radius - thick, turn)
    sides, bevel = random.randint(4, 7), random.uniform(0.3, 0.6)
    around = turn + 2 * np.pi * (np.arange(sides) + random.uniform(-0.12, 0.12, sides)) / sides
    walls = np.stack(
        [np.cos(around) * np.sin(bevel), np.sin(around) * np.sin(bevel), np.full(sides, np.cos(bevel))],
        axis=1,
    )
    thickness = radius * random.uniform(0.15, 0.3)
    reach = radius * random.uniform(0.8, 1.0, sides) * np.sin(bevel)
    return Facets(
        np.concatenate([[[0.0, 0.0, 1.0]], walls]), np.concatenate([[thickness], reach]), (a, b, 0.0)
    )


def _pebble(random: Random, where: Floats, radius: float) -> Body:
    high = radius * random.uniform(0.4, 0.6)
    axes = (radius * random.uniform(0.8, 1.0), radius * random.uniform(0.8, 1.0), high)
    return Ellipsoid((where[0], where[1], 0.3 * high), axes, random.uniform(0.0, np.pi))
