"""What happened: one step for each gesture, with what was before and what is after.

A step can be reversed by swapping the two, which is all that undo, redo and a restart need to know.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_simmat.journal.facts import reversed_facts
from napari_simmat.journal.runs import pack, unpack

Source = Literal["clicks", "brush", "dataset"]
SOURCES: tuple[Source, ...] = ("clicks", "brush", "dataset")

Kind = Literal[
    "prompt", "candidate", "reject", "accept", "edit", "erase", "merge", "name", "train", "adapter", "export",
    "import", "set aside", "refuse", "complete", "classes", "undo", "redo",
]  # fmt: skip
_TOLD = ("export", "undo", "redo")
UNDOABLE: frozenset[str] = frozenset(kind for kind in get_args(Kind) if kind not in _TOLD)

LARGEST_LABEL = 2**31 - 1

_CLASS = "class"
"""Where the clicks are written, beside them: journals of before have the same columns."""


@dataclass(frozen=True, eq=False)
class ObjectState:
    """An object as it was after a gesture.

    Attributes
    ----------
    label : int
    window : (int, int, int, int)
        First row and column of its bounding box, and those after the last.
    packed : bytes
        Its mask in there, as `pack` writes it.
    source : str
        How the mask came about: "clicks", "brush", "dataset".
    prompt : dict or None
        The clicks, as `Prompt.to_dict` writes them.
    adapter : str
        Fingerprint of the adapter that answered.
    class_name : str or None
        What people call it.
    """

    label: int
    window: tuple[int, int, int, int]
    packed: bytes
    source: Source
    prompt: Mapping[str, Any] | None = None
    adapter: str = ""
    class_name: str | None = None

    @classmethod
    def of(
        cls,
        label: int,
        window: tuple[slice, slice],
        crop: NDArray[np.bool_],
        *,
        source: Source,
        prompt: Mapping[str, Any] | None,
        adapter: str = "",
        class_name: str | None = None,
    ) -> ObjectState:
        """The state of an object with this mask."""
        rows, columns = window
        box = (int(rows.start), int(columns.start), int(rows.stop), int(columns.stop))
        return cls(label, box, pack(crop), source, prompt, adapter, class_name)

    @property
    def slices(self) -> tuple[slice, slice]:
        """The bounding box as an index."""
        y0, x0, y1, x1 = self.window
        return slice(y0, y1), slice(x0, x1)

    @property
    def crop(self) -> NDArray[np.bool_]:
        """The mask inside of the bounding box, unpacked anew each time.

        Raises
        ------
        ValueError
            It is damaged.
        """
        y0, x0, y1, x1 = self.window
        return unpack(self.packed, (y1 - y0, x1 - x0))

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """The mask (Y, X) in an image of this shape."""
        mask = np.zeros(shape, bool)
        mask[self.slices] = self.crop
        return mask

    @cached_property
    def key(self) -> str:
        """Hash of all of it: what it is stored under, and by which it is known to be whole."""
        return digest_of(self.to_row())

    def to_row(self) -> tuple[Any, ...]:
        """As one row of a table."""
        told = self.prompt
        if self.class_name is not None:
            told = {**(told or {}), _CLASS: self.class_name}
        prompt = None if told is None else json.dumps(told, sort_keys=True)
        return (self.label, *self.window, self.packed, self.source, prompt, self.adapter)

    @classmethod
    def from_row(cls, row: tuple[Any, ...]) -> ObjectState:
        """What `to_row` gave.

        Raises
        ------
        ValueError
            The row is damaged.
        """
        label, y0, x0, y1, x1, packed, source, prompt, adapter = row
        numbers = (label, y0, x0, y1, x1)
        if not (
            all(isinstance(n, int) for n in numbers)
            and 0 < label <= LARGEST_LABEL
            and 0 <= y0 < y1
            and 0 <= x0 < x1
        ):
            raise ValueError(f"an object with the numbers {numbers}")
        if source not in SOURCES or not isinstance(packed, bytes) or not isinstance(adapter, str):
            raise ValueError("an object that is not one")
        told = None if prompt is None else json.loads(prompt)
        name = told.pop(_CLASS, None) if isinstance(told, dict) else None
        if name is not None and not isinstance(name, str):
            raise ValueError("an object whose class is no name")
        state = cls(label, (y0, x0, y1, x1), packed, source, told or None, adapter, name)
        state.__dict__["key"] = digest_of(row)  # of the text as it is there, which need not be written again
        return state


@dataclass(frozen=True, eq=False)
class Change:
    """What a gesture made of an object: None where it was not there, or is not any more."""

    before: ObjectState | None
    after: ObjectState | None

    @property
    def label(self) -> int:
        """The object's number."""
        state = self.after or self.before
        if state is None:
            raise ValueError("a change of nothing")
        return state.label

    @property
    def reversed(self) -> Change:
        """The same backwards."""
        return Change(self.after, self.before)


@dataclass(frozen=True)
class Was:
    """A value before and after a gesture, as plain data.

    Of prompts what `Prompt.to_dict` gives, of adapters what `Version.to_dict` gives.
    """

    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None

    @property
    def reversed(self) -> Was:
        """The same backwards."""
        return Was(self.after, self.before)


@dataclass(frozen=True, eq=False)
class Step:
    """One gesture.

    Attributes
    ----------
    kind : str
        What was done; "undo" and "redo" are steps, too.
    what : str
        What was undone or redone; else as `kind`.
    changes : tuple of Change
        What it made of the objects.
    prompt : Was or None
        What it made of the clicks, if anything.
    version : Was or None
        What it made of the adapter in use, if anything.
    details : dict
        What else is needed to do it again, as plain data.
    time : float
        Seconds since 1970, of a clock that may have been set back.
    number : int
        Its place in the project, from 1; 0 if it was not written yet.
    """

    kind: Kind
    what: str = ""
    changes: tuple[Change, ...] = ()
    prompt: Was | None = None
    version: Was | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    time: float = 0.0
    number: int = 0

    def __post_init__(self) -> None:
        if not self.what:
            object.__setattr__(self, "what", self.kind)

    @property
    def is_undoable(self) -> bool:
        """Whether it has a place in the history; others are only told."""
        return self.kind in UNDOABLE and not self.details.get("by itself")

    def back(self, kind: Literal["undo", "redo"], prompt: Mapping[str, Any] | None) -> Step:
        """The step that takes this one back, while this is the prompt."""
        swapped = None if self.prompt is None else Was(prompt, self.prompt.before)
        return Step(
            kind,
            self.what,
            tuple(change.reversed for change in self.changes),
            swapped,
            None if self.version is None else self.version.reversed,
            {"of": self.number, **reversed_facts(self.details)},
        )

    def is_like(self, other: Step) -> bool:
        """Whether it is the same gesture: what it made of everything, and when."""
        return (self.kind, self.time, self._keys()) == (other.kind, other.time, other._keys())

    def _keys(self) -> list[str]:
        return [state.key for state in self.states()]

    def numbered(self, number: int, time: float) -> Step:
        """The same with its place and time."""
        return replace(self, number=number, time=time)

    def states(self) -> Iterable[ObjectState]:
        """All states that it speaks of."""
        for change in self.changes:
            yield from (state for state in (change.before, change.after) if state is not None)


def digest_of(values: Iterable[Any]) -> str:
    """Hash of a row of a table: 32 hexadecimal digits."""
    parts = [value if isinstance(value, bytes) else repr(value).encode() for value in values]
    lengths = ",".join(map(str, map(len, parts)))
    return hashlib.blake2b(b"".join((lengths.encode(), b":", *parts)), digest_size=16).hexdigest()


def fold(steps: Iterable[Step]) -> tuple[list[Step], list[Step]]:
    """The history that a sequence of steps makes: what can be undone, and what can be redone, newest last.

    Of an undone step the step that undid it is kept, and of one that was redone the step that did: reversing that
    brings back what really was there. What an undo passed over (journals from before the choice of a candidate was a
    gesture) is no part of the history.
    """
    done: list[Step] = []
    undone: list[Step] = []
    for step in steps:
        if step.details.get("all"):  # something before it is lost: what that was cannot be gone back to
            done.clear()
            undone.clear()
        if step.kind == "undo":
            _take(done, step)
            undone.append(step)
        elif step.kind == "redo":
            _take(undone, step)
            done.append(step)
        elif step.is_undoable:
            done.append(step)
            undone.clear()
    return done, undone


def _take(steps: list[Step], going: Step) -> None:
    """Take off the step that an undo or a redo is of, or if that is lost the last one."""
    of = going.details.get("of")
    place = next((k for k in reversed(range(len(steps))) if steps[k].number == of), len(steps) - 1)
    del steps[max(0, place) :]
