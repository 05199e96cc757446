"""Random gestures on the small scene, and everything that they may change."""

from __future__ import annotations

import numpy as np
from balls import BALLS

KINDS = (
    "click",
    "box",
    "candidate",
    "accept",
    "reject",
    "brush",
    "erase",
    "merge",
    "name",
    "set aside",
    "train",
    "version",
)


def state(annotator):
    """All that undo has to bring back."""
    version = annotator.versions.current
    return (
        annotator.labels.tobytes(),
        tuple(note.state.key for note in annotator.objects.values()),
        repr(annotator.prompt.to_dict()),
        None if annotator.answer is None else annotator.answer.mask.tobytes(),
        None if version is None else version.adapter.fingerprint,
        np.asarray(annotator.book.target.data).astype(np.int32).tobytes(),
    )


def paint(annotator, rng):
    """What a brush leaves: a square of one label, maybe over others, maybe of background."""
    y, x, size = rng.integers(0, 110), rng.integers(0, 140), rng.integers(3, 25)
    value = int(rng.choice([0, *annotator.objects, 60 + rng.integers(0, 3)]))
    rows, columns = np.mgrid[y : min(y + size, 128), x : min(x + size, 160)]
    annotator.book.target.data_setitem((rows.ravel(), columns.ravel()), value)


def gesture(annotator, kind, rng, steps=1):
    """Do it, as far as it can be done; what a user is told in a sentence is raised."""
    labels = list(annotator.objects)
    row, column, radius = BALLS[int(rng.integers(1, 5))]
    if kind == "click":
        y, x = np.clip(rng.normal((row, column), radius / 3), 1, 120)
        annotator.click(float(y), float(x), int(rng.integers(0, 3) > 0))
    elif kind == "box":
        annotator.set_box(row - radius, column - radius, row + radius, column + radius)
    elif kind == "candidate":
        annotator.cycle_candidate()
    elif kind == "accept":
        annotator.accept(int(rng.choice(labels)) if labels and rng.random() < 0.2 else None)
    elif kind == "reject":
        annotator.clear()
    elif kind == "brush":
        paint(annotator, rng)
        annotator.sync_labels()
    elif kind == "erase" and labels:
        annotator.erase(int(rng.choice(labels)))
    elif kind == "merge" and len(labels) > 1:
        annotator.merge([int(n) for n in rng.choice(labels, 2, replace=False)])
    elif kind == "name" and labels:
        annotator.name_objects([int(rng.choice(labels))], str(rng.choice(["crop", "weed", ""])))
    elif kind == "set aside" and rng.random() < 0.3:
        annotator.start_empty()
    elif kind == "train" and labels:
        annotator.quick(steps=steps)
    elif kind == "version":
        annotator.use_version(annotator.versions.all[int(rng.integers(0, len(annotator.versions.all)))])
