"""What is known of an accepted object, and the same as the journal keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from napari_simmat._annotator.windows import Window
from napari_simmat.errors import PromptError
from napari_simmat.inference import Prompt
from napari_simmat.journal import ObjectState, Source

MOST_LETTERS = 80
"""Of the name of a class."""


@dataclass(frozen=True, eq=False)
class Note:
    """How an object came about, with its mask inside its bounding box."""

    label: int
    source: Source
    prompt: Prompt | None
    window: Window
    crop: NDArray[np.bool_]
    adapter: str = ""
    class_name: str | None = None

    @property
    def area(self) -> int:
        """Size of the object in pixels."""
        return int(np.count_nonzero(self.crop))

    @cached_property
    def state(self) -> ObjectState:
        """As the journal keeps it."""
        prompt = None if self.prompt is None else self.prompt.to_dict()
        return ObjectState.of(
            self.label,
            self.window,
            self.crop,
            source=self.source,
            prompt=prompt,
            adapter=self.adapter,
            class_name=self.class_name,
        )

    @classmethod
    def from_state(cls, state: ObjectState) -> Note:
        """What the journal kept.

        Raises
        ------
        ValueError, PromptError
            The mask or the clicks are damaged.
        """
        prompt = None if state.prompt is None else Prompt.from_dict(state.prompt)
        note = cls(
            state.label, state.source, prompt, state.slices, state.crop, state.adapter, state.class_name
        )
        note.__dict__["state"] = state  # need not be packed again
        return note


def class_of(name: str | None) -> str | None:
    """A class as people type it: without blanks around it, and None where nothing is left.

    Raises
    ------
    PromptError
        It is too long, or has a line break in it.
    """
    text = "" if name is None else name.strip()
    if len(text) > MOST_LETTERS or not text.isprintable():
        raise PromptError(
            f"Got the class name {text[:20]!r}... of {len(text)} letters, expected one line of at most {MOST_LETTERS}."
        )
    return text or None
