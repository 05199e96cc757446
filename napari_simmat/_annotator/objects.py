"""The objects of one image, and the gestures that change them: accept, erase, merge, name, bring from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat._annotator.ledger import Ledger
from napari_simmat._annotator.notes import Note
from napari_simmat._annotator.sheet import Pair, check_range
from napari_simmat._annotator.windows import Window, hull, moved, window_of
from napari_simmat.errors import PromptError, SimmatError
from napari_simmat.inference import Prompt
from napari_simmat.journal import ObjectState, Was
from napari_simmat.journal.facts import change_of
from napari_simmat.journal.steps import Kind
from napari_simmat.training import Correction

__all__ = ["ObjectBook"]


class ObjectBook(Ledger):
    """Labels of one image with the notes on each object; see `Ledger` for its parameters."""

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
