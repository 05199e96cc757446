"""What is known of one object after it was clicked: the record from which all figures are computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel as Model
from pydantic import ConfigDict, Field

Size = Literal["small", "medium", "large"]

SIZES: tuple[Size, ...] = ("small", "medium", "large")
MEDIUM, LARGE = 32**2, 96**2
"""Areas in pixels of the image from which an object counts as medium and as large: those of COCO (Lin et al. 2014)."""


class ObjectScore(Model):
    """One object, the clicks on it and how good the masks were. Reads and writes JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str = Field(description="Name of the image.")
    image_number: int = Field(description="Place of the image in the dataset, from 0.")
    label: int = Field(description="Number of the object in the label image.")
    area: int = Field(description="Pixels of the object.")
    size: Size = Field(
        description="small: under 32 x 32 pixels of the image, medium: under 96 x 96, large: the others (COCO)."
    )
    class_number: int | None = Field(
        default=None,
        description="Its class: the commonest number of the class image within it; none: no class.",
    )
    class_name: str | None = Field(default=None, description="Name of the class, its number without one.")
    clicks: tuple[tuple[float, float, int], ...] = Field(
        description="The clicks as y, x, sign (1 object, 0 background); fewer than N once there is no error left."
    )
    ious: tuple[float, ...] = Field(description="IoU of the shown mask after 1..N clicks.")
    best_candidate: float = Field(description="IoU of the best of the three candidates after 1 click.")


def size_of(area: int) -> Size:
    """The size class of an object of so many pixels."""
    return "small" if area < MEDIUM else "medium" if area < LARGE else "large"


def class_of(
    mask: NDArray[np.bool_], classes: NDArray[np.integer] | None, names: Mapping[int, str]
) -> tuple[int | None, str | None]:
    """Number and name of an object's class: the commonest number of the class image (Y, X) within the object's mask.

    0 is no class unless it has a name.
    """
    if classes is None:
        return None, None
    numbers, counts = np.unique(classes[mask], return_counts=True)
    number = int(numbers[counts.argmax()])
    if number == 0 and number not in names:
        return None, None
    return number, names.get(number, str(number))
