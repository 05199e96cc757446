"""One scene of a benchmark dataset, not yet read, and what a dataset is to the registry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.dataset import DatasetItem
from napari_simmat.images.image import MultiChannelImage

__all__ = ["AimsDataset", "AimsItem", "Loaded", "Split"]

Split = Literal["train", "test"]

Loaded = tuple[MultiChannelImage, NDArray[np.int32]]
"""An image and its labels, (Y, X), one number per object and 0 for background."""


@dataclass(frozen=True, kw_only=True)
class AimsItem(DatasetItem):
    """One scene of a dataset, not yet read.

    Its stem is the name of the scene, unique in its dataset; its `image_path` is the file that it is called after, though
    others may belong to it, and its `instances_path` the file of labels.

    Parameters
    ----------
    read : callable
        Reads image and labels; a plain function over paths, so that items can be sent to other processes.
    read_classes : callable
        Reads the class of each pixel, 0 for none.
    class_names : mapping of int to str
        Names of the classes, where they are known.
    """

    read: Callable[[], Loaded]
    read_classes: Callable[[], NDArray[np.int32]]
    class_names: Mapping[int, str] = field(default_factory=dict)

    def load(self) -> Loaded:
        """Read the scene.

        Returns
        -------
        image : MultiChannelImage
        instances : ndarray, shape (Y, X), int32
            One number per object, 0 for background and for what the dataset says to ignore.

        Raises
        ------
        ImageError
            If a file cannot be read, or the files of the scene do not have the same rows and columns.
        """
        image, instances = self.read()
        if instances.shape != image.shape:
            raise ImageError(
                f"The labels of {self.stem} have {instances.shape[0]} rows and {instances.shape[1]} columns, but its "
                f"image has {image.shape[0]} and {image.shape[1]}; both need the same, so get the files again."
            )
        return image, instances

    def load_classes(self) -> NDArray[np.int32]:
        """Read the class of each pixel.

        Returns
        -------
        ndarray, shape (Y, X), int32
            0 for no class, and for what the dataset says to ignore.

        Raises
        ------
        ImageError
            If it cannot be read.
        """
        return self.read_classes()


@dataclass(frozen=True)
class AimsDataset:
    """A dataset of the benchmark.

    Parameters
    ----------
    name : str
        As users write it, such as "aims:nir".
    title : str
        What its authors call it, with their publication.
    layout : str
        The folder form that is expected, in one sentence.
    channels : mapping of int to str
        For each number of channels in which the benchmark uses it, what these are.
    default : int
        The number of channels that is meant where none is given.
    open : callable
        Lists the scenes of a split: `(path, channels, split, limit)`.
    """

    name: str
    title: str
    layout: str
    channels: Mapping[int, str]
    default: int
    open: Callable[[Path, int, Split, int | None], list[AimsItem]]

    @property
    def names(self) -> tuple[str, ...]:
        """The dataset with each number of channels, such as "aims:nir:1" and "aims:nir:4"."""
        return tuple(f"{self.name}:{count}" for count in self.channels)
