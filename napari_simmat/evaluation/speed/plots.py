"""The plots of a speed benchmark: ours beside stock, stalls of the event loop, how time and memory grow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_simmat.evaluation.accuracy.plots import figure, save
from napari_simmat.evaluation.speed.report import GrowthRow, SpeedReport
from napari_simmat.evaluation.speed.table import TITLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_plots"]

_NAMES = {
    "encode_ms": "encode",
    "open_ms": "open",
    "click_ms": "first mask",
    "accept_ms": "accept one more",
    "quick_s": "quick, whole",
    "quick_s_per_step": "quick, a step",
    "deep_s_per_step": "deep, a step",
}


def write_plots(report: SpeedReport, out: Path) -> list[Path]:
    """Write the plots that the figures allow as PNG.

    Raises
    ------
    SimmatError
        matplotlib is not installed, or a file cannot be written.
    """
    made = [save(_beside_stock(report), out / "stock.png")]
    if report.window is not None:
        made.append(save(_stalls(report), out / "stalls.png"))
    for what, title in TITLES.items():
        rows = [row for row in report.growth if row.what == what and row.times]
        if len(rows) > 1:
            made.append(save(_growth(rows, title), out / f"{what}.png"))
    return made


def _beside_stock(report: SpeedReport) -> Figure:
    made = figure(7.2, 2.8)
    left, right = made.subplots(1, 2)
    _bars(left, report, "encode", report.encode_ratio)
    _bars(right, report, "click", report.click_ratio)
    made.suptitle(report.device, fontsize=10)
    return made


def _bars(axes: Any, report: SpeedReport, name: str, ratio: float) -> None:
    for place, (side, colour) in enumerate((("stock_", "0.6"), ("", "C0"))):
        value: float = getattr(report, f"{side}{name}_ms")
        low, high = getattr(report, f"{side}{name}_ms_quartiles")
        axes.barh([place], [value], color=colour, height=0.6)
        axes.plot([low, high], [place, place], color="0.2", linewidth=2)
    axes.set_yticks([0, 1], ["stock SAM", "ours"])
    axes.set_xlabel(f"{name}, ms (line: quartiles), 1 : {ratio:.1f}")
    axes.set_xlim(left=0)
    _plain(axes)


def _stalls(report: SpeedReport) -> Figure:
    assert report.window is not None
    phases = report.window.phases
    made = figure(6.8, 1.4 + 0.35 * len(phases))
    axes = made.subplots()
    places = range(len(phases))
    axes.plot([phase.worst_ms for phase in phases], places, "o", color="C3", label="longest")
    axes.plot([phase.p99_ms for phase in phases], places, "o", color="C1", label="99 %")
    axes.plot([phase.p50_ms for phase in phases], places, "o", color="C0", label="median")
    for limit in (16, 50):
        axes.axvline(limit, color="0.6", linestyle="--", linewidth=1)
        axes.annotate(
            f"{limit} ms", (limit, -0.65), fontsize=7, color="0.4", ha="center", annotation_clip=False
        )
    axes.set_yticks(places, [phase.name for phase in phases])
    axes.set_ylim(len(phases) - 0.5, -0.6)
    axes.set_xscale("log")
    axes.set_xlabel("gap between two rounds of the event loop, ms")
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    _plain(axes)
    return made


def _growth(rows: list[GrowthRow], title: str) -> Figure:
    """Times above each other in one panel, memory in the other."""
    made = figure(8.4, 3.4)
    left, right = made.subplots(1, 2)
    for k, name in enumerate(dict.fromkeys(each.name for row in rows for each in row.times)):
        found = [(row.value, times) for row in rows if (times := row.time(name)) is not None]
        values = [value for value, _ in found]
        # Seconds throughout, so that one axis serves all.
        scale = 0.001 if name.endswith("_ms") else 1.0
        low, high = ([scale * times.quartiles[side] for _, times in found] for side in (0, 1))
        left.plot(
            values,
            [scale * times.median for _, times in found],
            "-o",
            color=f"C{k}",
            markersize=4,
            label=_NAMES.get(name, name),
        )
        left.fill_between(values, low, high, color=f"C{k}", alpha=0.2)
    left.set_yscale("log")
    left.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_formatter("")
    left.tick_params(axis="y", labelsize=8)
    low, high = left.get_ylim()
    left.set_ylim(low / 1.6, high * 1.6)
    left.set_ylabel("seconds (band: quartiles)")
    left.legend(fontsize=8, frameon=False)
    for peak, name, colour in (("peak_rss_mb", "memory", "C0"), ("peak_gpu_mb", "on the GPU", "C1")):
        known = [(row.value, getattr(row, peak)) for row in rows if getattr(row, peak) is not None]
        if known:
            right.plot(*zip(*known, strict=True), "-o", color=colour, markersize=4, label=name)
    right.set_ylabel("peak memory, MB")
    right.set_ylim(0, 1.15 * right.get_ylim()[1])
    if len(right.lines) > 1:
        right.legend(fontsize=8, frameon=False)
    ticks = [row.value for row in rows]
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks], fontsize=8)
        axes.set_xticks([], minor=True)
        axes.set_xlabel(title.split(",")[0].lower())
        _plain(axes)
    return made


def _plain(axes: Any) -> None:
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
