"""What is known of the objects of one image, always as the journal has it.

The one invariant: what is `known` is what the journal holds. Whoever changes labels without the annotator (napari's
brush, its undo, a script) makes the target differ from it; `sync` finds the difference and notes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat._annotator.log import Log
from napari_simmat._annotator.notes import Note
from napari_simmat._annotator.sheet import Pair, Sheet, check_holds
from napari_simmat._annotator.targets import LabelTarget
from napari_simmat._annotator.windows import Window, hull, window_of, windows_of
from napari_simmat.errors import ProjectError, SimmatError
from napari_simmat.images import MultiChannelImage
from napari_simmat.journal import Change, Former, ObjectState, Step, Story, Was
from napari_simmat.journal.facts import change_of
from napari_simmat.journal.steps import Kind

__all__ = ["Ledger"]

_REMEMBERED = 8
"""How many former masks of a label are kept, so that undo gives an object back with its clicks."""


class Ledger:
    """Labels of one image with the notes on each object.

    Parameters
    ----------
    image : MultiChannelImage
    story : Story
        What the journal knows of this image; those objects are there from the start.
    log : Log
        Where every change is written before it is made.
    on_problem : callable
        Is told in one sentence what could not be written.
    """

    def __init__(
        self, image: MultiChannelImage, story: Story, *, log: Log, on_problem: Callable[[str], None]
    ) -> None:
        self.image = image
        self.log = log
        self._sheet = Sheet(image.name, image.shape)
        self.notes: dict[int, Note] = {}
        self._is_in_order = True
        self.restored = 0
        self.former: Former | None = None
        """Work on what the image was before its file was changed."""
        self._former: dict[int, list[Note]] = {}
        self._on_problem = on_problem
        self._found = list(story.problems)
        self._highest = story.highest_label
        self._restore(story)
        self._sheet.let_go()  # shows what is known now
        self.restored = len(self.notes)

    @property
    def known(self) -> NDArray[np.int32]:
        """Labels (Y, X) as the journal knows them; not to be written to."""
        return self._sheet.known

    @property
    def target(self) -> LabelTarget:
        """Where they are shown."""
        return self._sheet.target

    def _restore(self, story: Story) -> None:
        height, width = self.known.shape
        for state in story.states:
            note = self._note_of(state)
            if note is None:
                continue
            if state.window[2] > height or state.window[3] > width or not note.crop.any():
                self._found.append(
                    f"Object {state.label} in the journal lies outside of the image and was left out."
                )
                continue
            self.known[note.window][note.crop] = note.label
            self._note(note)

    def _note_of(self, state: ObjectState) -> Note | None:
        try:
            return Note.from_state(state)
        except SimmatError as error:
            self._found.append(f"Object {state.label} came back without its clicks: {error}")
            return self._note_of(replace(state, prompt=None))
        except ValueError as error:
            self._found.append(f"Object {state.label} in the journal is damaged ({error}) and was left out.")
            return None

    @property
    def is_blank(self) -> bool:
        """Whether nothing was ever done here, so that nothing is lost with this book."""
        return not self.notes and not self._former and not self._highest and self.log.is_blank

    @property
    def states(self) -> tuple[ObjectState, ...]:
        """All objects as the journal keeps them, by label."""
        return tuple(note.state for note in self.in_order().values())

    def in_order(self) -> dict[int, Note]:
        """The notes by label, as whatever learns from them reads them; sorted only where labels did not come in order."""
        if not self._is_in_order:
            self.notes = dict(sorted(self.notes.items()))
            self._is_in_order = True
        return dict(self.notes)

    def tell_later(self, *sentences: str) -> None:
        """Add to what `problems_found` gives."""
        self._found += sentences

    def problems_found(self) -> list[str]:
        """What was wrong with the journal, once; books are made on any thread, so this does not signal it."""
        found, self._found = self._found, []
        return found

    def attach(self, target: LabelTarget) -> list[int]:
        """Write to another target from now on; objects that only it holds are taken over.

        Returns
        -------
        list of int
            The labels that were taken over.

        Raises
        ------
        SimmatError
            If the target's labels are not of the image's shape; nothing was changed.
        """
        data = self._sheet.look_at(target)
        self._make_way(data)
        self._sheet.show_in(target)
        return self.sync()[0]

    def let_go(self) -> None:
        """Write to a plain array from now on: layers that are not shown any more hold several copies of their labels."""
        self._sheet.let_go()

    def _make_way(self, data: NDArray[np.integer]) -> None:
        """Renumber our objects whose number belongs to an object elsewhere in the target: two must not become one."""
        for label in sorted(set(self.notes) & set(np.unique(data).tolist())):
            note = self.notes[label]
            own = note.crop & (self.known[note.window] == label)
            if not own.any() or (data[note.window][own] == label).any():
                continue
            number = self._next_label(data)
            check_holds(data.dtype, number)
            moved = replace(note, label=number, crop=own.copy())
            self.log.add(Step("edit", changes=(Change(note.state, None), Change(None, moved.state))))
            self.known[note.window][own] = number
            self._note(moved)
            self._forget(label)

    def write_all(self, *, bridges: int = 0) -> None:
        """Write all that is known, where the journal does not hold it; no gesture to be undone.

        Parameters
        ----------
        bridges : int
            How many damaged steps and states it makes up for.
        """
        changes = tuple(Change(None, state) for state in self.states)
        prompt, version = (Was(None, each) for each in (self.log.prompt, self.log.version))
        details = {"by itself": True, "all": True, "bridges": bridges, **change_of({}, self.log.facts)}
        self.log.add(Step("import", changes=changes, prompt=prompt, version=version, details=details))
        self._keep_snapshot(now=True)

    def take_back(self, step: Step) -> None:
        """Make the objects what an undoing or redoing step says, and write it before.

        Raises
        ------
        ProjectError
            It cannot be done, or another window works on this image; nothing was changed.
        """
        try:
            pairs = [
                (
                    None if change.before is None else self.notes.get(change.label),
                    None if change.after is None else Note.from_state(change.after),
                )
                for change in step.changes
            ]
        except ValueError as error:
            raise ProjectError(
                f"What was there before is damaged in the journal ({error}), so this cannot be taken back."
            ) from error
        self._check_pairs(pairs)
        self.log.add(step)
        self._apply(pairs)
        self._keep_snapshot()

    def sync(self) -> tuple[list[int], list[int]]:
        """Take over what others changed in the target.

        Returns
        -------
        (changed, erased) : lists of int
            Labels that are new or have another mask, and labels that are gone.
        """
        refusal = self._sheet.refusal(len(self.notes))
        if refusal:
            self._on_problem(refusal)
            return [], []
        different = self._sheet.differences()
        if not different.any():
            return [], []
        data = self._sheet.data
        region = window_of(different)
        part = different[region]
        touched = np.union1d(data[region][part], self.known[region][part])
        labels = [int(n) for n in touched if n > 0]
        area = hull([region, *(self.notes[n].window for n in labels if n in self.notes)])
        boxes = windows_of(data, area)
        pairs: list[Pair] = []
        for label in labels:
            new = None
            if label in boxes:
                window = boxes[label]
                crop = data[window] == label
                new = Note(label, window=window, crop=crop, **self._origin(label, window, crop))
            pairs.append((self.notes.get(label), new))
        try:
            self._log("edit", pairs)
        except ProjectError as error:
            self._on_problem(str(error))
            self._sheet.put_back(different)
            return [], []
        for label, (_, new) in zip(labels, pairs, strict=True):
            if new is None:
                self._forget(label)
            else:
                self._note(new)
        self._sheet.take_over(different)
        self._keep_snapshot()
        return (
            [label for label in labels if label in boxes],
            [label for label in labels if label not in boxes],
        )

    def _change(
        self,
        kind: Kind,
        pairs: Sequence[Pair],
        *,
        prompt: Was | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Write changes and make them."""
        self._check_pairs(pairs)
        self._log(kind, pairs, prompt=prompt, details=details)
        self._apply(pairs)
        self._keep_snapshot()

    def _check_pairs(self, pairs: Sequence[Pair]) -> None:
        """Refuse what the target cannot hold, before anything is written."""
        self._sheet.check_holds(new.label for _, new in pairs if new is not None)

    def _log(
        self,
        kind: Kind,
        pairs: Sequence[Pair],
        *,
        prompt: Was | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        states = [tuple(None if note is None else note.state for note in pair) for pair in pairs]
        changes = tuple(Change(*pair) for pair in states if pair != (None, None))
        self.log.add(Step(kind, changes=changes, prompt=prompt, details=details or {}))

    def _apply(self, pairs: Sequence[Pair]) -> None:
        """Take objects out and put others in, in the target and in what is known."""
        if any(note is not None for pair in pairs for note in pair):
            self._sheet.paint(pairs)
        for old, new in pairs:
            if new is not None:
                self._note(new)
            elif old is not None:
                self._forget(old.label)

    def _keep_snapshot(self, *, now: bool = False) -> None:
        self.log.snapshot(lambda: self.states, self._highest, now=now)

    def close(self) -> None:
        """Note what was not noted yet."""
        self.sync()
        self._keep_snapshot(now=True)

    def _origin(self, label: int, window: Window, crop: NDArray[np.bool_]) -> dict[str, Any]:
        """Where a mask found in the target comes from: undo brought an earlier one back, else a brush."""
        current = self.notes.get(label)
        for note in reversed(self._former.get(label, [])):
            if note.window == window and np.array_equal(note.crop, crop):
                name = (current or note).class_name
                return {
                    "source": note.source,
                    "prompt": note.prompt,
                    "adapter": note.adapter,
                    "class_name": name,
                }
        if current is None:
            return {"source": "brush", "prompt": None}
        return {"source": "brush", "prompt": current.prompt, "class_name": current.class_name}

    def _note(self, note: Note) -> None:
        if note.label in self.notes:
            self._remember(note.label)
        elif self.notes:
            self._is_in_order &= note.label > next(reversed(self.notes))
        self.notes[note.label] = note
        self._highest = max(self._highest, note.label)

    def _forget(self, label: int) -> None:
        if label in self.notes:
            self._remember(label)
            del self.notes[label]

    def _remember(self, label: int) -> None:
        former = self._former.setdefault(label, [])
        former.append(self.notes[label])
        del former[:-_REMEMBERED]

    def _next_label(self, data: NDArray[np.integer]) -> int:
        return max(self._highest, int(data.max(initial=0))) + 1
