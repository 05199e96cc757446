"""A damaged journal: a copy of it is put aside, and a new one is made of all rows that are whole.

Killed in between, nothing is lost: copies come first, then a note that says from which of them a new journal is being
made, then the new one, then the note goes. Whoever finds the note begins anew from the copies.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from napari_simmat.atomic import sync_folder, write_atomically
from napari_simmat.errors import ProjectError
from napari_simmat.journal.store import Store, copy_what_is_whole

NOTE = "mending"
_ENDS = ("", "-wal", "-shm", "-journal")
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def mend(path: Path, marked: int) -> list[str]:
    """Make a journal whole, if it is not; a sentence for what was done.

    Parameters
    ----------
    path : Path
        Of the SQLite file; only this process may work on it.
    marked : int
        Number of the last step that was written, as far as that is known.

    Raises
    ------
    sqlite3.Error, OSError
        It cannot be looked at, or not be mended; nothing of it was lost.
    """
    note = path.with_name(NOTE)
    if note.exists():
        aside = path.with_name(note.read_text(encoding="utf-8").strip())
        why = "mending it was interrupted"
    else:
        why, last = _what_is_wrong(path)
        if not why and last >= marked:
            return []
        aside = _copy_aside(path)
        if not why:
            return [
                f"The journal in {path.parent} ends before its last gesture; it lies in {aside.name} as it was."
            ]
        write_atomically(note, f"{aside.name}\n".encode(), error=ProjectError)
    _make_anew(path, aside)
    note.unlink()
    sync_folder(path.parent)
    return [f"The journal in {path.parent} was damaged ({why}); it lies in {aside.name} as it was."]


def _what_is_wrong(path: Path) -> tuple[str, int]:
    """What is damaged, "" if nothing is, and the number of the last step.

    Raises
    ------
    sqlite3.Error
        It cannot be read, for another reason than damage.
    """
    try:
        with closing(Store(path, read_only=True)) as store:
            problems = store.problems()
            return (problems[0], 0) if problems else ("", store.last_number())
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
            return str(error), 0
        raise


def _copy_aside(path: Path) -> Path:
    aside = Path(tempfile.mkdtemp(prefix=f"damaged-{time.strftime('%Y%m%d-%H%M%S')}-", dir=path.parent))
    for file in _files_of(path):
        copy = aside / file.name
        shutil.copyfile(file, copy)
        with copy.open("rb+") as opened:
            os.fsync(opened.fileno())
    sync_folder(aside)
    sync_folder(path.parent)
    return aside


def _make_anew(path: Path, aside: Path) -> None:
    fresh = path.with_name(f"{path.name}.new")
    for file in _files_of(fresh):
        file.unlink()
    with tempfile.TemporaryDirectory(prefix="mending-", dir=path.parent) as place:
        # SQLite changes what it opens, if only by playing back a log: the copies are to stay as they are.
        for file in _files_of(aside / path.name):
            if not file.name.endswith("-shm"):  # an index of the log, which SQLite makes anew
                shutil.copyfile(file, Path(place) / file.name)
        copy_what_is_whole(Path(place) / path.name, fresh)
    for file in _files_of(path):
        if file != path:
            file.unlink()  # else it would be played back into the new file
    os.replace(fresh, path)
    sync_folder(path.parent)


def _files_of(path: Path) -> list[Path]:
    """A database and what belongs to it, as far as it is there."""
    return [each for end in _ENDS if (each := path.with_name(path.name + end)).exists()]
