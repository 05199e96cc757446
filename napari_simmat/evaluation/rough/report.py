"""From trials to a table: one-click mIoU of each row, and what it gains over the untrained model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.accuracy.trials import Plan
from napari_simmat.evaluation.metrics import bootstrap_interval
from napari_simmat.evaluation.rough.benchmark import ROWS, RoughTrial


class RoughRow(Model):
    """Figures of one row."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: str
    what: str = Field(description="What it is trained on.")
    miou: float = Field(description="One-click mean IoU, the mean over seeds.")
    each: list[float] = Field(description="The same of each seed.")
    gain: float = Field(description="Above the untrained model.")
    gain_ci95: tuple[float, float] = Field(
        description="95 % interval of the gain, paired bootstrap over images."
    )
    share: float | None = Field(description="Of what training with masks gains.")
    anchor_iou: float | None = Field(description="Drift: IoU with the masks before, the mean over seeds.")
    prompts_fit: list[float] = Field(
        description="How well the prompts fit their images, of each seed that trained."
    )
    refused: int = Field(description="Seeds in which the prompts were refused, so that nothing was learnt.")
    seconds: float = Field(description="Mean wall-clock time of a training.")


class RoughReport(Model):
    """All figures of a benchmark."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plan: Plan
    train_images: int
    test_images: int
    test_objects: int
    steps: int
    rows: list[RoughRow]


def report_of(trials: Sequence[RoughTrial], plan: Plan, *, steps: int) -> RoughReport:
    """Figures of all rows.

    Raises
    ------
    SimmatError
        There is no trial of the untrained model.
    """
    rows: dict[str, list[RoughTrial]] = defaultdict(list)
    for trial in trials:
        rows[trial.row].append(trial)
    if "untrained" not in rows:
        raise SimmatError(
            "There is no trial of the untrained model, over which gains are taken; run that row, too."
        )
    before = rows["untrained"][0]
    gain_of_masks = _gain(rows["masks"], before)[0] if rows.get("masks") else None
    return RoughReport(
        plan=plan,
        train_images=len(before.train),
        test_images=len(before.test),
        test_objects=len(before.scores),
        steps=steps,
        rows=[_row(rows[name], before, gain_of_masks) for name in ROWS if name in rows],
    )


def table(report: RoughReport) -> str:
    """The figures as a Markdown table, with what they were made of above it."""
    plan = report.plan
    lines = [
        f"{plan.dataset}: one point in each object of {report.train_images} images, {report.steps} steps; judged by one "
        f"click on {report.test_objects} objects of {report.test_images} other images.",
        f"{plan.base_model} on {plan.device}; {plan.machine}; {plan.software}.",
        "",
        "| row | one click | each seed | gain (95 %) | of the gain of masks | IoU with before | refused | training |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in report.rows:
        is_trained = row.row != "untrained"
        cells = [
            row.row,
            f"{row.miou:.3f}",
            ", ".join(f"{value:.3f}" for value in row.each),
            f"{row.gain:+.3f} ({row.gain_ci95[0]:+.3f} to {row.gain_ci95[1]:+.3f})" if is_trained else "",
            "" if row.share is None or not is_trained else f"{100 * row.share:.0f} %",
            "" if row.anchor_iou is None else f"{row.anchor_iou:.2f}",
            f"{row.refused} of {len(row.each)}" if row.refused else "",
            f"{row.seconds:.0f} s" if is_trained else "",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def write_report(report: RoughReport, out: Path) -> None:
    """Write `results.json` and `table.md`.

    Raises
    ------
    SimmatError
        They cannot be written.
    """
    write_atomically(out / "results.json", report.model_dump_json(indent=1).encode(), error=SimmatError)
    write_atomically(out / "table.md", table(report).encode(), error=SimmatError)


def _row(trials: Sequence[RoughTrial], before: RoughTrial, gain_of_masks: float | None) -> RoughRow:
    gain, interval = _gain(trials, before)
    drifts = [t.anchor_iou for t in trials if t.anchor_iou is not None]
    each = [float(np.mean([s.ious[0] for s in t.scores])) for t in trials]
    return RoughRow(
        row=trials[0].row,
        what=ROWS[trials[0].row],
        miou=float(np.mean(each)),
        each=each,
        gain=gain,
        gain_ci95=interval,
        share=None if not gain_of_masks else gain / gain_of_masks,
        anchor_iou=float(np.mean(drifts)) if drifts else None,
        prompts_fit=[t.prompts_fit for t in trials if t.prompts_fit is not None],
        refused=sum(bool(t.refused) for t in trials),
        seconds=float(np.mean([t.seconds for t in trials])),
    )


def _gain(trials: Sequence[RoughTrial], before: RoughTrial) -> tuple[float, tuple[float, float]]:
    """Mean gain over objects and seeds, and its interval over images."""
    untrained = {(s.image_number, s.label): s.ious[0] for s in before.scores}
    gains: dict[int, list[float]] = defaultdict(list)
    for trial in trials:
        for score in trial.scores:
            gains[score.image_number].append(score.ious[0] - untrained[score.image_number, score.label])
    return float(np.mean([v for image in gains.values() for v in image])), bootstrap_interval(
        list(gains.values())
    )
