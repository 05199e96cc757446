"""`napari-simmat benchmark names`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_simmat._cli.options import AsJson
from napari_simmat._cli.terminal import cancellable, progress, results


def names(
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Seeds 0 to N - 1.")] = 3,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Folder for what is found; it goes on from what is there."),
    ] = Path("napari-simmat-names"),
    as_json: AsJson = False,
) -> None:
    """Measure whether names for masks carry over to combinations of words that nobody has shown.

    A tiny dual encoder is trained for real on generated captioned pictures and teaches a head on the embedded model. It
    stands in for a CLIP: what a real one brings is not measured here.
    """
    with results(as_json) as give:
        with cancellable() as cancel, progress("names") as report:
            from napari_simmat.evaluation.names import keep_trial, kept_trial, measure, summary, write_summary

            out.mkdir(parents=True, exist_ok=True)
            trials = []
            for seed in range(seeds):
                trial = kept_trial(out, seed)
                if trial is None:
                    trial = measure(seed, report=report, is_cancelled=cancel.is_set)
                    keep_trial(out, trial)
                trials.append(trial)
            found = summary(trials)
            write_summary(out, found)
        give(found)
    if not as_json:
        _show(found)


def _show(found: dict[str, Any]) -> None:
    named, clicked = found["named"], found["clicked"]
    print(f"Seeds {found['seeds']}, {found['objects']} masks of held-out combinations")
    print(f"{'':34}named right   IoU after one click")
    rows = {
        "untaught": "head untaught, frozen features",
        "head": "head taught",
        "kept": "head and encoder, self-distillation",
        "forgot": "head and encoder, without",
    }
    for way, text in rows.items():
        print(f"{text:38}{named[way]:.3f}        {clicked[way]:.4f}")
    print(f"{'the teacher on crops':38}{named['teacher']:.3f}")
    print(f"{'chance':38}{found['chance']:.3f}")
    for text, key in {
        "named, taught less untaught": "named_more_than_untaught",
        "composed less map alone (IoU)": "composed_more_than_map",
        "one click, with self-distillation": "clicked_kept",
        "one click, without": "clicked_forgot",
        "one click, with less without": "clicked_kept_more_than_forgot",
    }.items():
        mean, low, high = found[key]
        print(f"{text:38}{mean:+.4f} ({low:+.4f} to {high:+.4f})")
    print(f"By text: map alone {found['map_alone']:.3f}, composed {found['composed']:.3f} mIoU")
