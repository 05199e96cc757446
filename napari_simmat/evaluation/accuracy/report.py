"""From trials to what a reader sees: one line of figures a row, with intervals, as JSON and as a Markdown table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.accuracy.rows import UNTRAINED
from napari_simmat.evaluation.accuracy.trials import Plan, TrialResult
from napari_simmat.evaluation.metrics import bootstrap_interval
from napari_simmat.evaluation.scores import ObjectScore
from napari_simmat.evaluation.summary import Evaluation, summarise

__all__ = ["AccuracyReport", "CountFigures", "RowFigures", "report_of", "table", "write_report"]


class CountFigures(Model):
    """How a row does with fewer training images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: int = Field(description="Images that were learnt from, the mean over seeds.")
    is_all: bool = Field(description="Whether these are all training images.")
    miou: float = Field(description="One-click mean IoU, the mean over seeds.")
    each: list[float] = Field(description="The same of each seed.")


class RowFigures(Model):
    """Figures of one row, over all seeds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: str
    seeds: int = Field(description="Trainings with another seed (and another split, where it was drawn).")
    trained_parameters: int
    steps: int = Field(description="Optimiser steps, of the first seed.")
    seconds_training: float = Field(description="Mean wall-clock time of a training.")
    miou: list[float] = Field(description="Mean IoU after 1..N clicks, the mean over seeds.")
    each: list[float] = Field(description="One-click mean IoU of each seed.")
    ci95: tuple[float, float] = Field(
        description="95 % interval of the one-click mean IoU, bootstrap over images."
    )
    gain: float = Field(description="One-click mean IoU above that of the untrained model.")
    gain_ci95: tuple[float, float] = Field(
        description="95 % interval of the gain, paired bootstrap over images."
    )
    miou_best_of_candidates: float
    noc80: float | None = None
    noc85: float | None = None
    noc90: float | None = None
    by_size: dict[str, float] = Field(
        default={}, description="One-click mean IoU of each size, mean over seeds."
    )
    by_class: dict[str, float] = Field(
        default={}, description="One-click mean IoU of each class, mean over seeds."
    )
    by_count: list[CountFigures] = Field(default=[], description="With fewer training images, and with all.")


class AccuracyReport(Model):
    """All figures of a benchmark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: Plan
    seeds: list[int]
    train_images: int = Field(description="Images to learn from, in the first split.")
    test_images: int = Field(description="Images that judge, in the first split.")
    test_objects: int = Field(description="Objects clicked, in the first split.")
    remarks: list[str] = Field(default=[], description="What a reader should know of the splits.")
    rows: list[RowFigures]


def report_of(results: Sequence[TrialResult], plan: Plan, remarks: Sequence[str] = ()) -> AccuracyReport:
    """Figures of all rows.

    Raises
    ------
    SimmatError
        There is no trial of the untrained model, over which gains are taken.
    """
    whole: dict[str, list[TrialResult]] = defaultdict(list)
    fewer: dict[str, list[TrialResult]] = defaultdict(list)
    for result in results:
        (whole if result.trial.all_images else fewer)[result.trial.row.name].append(result)
    if UNTRAINED not in whole:
        raise SimmatError("There is no trial of the untrained model; run the benchmark again.")
    before = {r.trial.seed: r for r in whole[UNTRAINED]}
    first = next(iter(whole.values()))[0]
    trained = next((rs[0] for name, rs in whole.items() if name != UNTRAINED), first)
    return AccuracyReport(
        plan=plan,
        seeds=sorted(before),
        train_images=len(trained.trial.train),
        test_images=len(first.trial.test),
        test_objects=len(first.scores),
        remarks=[remark for remark in dict.fromkeys(remarks) if remark],
        rows=[_figures(name, rs, before, fewer.get(name, [])) for name, rs in whole.items()],
    )


def table(report: AccuracyReport) -> str:
    """The figures as a Markdown table, with what they were made of above it."""
    plan = report.plan
    lines = [
        f"{plan.dataset}: {_counted(report.train_images, 'image')} to learn from, "
        f"{_counted(report.test_images, 'image')} with {_counted(report.test_objects, 'object')} to judge by; "
        f"seeds {', '.join(map(str, report.seeds))}.",
        f"{plan.base_model} on {plan.device}; {plan.machine}; {plan.software}.",
        *report.remarks,
        "",
    ]
    has_noc = any(row.noc80 is not None for row in report.rows)
    n_clicks = len(report.rows[0].miou)
    later = [n for n in (3, 5, 10) if n <= n_clicks]
    head = [
        "row",
        "trained numbers",
        "training",
        "one click (95 %)",
        "each seed",
        "gain (95 %)",
        "best of three",
    ]
    head += [f"{n} clicks" for n in later]
    head += ["NoC@80", "NoC@85", "NoC@90"] if has_noc else []
    lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in report.rows:
        is_trained = row.steps > 0
        cells = [
            row.row,
            f"{row.trained_parameters:,}" if is_trained else "",
            f"{row.steps} steps, {row.seconds_training:.0f} s" if is_trained else "",
            f"{row.miou[0]:.3f} ({row.ci95[0]:.3f} to {row.ci95[1]:.3f})",
            ", ".join(f"{value:.3f}" for value in row.each),
            f"{row.gain:+.3f} ({row.gain_ci95[0]:+.3f} to {row.gain_ci95[1]:+.3f})" if is_trained else "",
            f"{row.miou_best_of_candidates:.3f}",
            *(f"{row.miou[n - 1]:.3f}" for n in later),
        ]
        if has_noc:
            cells += ["" if v is None else f"{v:.2f}" for v in (row.noc80, row.noc85, row.noc90)]
        lines.append("| " + " | ".join(cells) + " |")
    for row in report.rows:
        if len(row.by_count) > 1:
            counts = ", ".join(f"{c.images} images {c.miou:.3f}" for c in row.by_count)
            lines += ["", f"{row.row}, one click after training on fewer images: {counts}."]
    return "\n".join(lines) + "\n"


def write_report(report: AccuracyReport, out: Path) -> None:
    """Write `results.json` and `table.md`.

    Raises
    ------
    SimmatError
        They cannot be written.
    """
    write_atomically(out / "results.json", report.model_dump_json(indent=1).encode(), error=SimmatError)
    write_atomically(out / "table.md", table(report).encode(), error=SimmatError)


def _figures(
    name: str, results: Sequence[TrialResult], before: dict[int, TrialResult], fewer: Sequence[TrialResult]
) -> RowFigures:
    each = [summarise(result.scores) for result in results]
    images: dict[str, list[float]] = defaultdict(list)
    gains: dict[str, list[float]] = defaultdict(list)
    for result in results:
        untrained = {(s.image_number, s.label): s.ious[0] for s in before[result.trial.seed].scores}
        for score in result.scores:
            stem = result.trial.test[score.image_number]
            images[stem].append(score.ious[0])
            gains[stem].append(score.ious[0] - untrained[score.image_number, score.label])
    return RowFigures(
        row=name,
        seeds=len(results),
        trained_parameters=results[0].trained_parameters,
        steps=results[0].steps,
        seconds_training=float(np.mean([result.seconds_training for result in results])),
        miou=[float(value) for value in np.mean([e.miou for e in each], axis=0)],
        each=[e.miou[0] for e in each],
        ci95=bootstrap_interval(list(images.values())),
        gain=float(np.mean([value for image in gains.values() for value in image])),
        gain_ci95=bootstrap_interval(list(gains.values())),
        miou_best_of_candidates=float(np.mean([e.miou_best_of_candidates for e in each])),
        noc80=_mean_or_none([e.noc80 for e in each]),
        noc85=_mean_or_none([e.noc85 for e in each]),
        noc90=_mean_or_none([e.noc90 for e in each]),
        by_size=_grouped(each, "by_size"),
        by_class=_grouped(each, "by_class"),
        by_count=_by_count(fewer, results),
    )


def _by_count(fewer: Sequence[TrialResult], whole: Sequence[TrialResult]) -> list[CountFigures]:
    if not fewer:
        return []
    found = []
    for count in sorted({len(result.trial.train) for result in fewer}):
        found.append(_count([r for r in fewer if len(r.trial.train) == count], is_all=False))
    return [*found, _count(whole, is_all=True)]


def _count(results: Sequence[TrialResult], *, is_all: bool) -> CountFigures:
    each = [_one_click(result.scores) for result in results]
    images = round(float(np.mean([len(result.trial.train) for result in results])))
    return CountFigures(images=images, is_all=is_all, miou=float(np.mean(each)), each=each)


def _one_click(scores: Sequence[ObjectScore]) -> float:
    return float(np.mean([score.ious[0] for score in scores]))


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _grouped(evaluations: Sequence[Evaluation], what: str) -> dict[str, float]:
    found: dict[str, list[float]] = defaultdict(list)
    for evaluation in evaluations:
        for group in getattr(evaluation, what):
            found[group.name].append(group.miou[0])
    return {name: float(np.mean(values)) for name, values in found.items()}


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
