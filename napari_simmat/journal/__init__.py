"""What must never be lost: every gesture, on disk before the window shows it as done."""

from __future__ import annotations

from napari_simmat.journal.journal import Journal, row_of
from napari_simmat.journal.project import Project
from napari_simmat.journal.snapshots import Snapshot
from napari_simmat.journal.steps import Change, ObjectState, Source, Step, Was
from napari_simmat.journal.store import ImageRow
from napari_simmat.journal.story import Former, Story

__all__ = [
    "Change",
    "Former",
    "ImageRow",
    "Journal",
    "ObjectState",
    "Project",
    "Snapshot",
    "Source",
    "Step",
    "Story",
    "Was",
    "row_of",
]
