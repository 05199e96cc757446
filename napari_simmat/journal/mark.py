"""How far a journal goes, beside it: what SQLite drops from a damaged log it does not tell."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from napari_simmat.journal.steps import digest_of

_FILE = "last"


def write_mark(folder: Path, number: int) -> None:
    """Note the number of the last step; without waiting for the disk, since it is only there to notice damage by."""
    with suppress(OSError):
        text = f"{number:012d}"
        (folder / _FILE).write_text(f"{text} {digest_of([text])}\n", encoding="ascii")


def read_mark(folder: Path) -> int:
    """The number of the last step that was noted, 0 if there is none or it is damaged."""
    try:
        text, _, digest = (folder / _FILE).read_text(encoding="ascii").strip().partition(" ")
        return int(text) if digest == digest_of([text]) else 0
    except (OSError, ValueError):
        return 0
