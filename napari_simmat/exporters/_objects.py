"""The objects of a label image, each found once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


class LabelObject(NamedTuple):
    """One object: its label, its first row and column, and its mask cut to its bounding box."""

    label: int
    y0: int
    x0: int
    mask: NDArray[np.bool_]

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

    Attributes
    ----------
    labels : ndarray, shape (Y, X)
        The label image as given.
    values : ndarray of int64, shape (N,)
        The labels that are there, ascending.
    foreground : ndarray of bool, shape (Y, X)
        Where there is an object.
    index : ndarray of int, shape (number of foreground pixels,)
        For each foreground pixel in row-major order, the position of its label in `values`.
    """

    def __init__(self, labels: NDArray[Any]) -> None:
        self.labels = labels
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

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[LabelObject]:
        for position, (rows, columns) in enumerate(self._boxes):
            mask = self._compact[rows, columns] == position + 1
            yield LabelObject(int(self.values[position]), rows.start, columns.start, mask)
