"""Hours of work in a real window, watched: `xvfb-run -a python tests/faults/soak.py --minutes 120`.

Objects of one image are clicked on and accepted at an even pace, some are painted over, undone or erased, and the model
learns in between; after the first training and every fifth one from there more like them are proposed: some are accepted,
rejected and named. Each minute the memory, the threads, the open files and how long clicks and accepts took are written
down; at the end the ten minutes after the first ten are compared with the last ten.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median

import numpy as np

PER_SIDE, STEP = 46, 43
WARM_MINUTES = 10.0
PROPOSE_EVERY = 5


def scene():
    """An image with two thousand discs, and the middle of each."""
    from napari_simmat.images import as_image

    rng = np.random.default_rng(0)
    side = PER_SIDE * STEP
    y, x = np.mgrid[:side, :side]
    planes = np.stack([90 + 20 * np.sin(y / 90 + c) + 10 * np.cos(x / 70 - c) for c in range(4)])
    by, bx = np.ogrid[:STEP, :STEP]
    places = []
    for row in range(PER_SIDE):
        for column in range(PER_SIDE):
            cy, cx = STEP // 2 + rng.integers(-4, 5, 2)
            disc = (by - cy) ** 2 + (bx - cx) ** 2 < rng.integers(10, 16) ** 2
            cell = (slice(row * STEP, (row + 1) * STEP), slice(column * STEP, (column + 1) * STEP))
            for c in range(4):
                planes[c][cell][disc] = 150 + 15 * ((row + column + c) % 4)
            places.append((float(row * STEP + cy), float(column * STEP + cx)))
    pixels = (planes + rng.normal(0, 3, planes.shape)).astype(np.float32)
    return as_image(pixels, channel_axis=0, name="soak"), places


def measured() -> dict[str, float]:
    """Memory, threads and open files of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "rss_mb": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "threads": threading.active_count(),
        "files": len(os.listdir("/proc/self/fd")),
    }


def take_proposals(bench) -> int:
    """Have objects proposed, accept two, reject one, name one, and drop the others; how many there were."""
    annotator = bench.annotator
    bench.controller.attempt(annotator.propose)
    bench.ticks.until(lambda: not annotator.is_busy, "proposals")
    found = list(annotator.proposals)
    if len(found) > 2:
        annotator.accept_proposals(found[:2])
        bench.ticks.until(lambda: not annotator.is_busy, "accepting proposals")
        annotator.reject_proposals(found[2:3])
        annotator.name_each({max(annotator.objects): "disc"})
    annotator.drop_proposals()
    return len(found)


def run(minutes: float, objects: int, trainings: int, out: Path) -> list[dict[str, float]]:
    """Work so long; a row for each minute."""
    from napari_simmat.plugin.bench import Bench, ClickTimes
    from napari_simmat.plugin.interpreter import keep_what_is_imported

    keep_what_is_imported()
    bench = Bench(Path(os.environ["NAPARI_SIMMAT_HOME"]) / "projects")
    bench.ticks.is_recording = False
    rng = np.random.default_rng(0)
    began, rows, done, trained, proposed, refused = time.monotonic(), [], 0, 0, 0, 0
    times, accepts, last = ClickTimes(), [], 0.0
    image, places = scene()
    bench.open(image)
    while done < min(objects, len(places)):
        bench.click(*places[done], times)
        answer = bench.annotator.answer  # a person takes the candidate that is the disc
        bench.annotator.choose_candidate(int(np.argmin([mask.sum() or mask.size for mask in answer.masks])))
        before, start = len(bench.annotator.objects), time.perf_counter()
        bench.controller.accept()
        accepts.append(1000 * (time.perf_counter() - start))
        if len(bench.annotator.objects) == before:  # the mask belongs to others, as it happens to people, too
            bench.controller.reject()
            refused += 1
        done += 1
        chance = rng.random()
        if chance < 0.05:
            bench.controller.undo()
        elif chance < 0.08:
            bench.controller.undo()
            bench.controller.redo()
        elif chance < 0.12:
            layer = bench.controller.stage.objects
            layer.data_setitem((np.arange(5, 15), np.arange(5, 15)), int(rng.integers(1, 9)))
        elif chance < 0.14 and bench.annotator.objects:
            bench.controller.erase(max(bench.annotator.objects))
        if done % max(1, objects // trainings) == 0 and bench.annotator.objects:
            bench.train("quick", 10)
            trained += 1
            if trained % PROPOSE_EVERY == 1:
                proposed += take_proposals(bench)
        passed = (time.monotonic() - began) / 60
        if passed - last >= 1 or done == objects:
            row = {
                "minute": passed,
                "objects": done,
                "trainings": trained,
                "proposed": proposed,
                "refused": refused,
                **measured(),
                "click_ms": median(times.painted) if times.painted else float("nan"),
                "accept_ms": median(accepts) if accepts else float("nan"),
            }
            rows.append(row)
            with out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(json.dumps(row), flush=True)
            times, accepts, last = ClickTimes(), [], passed
        due = minutes * 60 * done / objects - (time.monotonic() - began)
        bench.ticks.rest(int(max(10, 1000 * due)))
    bench.close()
    return rows


def told(rows: list[dict[str, float]]) -> str:
    """What became of it from the ten minutes after the first ten (of a short run: tenths of it) to the last ten.

    Memory goes up and down by tens of megabytes with every training, so the middle of ten minutes is taken.
    """
    end = rows[-1]["minute"]
    warm = min(WARM_MINUTES, end / 10)
    first = [row for row in rows if warm <= row["minute"] <= 2 * warm] or rows[:1]
    last = [row for row in rows if row["minute"] >= end - warm]

    def middle(part, name):
        return median(row[name] for row in part if row[name] == row[name])

    before, after = middle(first, "rss_mb"), middle(last, "rss_mb")
    most = max(row["rss_mb"] for row in rows)
    return (
        f"{end:.0f} minutes, {rows[-1]['objects']:.0f} objects, {rows[-1]['trainings']:.0f} trainings: memory "
        f"{before:.0f} MB in minutes {warm:.0f} to {2 * warm:.0f}, {after:.0f} MB in the last {warm:.0f} "
        f"(growth {after - before:+.0f} MB), never more than {most:.0f} MB; "
        f"threads {middle(first, 'threads'):.0f} to {middle(last, 'threads'):.0f}, "
        f"open files {middle(first, 'files'):.0f} to {middle(last, 'files'):.0f}; a click painted after "
        f"{middle(first, 'click_ms'):.0f} ms before, {middle(last, 'click_ms'):.0f} ms at the end; an object accepted in "
        f"{middle(first, 'accept_ms'):.1f} and {middle(last, 'accept_ms'):.1f} ms"
    )


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--objects", type=int, default=2000)
    parser.add_argument("--trainings", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("soak.jsonl"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="napari-simmat-soak-") as home:
        os.environ["NAPARI_SIMMAT_HOME"] = home
        print(told(run(options.minutes, options.objects, options.trainings, options.out)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
