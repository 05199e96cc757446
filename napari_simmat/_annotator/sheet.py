"""The labels of one image twice: as a target shows them, and as they are known to the journal.

Others may change the target at any time (napari's brush, its undo, a script); `known` changes only here. Both are checked
before anything is written: what a target cannot hold is told in a sentence, and nothing was changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat._annotator.notes import Note
from napari_simmat._annotator.targets import ArrayTarget, LabelTarget, label_array
from napari_simmat._annotator.windows import Window, hull, window_of
from napari_simmat.errors import PromptError, SimmatError
from napari_simmat.journal.steps import LARGEST_LABEL

Pair = tuple[Note | None, Note | None]
"""An object before and after: None where it was not there, or is not any more."""


@dataclass(frozen=True, eq=False)
class Claim:
    """The pixels that an object is to get.

    Attributes
    ----------
    area : Window
        What may change.
    own, new : (h, w) bool
        In there: what it has, and what it is to have.
    """

    area: Window
    own: NDArray[np.bool_]
    new: NDArray[np.bool_]

    @property
    def window(self) -> Window:
        """Bounding box of the new pixels in the image."""
        (rows, columns), (top, left) = window_of(self.new), self._corner
        return slice(rows.start + top, rows.stop + top), slice(columns.start + left, columns.stop + left)

    @property
    def crop(self) -> NDArray[np.bool_]:
        """The new pixels in their bounding box."""
        return self.new[window_of(self.new)].copy()

    @property
    def _corner(self) -> tuple[int, int]:
        return self.area[0].start, self.area[1].start

    def changed(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the image that change."""
        rows, columns = np.nonzero(self.new != self.own)
        return rows + self._corner[0], columns + self._corner[1]


class Sheet:
    """What the journal knows, and where it is shown.

    Parameters
    ----------
    name : str
        Of the image, for people.
    shape : (int, int)
        Its rows and columns.
    """

    def __init__(self, name: str, shape: tuple[int, int]) -> None:
        self.known: NDArray[np.int32] = np.zeros(shape, np.int32)
        self.target: LabelTarget = ArrayTarget(self.known.copy())
        self._name = name

    @property
    def data(self) -> NDArray[Any]:
        """The labels that are shown."""
        return label_array(self.target)

    # ----------------------------------------------------------------- targets

    def look_at(self, target: LabelTarget) -> NDArray[Any]:
        """The labels of another target.

        Raises
        ------
        SimmatError
            They cannot be labels of this image.
        """
        data = label_array(target)
        if data.dtype.kind not in "iu":
            raise SimmatError(
                f"The labels are {data.dtype}, expected whole numbers; choose or make a Labels layer."
            )
        check_range(int(data.max(initial=0)), int(data.min(initial=0)))
        check_holds(data.dtype, int(self.known.max(initial=0)))
        if data.shape != self.known.shape:
            raise SimmatError(
                f"The labels are {_size(data.shape)} but the image {self._name!r} is "
                f"{_size(self.known.shape)} (rows x columns); choose labels of this image."
            )
        return data

    def show_in(self, target: LabelTarget) -> None:
        """Show the labels there from now on; pixels that have others there stay so."""
        missing = (label_array(target) == 0) & (self.known != 0)
        if missing.any():
            target.data_setitem(np.nonzero(missing), self.known[missing])
        self.target = target

    def let_go(self) -> None:
        """Show them nowhere any more: layers that are not shown any more hold several copies of their labels."""
        self.target = ArrayTarget(self.known.copy())

    # ------------------------------------------------------------- differences

    def refusal(self, count: int) -> str:
        """Why what is shown cannot be taken over, in a sentence that tells of so many objects; "" if it can."""
        data = self.data
        if data.dtype.itemsize > 4 and data.max(initial=0) > LARGEST_LABEL:
            return (
                f"The labels layer has the label {data.max()}, expected at most {LARGEST_LABEL}; its changes are "
                "not taken over until that label is smaller."
            )
        if data.shape != self.known.shape:
            return (
                f"The labels layer is {_size(data.shape)} now but the image is {_size(self.known.shape)}; "
                f"the {count} objects accepted before are kept, changes in the layer are not taken."
            )
        return ""

    def differences(self) -> NDArray[np.bool_]:
        """Where others changed what is shown, (Y, X)."""
        return np.asarray(self.data != self.known)

    def take_over(self, different: NDArray[np.bool_]) -> None:
        """Know what is shown there."""
        region = window_of(different)
        part = different[region]
        self.known[region][part] = self.data[region][part]

    def put_back(self, different: NDArray[np.bool_]) -> None:
        """Show what is known there."""
        where = np.nonzero(different)
        self.target.data_setitem(where, self.known[where].astype(self.data.dtype))

    # ----------------------------------------------------------------- writing

    def claim(self, mask: NDArray[np.bool_], label: int, old: Note | None) -> Claim:
        """The pixels of a mask that an object can have: pixels of other objects stay theirs.

        Raises
        ------
        PromptError
            None is left.
        """
        area = hull([window_of(mask), *([] if old is None else [old.window])])
        seen, wanted = self.data[area], mask[area]
        own = seen == label
        new = wanted & ((seen == 0) | own)
        if not new.any():
            others = ", ".join(str(n) for n in np.unique(seen[wanted]))
            raise PromptError(
                f"All of this mask belongs to object {others} already; erase that one first, or click elsewhere."
            )
        return Claim(area, own, new)

    def write(self, claim: Claim, label: int) -> None:
        """Give an object its pixels."""
        rows, columns = claim.changed()
        if rows.size:
            # One number for all where nothing is taken away: napari is quicker with that than with one for each pixel.
            value: Any = label
            if (claim.own & ~claim.new).any():
                gets = claim.new[claim.new != claim.own]
                value = np.where(gets, label, 0).astype(self.data.dtype)
            self.target.data_setitem((rows, columns), value)
        known = self.known[claim.area]
        known[claim.own] = 0
        known[claim.new] = label

    def paint(self, pairs: Sequence[Pair]) -> None:
        """Take objects out and put others in."""
        area = hull([note.window for pair in pairs for note in pair if note is not None])
        top, left = area[0].start, area[1].start
        data = self.data
        found = self.known[area].copy()
        found[np.isin(found, [old.label for old, _ in pairs if old is not None])] = 0
        for _, new in pairs:
            if new is not None:
                rows, columns = new.window
                part = found[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
                part[new.crop] = new.label
        different = np.nonzero(found != data[area])
        if different[0].size:
            self.target.data_setitem(
                (different[0] + top, different[1] + left), found[different].astype(data.dtype)
            )
        self.known[area] = found

    def check_holds(self, labels: Iterable[int]) -> None:
        """Refuse what the target cannot hold.

        Raises
        ------
        SimmatError
        """
        dtype = self.data.dtype
        for label in labels:
            check_holds(dtype, label)


def check_range(highest: int, lowest: int = 0) -> None:
    """Refuse numbers that are no labels.

    Raises
    ------
    SimmatError
    """
    if highest > LARGEST_LABEL or lowest < 0:
        raise SimmatError(
            f"The labels go from {lowest} to {highest}, expected 0 to {LARGEST_LABEL}; renumber them first."
        )


def check_holds(dtype: np.dtype[np.integer], label: int) -> None:
    """Refuse a label that numbers of this kind cannot be: it would become another object, or background.

    Raises
    ------
    SimmatError
    """
    if label > np.iinfo(dtype).max:
        raise SimmatError(
            f"The labels layer holds numbers up to {np.iinfo(dtype).max} ({dtype}), object {label} does not fit; "
            "convert it in the layer list (right click, Convert data type) to int32."
        )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape)
