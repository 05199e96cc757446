"""What the built-in profiles are worth: adapters trained with each, beside the generic profile, on the same scenes.

    python tools/benchmark_profiles.py [SET ...] [--steps N] [--seeds N] [--fresh N]

For each bundled set (`NAME-train`, `NAME-test`): one-click mean IoU on the test scenes, untrained and after training on
the training scenes, with the modality's own profile and with the generic one. Three or four test scenes are few, so
adapters also answer N fresh scenes of the same generator, with seeds that are in no bundled set. Nothing is held out for
the gate, whose verdict on a handful of objects would hide the difference. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from make_sample_data import WRITERS, write_sets

from napari_simmat.evaluation import evaluate
from napari_simmat.images import SAMPLES, ModalityProfile, open_dataset, profile_for, sample_path
from napari_simmat.models import Adapter
from napari_simmat.training import finetune

FIRST_FRESH_SEED = 101


def main() -> None:
    """Run and print."""
    sets = [name.removesuffix("-train") for name in SAMPLES if name.endswith("-train")]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", default=sets, metavar="SET", help=", ".join(sets))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fresh", type=int, default=8, metavar="N")
    options = parser.parse_args()
    print("| set | profile | model channels | test: untrained | trained, each seed | mean ", end="")
    print("| fresh: untrained | trained, each seed | mean |", flush=True)
    print("|---" * 9 + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sets:
            compare(name, options.steps, options.seeds, options.fresh, Path(folder))


def compare(name: str, steps: int, seeds: int, n_fresh: int, folder: Path) -> None:
    """Train and judge with both profiles of one set, and print a row for each."""
    train = loaded(sample_path(f"{name}-train"))
    judges = [loaded(sample_path(f"{name}-test"))]
    if n_fresh:
        last = FIRST_FRESH_SEED + n_fresh
        write_sets(folder, {f"{name}-fresh": range(FIRST_FRESH_SEED, last)}, WRITERS[name])
        judges.append(loaded(folder / f"{name}-fresh"))
    image = train[0][0]
    own, generic = profile_for(image), profile_for(image, "generic")
    print_row(own, name, train, judges, steps, seeds)
    if (own.sees, own.pseudo_rgb) == (generic.sees, generic.pseudo_rgb):
        print(f"| {name} | generic | the same model input, so the same figures |" + " |" * 6, flush=True)
    else:
        print_row(generic, name, train, judges, steps, seeds)


def print_row(
    profile: ModalityProfile, name: str, train: Any, judges: list[Any], steps: int, seeds: int
) -> None:
    """Train once for each seed, judge on each list of images and print the row."""
    began = time.perf_counter()
    start = Adapter.untrained([image for image, _ in train], profile=profile)
    adapters = [finetune(train, steps=steps, seed=seed, start=start, gate=False) for seed in range(seeds)]
    cells = [name, profile.modality, str(profile.n_channels)]
    for judge in judges:
        after = [evaluate(judge, adapter=adapter).miou[0] for adapter in adapters]
        before = evaluate(judge, adapter=start).miou[0]
        cells += [f"{before:.3f}", ", ".join(f"{v:.3f}" for v in after), f"{np.mean(after):.3f}"]
    seconds = (time.perf_counter() - began) / seeds
    print("| " + " | ".join(cells) + f" | <!-- {seconds:.0f} s a seed -->", flush=True)


def loaded(folder: Path) -> Any:
    """Images and labels of a dataset."""
    return [item.load() for item in open_dataset(folder)]


if __name__ == "__main__":
    main()
