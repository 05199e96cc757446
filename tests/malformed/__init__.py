"""Files that are damaged, absurd or made to do harm, written by tests and never kept.

Each case writes into an empty folder of its own and gives what is to be opened.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["CASES", "SECRET", "Case", "content", "load", "malformed"]

SECRET = 173
"""The pixel value of files that a malformed one points to, which must never be seen."""

Make = Callable[[Path], Any]


@dataclass(frozen=True)
class Case:
    """One malformed input.

    Parameters
    ----------
    make : callable
        Writes into the folder that it gets and returns the path, or the list of paths, to open.
    by : str
        What opens it: "image", "labels" or "profile".
    says : str
        A regular expression that the one sentence has in it.
    opens : bool
        Whether the pixels are sound, so that it opens and the sentence is one of the image's assumptions.
    unprivileged : bool
        Whether it is opened by somebody who is not the superuser.
    """

    make: Make
    by: str = "image"
    says: str = ""
    opens: bool = False
    unprivileged: bool = False


CASES: dict[str, Case] = {}


def malformed(name: str, says: str = "", **options: Any) -> Callable[[Make], Make]:
    """Add a case by the function that writes it."""

    def add(make: Make) -> Make:
        assert name not in CASES, name
        CASES[name] = Case(make, says=says, **options)
        return make

    return add


def content(name: str, file: str, data: bytes | Callable[[], bytes], says: str = "", **options: Any) -> None:
    """Add a case that is one file with this content."""

    def make(folder: Path) -> Path:
        path = folder / file
        path.write_bytes(data() if callable(data) else data)
        return path

    malformed(name, says, **options)(make)


def load() -> dict[str, Case]:
    """All cases of all formats."""
    for kind in (
        "tiffs", "arrays", "pictures", "envi", "matlab", "hdf5", "zarrs", "scenes", "profiles", "special"
    ):  # fmt: skip
        importlib.import_module(f"malformed.{kind}")
    return CASES
