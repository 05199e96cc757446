"""Random gestures on the small scene, and everything that they may change."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from balls import BALLS, SHAPE, pixels

from napari_simmat import Adapter
from napari_simmat.images import as_image
from napari_simmat.inference import Prompt
from napari_simmat.inference.painting import ClassMap
from napari_simmat.inference.proposing import Proposal
from napari_simmat.models import load_base_model
from napari_simmat.models.experts import begin_experts

CLASSES = ("crop", "weed", "soil")
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
    "accept proposals",
    "reject proposal",
    "complete",
    "add class",
    "recolour class",
    "rename class",
    "accept painted",
)
ON_GROUPS = (*KINDS, "experts", "leave out", "leave out")
"""Those that can be done on `two_groups`."""


@lru_cache(maxsize=1)
def two_groups():
    """The small scene with two groups of channels."""
    return as_image(pixels(2), channel_axis=0, names=["red", "NIR"], name="two groups")


@lru_cache(maxsize=1)
def experts():
    """Experts for it, not trained."""
    image = two_groups()
    return begin_experts(Adapter.untrained(image), [image], load_base_model())


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
        repr(sorted(annotator.book.log.facts.items())),
        repr(annotator.classes),
        annotator.is_complete,
        repr(annotator.groups),
    )


def paint(annotator, rng):
    """What a brush leaves: a square of one label, maybe over others, maybe of background."""
    y, x, size = rng.integers(0, 110), rng.integers(0, 140), rng.integers(3, 25)
    value = int(rng.choice([0, *annotator.objects, 60 + rng.integers(0, 3)]))
    rows, columns = np.mgrid[y : min(y + size, 128), x : min(x + size, 160)]
    annotator.book.target.data_setitem((rows.ravel(), columns.ravel()), value)


def somewhere(rng):
    """A place on or near one of the balls, as a click."""
    row, column, radius = BALLS[int(rng.integers(1, 5))]
    y, x = np.clip(rng.normal((row, column), radius / 3), 1, 120)
    return Prompt().with_point(float(round(y)), float(round(x)))


def painted(rng):
    """A map of two classes in a few rectangles."""
    numbers = np.zeros(SHAPE, np.uint8)
    for _ in range(3):
        y, x = rng.integers(0, 100), rng.integers(0, 130)
        numbers[y : y + 20, x : x + 24] = rng.integers(1, 3)
    return ClassMap(numbers, CLASSES[:2], ("#2ecc71", "#e74c3c"))


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
    elif kind == "accept proposals":
        annotator.accept_prompts([somewhere(rng) for _ in range(3)], tidied=bool(rng.integers(0, 2)))
    elif kind == "reject proposal":
        prompt = somewhere(rng)
        annotator.reject_proposals([Proposal(prompt, 0.5, (slice(0, 1), slice(0, 1)), np.ones((1, 1), bool))])
    elif kind == "complete":
        annotator.set_complete(bool(rng.integers(0, 2)))
    elif kind == "add class":
        annotator.add_class(str(rng.choice(CLASSES)))
    elif kind == "recolour class" and annotator.class_names:
        annotator.recolour_class(str(rng.choice(annotator.class_names)), f"#{rng.integers(0, 2**24):06x}")
    elif kind == "rename class" and annotator.class_names:
        annotator.rename_class(str(rng.choice(annotator.class_names)), str(rng.choice(CLASSES)))
    elif kind == "accept painted":
        annotator.class_map = painted(rng)  # as if classes had been learnt and painted
        annotator.accept_painted()
    elif kind == "experts":
        annotator.use_adapter(experts(), "experts")
    elif kind == "leave out":
        annotator.leave_out([["red"], ["NIR"], []][int(rng.integers(0, 3))])
