"""`napari-simmat benchmark accuracy`: check on one's own data what each way to adapt the model is worth."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_simmat._cli.dataset_commands import open_as_told
from napari_simmat._cli.models import load_model
from napari_simmat._cli.options import (
    AsJson,
    ChannelAxis,
    Checkpoint,
    Classes,
    Limit,
    Modality,
    ModelFile,
    Profile,
    SampleFormat,
)
from napari_simmat._cli.terminal import cancellable, note, progress, results
from napari_simmat.errors import SimmatError

if TYPE_CHECKING:
    from napari_simmat.evaluation.accuracy import Split
    from napari_simmat.images.dataset import DatasetItem


def accuracy(
    dataset: Annotated[
        Path,
        typer.Argument(metavar="DATASET", help="Folder with images/ and instances/, or what --dataset says."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for results; a second run goes on in it."),
    ] = Path("napari-simmat-benchmark"),
    kind: Annotated[
        str,
        typer.Option(
            "--dataset",
            metavar="KIND",
            help="'folder', or a dataset of the paper's benchmark such as aims:nir.",
        ),
    ] = "folder",
    rows: Annotated[
        list[str] | None,
        typer.Option(
            "--row",
            metavar="ROW",
            help="What to compare, again for more: MAT/STRATEGY/RECIPE/OPTION=NUMBER such as linear/mat or "
            "mat/lora/paper, or a list: default, variants, strategies, regularisers, paper.",
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Trainings of each row.")] = 3,
    steps: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Training steps of each; the training's own without it."),
    ] = None,
    clicks: Annotated[int, typer.Option(min=1, max=20, metavar="N", help="Clicks on each object.")] = 20,
    jitter: Annotated[
        float, typer.Option(min=0.0, metavar="J", help="Click up to J depths beside the deepest point.")
    ] = 0.0,
    images: Annotated[
        str,
        typer.Option(
            metavar="N,N,...",
            help="Numbers of training images to try beside all, for the rows of --images-row.",
        ),
    ] = "",
    images_rows: Annotated[
        list[str] | None, typer.Option("--images-row", metavar="ROW", help="Default: mat/lora.")
    ] = None,
    split: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML or JSON with the lists train and test.")
    ] = None,
    test_share: Annotated[
        float, typer.Option(metavar="S", help="Share of test images of a drawn split.")
    ] = 0.3,
    group_by: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX", help="Whole groups on one side: the pattern's first group in image names."
        ),
    ] = None,
    groups: Annotated[
        Path | None, typer.Option(metavar="CSV", help="The same from a file of image,group.")
    ] = None,
    gate: Annotated[
        bool,
        typer.Option(help="Hold objects out and roll back as the window does, instead of learning from all."),
    ] = False,
    plots: Annotated[bool, typer.Option(help="Draw plots and the gallery.")] = True,
    limit: Limit = None,
    classes: Classes = None,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Compare ways to adapt the model on a labelled dataset: table, intervals, plots; resumable."""
    if split is not None and (group_by or groups):
        raise typer.BadParameter("--split says already who is where; leave out --group-by and --groups.")
    if group_by and groups:
        raise typer.BadParameter("Give one of --group-by and --groups.")
    if kind != "folder":
        _refuse_beside_aims(
            kind,
            {
                "--split": split,
                "--group-by": group_by,
                "--groups": groups,
                "--modality": modality,
                "--channel-axis": channel_axis,
                "--sample-format": sample_format,
                "--classes": classes,
            },
        )
    counts = _counts(images)
    with results(as_json) as give, cancellable() as cancel, progress("trials") as report:
        from napari_simmat.evaluation import accuracy as bench

        items, given = _open(dataset, kind, limit, modality, channel_axis, sample_format, classes)
        names = [item.stem for item in items]
        chosen = bench.parse_rows(rows or (["paper"] if given is not None else ["default"]))
        splits = given or _splits(names, seeds, split, test_share, group_by, groups)
        wanted = [row.name for row in bench.parse_rows(images_rows or [bench.DEFAULT_ROW])]
        base = load_model(model, checkpoint)
        name = kind if kind != "folder" else dataset.resolve().name
        plan = bench.make_plan(
            name,
            items,
            steps=steps,
            clicks=clicks,
            jitter=jitter,
            gate=gate,
            profile=profile or "",
            base=base,
        )
        all_splits = splits if len(splits) == seeds else splits * seeds
        trials = bench.trials_of(chosen, all_splits, range(seeds), counts=counts, count_rows=wanted)
        shown = next((row.name for row in chosen if row.name == bench.DEFAULT_ROW), chosen[-1].name)
        found = bench.benchmark_accuracy(
            trials, items, plan, out, base=base, keep_adapters=[shown], progress=report, cancel=cancel
        )
        figures = bench.report_of(found, plan, [each.remark for each in splits])
        bench.write_report(figures, out)
        if plots:
            bench.write_plots(figures, out)
            bench.write_gallery_of(shown, found, items, out, profile=plan.profile, base=base)
        give(figures.model_dump())
    if not as_json:
        print(bench.table(figures))
    note(f"Results, table{' and plots' if plots else ''} are in {out}.")


def _refuse_beside_aims(kind: str, options: dict[str, object]) -> None:
    """The paper's datasets say themselves how they are read and split."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise typer.BadParameter(f"{given[0]} does nothing beside --dataset {kind}; leave it out.")


def _open(
    dataset: Path,
    kind: str,
    limit: int | None,
    modality: str | None,
    channel_axis: int | None,
    sample_format: str | None,
    classes: Path | None,
) -> tuple[list[DatasetItem], list[Split] | None]:
    """All images, and their split where the dataset has its own."""
    if kind == "folder":
        return open_as_told(dataset, limit, modality, channel_axis, sample_format, classes), None
    from napari_simmat.evaluation.accuracy import Split
    from napari_simmat.images.aims import open_aims

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        train, test = (open_aims(kind, dataset, split=side, limit=limit) for side in ("train", "test"))
    for warning in told:
        note(f"Note: {warning.message}")
    split = Split(tuple(item.stem for item in train), tuple(item.stem for item in test))
    if both := sorted(set(split.train) & set(split.test)):
        raise SimmatError(
            f"{dataset} has {len(both)} scenes in training and test alike, such as {both[0]}; correct its lists."
        )
    return [*train, *test], [split]


def _splits(
    names: list[str],
    seeds: int,
    file: Path | None,
    test_share: float,
    group_by: str | None,
    groups: Path | None,
) -> list[Split]:
    """One split where it is given, else one for each seed."""
    from napari_simmat.evaluation.accuracy import drawn_split, file_split, groups_by_file, groups_by_pattern

    if file is not None:
        return [file_split(names, file)]
    group_of = None
    if group_by is not None:
        group_of = groups_by_pattern(names, group_by)
    elif groups is not None:
        group_of = groups_by_file(names, groups)
    return [drawn_split(names, test_share=test_share, seed=seed, groups=group_of) for seed in range(seeds)]


def _counts(text: str) -> list[int]:
    """Numbers of "1,2,4,8"; "all" is always among them."""
    parts = [part.strip() for part in text.split(",") if part.strip() not in ("", "all")]
    if not all(part.isdigit() and int(part) for part in parts):
        raise typer.BadParameter(f"--images {text} is not a list of numbers such as 1,2,4,8,all.")
    return [int(part) for part in parts]
