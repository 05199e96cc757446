"""What channels are worth, as people read it in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Column, Table

from napari_simmat.evaluation.attribution import Attribution, Effect, Sufficient

WIDTH = 16
"""Characters of the longest bar."""


def show_attribution(found: Attribution, *, trained: bool) -> None:
    """What leaving out each channel costs, with bars, and which channels suffice."""
    console = Console(markup=False, highlight=False)
    console.print(
        f"{found.objects} objects in {found.images} images, {found.seconds:.0f} s; one click: mean IoU "
        f"{found.miou:.3f} with all channels, {found.miou_of_none:.3f} with none",
        soft_wrap=True,
    )
    if not trained:
        console.print(
            "without --adapter: the untrained model, which sees a picture in pseudo-colours alone",
            soft_wrap=True,
        )
    longest = max(abs(effect.change) for effect in (*found.model_channels, *found.image_channels))
    console.print(_effects("model sees", found.model_channels, longest, console))
    if [e.channels for e in found.image_channels] != [e.channels for e in found.model_channels]:
        console.print(_effects("image channel", found.image_channels, longest, console))
    full, shaded = _marks(console)
    console.print(f"{full} masks get worse without it, {shaded} they get better", soft_wrap=True)
    if found.sufficient is not None:
        _show_sufficient(found.sufficient, found, console)


def _effects(title: str, effects: Sequence[Effect], longest: float, console: Console) -> Table:
    interval = any(effect.ci95 is not None for effect in effects)
    alone = any(effect.miou_alone is not None for effect in effects)
    table = Table(Column(title, no_wrap=True), "without", "change", box=box.SIMPLE_HEAD)
    if interval:
        table.add_column("95 % interval", no_wrap=True)
    table.add_column("", no_wrap=True)
    if alone:
        table.add_column("alone")
    for effect in effects:
        row = [effect.name, f"{effect.miou_without:.3f}", f"{effect.change:+.3f}"]
        if interval:
            row.append("" if effect.ci95 is None else "{:+.3f} to {:+.3f}".format(*effect.ci95))
        row.append(_bar(effect.change, longest, console))
        if alone:
            row.append("" if effect.miou_alone is None else f"{effect.miou_alone:.3f}")
        table.add_row(*row)
    return table


def _bar(change: float, longest: float, console: Console) -> str:
    full, shaded = _marks(console)
    return (full if change < 0 else shaded) * (round(WIDTH * abs(change) / longest) if longest else 0)


def _marks(console: Console) -> tuple[str, str]:
    """Signs for worse and better, where the terminal has only ASCII other ones."""
    return ("#", "+") if console.options.ascii_only else ("█", "░")


def _show_sufficient(sufficient: Sufficient, found: Attribution, console: Console) -> None:
    if not sufficient.steps:
        console.print(
            f"An empty image is as good within {sufficient.tolerance:g}: this model makes nothing of the channels.",
            soft_wrap=True,
        )
        return
    table = Table("", "channels that suffice", "mean IoU", box=box.SIMPLE_HEAD)
    for number, step in enumerate(sufficient.steps, start=1):
        table.add_row(str(number), ("+ " if number > 1 else "") + step.name, f"{step.miou:.3f}")
    console.print(table)
    count = sum(len(step.channels) for step in sufficient.steps)
    total = len({k for effect in found.model_channels for k in effect.channels})
    console.print(
        f"{count} of {total} channels come within {sufficient.tolerance:g} of all; they are made of "
        f"{', '.join(sufficient.image_channels)}",
        soft_wrap=True,
    )
