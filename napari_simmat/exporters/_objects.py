"""The objects of a label image, each found once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

UNNAMED = "object"
"""Category of objects without a class, where a format asks for one."""


class LabelObject(NamedTuple):
    """One object: its label, its first row and column, and its mask cut to its bounding box."""

    label: int
    y0: int
    x0: int
    mask: NDArray[np.bool_]
    class_name: str | None = None

    @property
    def area(self) -> int:
        """Number of pixels."""
        return int(self.mask.sum())


class LabelObjects:
    """Objects of a label image in the order of their labels.

    Parameters
    ----------
    labels : ndarray of non-negative int, shape (Y, X)
        Label image, 0 is background. Labels need not be consecutive.
    classes : mapping of int to str, optional
        What objects are, by label.
    colours : mapping of str to str, optional
        Of classes, by name.

    Attributes
    ----------
    colours : dict of str to str
        As given.
    labels : ndarray, shape (Y, X)
        The label image as given.
    values : ndarray of int64, shape (N,)
        The labels that are there, ascending.
    foreground : ndarray of bool, shape (Y, X)
        Where there is an object.
    index : ndarray of int, shape (number of foreground pixels,)
        For each foreground pixel in row-major order, the position of its label in `values`.
    """

    def __init__(
        self,
        labels: NDArray[Any],
        classes: Mapping[int, str] | None = None,
        colours: Mapping[str, str] | None = None,
    ) -> None:
        self.labels = labels
        self.colours = dict(colours or {})
        self._classes = classes or {}
        self.foreground = labels != 0
        self.values, self.index = np.unique(labels[self.foreground].astype(np.int64), return_inverse=True)
        compact = np.zeros(labels.shape, np.int32)
        compact[self.foreground] = self.index + 1
        self._compact = compact
        self._boxes = ndimage.find_objects(compact)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the label image."""
        return self.labels.shape[0], self.labels.shape[1]

    @property
    def categories(self) -> list[str]:
        """The classes that there are by name, and last, if there are objects without a class, `UNNAMED`."""
        names = {self._classes.get(int(value), UNNAMED) for value in self.values}
        return sorted(names - {UNNAMED}) + [UNNAMED] * (UNNAMED in names)

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[LabelObject]:
        for position, (rows, columns) in enumerate(self._boxes):
            mask = self._compact[rows, columns] == position + 1
            label = int(self.values[position])
            yield LabelObject(label, rows.start, columns.start, mask, self._classes.get(label))
