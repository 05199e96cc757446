"""The objects of one image: what was accepted, how it came about, and what a brush changed since.

The one invariant: `known` is what the journal holds. Whoever changes labels without the annotator (napari's
brush, its undo, a script) makes the target differ from `known`; `sync` finds the difference and notes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_simmat._annotator.targets import ArrayTarget, LabelTarget, label_array
from napari_simmat._annotator.windows import Window, hull, window_of, windows_of
from napari_simmat.errors import PromptError, SimmatError
from napari_simmat.images import MultiChannelImage
from napari_simmat.inference import Prompt
from napari_simmat.journal import Entry, Journal, Story, encode_window
from napari_simmat.journal.journal import Source
from napari_simmat.training import Correction

_REMEMBERED = 8
"""How many former masks of a label are kept, so that undo gives an object back with its clicks."""

_LARGEST_LABEL = 2**31 - 1


@dataclass(frozen=True, eq=False)
class Note:
    """How an object came about, with its mask inside its bounding box."""

    source: Source
    prompt: Prompt | None
    window: Window
    crop: NDArray[np.bool_]

    @property
    def area(self) -> int:
        """Size of the object in pixels."""
        return int(np.count_nonzero(self.crop))


class ObjectBook:
    """Labels of one image with the notes on each object.

    Parameters
    ----------
    image : MultiChannelImage
    story : Story
        What the journal knows of this image; those objects are there from the start.
    journal : Journal, optional
        Where every change is written; without one nothing is kept.
    on_problem : callable
        Is told in one sentence what could not be written.
    """

    def __init__(
        self,
        image: MultiChannelImage,
        story: Story,
        *,
        journal: Journal | None,
        on_problem: Callable[[str], None],
    ) -> None:
        self.image = image
        self.known: NDArray[np.int32] = np.zeros(image.shape, np.int32)
        self.notes: dict[int, Note] = {}
        self.restored = 0
        self._former: dict[int, list[Note]] = {}
        self._journal = journal
        self._on_problem = on_problem
        self._found = list(story.problems)
        self._highest = story.highest_label
        for record in story.records:
            mask = record.mask
            if record.label > _LARGEST_LABEL:
                self._found.append(
                    f"Object {record.label} in the journal has too large a number and was left out."
                )
                continue
            if mask.shape == self.known.shape and mask.any():
                self.known[mask] = record.label
                prompt = None
                try:
                    prompt = Prompt.from_dict(record.prompt) if record.prompt is not None else None
                except SimmatError as error:
                    self._found.append(f"Object {record.label} came back without its clicks: {error}")
                window = window_of(mask)
                self._note(record.label, window, mask[window], source=record.source, prompt=prompt)
        self.restored = len(self.notes)
        self.target: LabelTarget = ArrayTarget(self.known.copy())

    @property
    def is_blank(self) -> bool:
        """Whether there was never an object, so that nothing is lost with this book."""
        return not self.notes and not self._former and not self._highest

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
        data = label_array(target)
        if data.dtype.kind not in "iu":
            raise SimmatError(
                f"The labels are {data.dtype}, expected whole numbers; choose or make a Labels layer."
            )
        self._check_range(int(data.max(initial=0)), int(data.min(initial=0)))
        self._check_holds(data.dtype, int(self.known.max(initial=0)))
        if data.shape != self.known.shape:
            raise SimmatError(
                f"The labels are {_size(data.shape)} but the image {self.image.name!r} is "
                f"{_size(self.known.shape)} (rows x columns); choose labels of this image."
            )
        self._make_way(data)
        missing = (data == 0) & (self.known != 0)
        if missing.any():
            target.data_setitem(np.nonzero(missing), self.known[missing])
        self.target = target
        return self.sync()[0]

    def _make_way(self, data: NDArray[np.integer]) -> None:
        """Renumber our objects whose number belongs to an object elsewhere in the target: two must not become one."""
        for label in sorted(set(self.notes) & set(np.unique(data).tolist())):
            note = self.notes[label]
            own = note.crop & (self.known[note.window] == label)
            if not own.any() or (data[note.window][own] == label).any():
                continue
            number = self._next_label(data)
            self._check_holds(data.dtype, number)
            self.known[note.window][own] = number
            self._note(number, note.window, own, source=note.source, prompt=note.prompt)
            self._forget(label)
            self._write([number], "")

    def accept(self, mask: NDArray[np.bool_], *, label: int | None, prompt: Prompt, adapter: str) -> int:
        """Write an object and note it; pixels of other objects stay theirs.

        Returns
        -------
        int
            Its label: the given one, or a number that was never used in this image.

        Raises
        ------
        PromptError
            If no pixel is left for the object.
        """
        self.sync()
        data = label_array(self.target)
        number = self._next_label(data) if label is None else label
        if number < 1:
            raise PromptError(f"Got the label {number}, expected 1 or more: 0 is background.")
        self._check_range(number)
        self._check_holds(data.dtype, number)
        if not mask.any():
            raise PromptError(
                "The mask is empty, so there is nothing to accept; click on the object once more."
            )
        before = self.notes.get(number)
        area = hull([window_of(mask), *([] if before is None else [before.window])])
        top, left = area[0].start, area[1].start
        seen, wanted = data[area], mask[area]
        own = seen == number
        new = wanted & ((seen == 0) | own)
        if not new.any():
            raise PromptError(self._nothing_left(wanted, seen))
        rows, columns = np.nonzero(new != own)
        if rows.size:
            # One number for all where nothing is taken away: napari is quicker with that than with one for each pixel.
            takes_away = (own & ~new).any()
            value = np.where(new[rows, columns], number, 0).astype(data.dtype) if takes_away else number
            self.target.data_setitem((rows + top, columns + left), value)
        known = self.known[area]
        known[own] = 0
        known[new] = number
        box = window_of(new)
        window = (
            slice(box[0].start + top, box[0].stop + top),
            slice(box[1].start + left, box[1].stop + left),
        )
        self._note(number, window, new[box], source="clicks", prompt=prompt)
        self._write([number], adapter)
        return number

    def erase(self, label: int) -> None:
        """Take an object out again.

        Raises
        ------
        PromptError
            If there is no such object.
        """
        self.sync()
        where = np.nonzero(label_array(self.target) == label)
        if not where[0].size:
            raise PromptError(f"There is no object {label} in {self.image.name!r}; nothing was erased.")
        self.target.data_setitem(where, 0)
        self.sync()

    def sync(self) -> tuple[list[int], list[int]]:
        """Take over what others changed in the target.

        Returns
        -------
        (changed, erased) : lists of int
            Labels that are new or have another mask, and labels that are gone.
        """
        data = label_array(self.target)
        if data.dtype.itemsize > 4 and data.max(initial=0) > _LARGEST_LABEL:
            self._on_problem(
                f"The labels layer has the label {data.max()}, expected at most {_LARGEST_LABEL}; its changes are "
                "not taken over until that label is smaller."
            )
            return [], []
        if data.shape != self.known.shape:
            self._on_problem(
                f"The labels layer is {_size(data.shape)} now but the image is {_size(self.known.shape)}; "
                f"the {len(self.notes)} objects accepted before are kept, changes in the layer are not taken."
            )
            return [], []
        different = data != self.known
        if not different.any():
            return [], []
        region = window_of(different)
        part = different[region]
        touched = np.union1d(data[region][part], self.known[region][part])
        labels = [int(n) for n in touched if n > 0]
        area = hull([region, *(self.notes[n].window for n in labels if n in self.notes)])
        boxes = windows_of(data, area)
        changed, erased = [], []
        for label in labels:
            if label in boxes:
                window = boxes[label]
                crop = data[window] == label
                self._note(label, window, crop, **self._origin(label, window, crop))
                changed.append(label)
            else:
                self._forget(label)
                erased.append(label)
        self.known[region][part] = data[region][part]
        self._write(changed, "")
        self._write_erased(erased)
        return changed, erased

    def corrections(self) -> list[Correction]:
        """Every object as a correction to learn from."""
        return [
            Correction(
                image=self.image, mask=self.mask(label), prompt=note.prompt, label=label, source=note.source
            )
            for label, note in sorted(self.notes.items())
        ]

    def mask(self, label: int) -> NDArray[np.bool_]:
        """Mask (Y, X) of an object."""
        mask = np.zeros(self.known.shape, bool)
        note = self.notes[label]
        mask[note.window] = note.crop
        return mask

    def _origin(self, label: int, window: Window, crop: NDArray[np.bool_]) -> dict[str, object]:
        """Where a mask found in the target comes from: undo brought an earlier one back, else a brush."""
        for note in reversed(self._former.get(label, [])):
            if note.window == window and np.array_equal(note.crop, crop):
                return {"source": note.source, "prompt": note.prompt}
        current = self.notes.get(label)
        return {"source": "brush", "prompt": current.prompt if current is not None else None}

    def _note(
        self, label: int, window: Window, crop: NDArray[np.bool_], *, source: object, prompt: object
    ) -> None:
        self._forget(label)
        note = Note(source=source, prompt=prompt, window=window, crop=crop.copy())  # type: ignore[arg-type]
        self.notes[label] = note
        self._highest = max(self._highest, label)

    def _forget(self, label: int) -> None:
        note = self.notes.pop(label, None)
        if note is not None:
            former = self._former.setdefault(label, [])
            former.append(note)
            del former[:-_REMEMBERED]

    @staticmethod
    def _check_range(highest: int, lowest: int = 0) -> None:
        if highest > _LARGEST_LABEL or lowest < 0:
            raise SimmatError(
                f"The labels go from {lowest} to {highest}, expected 0 to {_LARGEST_LABEL}; renumber them first."
            )

    @staticmethod
    def _check_holds(dtype: np.dtype[np.integer], label: int) -> None:
        """A layer whose numbers are too narrow would turn an object into another one, or into background."""
        if label > np.iinfo(dtype).max:
            raise SimmatError(
                f"The labels layer holds numbers up to {np.iinfo(dtype).max} ({dtype}), object {label} does not fit; "
                "convert it in the layer list (right click, Convert data type) to int32."
            )

    def _next_label(self, data: NDArray[np.integer]) -> int:
        return max(self._highest, int(data.max(initial=0))) + 1

    @staticmethod
    def _nothing_left(mask: NDArray[np.bool_], data: NDArray[np.integer]) -> str:
        others = ", ".join(str(n) for n in np.unique(data[mask]))
        return (
            f"All of this mask belongs to object {others} already; erase that one first, or click elsewhere."
        )

    def _write(self, labels: list[int], adapter: str) -> None:
        entries = []
        for label in labels:
            note = self.notes[label]
            prompt = note.prompt.to_dict() if note.prompt is not None else None
            rle = encode_window(note.crop, note.window, self.known.shape)
            entries.append(
                self._entry("object", label, source=note.source, rle=rle, prompt=prompt, adapter=adapter)
            )
        self._append(entries)

    def _write_erased(self, labels: list[int]) -> None:
        self._append([self._entry("erased", label) for label in labels])

    def _entry(self, event: str, label: int, **more: object) -> Entry:
        image = self.image
        return Entry.model_validate(
            {
                "event": event,
                "image": image.identity,
                "label": label,
                "image_name": image.name,
                "image_path": str(image.source or ""),
                **more,
            }
        )

    def _append(self, entries: list[Entry]) -> None:
        if self._journal is None or not entries:
            return
        try:
            self._journal.write(*entries)
        except OSError as error:
            numbers = [entry.label for entry in entries]
            which = f"Object {numbers[0]} is" if len(numbers) == 1 else f"{len(numbers)} objects are"
            self._on_problem(
                f"{which} in the labels layer but could not be written to the journal in "
                f"{self._journal.folder} ({error.strerror or error}); save the labels now."
            )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
