"""What a user shows the model: signed points, a box, a previous mask."""

from __future__ import annotations

import base64
import dataclasses
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import PromptError


@dataclass(frozen=True, eq=False)
class Prompt:
    """Everything that was shown for one object, in the order in which it was shown.

    Attributes
    ----------
    points : tuple of (float, float)
        (y, x) in image pixels, pixel centres at integers.
    labels : tuple of int
        One per point: 1 the object, 0 background.
    box : (float, float, float, float), optional
        (y0, x0, y1, x1) around the object.
    mask : ndarray, (256, 256), optional
        Low-resolution logits of an earlier answer, to start from.
    candidate : int, optional
        The candidate that the user chose after the last point; none: the one that the product shows.
    choices : tuple of (int or None)
        One per point: the candidate that was chosen before the point was set, which is what the point corrects.
    """

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask: NDArray[np.float32] | None = None
    candidate: int | None = None
    choices: tuple[int | None, ...] = ()

    def __post_init__(self) -> None:
        if len(self.points) != len(self.labels):
            raise PromptError(
                f"Got {len(self.points)} points and {len(self.labels)} labels, expected one label (1 object, "
                "0 background) for each point."
            )
        if any(label not in (0, 1) for label in self.labels):
            raise PromptError(
                f"Got the labels {self.labels}, expected 1 (object) or 0 (background) for each point."
            )
        if not self.choices:
            object.__setattr__(self, "choices", (None,) * len(self.points))
        if len(self.choices) != len(self.points):
            raise PromptError(
                f"Got {len(self.choices)} choices for {len(self.points)} points, expected one for each point."
            )
        if any(c not in (None, 0, 1, 2) for c in (*self.choices, self.candidate)):
            raise PromptError(f"Got candidate {self.candidate}, expected 0, 1 or 2.")

    @property
    def is_empty(self) -> bool:
        """Whether nothing was shown yet."""
        return not self.points and self.box is None and self.mask is None

    def with_point(self, y: float, x: float, label: int = 1) -> Prompt:
        """One more point; it corrects the candidate chosen so far."""
        return dataclasses.replace(
            self,
            points=(*self.points, (float(y), float(x))),
            labels=(*self.labels, int(label)),
            choices=(*self.choices, self.candidate),
            candidate=None,
        )

    def without_last(self) -> Prompt:
        """Without the last point, or without the box if there is no point."""
        if not self.points:
            return dataclasses.replace(self, box=None, candidate=None)
        return dataclasses.replace(
            self,
            points=self.points[:-1],
            labels=self.labels[:-1],
            choices=self.choices[:-1],
            candidate=self.choices[-1],
        )

    def with_box(self, y0: float, x0: float, y1: float, x1: float) -> Prompt:
        """With a box, whatever its corners' order; it replaces an earlier one."""
        box = (min(y0, y1), min(x0, x1), max(y0, y1), max(x0, x1))
        return dataclasses.replace(self, box=tuple(map(float, box)), candidate=None)  # type: ignore[arg-type]

    def shifted(self, dy: float, dx: float) -> Prompt:
        """The same clicks and box in an image whose first pixel lies elsewhere."""
        box = None
        if self.box is not None:
            y0, x0, y1, x1 = self.box
            box = y0 + dy, x0 + dx, y1 + dy, x1 + dx
        return dataclasses.replace(self, points=tuple((y + dy, x + dx) for y, x in self.points), box=box)

    def steps(self) -> Iterator[Prompt]:
        """The prompts that were answered on the way to this one, itself included; each as it was then.

        The box (or the mask to start from) comes first, then the points one by one.
        """
        if self.is_empty:
            return
        start = dataclasses.replace(self, points=(), labels=(), choices=(), candidate=None)
        if not start.is_empty:
            yield start if self.points else self
        for n in range(1, len(self.points) + 1):
            yield dataclasses.replace(
                self,
                points=self.points[:n],
                labels=self.labels[:n],
                choices=self.choices[:n],
                candidate=self.candidate if n == len(self.points) else None,
            )

    def key(self) -> tuple[object, ...]:
        """What determines the answer to this prompt (the choice made afterwards does not)."""
        mask = None if self.mask is None else self.mask.tobytes()
        return self.points, self.labels, self.choices, self.box, mask

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; a mask to start from is rounded to half precision."""
        told = {} if self.mask is None else {"mask": _packed(self.mask)}
        return told | {
            "points": [list(p) for p in self.points],
            "labels": list(self.labels),
            "box": None if self.box is None else list(self.box),
            "candidate": self.candidate,
            "choices": list(self.choices),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Prompt:
        """The prompt that `to_dict` wrote.

        Raises
        ------
        PromptError
            The data are not those of a prompt.
        """
        try:
            box = None if data.get("box") is None else tuple(float(v) for v in data["box"])
            if box is not None and len(box) != 4:
                raise ValueError(f"a box has 4 numbers, got {len(box)}")
            return cls(
                mask=None if data.get("mask") is None else _unpacked(data["mask"]),
                points=tuple((float(y), float(x)) for y, x in data.get("points", ())),
                labels=tuple(int(label) for label in data.get("labels", ())),
                box=box,
                candidate=data.get("candidate"),
                choices=tuple(data.get("choices", ())),
            )
        except (TypeError, ValueError, AttributeError, zlib.error) as error:
            raise PromptError(
                f"These are not the data of a prompt ({error}); expected points, labels, box, candidate and choices."
            ) from error


_LONGEST = 1024  # rows or columns of a mask to start from


def _packed(mask: NDArray[np.float32]) -> dict[str, Any]:
    """A mask to start from as plain data: tens of kB, a few where its values are few."""
    half = np.ascontiguousarray(mask, "<f2")
    return {"shape": list(half.shape), "packed": base64.b64encode(zlib.compress(half.tobytes(), 6)).decode()}


def _unpacked(told: Mapping[str, Any]) -> NDArray[np.float32]:
    """What `_packed` gave; what was packed to be larger than its shape is not unpacked."""
    rows, columns = (int(n) for n in told["shape"])
    if not (0 < rows <= _LONGEST and 0 < columns <= _LONGEST):
        raise ValueError(f"a mask of {rows} x {columns} cells")
    size = 2 * rows * columns
    content = zlib.decompressobj().decompress(base64.b64decode(told["packed"], validate=True), size + 1)
    if len(content) != size:
        raise ValueError(f"a mask of {len(content)} bytes for {rows} x {columns} cells")
    return np.frombuffer(content, "<f2").reshape(rows, columns).astype(np.float32)
