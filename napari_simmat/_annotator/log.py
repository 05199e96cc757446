"""What was done to one image, in order: what can be undone, and what of it is on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from napari_simmat.journal import ImageRow, ObjectState, Project, Snapshot, Step, Story
from napari_simmat.journal.facts import Facts, with_facts
from napari_simmat.journal.project import SNAPSHOT_EVERY

DEEPEST = 1000
"""So many gestures can be undone; the journal remembers all."""


class Log:
    """The history of one image.

    Parameters
    ----------
    image : ImageRow
    story : Story
        How it began.
    project : Project, optional
        Where steps are written; without one they are only remembered.
    """

    def __init__(self, image: ImageRow, story: Story, project: Project | None) -> None:
        self.image = image
        self.project = project
        self.done: list[Step] = list(story.done)[-DEEPEST:]
        self.undone: list[Step] = list(story.undone)[-DEEPEST:]
        self.prompt: Mapping[str, Any] | None = story.prompt
        self.version: Mapping[str, Any] | None = story.version
        self.facts: Facts = story.facts
        """What is known of the image beside objects, clicks and adapter."""
        self.number = story.number
        """Of the last step, in the project."""
        self._changed = 0

    @property
    def is_blank(self) -> bool:
        """Whether nothing was ever done."""
        return not self.done and not self.undone and not self.number

    @property
    def refusal(self) -> str:
        """Why nothing may be done here, in one sentence; "" if it may."""
        return "" if self.project is None else self.project.refusal

    def is_as_left(self) -> bool:
        """Whether nobody else has worked on this since it was put away; for any thread."""
        return self.project is None or self.project.is_as_left()

    def add(self, step: Step) -> Step:
        """Write what is to be done now; when this returns it may be shown as done.

        Raises
        ------
        ProjectError
            Another window works on this project: it must not be done.
        """
        if self.project is not None:
            step = self.project.commit(self.image, step)
        else:
            step = step.numbered(self.number + 1, time.time())
        self.number = step.number
        if step.details.get("all"):
            self.done.clear()
            self.undone.clear()
        if step.kind == "undo":
            self.done.pop()
            self.undone.append(step)
        elif step.kind == "redo":
            self.undone.pop()
            self.done.append(step)
        elif step.is_undoable:
            self.done.append(step)
            self.undone.clear()
            del self.done[:-DEEPEST]
        self.prompt = step.prompt.after if step.prompt is not None else self.prompt
        self.version = step.version.after if step.version is not None else self.version
        self.facts = with_facts(self.facts, step)
        self._changed += bool(step.changes)
        return step

    def next_back(self, kind: Literal["undo", "redo"]) -> Step | None:
        """The step that takes the last one back, or brings the last undone one back; None if there is none."""
        steps = self.done if kind == "undo" else self.undone
        return steps[-1].back(kind, self.prompt) if steps else None

    def snapshot(self, states: Callable[[], tuple[ObjectState, ...]], highest: int, *, now: bool) -> None:
        """Have all objects written to a snapshot, if enough has changed or it is to be now and anything has."""
        if self.project is None or not self._changed or not (now or self._changed >= SNAPSHOT_EVERY):
            return
        self._changed = 0
        self.project.snapshot(
            Snapshot(
                self.image.identity, self.number, states(), highest, self.prompt, self.version, time.time()
            )
        )
