"""Angles of a polarizer in the names of files and channels and in the keys of sample formats; all in degrees.

Numbers in names count anything: frames, subjects, slices. They are angles if they are called so and lie as angles do
that somebody turned a polarizer to, or if they are a set that nobody numbers anything else by.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "LEAST_DETERMINATION",
    "NamedAngle",
    "angle_named",
    "angles_listed",
    "are_angles",
    "design_of",
    "determination",
    "numbers_in",
]

USUAL_ANGLES = ({0, 45, 90, 135}, {0, 60, 120}, {0, 30, 60, 90, 120, 150})
"""Sets that nobody numbers anything else by."""

LEAST_SPREAD, LEAST_GAP = 45, 10
"""Of angles that are not said to be in degrees; other numbers beside an "i" or "pol" are counts."""

LEAST_DETERMINATION = 0.05
"""Of `determination` where nobody but the names says that these are angles. Four angles 5 degrees apart have 0.016."""

# A hyphen right before a number is its sign unless it stands between that and what is before it.
_NUMBER = re.compile(r"(?:(?:^|(?<=[\s_.,;=(\-\u2212]))[-\u2212])?\d+(?:\.\d+)?")
_CALLED = re.compile(r"(?:^|[^a-z])(?:pol(?:ari[sz](?:er|ation))?|angle|i)[\s_-]*$", re.IGNORECASE)
_DEGREES = re.compile(r"^\s*(?:°|deg(?![a-df-z]))", re.IGNORECASE)
_BEFORE = re.compile(
    r"(?:(?P<colour>red|green|blue)(?:[\s_-]+|$))?(?:(?:i|p|pol(?:ari[sz](?:er|ation))?|angle)[\s_-]*)?",
    re.IGNORECASE,
)
_AFTER = re.compile(r"\s*(?:°|deg|degrees?)?", re.IGNORECASE)


@dataclass(frozen=True)
class NamedAngle:
    """The angle that the name of a channel states.

    Attributes
    ----------
    colour : str
        "red", "green" or "blue", "" for none.
    degrees : float
        With its sign, from -180 to 180.
    before, after : str
        What stands around the number.
    """

    colour: str
    degrees: float
    before: str
    after: str


def numbers_in(text: str) -> list[tuple[str, float, str]]:
    """What stands before each number in a name, the number with its sign, and what stands after it.

    >>> [number for _, number, _ in numbers_in("scene-2_-45")]
    [2.0, -45.0]
    """
    return [
        (text[: found.start()], float(found[0].replace("\u2212", "-")), text[found.end() :])
        for found in _NUMBER.finditer(text)
    ]


def angle_named(name: str) -> NamedAngle | None:
    """The angle that a channel's name states, None where it states none, or anything else beside it.

    >>> angle_named("I45").degrees, angle_named("red -45°").degrees, angle_named("DAPI")
    (45.0, -45.0, None)
    """
    found = numbers_in(name.strip())
    if len(found) != 1:
        return None
    ((before, degrees, after),) = found
    match = _BEFORE.fullmatch(before)
    if match is None or not _AFTER.fullmatch(after) or not -180 <= degrees <= 180:
        return None
    return NamedAngle((match["colour"] or "").lower(), degrees, before, after)


def angles_listed(text: str) -> tuple[float, ...] | None:
    """Angles with commas or hyphens between them, None for anything else.

    >>> angles_listed("0-60-120"), angles_listed("-45,0,45,90"), angles_listed("-45-0-45-90")
    ((0.0, 60.0, 120.0), (-45.0, 0.0, 45.0, 90.0), (-45.0, 0.0, 45.0, 90.0))
    """
    number = r"(-?\d{1,3}(?:\.\d+)?)"
    if re.fullmatch(rf"{number}(?:[-,]\s*{number})+", text) is None:
        return None
    return tuple(float(found) for found in re.findall(rf"(?:^|[-,]\s*){number}", text))


def are_angles(degrees: Iterable[float], around: Sequence[tuple[str, str]]) -> bool:
    """Whether numbers in names are the angles of a polarizer.

    Parameters
    ----------
    degrees : iterable of float
        The numbers.
    around : sequence of (str, str)
        What stands before and after each of them, or once for all.
    """
    angles = sorted(set(degrees))
    if not angles or angles[0] < -180 or angles[-1] > 180 or len({angle % 180 for angle in angles}) < 3:
        return False
    if determination(angles) < LEAST_DETERMINATION:
        return False
    if {angle % 180 for angle in angles} in USUAL_ANGLES or all(
        _DEGREES.search(after) for _, after in around
    ):
        return True
    gaps = np.diff(angles)
    return bool(
        all(_CALLED.search(before) for before, _ in around)
        and angles[-1] - angles[0] >= LEAST_SPREAD
        and gaps.min() >= LEAST_GAP
    )


def design_of(radians: ArrayLike) -> NDArray[np.float64]:
    """What a polarizer at each angle lets through of S0, S1 and S2, shape (N, 3): (1, cos 2a, sin 2a) / 2."""
    a = np.asarray(radians, np.float64)
    return np.stack([np.ones_like(a), np.cos(2 * a), np.sin(2 * a)], axis=1) / 2


def determination(degrees: Sequence[float]) -> float:
    """How well angles determine the Stokes parameters: smallest over largest singular value, 0 where not at all."""
    if len(degrees) < 3 or not np.isfinite(degrees).all():
        return 0.0
    singular = np.linalg.svd(design_of(np.deg2rad(degrees)), compute_uv=False)
    return float(singular[2] / singular[0])
