"""The plots of an accuracy benchmark: IoU against clicks, against training images, gain against seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.accuracy.report import AccuracyReport, RowFigures
from napari_simmat.evaluation.accuracy.rows import UNTRAINED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["figure", "save", "write_plots"]

_MOST_LINES = 8  # more cannot be told apart by colour


def write_plots(report: AccuracyReport, out: Path) -> list[Path]:
    """Write the plots that the figures allow as PNG.

    Raises
    ------
    SimmatError
        matplotlib is not installed, or a file cannot be written.
    """
    made = [save(_clicks(report), out / "clicks.png"), save(_rows(report), out / "rows.png")]
    if any(len(row.by_count) > 1 for row in report.rows):
        made.append(save(_images(report), out / "images.png"))
    if any(row.steps for row in report.rows):
        made.append(save(_seconds(report), out / "seconds.png"))
    return made


def figure(width: float, height: float) -> Figure:
    """An empty figure that needs no display; inches.

    Raises
    ------
    SimmatError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SimmatError(
            "Plots need matplotlib, which was not found; install it with pip install 'napari-simmat[benchmark]', or "
            "leave them out with --no-plots."
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def save(made: Figure, path: Path) -> Path:
    """Write a figure as PNG and give its path.

    Raises
    ------
    SimmatError
        It cannot be written.
    """
    try:
        made.savefig(path, dpi=130)
    except OSError as error:
        raise SimmatError(
            f"The plot {path} cannot be written ({error.strerror}); choose another folder."
        ) from error
    return path


def _axes(made: Figure, report: AccuracyReport, *, x: str, y: str) -> Any:
    axes = made.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(report.plan.dataset, fontsize=10)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _shown(report: AccuracyReport) -> list[RowFigures]:
    """The untrained row and the best of the others, as many as can be told apart."""
    first = [row for row in report.rows if row.row == UNTRAINED]
    others = sorted((row for row in report.rows if row.row != UNTRAINED), key=lambda row: -row.miou[0])
    return [*first, *others[: _MOST_LINES - 1]]


def _clicks(report: AccuracyReport) -> Figure:
    made = figure(6.4, 4.2)
    axes = _axes(made, report, x="clicks on an object", y="mean IoU")
    for row in _shown(report):
        counts = np.arange(1, len(row.miou) + 1)
        style = {"color": "0.45", "linestyle": "--"} if row.row == UNTRAINED else {}
        axes.plot(
            counts, row.miou, marker="o" if len(counts) <= 20 else None, markersize=3, label=row.row, **style
        )
    axes.set_ylim(0, 1)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=8, frameon=False)
    return made


def _rows(report: AccuracyReport) -> Figure:
    """One-click IoU of every row with its interval; a dot for each seed."""
    rows = sorted(report.rows, key=lambda row: row.miou[0])
    made = figure(6.8, 1.2 + 0.3 * len(rows))
    axes = _axes(made, report, x="one-click mean IoU (bar: 95 % interval over images; dots: seeds)", y="")
    for place, row in enumerate(rows):
        colour = "0.45" if row.row == UNTRAINED else "C0"
        axes.plot(row.ci95, [place, place], color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
        axes.plot(row.each, [place] * len(row.each), "o", color=colour, markersize=4)
    axes.set_yticks(range(len(rows)), [row.row for row in rows], fontsize=8)
    axes.set_xlim(left=0)
    return made


def _images(report: AccuracyReport) -> Figure:
    made = figure(6.4, 4.2)
    axes = _axes(made, report, x="training images", y="one-click mean IoU")
    for k, row in enumerate(r for r in report.rows if len(r.by_count) > 1):
        counts = [count.images for count in row.by_count]
        axes.plot(
            counts, [count.miou for count in row.by_count], "-o", color=f"C{k}", markersize=4, label=row.row
        )
        for count in row.by_count:
            axes.plot([count.images] * len(count.each), count.each, ".", color=f"C{k}", alpha=0.5)
    untrained = next(row for row in report.rows if row.row == UNTRAINED)
    axes.axhline(untrained.miou[0], color="0.45", linestyle="--", label=UNTRAINED)
    axes.set_xscale("log", base=2)
    ticks = sorted({count.images for row in report.rows for count in row.by_count})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False)
    return made


def _seconds(report: AccuracyReport) -> Figure:
    trained = [row for row in report.rows if row.steps]
    made = figure(6.8, 4.4)
    axes = _axes(made, report, x="seconds of training", y="gain of one-click mean IoU")
    for row in trained:
        low, high = row.gain_ci95
        around = [[max(row.gain - low, 0.0)], [max(high - row.gain, 0.0)]]
        axes.errorbar(
            [row.seconds_training], [row.gain], yerr=around, fmt="o", markersize=4, capsize=2, alpha=0.8
        )
    _label(axes, [(row.seconds_training, row.gain, row.row) for row in trained])
    axes.axhline(0, color="0.45", linewidth=1)
    axes.set_xlim(0, 1.3 * max(row.seconds_training for row in trained))  # names stand beside the points
    return made


def _label(axes: Any, points: Sequence[tuple[float, float, str]]) -> None:
    """Names beside points, pushed apart where points lie close."""
    taken: list[tuple[float, float]] = []
    span = max((x for x, _, _ in points), default=1.0) or 1.0
    for x, y, text in sorted(points, key=lambda point: point[1]):
        height = y
        for other_x, other_y in taken:
            if abs(other_x - x) < 0.25 * span and height < other_y + 0.018:
                height = max(height, other_y + 0.018)
        taken.append((x, height))
        axes.annotate(text, (x, y), (x + 0.015 * span, height), fontsize=7, va="center")
