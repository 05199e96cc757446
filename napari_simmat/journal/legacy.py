"""Diaries of the first release, one JSON line an object: read, and never written again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from napari_simmat.journal.steps import LARGEST_LABEL, SOURCES, ObjectState
from napari_simmat.journal.story import Story


def read_diary(path: Path) -> Story | None:
    """The objects of a diary, or None if there is none; lines that cannot be read are left out and reported."""
    try:
        lines = path.read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Story(problems=(f"The journal {path} cannot be read ({error.strerror}).",))
    last: dict[int, dict[str, Any]] = {}
    damaged = 0
    for line in filter(None, lines):
        try:
            entry = json.loads(line)
            if entry["event"] not in ("object", "erased") or not 0 < entry["label"] <= LARGEST_LABEL:
                raise ValueError(entry["event"])
            last[entry["label"]] = entry
        except (ValueError, KeyError, TypeError):
            damaged += 1
    states = []
    for label, entry in sorted(last.items()):
        try:
            if entry["event"] == "object":
                states.append(_state(label, entry))
        except (ValueError, KeyError, TypeError, IndexError):
            damaged += 1
    if not last and not damaged:
        return None
    count = "1 line" if damaged == 1 else f"{damaged} lines"
    problem = f"{count} of the journal {path.name} could not be read and was left out; all others are back."
    return Story(
        tuple(states), max(last, default=0), problems=(problem,) if damaged else (), is_foreign=bool(states)
    )


def _state(label: int, entry: dict[str, Any]) -> ObjectState:
    rle = entry["rle"]
    packed = {"size": [int(n) for n in rle["size"]], "counts": str(rle["counts"]).encode("ascii")}
    mask = np.asarray(coco.decode(packed)).astype(bool)
    rows, columns = np.nonzero(mask)
    window = (
        slice(int(rows.min()), int(rows.max()) + 1),
        slice(int(columns.min()), int(columns.max()) + 1),
    )
    source = entry.get("source", "clicks")
    return ObjectState.of(
        label,
        window,
        mask[window],
        source=source if source in SOURCES else "clicks",
        prompt=entry.get("prompt"),
        adapter=str(entry.get("adapter", "")),
    )
