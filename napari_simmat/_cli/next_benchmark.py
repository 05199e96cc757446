"""`napari-simmat benchmark next`: how good proposals and doubts are on one's own data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_simmat._cli.dataset_commands import open_as_told
from napari_simmat._cli.models import load_adapter, load_model, refuse_profile_of_adapter
from napari_simmat._cli.options import (
    AdapterFile,
    AsJson,
    ChannelAxis,
    Checkpoint,
    Dataset,
    Limit,
    Modality,
    ModelFile,
    Profile,
    SampleFormat,
)
from napari_simmat._cli.terminal import cancellable, note, progress, results

if TYPE_CHECKING:
    from napari_simmat.evaluation.next_click import NextFigures


def next_click(
    dataset: Dataset,
    split: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML or JSON with the lists train and test.")
    ] = None,
    test_share: Annotated[
        float, typer.Option(metavar="S", help="Without --split: share of test images, drawn by chance.")
    ] = 0.3,
    accepted: Annotated[
        int, typer.Option("--objects", min=2, metavar="N", help="Accepted objects to learn from.")
    ] = 20,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Draws of them.")] = 3,
    steps: Annotated[int | None, typer.Option(min=1, metavar="N", help="Training steps.")] = None,
    grid: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Compare with all masks of a grid of clicks; slow."),
    ] = None,
    limit: Limit = None,
    adapter: AdapterFile = None,
    model: ModelFile = None,
    checkpoint: Checkpoint = None,
    modality: Modality = None,
    channel_axis: ChannelAxis = None,
    sample_format: SampleFormat = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Measure what is proposed on unseen images after some objects, and whether doubt tells of errors.

    A proposal is right if its click is within 10 pixels of an object that no surer proposal has. The score from which is
    proposed is chosen on the training images.
    """
    refuse_profile_of_adapter(profile, adapter)
    with results(as_json) as give:
        with cancellable() as cancel, progress("benchmark") as report:
            from napari_simmat._cli.benchmark_commands import Loading
            from napari_simmat.evaluation.accuracy import drawn_split, file_split
            from napari_simmat.evaluation.next_click import benchmark_next

            items = {
                item.stem: item
                for item in open_as_told(dataset, limit, modality, channel_axis, sample_format)
            }
            names = list(items)
            sides = file_split(names, split) if split else drawn_split(names, test_share=test_share)
            if sides.remark:
                note(f"Note: {sides.remark}.")
            figures = benchmark_next(
                Loading([items[name] for name in sides.train]),
                Loading([items[name] for name in sides.test]),
                dataset=dataset.resolve().name,
                accepted=accepted,
                seeds=seeds,
                steps=steps,
                grid=grid,
                adapter=load_adapter(adapter),
                profile=profile,
                base=load_model(model, checkpoint),
                progress=report,
                cancel=cancel,
            )
        give({**figures.model_dump(), "remark": sides.remark})
    if not as_json:
        print(_table(figures))


def _table(figures: NextFigures) -> str:
    lines = [
        f"{figures.accepted} accepted objects, {figures.test_images} unseen images with {figures.test_objects} objects",
        "",
        "| labelled images are | objects proposed (95 %) | each seed | right proposals (95 %) | each seed | clicked on |"
        " per image |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in figures.proposals:
        lines.append(
            f"| {each.name} | {each.found_mean:.3f} ({_span(each.found_ci95)}) | {_listed(each.found)} | "
            f"{each.right_mean:.3f} ({_span(each.right_ci95)}) | {_listed(each.right)} | "
            f"{_mean(each.on_object):.3f} | {_mean(each.proposals):.1f} |"
        )
    lines += [
        "",
        f"Doubt against the error of one click: Spearman {_mean(figures.doubt_spearman):.3f} "
        f"({_span(figures.doubt_ci95)}; each seed {_listed(figures.doubt_spearman)}); one minus the predicted IoU: "
        f"{figures.predicted_iou_spearman:.3f}. One-click mean IoU {figures.one_click_miou:.3f}.",
    ]
    return "\n".join(lines)


def _span(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.3f} to {interval[1]:.3f}"


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
