"""The steps of a project in an SQLite file: each on disk before `append` returns, each with its own hash.

Rows are only ever added. What an object was is stored once under the hash of what it was; steps name these hashes. So
a damaged page costs the steps and objects on it, and no other.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_simmat.journal.steps import Change, ObjectState, Step, Was, digest_of

FORMAT = 1

_CHUNK = 500
"""SQLite takes no more than a thousand values at once everywhere."""

_TABLES = """
CREATE TABLE IF NOT EXISTS project (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS images (
    identity TEXT PRIMARY KEY, place TEXT NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL,
    height INTEGER NOT NULL, width INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS states (
    key TEXT PRIMARY KEY, label INTEGER, y0 INTEGER, x0 INTEGER, y1 INTEGER, x1 INTEGER,
    packed BLOB, source TEXT, prompt TEXT, adapter TEXT);
CREATE TABLE IF NOT EXISTS steps (
    number INTEGER PRIMARY KEY, image TEXT NOT NULL, kind TEXT NOT NULL, time REAL NOT NULL,
    body TEXT NOT NULL, digest TEXT NOT NULL);
"""

_STATE = "key, label, y0, x0, y1, x1, packed, source, prompt, adapter"
_STEP = "image, number, kind, time, body, digest"
_IMAGE = "identity, place, name, path, height, width"
_COLUMNS = {"project": "name, value", "images": _IMAGE, "states": _STATE, "steps": _STEP}


class NumberTakenError(sqlite3.Error):
    """Somebody else wrote a step meanwhile."""


@dataclass(frozen=True)
class ImageRow:
    """An image, slice or region that a project has steps of.

    Attributes
    ----------
    identity : str
        Hash of its pixels.
    place : str
        Where in the file it is: the same for an image and what became of it when its file was changed.
    name, path : str
        For people.
    shape : (int, int)
    """

    identity: str
    place: str
    name: str
    path: str
    shape: tuple[int, int]


@dataclass
class Reading:
    """Steps as read, and what was wrong with others."""

    steps: list[Step] = field(default_factory=list)
    lost: int = 0
    """Number of steps that are damaged or missing."""
    lost_objects: int = 0
    """Number of changes left out since their objects are damaged."""


class Store:
    """One SQLite file.

    Parameters
    ----------
    path : Path
        Made if it is not there, unless `read_only`.
    read_only : bool
        Only look; what is being written by others can be read meanwhile.

    Raises
    ------
    sqlite3.Error
        The file cannot be opened, or is no such file.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        uri = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=2)
        try:
            if read_only:
                self._connection.execute("PRAGMA query_only=ON")
                return
            self.mode = self._choose_mode()
            self._connection.execute("PRAGMA synchronous=FULL")
            # All tables or none: with some of them, left by whoever was killed here, it would look damaged.
            self._connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
            self.put("format", str(FORMAT))
            found = path.stat()
            self._file = (found.st_dev, found.st_ino)
        except sqlite3.Error:
            self._connection.close()
            raise

    def _choose_mode(self) -> str:
        """Write ahead where the file system can do that (it needs shared memory), else with a rollback journal."""
        with suppress(sqlite3.Error):
            (mode,) = self._connection.execute("PRAGMA journal_mode=WAL").fetchone()
            if mode == "wal":
                self._connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                return "wal"
        return str(self._connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0])

    # ---------------------------------------------------------------- writing

    def append(self, items: Sequence[tuple[ImageRow, Step]]) -> None:
        """Write steps of images, all of them or none; they are on disk when this returns.

        Raises
        ------
        NumberTakenError
            Another step has the number of one of them.
        sqlite3.Error
            They could not be written.
        """
        states = {state.key: state for _, step in items for state in step.states()}
        images = {row.identity: row for row, _ in items}
        run = self._connection.execute
        run("BEGIN IMMEDIATE")
        try:
            self._connection.executemany(
                "INSERT OR IGNORE INTO images VALUES (?,?,?,?,?,?)",
                [(row.identity, row.place, row.name, row.path, *row.shape) for row in images.values()],
            )
            # Who writes all that is known may know what was damaged here.
            way = "REPLACE" if any(step.details.get("all") for _, step in items) else "IGNORE"
            self._connection.executemany(
                f"INSERT OR {way} INTO states VALUES (?,?,?,?,?,?,?,?,?,?)",
                [(key, *state.to_row()) for key, state in states.items()],
            )
            for row, step in items:
                self._insert(_to_row(row.identity, step))
            run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # where the disk is full SQLite has rolled back already
                run("ROLLBACK")
            raise

    def _insert(self, values: tuple[Any, ...]) -> None:
        """Write a step, unless it is there: somebody may not have lived to know that it was written."""
        there = self._connection.execute("SELECT digest FROM steps WHERE number=?", values[:1]).fetchone()
        if there is None:
            self._connection.execute("INSERT INTO steps VALUES (?,?,?,?,?,?)", values)
        elif there[0] != values[-1]:
            raise NumberTakenError(f"another step has the number {values[0]}")

    def put(self, name: str, value: str) -> None:
        """Note a fact about the project."""
        if self.get(name) != value:
            self._connection.execute("INSERT OR REPLACE INTO project VALUES (?,?)", (name, value))

    # ---------------------------------------------------------------- reading

    def get(self, name: str) -> str:
        """A fact about the project, "" if there is none."""
        row = self._connection.execute("SELECT value FROM project WHERE name=?", (name,)).fetchone()
        return "" if row is None else str(row[0])

    @property
    def _is_begun(self) -> bool:
        """Whether it has its tables: a disk may have been full when it was made."""
        query = "SELECT count(*) FROM sqlite_schema WHERE type='table'"
        return bool(self._connection.execute(query).fetchone()[0])

    def images(self) -> list[ImageRow]:
        """All images that there are steps of."""
        if not self._is_begun:
            return []
        rows = self._connection.execute(f"SELECT {_IMAGE} FROM images")
        return [
            ImageRow(str(identity), str(place), str(name), str(path), (int(height), int(width)))
            for identity, place, name, path, height, width in rows
        ]

    def last_number(self) -> int:
        """Number of the newest step, 0 if there is none."""
        if not self._is_begun:
            return 0
        return int(self._connection.execute("SELECT coalesce(max(number), 0) FROM steps").fetchone()[0])

    def read(self, identity: str) -> Reading:
        """All steps of an image in order; what is damaged is left out and counted."""
        found = Reading()
        if not self._is_begun:
            return found
        rows = list(_each(self._connection, "steps", _STEP))
        mine = [(row, _told(row)) for row in rows if row[0] == identity]
        states = self._states_of([told for _, told in mine])
        for row, told in mine:
            step = None if told is None else _from_told(row, told, states, found)
            if step is not None:
                found.steps.append(step)
            else:
                found.lost += 1
        if rows:  # numbers are given one by one: a gap is a step that was there
            numbers = [int(row[1]) for row in rows]
            found.lost += max(numbers) - min(numbers) + 1 - len(numbers)
        return found

    def _states_of(self, told: Iterable[Any]) -> dict[str, ObjectState]:
        wanted = set[str]()
        for each in told:
            with suppress(ValueError, TypeError, KeyError):
                for pair in each["changes"]:
                    wanted.update(key for key in pair if key is not None)
        states = {}
        for key, *values in self._rows_of_states(wanted):
            with suppress(ValueError, TypeError):
                state = ObjectState.from_row(tuple(values))
                if state.key == key:
                    states[key] = state
        return states

    def _rows_of_states(self, wanted: set[str]) -> Iterator[tuple[Any, ...]]:
        keys = sorted(wanted)
        try:
            for k in range(0, len(keys), _CHUNK):
                chunk = keys[k : k + _CHUNK]
                marks = ",".join("?" * len(chunk))
                query = f"SELECT {_STATE} FROM states WHERE key IN ({marks})"
                yield from self._connection.execute(query, chunk).fetchall()
        except sqlite3.Error:  # the index is damaged, or some of the rows
            yield from (row for row in _each(self._connection, "states", _STATE) if row[0] in wanted)

    def problems(self) -> list[str]:
        """What SQLite itself finds wrong with the file."""
        try:
            rows = self._connection.execute("PRAGMA integrity_check(5)").fetchall()
            if not rows or not self._is_begun:
                return []
            for table, columns in _COLUMNS.items():
                self._connection.execute(f"SELECT {columns} FROM {table} LIMIT 1").fetchall()
        except sqlite3.Error as error:
            return [str(error)]
        lines = [line for row in rows if row[0] != "ok" for line in str(row[0]).splitlines()]
        return [line for line in lines if not line.startswith("***")] or lines

    @property
    def is_in_place(self) -> bool:
        """Whether the file under this path is the one that is open: somebody may have removed or replaced it."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == self._file

    def abandon(self) -> None:
        """Close it as it is, whatever is wrong with it."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def close(self) -> None:
        """Put everything into one file and close it."""
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.close()


def copy_what_is_whole(source: Path, target: Path) -> None:
    """Make a new file of all rows of a damaged one that can be read and are what they were.

    Raises
    ------
    sqlite3.Error, OSError
        The new file cannot be written.
    """
    with closing(Store(target)) as new, closing(Store(source, read_only=True)) as old:
        connection, into = old._connection, new._connection
        into.execute("BEGIN")
        for table, columns in _COLUMNS.items():
            count = columns.count(",") + 1
            marks = ",".join("?" * count)
            for row in _each(connection, table, "*"):
                if len(row) == count:
                    with suppress(sqlite3.IntegrityError, sqlite3.InterfaceError):  # a damaged row
                        into.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
        into.execute("COMMIT")


def _each(connection: sqlite3.Connection, table: str, columns: str) -> Iterator[tuple[Any, ...]]:
    """All rows of a table in order; of a damaged file those that can be reached by number from either end."""
    last = 0
    query = f"SELECT rowid, {columns} FROM {table} WHERE rowid"
    try:
        for row in connection.execute(f"{query} > 0 ORDER BY rowid"):
            last = row[0]
            yield row[1:]
        return
    except sqlite3.Error:
        pass
    behind = []
    with suppress(sqlite3.Error):
        for row in connection.execute(f"{query} > ? ORDER BY rowid DESC", (last,)):
            behind.append(row)
    yield from (row[1:] for row in reversed(behind))


def _to_row(identity: str, step: Step) -> tuple[Any, ...]:
    body = json.dumps(
        {
            "what": step.what,
            "changes": [
                [None if state is None else state.key for state in (change.before, change.after)]
                for change in step.changes
            ],
            "prompt": None if step.prompt is None else [step.prompt.before, step.prompt.after],
            "version": None if step.version is None else [step.version.before, step.version.after],
            "details": dict(step.details),
        },
        separators=(",", ":"),
    )
    values = (step.number, identity, step.kind, float(step.time), body)
    return (*values, digest_of(values))


def _told(row: tuple[Any, ...]) -> Any:
    """What a row of a step says, None if it is damaged."""
    image, number, kind, time, body, digest = row
    if digest != digest_of((number, image, kind, time, body)):
        return None
    try:
        return json.loads(body)
    except (ValueError, TypeError):
        return None


def _from_told(
    row: tuple[Any, ...], told: Any, states: dict[str, ObjectState], found: Reading
) -> Step | None:
    """The step of a row that says this, None if that is no step."""
    _, number, kind, time, *_ = row
    try:
        changes = []
        for pair in told["changes"]:
            if any(key is not None and key not in states for key in pair):
                found.lost_objects += 1
                # What it became counts more than what it was; an object whose new state is lost stays as it was.
                if pair[1] is not None and pair[1] not in states:
                    continue
            before, after = (None if key is None else states.get(key) for key in pair)
            if before is not None or after is not None:
                changes.append(Change(before, after))
        return Step(
            kind,
            told["what"],
            tuple(changes),
            None if told["prompt"] is None else Was(*told["prompt"]),
            None if told["version"] is None else Was(*told["version"]),
            told["details"],
            time,
            number,
        )
    except (ValueError, TypeError, KeyError):
        return None
