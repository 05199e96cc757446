"""Annotators in processes that may be killed: forked from this one, so that each is there in a moment.

Reads one line for each from standard input: ``work FOLDER SEED COUNT`` or ``look FOLDER``, and answers with lines on
standard output: ``pid N`` first, then what happens, then ``end``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import gestures
import numpy as np
import tifffile
import torch
from balls import BALLS, pixels

from napari_simmat.annotator import Annotator
from napari_simmat.errors import SimmatError
from napari_simmat.images import as_image, open_image
from napari_simmat.journal import Journal
from napari_simmat.journal.checkup import check_project
from napari_simmat.models import load_base_model

IMAGE = "balls.tif"
OTHERS = (
    "name",
    "accept proposals",
    "reject proposal",
    "complete",
    "rename class",
    "accept painted",
)
"""Those that `gestures` does."""
GESTURES = (
    "click",
    "click",
    "click",
    "accept",
    "accept",
    "brush",
    "erase",
    "undo",
    "redo",
    "train",
    "export",
    "merge",
    *OTHERS,
)


def say(*words: object) -> None:
    """One line at once: whoever is killed says nothing later."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def open_annotator(folder: Path) -> Annotator:
    """An annotator of the image in a folder, with its project beside it."""
    path = folder / IMAGE
    if not path.exists():
        tifffile.imwrite(path, pixels(3), photometric="minisblack")
    return Annotator(open_image(path, channel_axis=0), journal=Journal())


def digest(annotator: Annotator) -> str:
    """Hash of everything that must not get lost."""
    version = annotator.versions.current
    parts = (
        annotator.labels.tobytes(),
        [note.state.key for note in annotator.objects.values()],
        annotator.prompt.to_dict(),
        None if version is None else version.adapter.fingerprint,
        sorted(annotator.book.log.facts.items()),
        annotator.classes,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def gesture(annotator: Annotator, kind: str, rng: np.random.Generator, folder: Path) -> None:
    """Do one thing, as far as it can be done now."""
    labels = list(annotator.objects)
    if kind == "click":
        row, column, radius = BALLS[int(rng.integers(1, 5))]
        y, x = np.clip(rng.normal((row, column), radius / 2), 1, 120)
        annotator.click(float(y), float(x), int(rng.integers(0, 2)) if not annotator.prompt.is_empty else 1)
    elif kind == "accept" and annotator.answer is not None:
        annotator.accept()
    elif kind == "brush":
        y, x, size = rng.integers(0, 110), rng.integers(0, 140), rng.integers(3, 15)
        value = int(rng.choice([0, *labels, 50 + rng.integers(0, 5)]))
        annotator.book.target.data[y : y + size, x : x + size] = value
        annotator.sync_labels()
    elif kind == "erase" and labels:
        annotator.erase(int(rng.choice(labels)))
    elif kind == "merge" and len(labels) > 1:
        annotator.merge([int(n) for n in rng.choice(labels, 2, replace=False)])
    elif kind == "undo":
        annotator.undo()
    elif kind == "redo":
        annotator.redo()
    elif kind == "train" and labels:
        annotator.quick(steps=2)
    elif kind == "export" and labels:
        annotator.export(folder / "labels.tif", "tiff")
    elif kind in OTHERS:
        gestures.gesture(annotator, kind, rng)


def work(folder: Path, seed: int, count: int) -> None:
    """Do so many random gestures, telling of each before and after."""
    rng = np.random.default_rng(seed)
    annotator = open_annotator(folder)
    say("open", digest(annotator), len(annotator.objects))
    for number in range(count):
        kind = str(rng.choice(GESTURES))
        say("begin", number, kind)
        with contextlib.suppress(SimmatError):  # a mask without a free pixel: what a user may meet, too
            gesture(annotator, kind, rng, folder)
        say("done", number, kind, digest(annotator))
    annotator.close()
    say("closed", digest(annotator))


def look(folder: Path) -> None:
    """Tell what there is, and what it would be with the last step undone or redone."""
    project = folder / f"{IMAGE}.simmat"
    problems = check_project(project).problems if (project / "journal.sqlite").exists() else []
    found = {"problems": problems}
    told: list[str] = []
    annotator = open_annotator(folder)
    annotator.problem.connect(told.append)
    found |= {
        "now": digest(annotator),
        "objects": len(annotator.objects),
        "read_only": bool(annotator.refusal),
    }
    annotator.close()
    for name in ("undo", "redo"):
        copy = folder.with_name(f"{folder.name}-{name}")
        shutil.copytree(folder, copy)
        other = open_annotator(copy)
        getattr(other, name)()
        found[name] = digest(other)
        other.close()
        shutil.rmtree(copy)
    found["told"] = told
    say("found", json.dumps(found))


def main() -> None:
    """Fork for each line of standard input."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    load_base_model()
    warm = Annotator(as_image(pixels(3), channel_axis=0))
    warm.click(30, 34)
    warm.accept()
    say("ready")
    for line in sys.stdin:
        words = line.split()
        child = os.fork()
        if child == 0:
            try:
                say("pid", os.getpid())
                if words[0] == "work":
                    work(Path(words[1]), int(words[2]), int(words[3]))
                else:
                    look(Path(words[1]))
            except BaseException as error:
                say("failed", f"{type(error).__name__}: {error}")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        say("end")


if __name__ == "__main__":
    main()
