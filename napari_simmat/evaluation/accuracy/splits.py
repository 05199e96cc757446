"""Which images are learnt from and which judge, so that no scene is on both sides."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from napari_simmat.errors import SimmatError

__all__ = ["Split", "drawn_split", "file_split", "groups_by_file", "groups_by_pattern"]


@dataclass(frozen=True)
class Split:
    """Names of images.

    Attributes
    ----------
    train, test : tuple of str
        To learn from, and to be judged by; they share none.
    remark : str
        What was decided that a reader should know, or "".
    """

    train: tuple[str, ...]
    test: tuple[str, ...]
    remark: str = ""


def drawn_split(
    names: Sequence[str],
    *,
    test_share: float = 0.3,
    seed: int = 0,
    groups: Mapping[str, str] | None = None,
) -> Split:
    """Draw a split by chance, by image or by group.

    Whole groups go to one side. Groups are drawn until their images are at least `test_share` of all.

    Parameters
    ----------
    names : sequence of str
        All images.
    test_share : float
        Share of the images that judge, between 0 and 1.
    seed : int
    groups : mapping of str to str, optional
        Scene, specimen or patient of each image; by default each image is its own.

    Raises
    ------
    SimmatError
        There are fewer than two groups.
    """
    if not 0 < test_share < 1:
        raise SimmatError(
            f"Got {test_share:g} as the share of test images, expected a number between 0 and 1."
        )
    group_of = {name: name if groups is None else groups[name] for name in names}
    listed = sorted(set(group_of.values()))
    if len(listed) < 2:
        what = "images" if groups is None else "groups"
        raise SimmatError(
            f"Found {len(listed)} {what}, expected at least 2: one to learn from and one to judge by; "
            "give more images or another split."
        )
    order = np.random.default_rng(seed).permutation(len(listed))
    judging: set[str] = set()
    for k in order[:-1]:  # at least one group is left to learn from
        judging.add(listed[k])
        if sum(group_of[name] in judging for name in names) >= test_share * len(names):
            break
    test = tuple(name for name in names if group_of[name] in judging)
    return Split(tuple(name for name in names if group_of[name] not in judging), test)


def file_split(names: Sequence[str], path: str | os.PathLike[str]) -> Split:
    """The split of a YAML or JSON file with the lists `train` and `test`.

    Entries are names of images, or numbers that are matched with the number in a name (7 with 007). An image on both
    sides judges and is not learnt from.

    Raises
    ------
    SimmatError
        The file has no such lists, or names an image that is not there.
    """
    file = Path(path)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON is YAML, too
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SimmatError(
            f"{file.name} could not be read as YAML or JSON ({str(error).splitlines()[0][:80]}); "
            "give a file with the lists train and test."
        ) from error
    sides = content if isinstance(content, dict) else {}
    lists = [side for side in (sides.get("train"), sides.get("test")) if isinstance(side, list) and side]
    if len(lists) != 2:
        found = ", ".join(map(str, sides)) or type(content).__name__
        raise SimmatError(f"{file.name} holds {found}, expected two lists of images, train and test.")
    train, test = (tuple(dict.fromkeys(_named(entry, names, file.name) for entry in side)) for side in lists)
    both = [name for name in train if name in test]
    left = tuple(name for name in train if name not in both)
    if not left:
        raise SimmatError(
            f"{file.name} lists every training image as a test image, too; expected separate lists."
        )
    remark = f"{', '.join(both)}: on both sides of {file.name}, so left out of training" if both else ""
    return Split(left, test, remark)


def groups_by_pattern(names: Sequence[str], pattern: str) -> dict[str, str]:
    """Group of each image: the first group of a regular expression that its name begins with.

    >>> groups_by_pattern(["a_1", "a_2", "b_1"], r"([a-z]+)_")
    {'a_1': 'a', 'a_2': 'a', 'b_1': 'b'}

    Raises
    ------
    SimmatError
        The pattern is none, has no group, or does not match a name.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise SimmatError(
            f"{pattern!r} is no regular expression ({error}); give one such as '([^_]+)_'."
        ) from error
    if not compiled.groups:
        raise SimmatError(f"{pattern!r} has no group in parentheses; give a pattern such as '([^_]+)_'.")
    groups = {}
    for name in names:
        found = compiled.match(name)
        if found is None:
            raise SimmatError(
                f"The image name {name!r} does not begin with {pattern!r}; give a pattern that fits all."
            )
        groups[name] = found.group(1) or ""
    return groups


def groups_by_file(names: Sequence[str], path: str | os.PathLike[str]) -> dict[str, str]:
    """Group of each image from a CSV file with the columns image, group (with or without a line of headings).

    Raises
    ------
    SimmatError
        The file cannot be read, or lacks an image.
    """
    file = Path(path)
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = [row for row in csv.reader(opened) if len(row) >= 2]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SimmatError(
            f"{file.name} could not be read ({error}); give a CSV file of image, group."
        ) from error
    known = {row[0].strip(): row[1].strip() for row in rows}
    missing = [name for name in names if name not in known]
    if missing:
        raise SimmatError(
            f"{file.name} has no group for {missing[0]!r} and {len(missing) - 1} more of {len(names)} images; "
            "give a line image,group for each."
        )
    return {name: known[name] for name in names}


def _named(entry: Any, names: Sequence[str], file: str) -> str:
    text = str(entry)
    if text in names:  # a name may have a dot in it
        return text
    text = Path(text).stem
    if text in names:
        return text
    if text.isdigit():
        alike = [
            name for name in names if (found := re.search(r"\d+", name)) and int(found.group()) == int(text)
        ]
        if len(alike) == 1:
            return alike[0]
    raise SimmatError(
        f"{file} lists {entry!r}, which is none of the {len(names)} images (such as {names[0]!r})."
    )
