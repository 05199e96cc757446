"""Matt, textured grounds to lay things on: reflectances between 0 and 1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from napari_simmat.images.simulate.sensor import Random, smooth_noise

__all__ = ["GROUNDS", "gravel", "mosaic_tiles", "wood"]

Floats = NDArray[np.float64]


def gravel(random: Random, shape: tuple[int, int]) -> Floats:
    """Stones of 8 to 13 pixels side by side, rounded, with dark joints."""
    size = random.uniform(8.0, 13.0)
    seeds = random.uniform(-0.05, 1.05, (round(1.1**2 * shape[0] * shape[1] / size**2), 2)) * shape
    y, x = np.mgrid[: shape[0], : shape[1]]
    near, which = cKDTree(seeds).query(np.stack([y.ravel(), x.ravel()], axis=1), k=2)
    joint = np.clip((near[:, 1] - near[:, 0]) / (0.45 * size), 0.0, 1.0).reshape(shape)
    tone = np.exp(0.32 * random.standard_normal(len(seeds)))[which[:, 0]].reshape(shape)
    slope = random.standard_normal((len(seeds), 2)) * 0.25 / size
    offset = np.stack([y.ravel(), x.ravel()], axis=1) - seeds[which[:, 0]]
    facet = 1.0 + np.clip(np.sum(offset * slope[which[:, 0]], axis=1), -0.4, 0.4).reshape(shape)
    grain = 1.0 + 0.05 * random.standard_normal(shape)
    return np.asarray(np.clip(0.46 * tone * facet * (0.45 + 0.55 * np.sqrt(joint)) * grain, 0.03, 0.9))


def wood(random: Random, shape: tuple[int, int]) -> Floats:
    """Boards with annual rings cut lengthwise, fine pores and joints between the boards."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    angle = random.uniform(-0.5, 0.5) + (np.pi / 2 if random.uniform() < 0.5 else 0.0)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    width = random.uniform(38.0, 60.0)
    board = np.floor(across / width + 1000.0)
    wander = smooth_noise(random, shape, 22.0) * 4.0 + smooth_noise(random, shape, 7.0) * 0.8
    # Rings of another tree in every board, closer together on one side of it.
    rings = across * (0.85 + 0.3 * np.sin(2.4 * board)) + wander + 13.0 * board + 0.06 * along
    late = (0.5 + 0.5 * np.sin(rings)) ** 2.5
    pores = gaussian_filter(random.standard_normal(shape), 0.8)
    tone = 0.46 * (1.0 + 0.14 * np.sin(5.1 * board))
    joint = np.abs(across / width + 1000.0 - board - 0.5) > 0.5 - 1.1 / width
    reflectance = tone * (1.0 - 0.42 * late) * (1.0 + 0.16 * pores)
    return np.clip(np.where(joint, 0.2, reflectance), 0.03, 0.9)


def mosaic_tiles(random: Random, shape: tuple[int, int]) -> Floats:
    """Small matt tiles in rows, each of its own tone, with light joints, speckled and a little worn."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    angle, size = random.uniform(0.0, np.pi / 2), random.uniform(13.0, 20.0)
    bend = smooth_noise(random, shape, 30.0) * 0.8
    u = (x * np.cos(angle) + y * np.sin(angle) + bend) / size
    v = (y * np.cos(angle) - x * np.sin(angle) - bend) / size
    row, column = np.floor(v), np.floor(u + 0.5 * (np.floor(v) % 2))
    tones = random.choice([0.2, 0.3, 0.42, 0.55, 0.68], 4096) * random.uniform(0.9, 1.1, 4096)
    tone = tones[((row * 97 + column) % 4096).astype(int)]
    edge = np.minimum(
        0.5 - np.abs(v - row - 0.5), 0.5 - np.abs(u + 0.5 * (row % 2) - column - 0.5)
    )  # 0 in the joint
    speckle = 1.0 + 0.08 * smooth_noise(random, shape, 0.8) + 0.07 * smooth_noise(random, shape, 5.0)
    return np.clip(np.where(edge < 0.07, 0.5, tone) * speckle, 0.03, 0.9)


GROUNDS = (gravel, wood, mosaic_tiles)
