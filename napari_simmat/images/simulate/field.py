"""Seedlings on littered soil in red and near infrared: neither band alone separates them, their ratio does.

`field_scene` looks straight down on a field. Chlorophyll absorbs red light, so a green leaf is as dark in red as wet
soil; in the near infrared it shows the multiple scattering between its cells and is as bright as straw. Soil, stones,
straw and dead leaves lie along one line from dark to bright in both bands, the soil line, and only living leaves lie off
it. A camera with two bands sees the scene through its blur, with photon noise (in its Gaussian limit), read noise and
8 bits, under clouds whose shadows darken both bands alike. Straw lies over the plants as well as under them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_simmat.images.image import Channel, MultiChannelImage
from napari_simmat.images.simulate.sensor import Random, place, recorded, smooth_noise

__all__ = ["SEEDLING_CHANNELS", "SEEDLING_SETS", "field_scene"]

SEEDLING_SETS = {"seedlings-train": range(1, 6), "seedlings-test": range(6, 9)}
"""Seeds of the bundled scenes: five to learn from, three to be judged on."""

SEEDLING_CHANNELS = (
    Channel("red", wavelength_nm=660.0, role="red"),
    Channel("NIR", wavelength_nm=850.0, role="nir"),
)

SOIL_LINE = (1.25, 0.03)  # NIR = 1.25 red + 0.03, after Baret, Jacquemoud and Hanocq (1993)
PSF_SIGMA = (0.7, 0.9)  # pixels
EXPOSURE = (560.0, 360.0)  # grey values per unit of reflectance under full light
FULL_WELL, READ_NOISE = 9000.0, 20.0  # electrons

Floats = NDArray[np.float64]


def field_scene(
    seed: int, shape: tuple[int, int] = (192, 256)
) -> tuple[MultiChannelImage, NDArray[np.uint16]]:
    """Seedlings on littered soil: red (660 nm) and NIR (850 nm).

    Parameters
    ----------
    seed : int
        The same seed gives the same scene.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    image : MultiChannelImage
        Two channels of 8 bits, modality "nir".
    instances : ndarray, shape (Y, X), uint16
        One number per plant where it is visible, 0 elsewhere. Seven to ten, 15 to 53 pixels across in the bundled scenes.
    """
    random = Random(seed)
    canvas = _soil(random, shape)
    instances = np.zeros(shape, np.uint16)
    _litter(random, canvas, instances, 55)
    radii = np.exp(random.uniform(np.log(10.0), np.log(36.0), random.randint(6, 11)))
    for label, (row, column, radius) in enumerate(place(random, shape, radii, gap=1.0, margin=-2.0), start=1):
        _plant(random, canvas, instances, label, (row, column), radius)
    _litter(random, canvas, instances, 16)
    clouds = np.clip(0.8 + 0.2 * smooth_noise(random, shape, 0.2 * min(shape)), 0.3, 1.2)
    bands = []
    for band, sigma, exposure in zip(canvas * clouds, PSF_SIGMA, EXPOSURE, strict=True):
        grey = exposure * random.uniform(0.95, 1.05) * gaussian_filter(band, sigma)
        bands.append(recorded(random, grey, top=255, full_well=FULL_WELL, read_noise=READ_NOISE))
    image = MultiChannelImage(
        np.stack(bands).astype(np.uint8), SEEDLING_CHANNELS, modality="nir", name=f"seedlings {seed}"
    )
    return image, instances


def _on_soil_line(red: Floats) -> Floats:
    """Both bands of something without chlorophyll: (2, ...)."""
    return np.stack([red, SOIL_LINE[0] * red + SOIL_LINE[1]])


def _soil(random: Random, shape: tuple[int, int]) -> Floats:
    """Crumbs and clods, lit from one side, wet in places: (2, Y, X) reflectance."""
    relief = (
        smooth_noise(random, shape, 0.9)
        + 1.6 * smooth_noise(random, shape, 2.4)
        + 3.0 * smooth_noise(random, shape, 6.0)
    )
    slope_y, slope_x = np.gradient(relief)
    light = np.clip(1.0 + 0.22 * (slope_x - 0.6 * slope_y), 0.35, 1.7)
    wet = 1.0 / (1.0 + np.exp(-3.0 * smooth_noise(random, shape, 20.0)))
    red = (0.18 - 0.125 * wet) * light * (1.0 + 0.06 * smooth_noise(random, shape, 0.6))
    return _on_soil_line(np.asarray(red))


def _litter(random: Random, canvas: Floats, instances: NDArray[np.uint16], count: int) -> None:
    """Drop straw, stones and dead leaves on what is there; what they cover is no longer plant."""
    shape = instances.shape
    for _ in range(count):
        row, column = (random.uniform(0, n) for n in shape)
        kind = random.uniform()
        angle, tone = random.uniform(0.0, np.pi), random.uniform(0.75, 1.1)
        if kind < 0.6:  # straw
            half, width, red, bend = (
                random.uniform(7.0, 22.0),
                random.uniform(0.7, 1.4),
                0.36,
                random.uniform(-0.01, 0.01),
            )
        elif kind < 0.82:  # a stone
            half, red, bend = random.uniform(1.5, 4.5), random.uniform(0.15, 0.38), 0.0
            width = half * random.uniform(0.6, 1.0)
        else:  # a dead leaf
            half, red, bend = (
                random.uniform(5.0, 10.0),
                random.uniform(0.17, 0.27),
                random.uniform(-0.03, 0.03),
            )
            width = half * random.uniform(0.3, 0.5)
        window, along, across = _frame(shape, row, column, angle, half + 2.0)
        across = across + bend * along**2
        profile = np.ones_like(along) if kind < 0.6 else np.sqrt(np.maximum(1.0 - (along / half) ** 2, 0.0))
        inside = (np.abs(along) < half) & (np.abs(across) < width * profile)
        shade = np.clip(1.0 + 0.3 * across / width, 0.6, 1.3) * tone
        canvas[(slice(None), *window)][:, inside] = _on_soil_line(red * shade[inside])
        instances[window][inside] = 0


def _plant(
    random: Random,
    canvas: Floats,
    instances: NDArray[np.uint16],
    label: int,
    where: tuple[float, float],
    radius: float,
) -> None:
    """A rosette: leaves around the middle, the younger ones shorter, higher and lighter."""
    leaves = random.randint(4, 9)
    slender = random.uniform(0.28, 0.48)
    chlorophyll = random.uniform(0.8, 1.3)
    first = random.uniform(0.0, 2 * np.pi)
    for i in range(leaves):
        angle = first + i * 2.4 + random.uniform(-0.25, 0.25)  # close to the golden angle
        length = radius * (1.0 - 0.55 * i / leaves) * random.uniform(0.85, 1.0)
        middle = where[0] + 0.52 * length * np.sin(angle), where[1] + 0.52 * length * np.cos(angle)
        window, along, across = _frame(instances.shape, *middle, angle, length / 2 + 2.0)
        half = length / 2
        t = np.clip((along + half) / length, 0.0, 1.0)
        across = across + random.uniform(-0.012, 0.012) * along**2
        outline = half * 2.4 * slender * np.sqrt(t) * (1.0 - t) ** 0.6 + 0.6
        blade = (np.abs(along) < half) & (np.abs(across) < outline)
        vein = np.abs(across) < 0.5
        red = 0.035 + 0.3 * np.exp(-1.9 * chlorophyll * random.uniform(0.75, 1.2)) * (1.0 + 0.5 * vein)
        nir = random.uniform(0.38, 0.52) * (1.0 - 0.06 * vein)
        shade = random.uniform(0.6, 1.0) * (1.0 + 0.15 * np.sign(across)) * (0.8 + 0.25 * t)
        shade = shade * (1.0 + 0.05 * np.sin(1.3 * along + np.abs(across)))
        target = canvas[(slice(None), *window)]
        # What lies just beside a leaf, away from the light, is in its shadow; near infrared passes through it.
        shadow = np.roll(blade, (1, 2), (0, 1)) & ~blade
        target[0, shadow] *= 0.6
        target[1, shadow] *= 0.8
        target[0, blade] = (red * shade)[blade]
        target[1, blade] = (nir * shade)[blade]
        instances[window][blade] = label


def _frame(
    shape: tuple[int, ...], row: float, column: float, angle: float, reach: float
) -> tuple[tuple[slice, slice], Floats, Floats]:
    """The window around something, and coordinates along and across it."""
    top, left = max(0, int(row - reach)), max(0, int(column - reach))
    bottom, right = min(shape[0], int(row + reach) + 2), min(shape[1], int(column + reach) + 2)
    y, x = np.mgrid[top : max(top, bottom), left : max(left, right)].astype(float)
    y, x = y - row, x - column
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return (slice(top, max(top, bottom)), slice(left, max(left, right))), along, across
