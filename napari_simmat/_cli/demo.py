"""The demo without a window: a table on standard output, a picture and the numbers in files."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from rich.console import Console
from rich.table import Table

from napari_simmat._cli.picture import Panel, sheet
from napari_simmat._cli.terminal import cancellable, progress
from napari_simmat.annotator import Annotator
from napari_simmat.atomic import write_atomically
from napari_simmat.demo import Answered, Demo, Scene, mean_iou
from napari_simmat.errors import Cancelled, ExportError
from napari_simmat.images import screen_rgb


def run_headless(out: Path, *, seed: int, steps: int) -> None:
    """Play the demo, then write what came of it.

    Parameters
    ----------
    out : Path
        Folder for `before_after.png`, `before_after.csv` and `adapter.safetensors`; made if missing.
    seed, steps : int
        Of the training.

    Raises
    ------
    Cancelled
        On Ctrl+C; nothing was written then.
    """
    _make_folder(out)
    console = Console(highlight=False)
    annotator = Annotator()
    demo = Demo(annotator, show=annotator.set_image, say=console.print, seed=seed, steps=steps)
    with cancellable() as cancel, progress("demo") as report:

        def on_step(step: int, total: int, loss: float) -> None:
            report(step, total, f"training, loss {loss:.3f}")
            if cancel.is_set():
                annotator.cancel_training()

        annotator.training_step.connect(on_step)
        for done, doing in enumerate(demo.play(), start=1):
            report(done, None, doing)
            if cancel.is_set():
                raise Cancelled
    annotator.save_adapter(out / "adapter.safetensors")
    write_atomically(out / "before_after.csv", _csv(demo.before, demo.after))
    write_atomically(out / "before_after.png", _picture(demo.test, demo.before, demo.after))
    console.print(_table(demo.before, demo.after))
    console.print(
        f"Written to {out}: before_after.png, before_after.csv, adapter.safetensors", soft_wrap=True
    )


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(
            f"Could not make the folder {out} ({error.strerror}); choose another one."
        ) from error


def _csv(before: list[Answered], after: list[Answered]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "object", "iou_before", "iou_after"])
    for old, new in zip(before, after, strict=True):
        writer.writerow([old.image, old.label, f"{old.iou:.4f}", f"{new.iou:.4f}"])
    return text.getvalue().encode("utf-8")


def _picture(scenes: list[Scene], before: list[Answered], after: list[Answered]) -> bytes:
    rows = []
    for image, truth in scenes:
        colour = screen_rgb(image, (0, 1, 2))
        false_colour = screen_rgb(image, (4, 3, 0))
        row = [Panel(f"scene {image.name}: red, green, blue", colour)]
        for caption, answers in (("before", before), ("after", after)):
            here = [answer for answer in answers if answer.image == image.name]
            title = f"{caption} training, one click each: mean IoU {mean_iou(here):.2f} (SWIR, NIR, red)"
            masks, clicks = [answer.mask for answer in here], [answer.click for answer in here]
            row.append(Panel(title, false_colour, masks, truth, clicks))
        rows.append(row)
    return sheet(rows)


def _table(before: list[Answered], after: list[Answered]) -> Table:
    table = Table("test scene", "objects", "before", "after", title="mean IoU after one click")
    for name in dict.fromkeys(answer.image for answer in before):
        old = [answer for answer in before if answer.image == name]
        new = [answer for answer in after if answer.image == name]
        table.add_row(name, str(len(old)), f"{mean_iou(old):.3f}", f"{mean_iou(new):.3f}")
    table.add_section()
    table.add_row("all", str(len(before)), f"{mean_iou(before):.3f}", f"{mean_iou(after):.3f}")
    return table
