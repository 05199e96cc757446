"""A real window at work, timed: opening, clicking, accepting, learning, and what the event loop has to bear meanwhile.

``python -m napari_simmat.plugin.responsiveness window RUNS OBJECTS`` prints `WindowFigures` as JSON, and with
``objects COUNT RUNS`` one row of how accepting grows with the objects in the layer. A fourth word after ``window`` is
the number of steps of both trainings, which then learn from one object: for trials. Journal and caches are its own; who
starts it sees to it that napari's settings are, too.
"""

from __future__ import annotations

import os
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from qtpy import QtCore

from napari_simmat.evaluation.protocol import objects
from napari_simmat.evaluation.speed import GrowthRow, WindowFigures
from napari_simmat.evaluation.speed.report import Times
from napari_simmat.evaluation.speed.scenes import enlarged, fresh
from napari_simmat.evaluation.speed.timing import median, own_peak_mb, quartiles
from napari_simmat.folders import HOME_VARIABLE
from napari_simmat.images import MultiChannelImage, open_dataset, sample_path
from napari_simmat.plugin.bench import Bench, ClickTimes
from napari_simmat.plugin.interpreter import keep_what_is_imported
from napari_simmat.training import first_click

OPENINGS = 5
LEARNT = 3
QUICK_STEPS, DEEP_STEPS = 10, 4
"""Enough for the event loop to show what it has to bear; how long learning takes is measured without a window."""

_LARGE_SIDE = 1024


def measure_window(
    runs: int,
    count: int,
    folder: Path,
    *,
    learnt: int = LEARNT,
    steps: tuple[int, int] = (QUICK_STEPS, DEEP_STEPS),
) -> WindowFigures:
    """Work in a window as a user does.

    Parameters
    ----------
    runs : int
        Clicks, and objects accepted.
    count : int
        Objects in the layer when accepting is timed.
    folder : Path
        For the journal.
    learnt : int
        Objects to learn from.
    steps : (int, int)
        Of quick and deep training.
    """
    image, instances = open_dataset(sample_path("camouflage-train"))[0].load()
    places = [first_click(mask) for _, mask in objects(instances)]
    bench = Bench(folder)
    opened = [bench.open(fresh(image, k), click=places[0]) for k in range(min(runs, OPENINGS))]
    for _ in range(min(runs, OPENINGS)):
        bench.encode()
    clicks = ClickTimes()
    for y, x in _somewhere(image.shape, runs + 1):
        bench.click(y, x, clicks)
        bench.controller.reject()
        bench.ticks.rest(50)
    for place in places[:learnt]:
        bench.click(*place)
        bench.accept()
        bench.ticks.rest(200)
    bench.train("quick", steps[0])
    bench.train("deep", steps[1])
    accepted = bench.time_accepting(count, runs, *_seedlings())
    size = bench.canvas.size()
    found = WindowFigures(
        phases=bench.ticks.phases(),
        click_painted_ms=clicks.painted[1:],  # the first one makes what later ones use
        click_in_layer_ms=clicks.in_layer[1:],
        first_click_ms=[first for first, _ in opened],
        open_to_mask_ms=[whole for _, whole in opened],
        accept_ms=accepted,
        accept_objects=count,
        canvas=(size.width(), size.height()),
        qt=str(QtCore.qVersion()),
        peak_rss_mb=own_peak_mb(),
    )
    bench.close()
    return found


def measure_accepting(count: int, runs: int, folder: Path) -> GrowthRow:
    """Accept one more object beside so many."""
    bench = Bench(folder)
    found = bench.time_accepting(count, runs, *_seedlings())
    row = GrowthRow(
        what="objects",
        value=count,
        times=[Times(name="accept_ms", median=median(found), quartiles=quartiles(found), runs=len(found))],
        peak_rss_mb=own_peak_mb(),
    )
    bench.close()
    return row


def _seedlings() -> tuple[MultiChannelImage, tuple[float, float]]:
    """An image whose objects an untrained model finds, and a place on its largest: a mask of an object's size."""
    image, instances = open_dataset(sample_path("seedlings-train"))[0].load()
    largest = max((mask for _, mask in objects(instances)), key=np.count_nonzero)
    y, x = first_click(largest)
    scale = _LARGE_SIDE / max(image.shape)
    return enlarged(image, _LARGE_SIDE), ((y + 0.5) * scale, (x + 0.5) * scale)


def _somewhere(shape: tuple[int, int], count: int) -> list[tuple[float, float]]:
    """Places well inside of an image, none twice."""
    rng = np.random.default_rng(0)
    return [(float(y), float(x)) for y, x in rng.uniform(0.1, 0.9, (count, 2)) * shape]


def main(what: str, first: str, second: str, steps: str | None = None) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="napari-simmat-speed-") as folder:
        os.environ[HOME_VARIABLE] = folder
        keep_what_is_imported()  # as the front doors do that open a window
        measured: WindowFigures | GrowthRow
        if what == "window":
            work = partial(measure_window, int(first), int(second), Path(folder) / "journal")
            measured = work() if steps is None else work(learnt=1, steps=(int(steps), int(steps)))
        else:
            measured = measure_accepting(int(first), int(second), Path(folder) / "journal")
        print(measured.model_dump_json(), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
