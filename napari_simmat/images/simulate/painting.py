"""Retouched paintings that look untouched: only a spectrum of each pixel tells the new paint from the old.

`painting_scene` paints a small landscape, sea piece or carpet of flowers stroke by stroke, in mixtures of the measured
reflectances of the ColorChecker. Losses in it have been filled by a restorer whose paints match the colours of the old
ones, stroke by stroke, under daylight: to the old reflectance a metameric black is added, the part of a measured
difference of two pigments that the CIE 1931 observer cannot see under D65. No colour camera with the observer's
sensitivities and no eye tells them apart; under a tungsten lamp some would be seen.

A line-scan camera records it under a tungsten lamp, 31 bands of 10 nm, with blur, photon noise (in its Gaussian limit)
and read noise, and divides by a white reference: noise is largest at 400 nm, where lamp and detector are weakest. It is
not trivial in the spectrum either: the old strokes too were mixed with other pigments of the same colour now and then,
the surface is uneven, and the restorer's pigments differ from loss to loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_simmat.images.simulate.metamers import (
    PATCHES,
    WAVELENGTHS,
    metamer,
    metameric_black,
    spectrum,
)
from napari_simmat.images.simulate.sensor import Random, place, smooth_noise

__all__ = ["METAMER_SETS", "REFLECTANCE_SCALE", "painting_scene"]

METAMER_SETS = {"metamers-train": range(1, 6), "metamers-test": range(6, 9)}
"""Seeds of the bundled scenes: five to learn from, three to be judged on."""

REFLECTANCE_SCALE = 250
"""Counts for a perfect white surface."""

PSF_SIGMA = 0.6  # pixels
FULL_WELL = 40000.0  # electrons of the white reference in its brightest band
READ_NOISE = 60.0  # electrons
BOUNDS = (0.01, 0.97)

# What the restorer mixes into a retouch and what is taken out in return.
RESTORER = (
    ("red", "cyan"),
    ("magenta", "yellow green"),
    ("orange yellow", "blue flower"),
    ("white 9.5", "neutral 5"),
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Motif:
    """What a painter does: palettes from top to bottom, and how the strokes lie."""

    palettes: tuple[tuple[str, ...], ...]
    slope: float  # how much the borders of the palettes rise and fall, part of the height
    wander: float  # of the strokes' direction, radians


MOTIFS = (
    _Motif(
        (
            ("blue sky", "white 9.5", "purplish blue"),
            ("foliage", "purplish blue", "neutral 5"),
            ("green", "yellow green", "foliage"),
            ("orange yellow", "yellow green", "dark skin"),
        ),
        0.08,
        0.35,
    ),
    _Motif(
        (
            ("orange", "light skin", "orange yellow"),
            ("light skin", "blue flower", "neutral 6.5"),
            ("blue", "cyan", "purplish blue"),
            ("bluish green", "cyan", "neutral 3.5"),
        ),
        0.04,
        0.15,
    ),
    _Motif(
        (
            ("foliage", "green", "black 2"),
            ("moderate red", "magenta", "light skin"),
            ("purple", "blue flower", "foliage"),
            ("yellow", "yellow green", "foliage"),
        ),
        0.3,
        1.2,
    ),
)


def painting_scene(
    seed: int, shape: tuple[int, int] = (96, 128)
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """A painting with metameric retouches, as a cube of reflectances.

    Parameters
    ----------
    seed : int
        The same seed gives the same scene.
    shape : tuple of int
        Rows and columns.

    Returns
    -------
    cube : ndarray, shape (31, Y, X), uint8
        Reflectance times `REFLECTANCE_SCALE`, 400 to 700 nm in steps of 10 nm.
    instances : ndarray, shape (Y, X), uint16
        One number per retouched loss, 0 elsewhere. Six to nine, 12 to 36 pixels across in the bundled scenes.
    """
    random = Random(seed)
    reflectance, instances = _seen(random, MOTIFS[seed % len(MOTIFS)], shape)
    return _recorded(random, reflectance), instances


def _seen(random: Random, motif: _Motif, shape: tuple[int, int]) -> tuple[Floats, NDArray[np.uint16]]:
    """Reflectance of the surface, (31, Y, X), and the losses."""
    old = _painted(random, motif, shape)
    instances = _losses(random, shape)
    new = old.copy()
    for label in range(1, int(instances.max()) + 1):
        loss = instances == label
        black = _black(RESTORER[random.randint(len(RESTORER))], random.uniform(0.035, 0.07))
        new[:, loss] = metamer(old[:, loss], black, 1.0, BOUNDS)
    weave = 1.0 + 0.03 * np.clip(smooth_noise(random, shape, 0.8), -2.5, 2.5)
    relief = 1.0 + 0.04 * np.clip(smooth_noise(random, shape, 5.0), -2.5, 2.5)
    return new * weave * relief, instances


def _black(pigments: Sequence[str], size: float) -> Floats:
    """A metameric black from the difference of two measured pigments, of the given root mean square."""
    black = metameric_black(spectrum(pigments[0]) - spectrum(pigments[1]))
    return np.asarray(black * (size / np.sqrt(np.mean(black**2))))


def _painted(random: Random, motif: _Motif, shape: tuple[int, int]) -> Floats:
    """The old painting: (31, Y, X)."""
    y, _ = np.mgrid[: shape[0], : shape[1]].astype(float)
    height = y / shape[0] + motif.slope * smooth_noise(random, shape, 14.0)
    zone = np.clip(np.floor(height * len(motif.palettes)), 0, len(motif.palettes) - 1).astype(int)
    flow = motif.wander * smooth_noise(random, shape, 16.0)
    palettes = [np.stack([spectrum(name) for name in names], axis=1) for names in motif.palettes]
    canvas = np.empty((len(WAVELENGTHS), *shape))
    canvas[:] = spectrum("neutral 6.5")[:, None, None]
    for _ in range(round(shape[0] * shape[1] / 5.5)):
        row, column = (random.randint(n) for n in shape)
        palette = palettes[zone[row, column]]
        paint = palette @ random.dirichlet(np.full(palette.shape[1], 0.55)) * random.uniform(0.8, 1.08)
        paint = np.clip(paint, 0.025, 0.92)
        if random.uniform() < 0.3:  # mixed from other pigments
            others = random.choice(PATCHES, 2, replace=False).tolist()
            paint = metamer(paint, _black(others, random.uniform(0.005, 0.03)), 1.0, BOUNDS)
        _stroke(random, canvas, (row, column), flow[row, column] + random.normal(0.0, 0.15), paint)
    return np.clip(canvas, *BOUNDS)


def _stroke(random: Random, canvas: Floats, where: tuple[int, int], direction: float, paint: Floats) -> None:
    """One stroke of a bristle brush: streaks along it, thinner at its end, where the ground shows through."""
    length, width = random.uniform(9.0, 20.0), random.uniform(2.5, 5.0)
    bristles = random.uniform(0.86, 1.1, 16)
    reach = int(length) // 2 + 3
    top, left = (max(0, c - reach) for c in where)
    bottom, right = (min(n, c + reach + 1) for c, n in zip(where, canvas.shape[1:], strict=True))
    y, x = np.mgrid[top:bottom, left:right].astype(float)
    y, x = y - where[0], x - where[1]
    along, across = (
        x * np.cos(direction) + y * np.sin(direction),
        y * np.cos(direction) - x * np.sin(direction),
    )
    across = across + 0.006 * along**2
    cover = np.clip((length / 2 - np.abs(along)) / 2.0, 0.0, 1.0) * np.clip(
        (width / 2 - np.abs(across)) / 0.7 + 0.3, 0.0, 1.0
    )
    cover *= np.clip(1.1 - 0.35 * along / length, 0.0, 1.0)
    streak = bristles[np.clip((across / width + 0.5) * 15, 0, 15).astype(int)]
    window = canvas[:, top:bottom, left:right]
    window += cover * (paint[:, None, None] * streak - window)


def _losses(random: Random, shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Where paint had flaked off: ragged outlines that do not touch."""
    labels = np.zeros(shape, np.uint16)
    radii = np.exp(random.uniform(np.log(7.0), np.log(0.21 * min(shape)), random.randint(6, 11)))
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    for label, (row, column, radius) in enumerate(place(random, shape, radii, gap=4.0, margin=0.0), start=1):
        angle = np.arctan2(y - row, x - column)
        outline = np.full(shape, 0.82)
        for wave, amplitude in ((2, 0.16), (3, 0.1), (5, 0.08), (7, 0.06), (11, 0.04)):
            outline += random.uniform(0.0, amplitude) * np.cos(wave * angle + random.uniform(0.0, 2 * np.pi))
        labels[np.hypot(y - row, x - column) < radius * np.minimum(outline, 1.05)] = label
    return labels


def _recorded(random: Random, reflectance: Floats) -> NDArray[np.uint8]:
    """A line-scan camera's cube after division by the white reference."""
    wavelengths = np.array(WAVELENGTHS, float)
    response = spectrum("A") / 100.0 * (0.3 + 0.7 * np.exp(-(((wavelengths - 600.0) / 130.0) ** 2)))
    white = FULL_WELL * response / response.max()
    counts = np.empty(reflectance.shape, np.uint8)
    for i, band in enumerate(reflectance):
        electrons = gaussian_filter(band, PSF_SIGMA) * white[i]
        electrons += np.sqrt(electrons + READ_NOISE**2) * random.standard_normal(band.shape)
        counts[i] = np.clip(np.rint(electrons / white[i] * REFLECTANCE_SCALE), 0, 255)
    return counts
