"""What the built-in profiles are worth: adapters trained with each, beside the generic profile, on the same scenes.

    python tools/benchmark_profiles.py [SET ...] [--steps N] [--seeds N]

For each bundled set (`NAME-train`, `NAME-test`): one-click mean IoU on the test scenes, untrained and after training on
the training scenes, with the modality's own profile and with the generic one. Nothing is held out for the gate, whose
verdict on a handful of objects would hide the difference. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from napari_simmat.evaluation import evaluate
from napari_simmat.images import SAMPLES, open_dataset, profile_for, sample_path
from napari_simmat.training import finetune


def main() -> None:
    """Run and print."""
    sets = [name.removesuffix("-train") for name in SAMPLES if name.endswith("-train")]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="*", default=sets, metavar="SET", help=", ".join(sets))
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    print("| set | profile | model channels | untrained | trained, each seed | mean | gain |", flush=True)
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in options.sets:
        train = [item.load() for item in open_dataset(sample_path(f"{name}-train"))]
        test = [item.load() for item in open_dataset(sample_path(f"{name}-test"))]
        modality = train[0][0].modality
        for choice in dict.fromkeys((modality, "generic")):
            profile = profile_for(train[0][0], choice)
            before = evaluate(test, profile=choice).miou[0]
            began, after = time.perf_counter(), []
            for seed in range(options.seeds):
                adapter = finetune(train, steps=options.steps, seed=seed, profile=profile, gate=False)
                after.append(evaluate(test, adapter=adapter).miou[0])
            each = ", ".join(f"{value:.3f}" for value in after)
            mean = float(np.mean(after))
            seconds = (time.perf_counter() - began) / options.seeds
            row = (
                name,
                choice,
                profile.n_channels,
                f"{before:.3f}",
                each,
                f"{mean:.3f}",
                f"{mean - before:+.3f}",
            )
            print("| " + " | ".join(map(str, row)) + f" | <!-- {seconds:.0f} s a seed -->", flush=True)


if __name__ == "__main__":
    main()
