"""The objects of one image: what was accepted, how it came about, and what a brush changed since.

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
from napari_simmat._annotator.sheet import Pair, Sheet, check_holds, check_range
from napari_simmat._annotator.targets import LabelTarget
from napari_simmat._annotator.windows import Window, hull, moved, window_of, windows_of
from napari_simmat.errors import ProjectError, PromptError, SimmatError
from napari_simmat.images import MultiChannelImage
from napari_simmat.inference import Prompt
from napari_simmat.journal import Change, Former, ObjectState, Step, Story, Was
from napari_simmat.journal.facts import change_of
from napari_simmat.journal.steps import Kind
from napari_simmat.training import Correction

_REMEMBERED = 8
"""How many former masks of a label are kept, so that undo gives an object back with its clicks."""


class ObjectBook:
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
        """The notes by label; they are asked for many times a gesture, so they are sorted only where it is needed."""
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

    def accept(
        self,
        mask: NDArray[np.bool_],
        *,
        label: int | None,
        prompt: Prompt,
        adapter: str,
        before: Mapping[str, Any] | None = None,
    ) -> int:
        """Write an object and note it; pixels of other objects stay theirs.

        Parameters
        ----------
        mask : (Y, X) bool
        label : int or None
            The object that gets the mask; a new one by default.
        prompt : Prompt
            The clicks that made it.
        adapter : str
            Fingerprint of the adapter that answered.
        before : dict, optional
            The prompt at hand, which is no more when the object is there.

        Returns
        -------
        int
            Its label: the given one, or a number that was never used in this image.

        Raises
        ------
        PromptError
            If no pixel is left for the object.
        ProjectError
            If another window works on this image.
        """
        self.sync()
        number = self._next_label(self._sheet.data) if label is None else label
        if number < 1:
            raise PromptError(f"Got the label {number}, expected 1 or more: 0 is background.")
        check_range(number)
        self._sheet.check_holds([number])
        if not mask.any():
            raise PromptError(
                "The mask is empty, so there is nothing to accept; click on the object once more."
            )
        old = self.notes.get(number)
        claim = self._sheet.claim(mask, number, old)
        name = None if old is None else old.class_name
        note = Note(number, "clicks", prompt, claim.window, claim.crop, adapter, name)
        self._log(
            "accept",
            [(old, note)],
            prompt=None if before is None else Was(before, None),
            details={"label": label},
        )
        self._sheet.write(claim, number)
        self._note(note)
        self._keep_snapshot()
        return number

    def accept_many(
        self,
        found: Sequence[tuple[Window, NDArray[np.bool_], Prompt]],
        *,
        adapter: str,
        details: Mapping[str, Any],
    ) -> list[int]:
        """Make an object of each mask, as one gesture; those that lie mostly on other objects are left out.

        Parameters
        ----------
        found : sequence of (window, crop, prompt)
            Each mask in its bounding box, and the clicks that made it; earlier ones keep their pixels.
        adapter : str
            Fingerprint of the adapter that answered.
        details : dict
            What the journal notes beside.

        Returns
        -------
        list of int
            Their labels.

        Raises
        ------
        ProjectError
            If another window works on this image.
        """
        self.sync()
        taken = self._sheet.data != 0
        number = self._next_label(self._sheet.data)
        pairs: list[Pair] = []
        for window, crop, prompt in found:
            free = crop & ~taken[window]
            if np.count_nonzero(free) * 2 <= np.count_nonzero(crop):
                continue
            taken[window] |= free
            box = window_of(free)
            note = Note(number + len(pairs), "clicks", prompt, moved(box, window), free[box].copy(), adapter)
            pairs.append((None, note))
        if pairs:
            self._change("accept", pairs, details=details)
        return [new.label for _, new in pairs if new is not None]

    def erase(self, label: int) -> None:
        """Take an object out again.

        Raises
        ------
        PromptError
            If there is no such object.
        ProjectError
            If another window works on this image.
        """
        self.sync()
        if label not in self.notes:
            raise PromptError(f"There is no object {label} in {self.image.name!r}; nothing was erased.")
        self._change("erase", [(self.notes[label], None)])

    def merge(self, labels: Sequence[int]) -> int:
        """Make one object of several; it keeps the number and the clicks of the first.

        Returns
        -------
        int
            Its label.

        Raises
        ------
        PromptError
            If there are not two of them, or one is not there.
        ProjectError
            If another window works on this image.
        """
        self.sync()
        wanted = list(dict.fromkeys(labels))
        missing = [label for label in wanted if label not in self.notes]
        if missing or len(wanted) < 2:
            found = f"no object {missing[0]}" if missing else f"{len(wanted)} to merge"
            raise PromptError(f"There is {found} in {self.image.name!r}; choose two or more objects.")
        notes = [self.notes[label] for label in wanted]
        window = hull([note.window for note in notes])
        crop = np.isin(self.known[window], wanted)
        merged = replace(notes[0], source="brush", window=window, crop=crop)
        self._change("merge", [(notes[0], merged), *((note, None) for note in notes[1:])])
        return wanted[0]

    @property
    def next_label(self) -> int:
        """A number that no object of this image ever had."""
        return self._next_label(self._sheet.data)

    def name(
        self,
        names: Mapping[int, str | None],
        *,
        by_itself: bool = False,
        kind: Kind = "name",
        details: Mapping[str, Any] | None = None,
    ) -> bool:
        """Say what objects are, all in one gesture; False if they were called so already.

        Parameters
        ----------
        names : mapping of int to str or None
            The class of each object; None takes it away.
        by_itself : bool
            It is no gesture, so undo passes it over.
        kind, details
            Of the step, where the gesture changes the table of classes, too.

        Raises
        ------
        PromptError
            If there is no such object.
        ProjectError
            If another window works on this image.
        """
        self.sync()
        missing = [label for label in names if label not in self.notes]
        if missing:
            raise PromptError(f"There is no object {missing[0]} in {self.image.name!r}; nothing was named.")
        pairs: list[Pair] = [
            (note, replace(note, class_name=name))
            for note, name in ((self.notes[label], name) for label, name in names.items())
            if note.class_name != name
        ]
        if not pairs and not details:
            return False
        self._log(kind, pairs, details={**(details or {}), **({"by itself": True} if by_itself else {})})
        for _, new in pairs:
            if new is not None:
                self._note(new)
        self._keep_snapshot()
        return True

    def set_aside(self) -> None:
        """Take all objects and the clicks on the next one out; undo brings them back."""
        self.sync()
        prompt = None if self.log.prompt is None else Was(self.log.prompt, None)
        gone = change_of(self.log.facts, dict.fromkeys(self.log.facts))
        if self.notes or prompt is not None or gone:
            self._change(
                "set aside", [(note, None) for note in self.notes.values()], prompt=prompt, details=gone
            )

    def bring(self, states: Sequence[ObjectState]) -> int:
        """Take objects over that were kept elsewhere; numbers that are taken become new ones.

        Returns
        -------
        int
            How many came.
        """
        self.sync()
        pairs: list[Pair] = []
        taken = self.known != 0
        highest = max(self._highest, *(state.label for state in states)) if states else 0
        for state in states:
            try:
                note = Note.from_state(state)
            except (ValueError, SimmatError):
                continue
            if state.window[2] > taken.shape[0] or state.window[3] > taken.shape[1]:
                continue
            crop = note.crop & ~taken[note.window]
            if not crop.any():
                continue
            number = state.label
            if number in self.notes:
                highest += 1
                number = highest
            taken[note.window] |= crop
            pairs.append((None, replace(note, label=number, crop=crop)))
        if pairs:
            self._change("import", pairs)
        return len(pairs)

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

    def corrections(self) -> list[Correction]:
        """Every object as a correction to learn from."""
        return [
            Correction(
                image=self.image,
                window=note.window,
                crop=note.crop,
                prompt=note.prompt,
                label=label,
                source=note.source,
            )
            for label, note in self.in_order().items()
        ]

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
        self._forget(note.label)
        self._is_in_order &= not self.notes or note.label > next(reversed(self.notes))
        self.notes[note.label] = note
        self._highest = max(self._highest, note.label)

    def _forget(self, label: int) -> None:
        note = self.notes.pop(label, None)
        if note is not None:
            former = self._former.setdefault(label, [])
            former.append(note)
            del former[:-_REMEMBERED]

    def _next_label(self, data: NDArray[np.integer]) -> int:
        return max(self._highest, int(data.max(initial=0))) + 1
