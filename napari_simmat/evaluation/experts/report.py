"""Figures of the study of modality experts: means, differences with their intervals, and the gate's rank correlation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel as Model
from pydantic import Field

from napari_simmat.evaluation.experts.study import ROWS, Plan, Trial
from napari_simmat.evaluation.metrics import BOOTSTRAPS

__all__ = ["Report", "SetReport", "report_of", "table"]

Interval = tuple[float, float]


class SetReport(Model):
    """One set."""

    name: str
    images: int
    objects: int
    miou: dict[str, dict[str, float]] = Field(
        description="By row, by missing group ('' for none): mean IoU after one click."
    )
    full: float = Field(description="Experts minus one model with all groups.")
    missing: float = Field(description="The same with one group missing, mean over the groups.")
    noise: float | None = Field(
        description="Rank correlation of the noise in a group and its weight, mean; none: not measured."
    )


class Report(Model):
    """All sets."""

    plan: Plan
    seeds: list[int]
    sets: list[SetReport]
    full: float = Field(description="Experts minus one model with all groups, mean over sets.")
    full_ci95: Interval
    missing: float = Field(description="The same with one group missing, mean over groups, then over sets.")
    missing_ci95: Interval
    missing_over_mean: float = Field(description="Experts minus plain mean with one group missing.")
    full_over_mean: float = Field(description="Experts minus plain mean with all groups.")
    noise: float | None = Field(description="Rank correlation of noise and weight, mean over sets.")


def report_of(trials: Sequence[Trial], plan: Plan) -> Report:
    """Figures of some trials."""
    names = list(dict.fromkeys(trial.set for trial in trials))
    by_set = {name: [trial for trial in trials if trial.set == name] for name in names}
    sets = [_set_report(name, found) for name, found in by_set.items()]
    heard = [each.noise for each in sets if each.noise is not None]
    gains = {
        (kind, other): [_gain(found, other, kind) for found in by_set.values()]
        for kind in ("full", "missing")
        for other in ROWS[:2]
    }
    return Report(
        plan=plan,
        seeds=sorted({trial.seed for trial in trials}),
        sets=sets,
        full=_mean(gains["full", ROWS[0]]),
        full_ci95=_interval(gains["full", ROWS[0]]),
        missing=_mean(gains["missing", ROWS[0]]),
        missing_ci95=_interval(gains["missing", ROWS[0]]),
        missing_over_mean=_mean(gains["missing", ROWS[1]]),
        full_over_mean=_mean(gains["full", ROWS[1]]),
        noise=float(np.mean(heard)) if heard else None,
    )


def _set_report(name: str, trials: Sequence[Trial]) -> SetReport:
    first = trials[0].ious[ROWS[0]][""]
    miou = {
        row: {
            lacking: float(np.mean([v for t in trials for image in t.ious[row][lacking] for v in image]))
            for lacking in ("", *trials[0].groups)
        }
        for row in ROWS
    }
    gains = {kind: _mean([_gain(trials, ROWS[0], kind)]) for kind in ("full", "missing")}
    scores = [score.correlation for trial in trials for score in trial.noise]
    return SetReport(
        name=name,
        images=len(first),
        objects=sum(map(len, first)),
        miou=miou,
        full=gains["full"],
        missing=gains["missing"],
        noise=float(np.mean(scores)) if scores else None,
    )


def _gain(trials: Sequence[Trial], other: str, kind: str) -> list[NDArray[np.float64]]:
    """Experts minus another row, for each object of each image: mean over seeds and missing groups."""
    lacking = [""] if kind == "full" else list(trials[0].groups)
    images: list[NDArray[np.float64]] = []
    for k in range(len(trials[0].ious[other][""])):
        differences = [
            np.subtract(trial.ious[ROWS[2]][each][k], trial.ious[other][each][k])
            for trial in trials
            for each in lacking
        ]
        images.append(np.mean(differences, axis=0))
    return [image for image in images if image.size]


def _mean(sets: Sequence[Sequence[NDArray[np.float64]]]) -> float:
    """Over objects, then over sets."""
    return float(np.mean([np.concatenate(list(images)).mean() for images in sets]))


def _interval(sets: Sequence[Sequence[NDArray[np.float64]]]) -> Interval:
    """95 % interval of that: within each set whole images are drawn with replacement (paired bootstrap)."""
    rng = np.random.default_rng(0)
    drawn = [
        _mean([[images[i] for i in rng.integers(len(images), size=len(images))] for images in sets])
        for _ in range(BOOTSTRAPS)
    ]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def table(report: Report) -> str:
    """As Markdown."""
    lines = ["| set | missing | " + " | ".join(ROWS) + " | experts minus one model |", "|---" * 6 + "|"]
    for each in report.sets:
        for lacking in next(iter(each.miou.values())):
            values = {row: each.miou[row][lacking] for row in ROWS}
            lines.append(_line(each.name, lacking, values))
    lines += [
        "",
        f"All groups: experts minus one model {report.full:+.3f} "
        f"({report.full_ci95[0]:+.3f} to {report.full_ci95[1]:+.3f}), minus plain mean {report.full_over_mean:+.3f}.",
        f"One group missing: {report.missing:+.3f} ({report.missing_ci95[0]:+.3f} to {report.missing_ci95[1]:+.3f}), "
        f"minus plain mean {report.missing_over_mean:+.3f}.",
    ]
    heard = [f"{each.name} {each.noise:+.2f}" for each in report.sets if each.noise is not None]
    if report.noise is not None:
        lines.append(
            f"Noise in a group against its weight, rank correlation: {report.noise:+.2f} ({', '.join(heard)})."
        )
    return "\n".join(lines)


def _line(name: str, lacking: str, values: Mapping[str, float]) -> str:
    cells = " | ".join(f"{value:.3f}" for value in values.values())
    return f"| {name} | {lacking or 'none'} | {cells} | {values[ROWS[2]] - values[ROWS[0]]:+.3f} |"
