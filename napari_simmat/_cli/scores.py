"""Figures of an evaluation as people read them in a terminal."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Column, Table

NOC = {"noc80": "NoC@80", "noc85": "NoC@85", "noc90": "NoC@90"}


def show_scores(scores: dict[str, Any]) -> None:
    """Mean IoU after each click, and what sizes and classes of objects make of it."""
    console = Console(markup=False, highlight=False)
    jitter = f", clicks within {scores['jitter']:g} depths of the middle" if scores["jitter"] else ""
    console.print(
        f"{scores['objects']} objects in {scores['images']} images{jitter}, {scores['seconds']:.0f} s"
    )
    table = Table("clicks", "mean IoU", box=box.SIMPLE_HEAD)
    for count, value in enumerate(scores["miou"], start=1):
        table.add_row(str(count), f"{value:.3f}")
    console.print(table)
    interval = f", 95 % interval over images {_interval(scores)}" if scores["images"] > 1 else ""
    console.print(
        f"one click: {scores['miou'][0]:.3f}{interval}; "
        f"best of three candidates {scores['miou_best_of_candidates']:.3f}",
        soft_wrap=True,
    )
    reached = [f"{name} {scores[key]:.1f}" for key, name in NOC.items() if scores[key] is not None]
    if reached:
        console.print(f"mean number of clicks to an IoU, at most 20: {', '.join(reached)}", soft_wrap=True)
    console.print(_groups(scores))
    painted = scores.get("class_map")
    if painted:
        each = ", ".join(f"{name} {value:.3f}" for name, value in painted["iou"].items())
        console.print(f"painted classes: mean IoU {painted['miou']:.3f} ({each})", soft_wrap=True)


def _groups(scores: dict[str, Any]) -> Table:
    counted = [key for key in NOC if scores[key] is not None]
    last = [f"{scores['clicks']} clicks"] if scores["clicks"] > 1 else []
    table = Table("", "objects", "1 click", Column("95 % interval", no_wrap=True), *last, box=box.SIMPLE_HEAD)
    for key in counted:
        table.add_column(NOC[key])
    for group in (*scores["by_size"], *scores["by_class"]):
        row = [group["name"], str(group["objects"]), f"{group['miou'][0]:.3f}", _interval(group)]
        row += [f"{group['miou'][-1]:.3f}"] if last else []
        table.add_row(*row, *(f"{group[key]:.1f}" for key in counted))
    return table


def _interval(figures: dict[str, Any]) -> str:
    """The bootstrap interval; of a single image there is none."""
    low, high = figures["ci95"]
    return f"{low:.3f} to {high:.3f}" if figures["images"] > 1 else ""
