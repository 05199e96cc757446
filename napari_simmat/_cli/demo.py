"""The main job on a bundled sample without a window: click, correct, train, click better."""

from __future__ import annotations

import csv
import io
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from napari_simmat._cli.picture import Panel, sheet
from napari_simmat._cli.terminal import cancellable, progress
from napari_simmat.annotator import Annotator
from napari_simmat.atomic import write_atomically
from napari_simmat.errors import Cancelled, ExportError
from napari_simmat.images import MultiChannelImage, open_dataset, sample_path, screen_rgb
from napari_simmat.training import TrainingReport
from napari_simmat.training.clicks import first_click, next_click

_CLICKS = 4
_GOOD = 0.9
"""The demo plays a person who clicks so often or until the mask is this good, then takes the brush."""

Labels = NDArray[np.int32]
Mask = NDArray[np.bool_]
Scene = tuple[MultiChannelImage, Labels]


@dataclass(frozen=True, eq=False)
class Answered:
    """What one click on an object gave."""

    image: str
    label: int
    click: tuple[float, float]
    mask: Mask
    iou: float


def run_headless(out: Path, *, seed: int, steps: int) -> None:
    """Annotate two training scenes, train, annotate a third, and compare one-click masks on the test scenes.

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
    console = Console()
    scenes = [item.load() for item in open_dataset(sample_path("camouflage-train"), limit=3)]
    test = [item.load() for item in open_dataset(sample_path("camouflage-test"))]
    with cancellable() as cancel:
        annotator = Annotator()
        before = _one_click_each(annotator, test, cancel)
        console.print(f"Untrained: {_annotate_all(annotator, scenes[:2], cancel)}")
        trained = _train(annotator, seed=seed, steps=steps, cancel=cancel)
        if trained is not None:
            console.print(f"Trained {trained.steps} steps in {trained.seconds:.0f} s on {trained.device}.")
            console.print(trained.reason)
        console.print(f"Trained: {_annotate_all(annotator, scenes[2:], cancel)}")
        after = _one_click_each(annotator, test, cancel)

    annotator.save_adapter(out / "adapter.safetensors")
    write_atomically(out / "before_after.csv", _csv(before, after))
    write_atomically(out / "before_after.png", _picture(test, before, after))
    console.print(_table(before, after))
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


def _objects(truth: Labels) -> list[int]:
    return [int(n) for n in np.unique(truth) if n]


def _stop_if(cancel: threading.Event) -> None:
    if cancel.is_set():
        raise Cancelled


def _one_click_each(annotator: Annotator, scenes: list[Scene], cancel: threading.Event) -> list[Answered]:
    """What the first click on each object gives; nothing is accepted."""
    answered: list[Answered] = []
    total = sum(len(_objects(truth)) for _, truth in scenes)
    with progress("one click on each test object") as report:
        for image, truth in scenes:
            annotator.set_image(image)
            for label in _objects(truth):
                click = first_click(truth == label)
                annotator.click(*click)
                mask = _shown(annotator)
                answered.append(Answered(image.name, label, click, mask, _iou(mask, truth == label)))
                annotator.clear()
                report(len(answered), total, "")
                _stop_if(cancel)
    return answered


def _annotate_all(annotator: Annotator, scenes: list[Scene], cancel: threading.Event) -> str:
    """Accept every object of some scenes, and tell what it took."""
    clicks, brushed, done = 0, 0, 0
    total = sum(len(_objects(truth)) for _, truth in scenes)
    with progress("annotating") as report:
        for image, truth in scenes:
            annotator.set_image(image)
            for label in _objects(truth):
                used, took_brush = _annotate(annotator, truth == label)
                clicks, brushed, done = clicks + used, brushed + took_brush, done + 1
                report(done, total, f"{clicks} clicks")
                _stop_if(cancel)
    return f"{total} objects took {clicks} clicks, and {brushed} of them the brush."


def _train(annotator: Annotator, *, seed: int, steps: int, cancel: threading.Event) -> TrainingReport | None:
    with progress("training") as report:

        def on_step(step: int, total: int, loss: float) -> None:
            report(step, total, f"loss {loss:.3f}")
            if cancel.is_set():
                annotator.cancel_training()

        annotator.training_step.connect(on_step)
        return annotator.deep(seed=seed, steps=steps)


def _annotate(annotator: Annotator, wanted: Mask) -> tuple[int, bool]:
    """Make one object as a person would: clicks until it is good, else the brush. Clicks used, brush used."""
    annotator.click(*first_click(wanted))
    clicks = 1
    while clicks < _CLICKS and _iou(_shown(annotator), wanted) < _GOOD:
        correction = next_click(wanted, _shown(annotator))
        if correction is None:
            break
        annotator.click(*correction)
        clicks += 1
    label = annotator.accept()
    if label is None or annotator.book is None:
        raise RuntimeError("jobs run on the spot here, so the answer must be there")
    drawn = annotator.labels == label
    if _iou(drawn, wanted) >= _GOOD:
        return clicks, False
    annotator.book.target.data_setitem(np.nonzero(drawn & ~wanted), 0)
    annotator.book.target.data_setitem(np.nonzero(wanted), label)
    annotator.sync_labels()
    return clicks, True


def _shown(annotator: Annotator) -> Mask:
    if annotator.answer is None:
        raise RuntimeError("jobs run on the spot here, so the answer must be there")
    return annotator.answer.mask


def _iou(a: Mask, b: Mask) -> float:
    return float((a & b).sum() / (a | b).sum())


def _mean(answers: list[Answered]) -> float:
    return float(np.mean([answer.iou for answer in answers]))


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
            title = f"{caption} training, one click each: mean IoU {_mean(here):.2f} (SWIR, NIR, red)"
            masks, clicks = [answer.mask for answer in here], [answer.click for answer in here]
            row.append(Panel(title, false_colour, masks, truth, clicks))
        rows.append(row)
    return sheet(rows)


def _table(before: list[Answered], after: list[Answered]) -> Table:
    table = Table("test scene", "objects", "before", "after", title="mean IoU after one click")
    for name in dict.fromkeys(answer.image for answer in before):
        old = [answer for answer in before if answer.image == name]
        new = [answer for answer in after if answer.image == name]
        table.add_row(name, str(len(old)), f"{_mean(old):.3f}", f"{_mean(new):.3f}")
    table.add_section()
    table.add_row("all", str(len(before)), f"{_mean(before):.3f}", f"{_mean(after):.3f}")
    return table
