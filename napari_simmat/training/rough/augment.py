"""How else the sensor might have seen the same scene: the strong augmentation.

Each channel has an electronics of its own, so each gets its own gain, offset, tone curve, noise and blur, and now and
then it fails. What is no intensity but part of a direction (sine and cosine of an angle of polarization, a surface's
slope) has neither offset nor tone curve, and its parts share one gain: the angle stays what it is. No channel borrows
from another, nothing is posterised, equalised or solarised: numbers keep their order, as in a sensor.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from napari_simmat.images import ModalityProfile
from napari_simmat.images.physics.derived import Mirror

_GAIN, _OFFSET, _GAMMA = (
    0.25,
    0.25,
    0.3,
)  # spread of the logarithm of the gain; standard deviations; as the gain
_NOISE, _BLUR = 0.25, 1.2  # of a standard deviation; pixels of the frame
_FAILS = 0.1  # share of views in which a channel is missing, where there are at least three


def directions(profile: ModalityProfile) -> list[int]:
    """Channels that are parts of directions: a mirror changes their sign or their place."""
    found: set[int] = set()
    axes: tuple[Mirror, ...] = ("rows", "columns", "both")
    for axis in axes:
        effect = profile.mirrored(axis)
        if effect is not None:
            order, signs = effect
            found |= {
                k for k, (place, sign) in enumerate(zip(order, signs, strict=True)) if place != k or sign < 0
            }
    return sorted(found)


def degraded(x: Tensor, directed: list[int], rng: np.random.Generator) -> Tensor:
    """A view (C, H, W), z-scored, as another day or another camera of this kind would show it."""
    x = x.clone()
    shared = float(np.exp(rng.normal(0, _GAIN)))
    missing = int(rng.integers(len(x))) if len(x) > 2 and rng.random() < _FAILS else -1
    for k in range(len(x)):
        if k in directed:
            x[k] *= shared
        else:
            x[k] = _toned(x[k], float(np.exp(rng.normal(0, _GAMMA))))
            x[k] = x[k] * float(np.exp(rng.normal(0, _GAIN))) + float(rng.normal(0, _OFFSET))
        if rng.random() < 0.5:
            x[k] = _blurred(x[k], float(rng.uniform(0.3, _BLUR)))
        seed = int(rng.integers(2**31))
        noise = torch.from_numpy(np.random.default_rng(seed).standard_normal(x[k].shape, np.float32))
        x[k] += float(rng.uniform(0, _NOISE)) * noise.to(x)
        if k == missing:
            x[k] = 0.0  # the mean, as everywhere where a channel is left out
    return x


def _toned(plane: Tensor, gamma: float) -> Tensor:
    """A tone curve between the smallest and the largest value."""
    low, high = plane.min(), plane.max()
    span = (high - low).clamp_min(1e-6)
    return low + span * ((plane - low) / span) ** gamma


def _blurred(plane: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(3 * sigma))
    offsets = torch.arange(-reach, reach + 1, device=plane.device, dtype=plane.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    padded = F.pad(plane[None, None], (reach,) * 4, mode="replicate")
    wide = F.conv2d(padded, kernel.view(1, 1, 1, -1))
    return F.conv2d(wide, kernel.view(1, 1, -1, 1))[0, 0]
