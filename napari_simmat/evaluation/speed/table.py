"""The figures of a run for people: Markdown tables, beside what they ought to be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.speed.report import GrowthRow, Quartiles, SpeedReport, Times, WindowFigures

__all__ = ["TITLES", "table", "write_report"]

TITLES = {
    "size": "Image size, pixels on a side",
    "channels": "Channels, image of 1,024 x 1,024 pixels",
    "objects": "Objects in the layer",
    "corrections": "Corrections learnt from",
    "deep": "Deep training from button to adapter, corrections",
}

_MEANT = {
    "encode_ms": "encoded",
    "open_ms": "opened",
    "click_ms": "first mask",
    "accept_ms": "one more accepted",
    "quick_s": "quick, 10 steps and gate",
    "quick_s_per_step": "quick step",
    "deep_s": "whole deep training",
    "deep_s_per_step": "deep step",
}


def table(report: SpeedReport) -> str:
    """All figures: median (first to third quartile)."""
    versions = ", ".join(f"{name} {number}" for name, number in report.software.items())
    lines = [
        f"{report.model} on {report.device}; {report.processor}; {versions}.",
        f"Medians (first to third quartile) of {report.runs} encodings and {report.clicks} clicks of each side, "
        f"in turns; {len(report.images)} images, {report.objects} objects; trainings {report.finetune_runs} times on "
        f"{report.finetune_objects} objects. Stock is segment-anything's SamPredictor with the same weights in float32.",
        "",
        *_beside_stock(report),
        "",
        *_masks(report),
        "",
        *_rest(report),
    ]
    if report.window is not None:
        lines += ["", *_phases(report.window)]
    if len(report.encode_by_image) > 1:
        lines += ["", *_by_image(report)]
    for what, title in TITLES.items():
        if rows := [row for row in report.growth if row.what == what]:
            lines += ["", *_growth(title, rows)]
    return "\n".join(lines) + "\n"


def write_report(report: SpeedReport, out: Path) -> None:
    """Write `speed.json` and `speed.md`.

    Raises
    ------
    SimmatError
        They cannot be written.
    """
    write_atomically(out / "speed.json", report.model_dump_json(indent=1).encode(), error=SimmatError)
    write_atomically(out / "speed.md", table(report).encode(), error=SimmatError)


def _beside_stock(report: SpeedReport) -> list[str]:
    if report.device.startswith("CPU"):
        wanted = ("1 : 3", "1 : 4") if report.bfloat16 else ("1 : 1.6", "1 : 2.2")
        click_wanted = ("1 : 2.5", "1 : 4")
    elif _is_apple(report):
        wanted = click_wanted = ("", "")
    else:
        wanted, click_wanted = ("15 ms", "5 ms"), ("8 ms", "4 ms")
    rows = [
        [
            "encode at the model's size, ms",
            _cell(report.encode_ms, report.encode_ms_quartiles),
            _cell(report.stock_encode_ms, report.stock_encode_ms_quartiles),
            f"1 : {report.encode_ratio:.2f}",
            *wanted,
        ],
        [
            "click to three masks, ms",
            _cell(report.click_ms, report.click_ms_quartiles),
            _cell(report.stock_click_ms, report.stock_click_ms_quartiles),
            f"1 : {report.click_ratio:.2f}",
            *click_wanted,
        ],
    ]
    return _markdown(["", "ours", "stock", "ours : stock", "must", "aim"], rows)


def _masks(report: SpeedReport) -> list[str]:
    apart = f"{report.miou - report.stock_miou:+.4f}"
    rows = [
        ["IoU with stock's mask, mean", f"{report.mask_iou_vs_stock:.4f}", "", "at least 0.98"],
        ["the same, median", f"{report.mask_iou_vs_stock_median:.4f}", "", ""],
        ["the same, worst object", f"{report.mask_iou_vs_stock_worst:.4f}", "", ""],
        [
            "IoU with the object, mean",
            f"{report.miou:.4f}",
            f"{report.stock_miou:.4f}",
            f"within 0.005 ({apart})",
        ],
        ["the same with all channels, untrained", f"{report.miou_channels:.4f}", "", ""],
    ]
    return _markdown(["one click, the same pictures", "ours", "stock", "must"], rows)


def _rest(report: SpeedReport) -> list[str]:
    rows = [
        [
            f"quick training, {report.finetune_quick_steps} steps, gate included, s",
            _cell(report.finetune_quick_s, report.finetune_quick_s_quartiles),
            "5",
            "2",
        ],
        [
            "deep training, one step, s",
            _cell(report.finetune_deep_s_per_step, report.finetune_deep_s_per_step_quartiles),
            *(("", "") if report.device.startswith("CPU") or _is_apple(report) else ("0.040", "0.015")),
        ],
    ]
    for row in report.growth:
        if row.what == "deep" and (whole := row.time("deep_s")) is not None:
            rows.append([f"deep training of {row.value} corrections, s", _cell(whole.median), "60", "25"])
            rows.append(["its peak memory, GB", _cell((row.peak_rss_mb or 0) / 1024), "3", "2"])
    window = report.window
    if window is not None:
        rows += [
            _timed(
                "click to mask painted, ms",
                report.click_painted_ms,
                report.click_painted_ms_quartiles,
                100,
                50,
            ),
            _timed(
                "first click on a new image, ms",
                report.first_click_ms,
                report.first_click_ms_quartiles,
                250,
                120,
            ),
            _timed(
                f"accept beside {window.accept_objects:,} objects, ms",
                report.accept_ms,
                report.accept_ms_quartiles,
                50,
                10,
            ),
            _timed("longest stall of the event loop, ms", window.worst_stall_ms, None, 50, 16),
        ]
    rows.append(["peak memory of this benchmark, ours and stock, MB", _cell(report.peak_rss_mb), "", ""])
    if report.peak_gpu_mb is not None:
        rows.append(["peak memory on the GPU, ours and stock, MB", _cell(report.peak_gpu_mb), "", ""])
    return _markdown(["", "ours", "must", "aim"], rows)


def _is_apple(report: SpeedReport) -> bool:
    return report.device.startswith("Apple")


def _phases(window: WindowFigures) -> list[str]:
    width, height = window.canvas
    rows = [
        [
            phase.name,
            f"{phase.seconds:.1f}",
            _cell(phase.p50_ms),
            _cell(phase.p99_ms),
            _cell(phase.worst_ms),
            f"{phase.over_16_ms}",
            f"{phase.over_50_ms}",
        ]
        for phase in window.phases
    ]
    head = ["event loop while", "s", "median gap, ms", "99 %", "longest", "over 16 ms", "over 50 ms"]
    return [*_markdown(head, rows), "", f"Canvas of {width} x {height} pixels, Qt {window.qt}."]


def _by_image(report: SpeedReport) -> list[str]:
    rows = [
        [
            each.name,
            f"{each.channels}",
            _cell(each.encode_ms),
            _cell(each.stock_encode_ms),
            f"1 : {each.stock_encode_ms / each.encode_ms:.2f}",
        ]
        for each in report.encode_by_image
    ]
    return _markdown(["image", "channels", "encode, ms", "stock, ms", "ours : stock"], rows)


def _growth(title: str, rows: Sequence[GrowthRow]) -> list[str]:
    names = list(dict.fromkeys(each.name for row in rows for each in row.times))
    heads = [f"{_MEANT.get(name, name)}, {'ms' if name.endswith('_ms') else 's'}" for name in names]
    has_gpu = any(row.peak_gpu_mb is not None for row in rows)
    cells = []
    for row in rows:
        memory = ["" if row.peak_rss_mb is None else _cell(row.peak_rss_mb)]
        memory += ["" if row.peak_gpu_mb is None else _cell(row.peak_gpu_mb)] if has_gpu else []
        cells.append([f"{row.value:,}", *(_of(row.time(name)) for name in names), *memory, row.remark])
    head = [title, *heads, "peak memory, MB", *(["on the GPU, MB"] if has_gpu else []), ""]
    return _markdown(head, cells)


def _of(times: Times | None) -> str:
    if times is None:
        return ""
    return _cell(times.median, times.quartiles if times.runs > 1 else None)


def _timed(name: str, value: float | None, around: Quartiles | None, must: int, aim: int) -> list[str]:
    return [name, "" if value is None else _cell(value, around), f"{must}", f"{aim}"]


def _cell(value: float, around: Quartiles | None = None) -> str:
    return _number(value) + (f" ({_number(around[0])} to {_number(around[1])})" if around is not None else "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "| " + " | ".join(["---"] * len(head)) + " |"]
    return lines + ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
