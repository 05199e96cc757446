"""A small scene on which the untrained model is good: four shaded balls on sloping ground."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from napari_simmat.images import as_image

SHAPE = (128, 160)
BALLS = {1: (30, 34, 14), 2: (36, 110, 16), 3: (92, 40, 18), 4: (88, 112, 12)}
"""Row, column and radius of each."""


def ball(number):
    row, column, radius = BALLS[number]
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (y - row) ** 2 + (x - column) ** 2 <= radius**2


def pixels(n_channels=4, seed=0):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    planes = np.stack([60 + 0.2 * y + 0.1 * x * (c % 2) for c in range(n_channels)])
    for number, (row, column, radius) in BALLS.items():
        height = np.sqrt(np.clip(1 - ((y - row) ** 2 + (x - column) ** 2) / (radius + 2) ** 2, 0, 1))
        for c in range(n_channels):
            planes[c][ball(number)] = (120 + 80 * height + 20 * ((number + c) % 3))[ball(number)]
    noise = np.random.default_rng(seed).normal(0, 1, planes.shape)
    return (gaussian_filter(planes, (0, 0.6, 0.6)) + noise).astype(np.float32)


def balls(n_channels=4, seed=0, name="balls"):
    return as_image(pixels(n_channels, seed), channel_axis=0, name=name)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()
