"""What learning without labels is worth: masks on infrared alone, before and after alignment with the colours.

    python tools/benchmark_alignment.py [--steps N] [--seeds N]

Simulated scenes of six shaded balls on rough ground in red, green, blue and two infrared channels: in the one what is
bright in colour is dark, the other is the brighter the more green and the less blue there is. Six scenes are looked at
without their labels, four others judge: one-click mean IoU of the shown mask. "colours hidden" are the same scenes with
red, green and blue set to their mean; the profile "infrared alone" does not see these channels in the first place.
Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import dataclasses
import time

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_simmat.evaluation import evaluate
from napari_simmat.images import (
    Channel,
    ModalityProfile,
    ModelChannel,
    MultiChannelImage,
    Normalisation,
)
from napari_simmat.models import Adapter
from napari_simmat.training import align

SHAPE = (160, 200)
N_BALLS = 6
NAMES = ("red", "green", "blue", "nir", "swir")
Item = tuple[MultiChannelImage, NDArray[np.int64]]


def scene(seed: int) -> Item:
    """Five channels and the labels of the balls."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    rough = gaussian_filter(rng.normal(size=SHAPE), 3)
    ground = 0.35 + 0.08 * rough / rough.std()
    colours = np.stack([share * ground for share in (1.0, 0.9, 0.7)])
    labels = np.zeros(SHAPE, np.int64)
    while labels.max() < N_BALLS:
        radius = int(rng.integers(10, 22))
        row, column = (int(rng.integers(radius + 2, n - radius - 2)) for n in SHAPE)
        away = np.hypot(y - row, x - column)
        if labels[away <= radius + 4].any():
            continue
        labels[away <= radius] = labels.max() + 1
        shade = 0.4 + 0.6 * np.sqrt(np.clip(1 - (away / (radius + 2)) ** 2, 0, 1))
        for plane, share in zip(colours, rng.uniform(0.3, 1, 3), strict=True):
            plane[away <= radius] = (share * shade)[away <= radius]
    infrared = np.stack([1.2 - colours.mean(0), 0.5 * colours[1] + 0.5 * (1 - colours[2])])
    colours = np.clip(colours + rng.normal(0, 0.01, colours.shape), 0, 1)
    infrared = infrared + rng.normal(0, 0.02, infrared.shape)
    pixels = np.concatenate([colours, infrared]).astype(np.float32)
    channels = tuple(Channel(name, role=name) for name in NAMES)
    return MultiChannelImage(pixels, channels, "rgb+x", name=f"scene {seed}"), labels


def hidden(item: Item) -> Item:
    """The scene as it looks without its colours: each is its mean everywhere."""
    image, labels = item
    pixels = np.array(image.data)
    pixels[:3] = pixels[:3].mean((1, 2), keepdims=True)
    return dataclasses.replace(image, data=pixels), labels


def infrared_alone(image: MultiChannelImage) -> ModalityProfile:
    """A profile that does not see the colours."""
    how = Normalisation(method="percentile", low=0.5, high=99.5)
    return ModalityProfile(
        modality="generic",
        channels=NAMES,
        roles=image.roles,
        sees=tuple(ModelChannel(name=NAMES[k], of=(k,), normalisation=how) for k in (3, 4)),
        pseudo_rgb=(0, 1, 1),
        display=(3,),
    )


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    learnt = [scene(k)[0] for k in range(6)]
    judges = [scene(100 + k) for k in range(4)]
    shown = {"all": judges, "colours hidden": [hidden(item) for item in judges]}
    whole, alone = Adapter.untrained(learnt), Adapter.untrained(learnt, profile=infrared_alone(learnt[0]))
    rows = [("all channels", whole, name) for name in shown] + [("infrared alone", alone, "all")]
    before = [evaluate(shown[name], adapter=start).miou[0] for _, start, name in rows]
    after: list[list[float]] = [[] for _ in rows]
    began = time.perf_counter()
    for seed in range(options.seeds):
        adapters = {
            id(start): align(learnt, start=start, steps=options.steps, seed=seed)[0]
            for start in (whole, alone)
        }
        for (_, start, name), values in zip(rows, after, strict=True):
            values.append(evaluate(shown[name], adapter=adapters[id(start)]).miou[0])
    print("| profile | channels that the judges show | untrained | aligned, each seed |")
    print("|---|---|---|---|")
    for (profile, _, name), old, new in zip(rows, before, after, strict=True):
        print(f"| {profile} | {name} | {old:.3f} | {', '.join(f'{value:.3f}' for value in new)} |")
    print(f"<!-- {options.steps} steps, {(time.perf_counter() - began) / options.seeds:.0f} s a seed -->")


if __name__ == "__main__":
    main()
