"""Where accepted objects are written: a plain array, or a layer that keeps its own undo."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class LabelTarget(Protocol):
    """What the annotator needs of the place that shows its labels; napari's Labels layer has it as it is."""

    @property
    def data(self) -> Any:
        """Label image (Y, X), 0 is background."""

    def data_setitem(self, indices: tuple[NDArray[Any], ...], value: Any) -> None:
        """Set pixels, given as one index array for each axis, to one value or to one value each."""


class ArrayTarget:
    """Labels in a numpy array, for scripts.

    Parameters
    ----------
    data : (Y, X) int array
        Written in place.
    """

    def __init__(self, data: NDArray[Any]) -> None:
        self.data = data

    def data_setitem(self, indices: tuple[NDArray[Any], ...], value: Any) -> None:
        """Set pixels to one value or to one value each."""
        self.data[indices] = value


def label_array(target: LabelTarget) -> NDArray[Any]:
    """The labels of a target as an array, without a copy where it is one."""
    return np.asarray(target.data)
