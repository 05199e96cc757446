"""Animals in a meadow at dawn, from a drone with a thermal camera.

`herd_scene` is a map of surface temperatures and emissivities. A microbolometer camera sees neither: it sees the
radiance e L(T) + (1 - e) L(sky) of its band, by Planck's law, from the surface itself and from the cold sky that the
surface mirrors, and reads the temperature of the black body of that radiance. The optics blur it; every pixel has noise
(NETD), every column an offset that the last correction left, the housing adds a smooth glow, and two pixels are dead.
Values are stored as such cameras do, in hundredths of a kelvin.

The animals stand out by their body heat, which their coats let through to very different degrees: bare heads and legs
are warm, wet or thick backs nearly as cold as the grass. They are not the only warm or cold things: stones and bare soil
keep the heat of the day, water does too, and sheet metal mirrors the sky and looks colder than anything is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_simmat.images.physics.thermal import ZERO_CELSIUS
from napari_simmat.images.simulate.radiation import apparent_temperature, band_radiance
from napari_simmat.images.simulate.sensor import Random, place, smooth_noise

__all__ = ["WARM_SETS", "herd_scene"]

WARM_SETS = {"warm-train": range(1, 7), "warm-test": range(7, 11)}
"""Seeds of the bundled scenes: six to learn from, four to be judged on."""

PSF_SIGMA = 0.8  # pixels
NETD = 0.05  # K, of one pixel
COLUMN_OFFSET = 0.05  # K
GLOW = 0.25  # K
DEAD_PIXELS = 2
GRASS, SOIL, STONE, WATER, METAL, COAT, SKIN = 0.975, 0.945, 0.91, 0.96, 0.25, 0.97, 0.98  # emissivities
BODY = 37.5  # degrees Celsius

Floats = NDArray[np.float64]


def herd_scene(
    seed: int, shape: tuple[int, int] = (192, 256)
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Animals in a meadow at dawn, in hundredths of a kelvin.

    Parameters
    ----------
    seed : int
        The same seed gives the same scene.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    counts : ndarray, shape (Y, X), uint16
        Apparent temperature in hundredths of a kelvin; 0 where a pixel is dead.
    instances : ndarray, shape (Y, X), uint16
        One number per animal, 0 elsewhere. Five to nine, 18 to 58 pixels across in the bundled scenes.
    """
    random = Random(seed)
    air = random.uniform(2.0, 11.0)
    sky = air - random.uniform(25.0, 45.0)  # clear or hazy
    temperature, emissivity = _meadow(random, shape, air)
    instances = _animals(random, temperature, emissivity, air)
    radiance = emissivity * band_radiance(temperature) + (1 - emissivity) * band_radiance(sky)
    seen = apparent_temperature(gaussian_filter(radiance, PSF_SIGMA))
    return _recorded(random, seen), instances


def _meadow(random: Random, shape: tuple[int, int], air: float) -> tuple[Floats, Floats]:
    """Temperature and emissivity of the ground with all that lies on it."""
    # Grass radiates to the sky and is colder than the air where it stands high.
    tussocks = np.maximum(smooth_noise(random, shape, 2.2), smooth_noise(random, shape, 4.5) * 0.8)
    blades = smooth_noise(random, shape, 0.7)
    temperature = air - 2.5 + 1.1 * smooth_noise(random, shape, 30.0) - 0.7 * tussocks + 0.35 * blades
    emissivity = np.full(shape, GRASS)
    bare = smooth_noise(random, shape, 9.0) + 0.35 * smooth_noise(random, shape, 2.0) > 1.15
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    bend = 14.0 * np.sin(x / shape[1] * random.uniform(1.5, 4.0) + random.uniform(0.0, 6.0))
    track = shape[0] * random.uniform(0.1, 0.9) + (x - shape[1] / 2) * random.uniform(-0.5, 0.5) + bend
    for rut in (0.0, 11.0):  # of two wheels
        middle = track + rut
        bare |= np.abs(y - middle + 1.5 * smooth_noise(random, shape, 5.0)) < 1.8
    soft = gaussian_filter(bare.astype(float), 0.8)
    soil = air + random.uniform(1.5, 3.5) + 0.6 * smooth_noise(random, shape, 1.5)
    temperature += soft * (soil - temperature)
    emissivity += soft * (SOIL - emissivity)
    for row, column, radius in place(random, shape, random.uniform(2.0, 7.0, random.randint(9, 16)), gap=1.0):
        stone = _blob(random, shape, row, column, radius)
        warmth = air + random.uniform(3.0, 9.0)
        inside = gaussian_filter(stone.astype(float), 1.0)[stone]  # edges have cooled
        temperature[stone] = warmth - 3.0 * (1.0 - inside) + 0.3 * blades[stone]
        emissivity[stone] = STONE
    if random.uniform() < 0.6:
        pond = _blob(
            random,
            shape,
            random.uniform(0, shape[0]),
            random.choice([0, shape[1]]),
            random.uniform(25.0, 45.0),
        )
        temperature[pond] = air + random.uniform(3.0, 6.0) + 0.1 * smooth_noise(random, shape, 12.0)[pond]
        emissivity[pond] = WATER
    if random.uniform() < 0.7:
        trough = _box(
            shape,
            random.uniform(0.15, 0.85, 2) * shape,
            (4.0, random.uniform(10.0, 16.0)),
            random.uniform(0, 3),
        )
        temperature[trough] = air
        emissivity[trough] = METAL
    return temperature, emissivity


def _animals(random: Random, temperature: Floats, emissivity: Floats, air: float) -> NDArray[np.uint16]:
    """Draw the animals into both maps; returns their labels."""
    shape = (temperature.shape[0], temperature.shape[1])
    instances = np.zeros(shape, np.uint16)
    lengths = np.exp(random.uniform(np.log(22.0), np.log(64.0), random.randint(5, 10)))
    for label, (row, column, radius) in enumerate(place(random, shape, lengths / 2, gap=2.0), start=1):
        heading = random.uniform(0.0, 2 * np.pi)
        torso, bare = _animal(random, shape, row, column, 2 * radius, heading)
        body = torso | bare
        # How much of the difference between body and air the coat lets through to its surface.
        leak = random.uniform(0.08, 0.42)
        ridge = gaussian_filter(torso.astype(float), 0.09 * radius + 0.8)
        patches = 1.0 + 0.22 * smooth_noise(random, shape, 0.16 * radius + 1.0)
        coat = air + leak * (BODY - air) * (0.55 + 0.45 * ridge) * patches
        coat += 0.3 * smooth_noise(random, shape, 0.8)
        skin = air + min(leak + random.uniform(0.1, 0.25), 0.75) * (BODY - air)
        soft = gaussian_filter(bare.astype(float), 0.7)
        surface = coat + soft * np.maximum(skin - coat, 0.0)
        instances[body] = label
        if random.uniform() < 0.4:  # it lies, or stood here a moment ago: the grass beside it is warm
            shift = [round(4 * np.sin(heading + 1.5)), round(4 * np.cos(heading + 1.5))]
            print_ = gaussian_filter(np.roll(torso, shift, (0, 1)).astype(float), 1.5)
            temperature += 0.25 * print_ * leak * (BODY - air)
        temperature[body] = surface[body]
        emissivity[body] = np.where(bare, SKIN, COAT)[body]
    return instances


def _animal(
    random: Random, shape: tuple[int, int], row: float, column: float, length: float, heading: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Seen from above: the torso, and what is bare: head, ears, legs that stick out."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    along = ((x - column) * np.cos(heading) + (y - row) * np.sin(heading)) / length
    across = ((y - row) * np.cos(heading) - (x - column) * np.sin(heading)) / length
    bend = random.uniform(-0.5, 0.5)
    across = across - bend * along**2
    width = random.uniform(0.13, 0.17)
    torso = (((along + 0.1) / 0.33) ** 4 + (across / width) ** 2) < 1.0
    torso |= (((along + 0.28) / 0.13) ** 2 + (across / (width * 1.05)) ** 2) < 1.0  # hips
    neck = (np.abs(along - 0.27) < 0.11) & (np.abs(across) < 0.4 * width + 0.01)
    turn = random.uniform(-0.12, 0.12)
    head = (((along - 0.4) / 0.1) ** 2 + ((across - turn * 0.6) / 0.055) ** 2) < 1.0
    for side in (-1, 1):
        ear = ((along - 0.35) / 0.03) ** 2 + ((across - turn * 0.6 - side * 0.075) / 0.035) ** 2
        head |= ear < 1.0
    legs = np.zeros(shape, bool)
    for foot in (-0.3, 0.14):
        for side in (-1, 1):
            if random.uniform() < 0.55:
                step = random.uniform(-0.05, 0.07)
                reach = (np.abs(across) > 0.5 * width) & (side * across > 0) & (np.abs(across) < 1.45 * width)
                legs |= (np.abs(along - foot - step) < 0.028) & reach
    return torso | neck, head | (legs & ~torso)


def _blob(
    random: Random, shape: tuple[int, int], row: float, column: float, radius: float
) -> NDArray[np.bool_]:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    angle = np.arctan2(y - row, x - column)
    outline = np.ones(shape)
    for wave in (2, 3, 5):
        outline += random.uniform(0.0, 0.35 / wave) * np.cos(wave * angle + random.uniform(0.0, 2 * np.pi))
    return np.asarray(np.hypot(y - row, x - column) < radius * outline)


def _box(
    shape: tuple[int, int], centre: Floats, half: tuple[float, float], angle: float
) -> NDArray[np.bool_]:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    y, x = y - centre[0], x - centre[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    return np.asarray((np.abs(across) < half[0]) & (np.abs(along) < half[1]))


def _recorded(random: Random, celsius: Floats) -> NDArray[np.uint16]:
    """Noise, columns, glow of the housing, dead pixels; hundredths of a kelvin."""
    rows, columns = celsius.shape
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    reading = celsius + NETD * random.standard_normal(celsius.shape)
    reading += COLUMN_OFFSET * random.standard_normal(columns)
    reading += GLOW * (x**2 + y**2) * random.uniform(-1.0, 1.0)
    counts = np.clip(np.rint((reading + ZERO_CELSIUS) * 100.0), 1, 65535).astype(np.uint16)
    counts[random.randint(rows, size=DEAD_PIXELS), random.randint(columns, size=DEAD_PIXELS)] = 0
    return counts
