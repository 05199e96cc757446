"""Scenes that a colour camera cannot segment and a multispectral one can.

`camouflage_scene` looks straight down on a canopy of leaves in which sheets of printed fabric lie. Each sheet
carries a photograph of such a canopy, printed in dyes that match its red, green and blue (metamers), so that
in the visible bands object and background have the same colours, the same texture and the same brightness.
Beyond 700 nm the match ends, for two reasons that no dye imitates:

- *The red edge.* Chlorophyll absorbs below 700 nm only. Above, a leaf shows the multiple scattering between
  the cells and air gaps of its mesophyll and reflects about half of the light. The dyes are transparent there
  too, but what lies under them is the fabric, with a near-infrared reflectance of its own and without the
  printed pattern.
- *Leaf water.* Liquid water absorbs at 1450 nm and on its flanks, so a turgid leaf is dark at 1610 nm. Fabric
  is dry.

The visible reflectance of a leaf follows the law of Beer and Lambert in its chlorophyll, the short-wave
infrared one the same law in its water. The scene is lit unevenly, seen through a point spread function that
widens with wavelength, and recorded with photon noise (in its Gaussian limit), read noise and 8 bits. It is
not trivial in the extra bands either: leaves differ in structure, are tilted to the light, some are dry while
still green, bare soil shows between them, and some lie on top of the sheets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_simmat.images.image import Channel, MultiChannelImage

__all__ = ["CAMOUFLAGE_CHANNELS", "CAMOUFLAGE_SETS", "camouflage_scene"]

CAMOUFLAGE_CHANNELS = (
    Channel("red", wavelength_nm=650.0, role="red"),
    Channel("green", wavelength_nm=550.0, role="green"),
    Channel("blue", wavelength_nm=450.0, role="blue"),
    Channel("NIR", wavelength_nm=840.0, role="nir"),
    Channel("SWIR", wavelength_nm=1610.0, role="swir"),
)

CAMOUFLAGE_SETS = {"camouflage-train": range(1, 7), "camouflage-test": range(7, 11)}
"""Seeds of the bundled scenes: six to learn from, four to be judged on."""

# Absorption of leaf pigments per unit of chlorophyll, with surface and full bulk reflectance, for red, green,
# blue.
PIGMENT_ABSORPTION = np.array([1.7, 0.75, 2.0])
SURFACE_REFLECTANCE = np.array([0.035, 0.045, 0.03])
BULK_REFLECTANCE = np.array([0.30, 0.30, 0.20])
WATER_ABSORPTION = 1.3  # at 1610 nm, per unit of leaf water
SOIL = np.array([0.16, 0.13, 0.065, 0.26, 0.36])

PSF_SIGMA = (0.7, 0.7, 0.7, 0.9, 1.3)  # pixels; diffraction and a coarser short-wave infrared detector
FULL_WELL = (9000.0, 9000.0, 9000.0, 9000.0, 5000.0)  # electrons at 255
READ_NOISE = (20.0, 20.0, 20.0, 20.0, 40.0)  # electrons
EXPOSURE = (900.0, 900.0, 1100.0, 420.0, 520.0)  # grey values per unit of reflectance under full light

# The legacy generator: its streams are frozen, so that a scene is the same under every version of numpy.
Random = np.random.RandomState
Bands = NDArray[np.float64]


@dataclass(frozen=True)
class _Plant:
    """What the leaves of one scene have in common."""

    chlorophyll: float
    length: float  # of a leaf, pixels
    slenderness: float


def camouflage_scene(
    seed: int, shape: tuple[int, int] = (256, 320)
) -> tuple[MultiChannelImage, NDArray[np.uint16]]:
    """Printed sheets in foliage: red, green, blue, NIR (840 nm) and SWIR (1610 nm).

    Parameters
    ----------
    seed : int
        The same seed gives the same scene.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    image : MultiChannelImage
        Five channels of 8 bits, modality "rgb+x".
    instances : ndarray, shape (Y, X), uint16
        One number per sheet where it is visible, 0 elsewhere. Four to seven sheets, 15 to 120 pixels across.
    """
    random = Random(seed)
    plant = _Plant(
        chlorophyll=random.uniform(0.8, 1.2),
        length=random.uniform(13.0, 19.0),
        slenderness=random.uniform(0.36, 0.5),
    )
    canopy = _soil(random, shape)
    _scatter_leaves(random, plant, canopy, coverage=4.0)
    print_ = _soil(random, shape)
    _scatter_leaves(random, plant, print_, coverage=4.0)
    instances = _sheets(random, shape)
    for label in range(1, int(instances.max()) + 1):
        _lay_sheet(random, canopy, print_, instances == label)
    _scatter_leaves(random, plant, canopy, coverage=0.06, labels=instances)
    recorded = _recorded(random, canopy * _light(random, shape))
    image = MultiChannelImage(recorded, CAMOUFLAGE_CHANNELS, modality="rgb+x", name=f"camouflage {seed}")
    return image, instances


def _soil(random: Random, shape: tuple[int, int]) -> Bands:
    """Bare, shaded soil of uneven brightness: (5, Y, X) reflectance."""
    grain = gaussian_filter(random.standard_normal(shape), 1.5)
    return np.asarray(SOIL[:, None, None] * (0.55 + 0.6 * np.clip(grain, -0.5, 0.8)))


def _scatter_leaves(
    random: Random, plant: _Plant, canvas: Bands, coverage: float, labels: NDArray[np.uint16] | None = None
) -> None:
    """Drop leaves on the canvas, later ones over earlier ones, until they sum to `coverage` times its area.

    Where a leaf falls on a sheet, `labels` loses it.
    """
    rows, columns = canvas.shape[1:]
    mean_area = np.pi / 4 * plant.length**2 * plant.slenderness * 0.95
    for _ in range(round(coverage * rows * columns / mean_area)):
        length = plant.length * random.uniform(0.6, 1.3)
        centre = random.uniform(-0.05, 1.05, 2) * (rows, columns)
        angle = random.uniform(0.0, np.pi)
        spectrum = _leaf_reflectance(random, plant)
        tilt, fold = random.uniform(0.5, 1.0), random.uniform(0.05, 0.25)
        reach = int(length / 2) + 1
        top, left = (max(0, int(c) - reach) for c in centre)
        bottom, right = (min(n, int(c) + reach + 1) for c, n in zip(centre, (rows, columns), strict=True))
        if top >= bottom or left >= right:
            continue
        y, x = np.ogrid[top:bottom, left:right]
        along = ((x - centre[1]) * np.cos(angle) + (y - centre[0]) * np.sin(angle)) / (length / 2)
        across = ((y - centre[0]) * np.cos(angle) - (x - centre[1]) * np.sin(angle)) / (length / 2)
        half_width = plant.slenderness * (1.0 - along**2)
        blade = np.abs(across) < half_width
        # The blade is folded along its midrib: one half faces the sun, the other does not.
        shade = np.clip(tilt * (1.0 + fold * np.sign(across)) * (1.0 - 0.15 * along**2), 0.3, 1.15)
        window = canvas[:, top:bottom, left:right]
        window[:, blade] = spectrum[:, None] * shade[blade]
        if labels is not None:
            labels[top:bottom, left:right][blade] = 0


def _leaf_reflectance(random: Random, plant: _Plant) -> Bands:
    """Reflectance of one leaf in the five bands."""
    chlorophyll = plant.chlorophyll * random.uniform(0.6, 1.5)
    visible = SURFACE_REFLECTANCE + BULK_REFLECTANCE * np.exp(-PIGMENT_ABSORPTION * chlorophyll)
    structure, water = random.uniform(0.42, 0.58), random.uniform(0.7, 1.5)
    if random.uniform() < 0.1:  # a leaf that dries before it loses its green
        structure, water = random.uniform(0.3, 0.42), random.uniform(0.1, 0.5)
    swir = 0.08 + 0.34 * np.exp(-WATER_ABSORPTION * water)
    return np.array([*visible, structure, swir])


def _lay_sheet(random: Random, canopy: Bands, print_: Bands, sheet: NDArray[np.bool_]) -> None:
    """Cover the canopy with a printed sheet: the print in the visible, the bare fabric beyond."""
    canopy[:3, sheet] = print_[:3, sheet]
    folds = gaussian_filter(random.standard_normal(sheet.shape), 6.0)[sheet] * 6.0
    weave = random.standard_normal(sheet.sum())
    fabric = 1.0 + 0.05 * np.clip(folds, -2, 2) + 0.02 * weave
    canopy[3, sheet] = random.uniform(0.18, 0.32) * fabric
    canopy[4, sheet] = random.uniform(0.22, 0.36) * fabric


def _sheets(random: Random, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Where the sheets lie: smooth outlines that do not touch, large ones first."""
    labels = np.zeros(shape, np.uint16)
    largest = min(120.0, 0.47 * min(shape))
    sizes = np.exp(random.uniform(np.log(15.0), np.log(largest), random.randint(4, 8)))
    count = 0
    for size in np.sort(sizes)[::-1]:
        for _ in range(40):  # attempts to find a free place
            distance, radius = _outline(random, shape, size)
            if not np.any(labels[distance < radius + 8.0]):
                count += 1
                labels[distance < radius] = count
                break
    return labels


def _outline(random: Random, shape: tuple[int, int], size: float) -> tuple[Bands, Bands]:
    """Distance of every pixel from a random centre; radius of a smooth closed curve in its direction."""
    row, column = (random.uniform(0.45 * size, n - 0.45 * size) for n in shape)
    y, x = np.ogrid[: shape[0], : shape[1]]
    distance, angle = np.hypot(y - row, x - column), np.arctan2(y - row, x - column)
    radius = np.ones(shape)
    for wave, amplitude in ((2, 0.3), (3, 0.16), (4, 0.1), (5, 0.05)):
        radius += random.uniform(0.0, amplitude) * np.cos(wave * angle + random.uniform(0.0, 2 * np.pi))
    return distance, size / 2 * radius


def _light(random: Random, shape: tuple[int, int]) -> Bands:
    """Irradiance in every pixel, equal in all bands: a slope and the soft shadows of what stands above."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    direction = random.uniform(0.0, 2 * np.pi)
    slope = np.cos(direction) * (y / shape[0] - 0.5) + np.sin(direction) * (x / shape[1] - 0.5)
    shadows = gaussian_filter(random.standard_normal(shape), 0.12 * min(shape), mode="wrap")
    shadows /= shadows.std()
    return np.asarray(np.clip(0.8 + 0.25 * slope + 0.1 * shadows, 0.35, 1.1))


def _recorded(random: Random, radiance: Bands) -> NDArray[np.uint8]:
    """What the five detectors make of the radiance: blur, photons, read noise, 8 bits."""
    recorded = np.empty(radiance.shape, np.uint8)
    bands = zip(radiance, PSF_SIGMA, FULL_WELL, READ_NOISE, EXPOSURE, strict=True)
    for i, (band, sigma, well, read_noise, exposure) in enumerate(bands):
        grey = exposure * random.uniform(0.92, 1.08) * gaussian_filter(band, sigma)
        electrons = grey * (well / 255.0)
        noise = np.sqrt(electrons + read_noise**2) * random.standard_normal(band.shape)
        recorded[i] = np.clip(np.rint((electrons + noise) * (255.0 / well)), 0, 255)
    return recorded
