"""How long it takes until everything is back: `python tests/faults/restore.py --objects 10000`.

Objects are noted one by one, each with its click, as long work with two gestures an object leaves them; then the image is
opened as a new session does, without the model.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

_SIDE, _STEP = 2048, 20


def fill(folder: Path, count: int):
    """A project with so many objects, each accepted after a click; its image."""
    from napari_simmat._annotator.found import open_book
    from napari_simmat.images import as_image
    from napari_simmat.inference import Prompt
    from napari_simmat.journal import Journal, Step, Was

    rng = np.random.default_rng(0)
    image = as_image(rng.random((2, _SIDE, _SIDE), np.float32), channel_axis=0, name="many")
    journal = Journal(folder)
    book = open_book(image, journal, on_problem=print).book
    y, x = np.ogrid[:_STEP, :_STEP]
    per_row = _SIDE // _STEP
    for number in range(count):
        top, left = (number // per_row) * _STEP, (number % per_row) * _STEP
        middle = (top + _STEP / 2, left + _STEP / 2)
        prompt = Prompt().with_point(*middle)
        book.log.add(Step("prompt", prompt=Was(None, prompt.to_dict())))
        disc = (y - _STEP / 2) ** 2 + (x - _STEP / 2) ** 2 < rng.integers(4, 10) ** 2
        mask = np.zeros(image.shape, bool)
        mask[top : top + _STEP, left : left + _STEP] = disc
        _note(book, mask, number + 1, prompt, (top, left), disc)
    book.close()
    journal.close()
    return image


def _note(book, mask, label, prompt, corner, disc) -> None:
    """Accept an object without looking for changes in the whole image each time."""
    from napari_simmat._annotator.notes import Note
    from napari_simmat._annotator.windows import window_of

    box = window_of(disc)
    window = tuple(slice(s.start + c, s.stop + c) for s, c in zip(box, corner, strict=True))
    book._change("accept", [(None, Note(label, "clicks", prompt, window, disc[box].copy(), "0" * 16))])


def main() -> int:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="napari-simmat-restore-") as home:
        os.environ["NAPARI_SIMMAT_HOME"] = home
        from napari_simmat._annotator.found import open_book
        from napari_simmat.journal import Journal
        from napari_simmat.plugin.interpreter import small_collections_only

        began = time.perf_counter()
        image = fill(Path(home) / "projects", options.objects)
        spent = time.perf_counter() - began
        image.identity  # noqa: B018 (hashed once, as whoever opens an image has done)
        gc.collect()
        gc.freeze()  # as a window does before it opens: what is imported is no garbage
        seconds = []
        for _ in range(options.runs):
            journal = Journal(Path(home) / "projects")
            began = time.perf_counter()
            with small_collections_only:  # as the window's jobs are done
                found = open_book(image, journal, on_problem=print)
            seconds.append(time.perf_counter() - began)
            assert len(found.book.notes) == options.objects, len(found.book.notes)
            steps = len(found.book.log.done)
            journal.close()
        size = sum(path.stat().st_size for path in Path(home).rglob("journal.sqlite")) / 2**20
    print(
        f"{options.objects} objects and {steps} steps to undo restored in {median(seconds):.2f} s "
        f"({min(seconds):.2f} to {max(seconds):.2f}); journal {size:.1f} MB; written at "
        f"{1000 * spent / options.objects / 2:.2f} ms a gesture"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
