"""Whether the gate hears that a sensor fails: its weight for a group while noise is added to that group's channels.

Taken is the weight among the groups. Beside all together a group may rise while it fails, since all together hears the
same noise and leaves more to all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field
from scipy.stats import spearmanr

from napari_simmat.images import MultiChannelImage
from napari_simmat.inference import Segmenter
from napari_simmat.models import Adapter, BaseModel
from napari_simmat.models.experts import shares_of_groups

__all__ = ["LEVELS", "NoiseScore", "own_channels", "weights_under_noise"]

LEVELS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Standard deviation of the noise, in those of the channel."""


class NoiseScore(Model):
    """The weights of one group in one image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str
    group: str
    levels: tuple[float, ...] = Field(description="Noise in standard deviations of the channel.")
    weights: tuple[float, ...] = Field(description="The group's share among the groups at each.")

    @property
    def correlation(self) -> float:
        """Spearman's rank correlation between noise and weight; 0 where the weight is always the same."""
        if len(set(self.weights)) < 2:
            return 0.0
        return float(spearmanr(self.levels, self.weights).statistic)


def own_channels(adapter: Adapter, group: str) -> list[int]:
    """The channels of the image that a group is made of and no other is; where there are none, all it is made of."""
    sees, groups = adapter.profile.sees, adapter.profile.groups
    used = {name: {i for k in channels for i in sees[k].of} for name, channels in groups.items()}
    others = set().union(*(channels for name, channels in used.items() if name != group))
    return sorted(used[group] - others or used[group])


def weights_under_noise(
    adapter: Adapter,
    image: MultiChannelImage,
    *,
    levels: Sequence[float] = LEVELS,
    base: BaseModel | None = None,
    device: str | None = None,
    seed: int = 0,
) -> list[NoiseScore]:
    """The gate's weights of each group, among the groups, while its sensor's noise grows.

    White noise is added to the pixels of the image, as a sensor would, before anything is computed from them; the same
    noise at each level, only stronger.
    """
    found = []
    for group in adapter.profile.groups:
        rng = np.random.default_rng(seed)
        clean = np.stack(list(image.planes())).astype(np.float32)
        channels = own_channels(adapter, group)
        noise = rng.standard_normal((len(channels), *image.shape)).astype(np.float32)
        spread = np.nanstd(clean[channels], axis=(1, 2))[:, None, None]
        weights = []
        for level in levels:
            data = clean.copy()
            data[channels] += level * spread * noise
            noisy = replace(image, data=data, levels=(), stored=None)
            seen = Segmenter(noisy, adapter=adapter, model=base, device=device)
            weights.append(shares_of_groups(seen.weights)[group])
        found.append(NoiseScore(image=image.name, group=group, levels=tuple(levels), weights=tuple(weights)))
    return found
