"""What a second round of training costs on what the first round taught.

    python tools/benchmark_forgetting.py DATASET [--steps N] [--images N] [--seed N]

A user annotates images on Monday and trains, then other images on Tuesday and trains again. The images are dealt out to
two halves by the seed. The first round learns from the first half; each row is a second round that goes on from there:
on the objects of the second half alone, and with the objects of the first half replayed, as the window does as long as
they are there; each also with L2 to the first round's weights. Prints one-click mean IoU on both
halves as a Markdown table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from napari_simmat.evaluation import evaluate
from napari_simmat.images import open_dataset
from napari_simmat.training import Settings, finetune


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--images", type=int, default=None, help="of each half; all by default")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    items = open_dataset(options.dataset)
    order = np.random.default_rng(options.seed).permutation(len(items))
    first, second = ([items[k].load() for k in order[start::2][: options.images]] for start in (0, 1))
    usual = Settings(steps=options.steps, seed=options.seed)
    print(f"{len(first)} and {len(second)} images\n")
    print("| training | first half | second half |\n|---|---|---|", flush=True)

    def show(name, adapter):
        ious = [evaluate(half, adapter=adapter).miou[0] for half in (first, second)]
        print(f"| {name} | " + " | ".join(f"{iou:.3f}" for iou in ious) + " |", flush=True)

    show("none", None)
    start = finetune(first, settings=usual, gate=False)
    show("first round", start)
    pulled = usual.with_(l2=0.1)
    for name, replay, settings in (
        ("second round, second half alone", [], usual),
        ("second round, second half alone, L2", [], pulled),
        ("second round, first half replayed", first, usual),
        ("second round, first half replayed, L2", first, pulled),
    ):
        show(name, finetune(second, replay=replay, start=start, settings=settings, gate=False))


if __name__ == "__main__":
    main()
