"""`napari-simmat benchmark experts`: what modality experts are worth when a group of channels is missing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_simmat._cli.dataset_commands import open_as_told
from napari_simmat._cli.options import AsJson, Limit, Modality, Profile
from napari_simmat._cli.terminal import cancellable, note, progress, results

if TYPE_CHECKING:
    from napari_simmat.evaluation.experts import Set


def experts(
    datasets: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[TRAIN TEST | DATASET]",
            help="Images to learn from and images that judge, or one dataset that --split divides; without any, all "
            "sample sets with two or more groups of channels.",
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for results; a second run goes on in it."),
    ] = Path("napari-simmat-experts"),
    split: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML or JSON with the lists train and test.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Trainings of each set.")] = 3,
    steps: Annotated[
        int, typer.Option(min=1, metavar="N", help="Training steps of one model and of each expert.")
    ] = 100,
    side: Annotated[
        int,
        typer.Option(
            min=64, max=1024, metavar="PX", help="Longest side at which images are seen, divisible by 16."
        ),
    ] = 1024,
    noisy: Annotated[
        int, typer.Option(min=0, metavar="N", help="Test images of each set that noise is added to.")
    ] = 2,
    limit: Limit = None,
    modality: Modality = None,
    profile: Profile = None,
    as_json: AsJson = False,
) -> None:
    """Leave out each group of channels, from one model on all channels and from experts; resumable."""
    given = datasets or []
    if len(given) > 2 or (split is not None) != (len(given) == 1):
        raise typer.BadParameter(
            "Give a training and a test dataset, one dataset with --split, or none for the sample sets."
        )
    if profile is not None and not given:
        raise typer.BadParameter(
            "The sample sets have profiles of their own; leave out --profile, or give datasets."
        )
    with results(as_json) as give, cancellable() as cancel, progress("trials") as report:
        from napari_simmat.atomic import write_atomically
        from napari_simmat.errors import SimmatError
        from napari_simmat.evaluation import experts as bench
        from napari_simmat.models import load_base_model

        out.mkdir(parents=True, exist_ok=True)
        base = load_base_model().at(side)
        plan = bench.Plan(steps=steps, side=side, base_sha256=base.sha256, noisy_images=noisy)
        sets = [_given_set(given, split, limit, modality, profile)] if given else bench.bundled_sets()
        trials = bench.run_trials(sets, range(seeds), plan, out, base=base, tell=report, cancel=cancel)
        found = bench.report_of(trials, plan)
        write_atomically(out / "report.json", found.model_dump_json(indent=1).encode(), error=SimmatError)
        write_atomically(out / "report.md", bench.table(found).encode(), error=SimmatError)
        give(found.model_dump())
    if not as_json:
        print(bench.table(found))
    note(f"Results and table are in {out}.")


def _given_set(
    given: list[Path], split: Path | None, limit: int | None, modality: str | None, profile: str | None
) -> Set:
    from napari_simmat.evaluation.accuracy import file_split
    from napari_simmat.evaluation.experts import Set

    if split is None:
        train, test = (open_as_told(each, limit, modality, None, None) for each in given)
        return Set(given[0].resolve().name.removesuffix("-train"), train, test, profile)
    items = open_as_told(given[0], None, modality, None, None)
    by_name = {item.stem: item for item in items}
    chosen = file_split(list(by_name), split)
    train, test = ([by_name[name] for name in names][:limit] for names in (chosen.train, chosen.test))
    return Set(given[0].resolve().name, train, test, profile)
