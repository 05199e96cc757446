"""`napari-simmat benchmark rough`: what one point an object is worth on one's own data, beside training with masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_simmat._cli.dataset_commands import open_as_told
from napari_simmat._cli.models import load_model
from napari_simmat._cli.options import AsJson, ChannelAxis, Checkpoint, Modality, ModelFile, SampleFormat
from napari_simmat._cli.terminal import cancellable, note, progress, results
from napari_simmat.errors import SimmatError


def rough(
    dataset: Annotated[
        Path, typer.Argument(metavar="DATASET", help="Folder with images/ and instances/ to learn from.")
    ],
    test: Annotated[
        Path | None,
        typer.Option("--test", metavar="DATASET", help="Another folder of that kind, to judge by."),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="YAML or JSON with the lists train and test, instead of --test."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for results; a second run goes on in it."),
    ] = Path("napari-simmat-rough"),
    rows: Annotated[
        list[str] | None,
        typer.Option(
            "--row",
            metavar="ROW",
            help="Again for more; all rows without it. The untrained model is there in any case.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Trainings of each row.")] = 3,
    steps: Annotated[int, typer.Option(min=1, metavar="N", help="Training steps of each.")] = 40,
    images: Annotated[
        int, typer.Option(min=1, metavar="N", help="Learn from the first N training images.")
    ] = 8,
    test_images: Annotated[
        int, typer.Option(min=1, metavar="N", help="Judge by the first N test images.")
    ] = 12,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    as_json: AsJson = False,
) -> None:
    """Compare learning from one point an object with learning from masks, and with its parts left out; resumable."""
    if (test is None) == (split is None):
        raise typer.BadParameter("Say which images judge, with either --test or --split.")
    with results(as_json) as give, cancellable() as cancel, progress("trials") as report:
        from napari_simmat.evaluation import rough as bench
        from napari_simmat.evaluation.accuracy import file_split, make_plan

        learnt = open_as_told(dataset, None, modality, channel_axis, sample_format)
        if test is not None:
            judges = open_as_told(test, None, modality, channel_axis, sample_format)
        else:
            assert split is not None
            by_name = {item.stem: item for item in learnt}
            sides = file_split(list(by_name), split)
            learnt, judges = ([by_name[name] for name in side] for side in (sides.train, sides.test))
        learnt, judges = learnt[:images], judges[:test_images]
        if not learnt or not judges:
            raise SimmatError(
                "There are no images to learn from or none to judge by; give at least one of each."
            )
        base = load_model(model, checkpoint)
        plan = make_plan(dataset.resolve().name, [*learnt, *judges], steps=steps, clicks=1, base=base)
        found = bench.benchmark_rough(
            learnt,
            judges,
            plan,
            out,
            rows=rows or tuple(bench.ROWS),
            seeds=seeds,
            steps=steps,
            base=base,
            progress=report,
            cancel=cancel,
        )
        figures = bench.report_of(found, plan, steps=steps)
        bench.write_report(figures, out)
        give(figures.model_dump())
    if not as_json:
        print(bench.table(figures))
    note(f"Results and table are in {out}.")
