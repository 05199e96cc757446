"""The work on one file, in a folder of its own: steps, snapshots, adapters; one window at a time writes there.

The one invariant: what `commit` returned for without trouble is on disk. What cannot be written (a full disk, a drive
that does not answer) is kept in memory and in the user's own folder, tried again with every further step, and told until
it is written. Nothing that was written is ever changed; a damaged file is put aside.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from napari_simmat.atomic import sync_folder, write_atomically
from napari_simmat.errors import ProjectError
from napari_simmat.folders import data_folder
from napari_simmat.journal.places import note_place
from napari_simmat.journal.snapshots import Snapshot, newest_intact, snapshots_of
from napari_simmat.journal.steps import Step, digest_of
from napari_simmat.journal.store import ImageRow, Reading, Store, copy_what_is_whole
from napari_simmat.journal.story import Former, Story, tell
from napari_simmat.journal.writer import Writer

SUFFIX = ".simmat"
PATIENCE_S = 0.5
"""So long a gesture waits for the disk; then the window goes on, and says that it does."""

SNAPSHOT_EVERY = 50
RESERVE_BYTES = 1 << 20
_LITTLE_BYTES = 1 << 16  # less than SQLite needs to begin with


JOURNAL, RESERVE, LOCK, MARK = "journal.sqlite", "reserve", "lock", "last"
"""`MARK` holds the number of the last step that was written: what SQLite drops from a damaged log it does not tell."""


class Project:
    """One project folder. Gestures are committed from one thread; `restore` may be called on any.

    Parameters
    ----------
    folder : Path
        Made with the first step, not before: whoever only looks leaves no trace.
    make_room : callable
        Frees disk space by removing what can be made again.
    """

    def __init__(self, folder: Path, *, make_room: Callable[[], None] = lambda: None) -> None:
        self.folder = folder
        self.is_read_only = False
        self.trouble = ""
        """What keeps steps from being written, in one sentence; "" if all are."""
        self._make_room = make_room
        self._lock = FileLock(folder / LOCK, thread_local=False)
        self._store: Store | None = None
        self._spare: Store | None = None
        self._writer = Writer(f"journal {folder.name}")
        self._opening = threading.Lock()  # held by whoever touches the disk: not for the window's thread
        self._state = threading.Lock()
        self._pending: list[tuple[ImageRow, Step]] = []
        self._adapters: dict[str, Callable[[], bytes]] = {}
        self._kept: set[str] = set()
        self._was_removed = False
        self._number = 0
        self._is_open = False

    # ---------------------------------------------------------------- opening

    @property
    def exists(self) -> bool:
        """Whether anything was written here."""
        return (self.folder / JOURNAL).exists()

    def restore(self, image: ImageRow) -> Story:
        """What is known of an image; damaged files are put aside and what is whole of them is used.

        Raises
        ------
        ProjectError
            The folder cannot be read.
        """
        try:
            with self._opening:
                problems = self._enter() if self.exists or self._spare_path.exists() else ()
                if not self.exists:
                    return Story(problems=problems)
                return self._story(image, problems)
        except (OSError, sqlite3.Error) as error:
            raise ProjectError(
                f"The project {self.folder} cannot be read ({_reason(error, self.folder)}); nothing in it was changed."
            ) from error

    def mend(self) -> list[str]:
        """Make the journal whole, if it is damaged and no window works on it; a sentence for what was done."""
        with self._opening:
            return list(self._enter())

    def _enter(self) -> tuple[str, ...]:
        """Take the lock and mend what is damaged, once."""
        if self._is_open:
            return ()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self._take_lock():
            self._is_open = True
            return ()
        problems = self._mend() if self.exists else []
        if self.exists or self._spare_path.exists():
            with closing(Store(self.folder / JOURNAL)) as store:
                self._take_over_spare(store)
                self._number = store.last_number()
        self._is_open = True
        return tuple(problems)

    def _take_lock(self) -> bool:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            self.is_read_only = True
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            self.is_read_only = True
        return not self.is_read_only

    def _mend(self) -> list[str]:
        """Put a damaged journal aside and make a new one of what is whole in it."""
        path = self.folder / JOURNAL
        try:
            with closing(Store(path)) as store:
                found = store.problems()
        except sqlite3.Error as error:
            if is_about_space(error, self.folder) or "locked" in str(error):
                raise
            found = [str(error)]
        if not found:
            return []
        aside = self.folder / f"damaged-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 1000:03d}"
        fresh = self.folder / f"{JOURNAL}.new"
        fresh.unlink(missing_ok=True)
        copy_what_is_whole(path, fresh)
        aside.mkdir()
        for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))):
            if file.exists():
                os.replace(file, aside / file.name)
        os.replace(fresh, path)
        sync_folder(self.folder)
        return [f"The journal in {self.folder} was damaged ({found[0]}); it lies in {aside.name} as it was."]

    def _story(self, image: ImageRow, problems: Sequence[str]) -> Story:
        with closing(Store(self.folder / JOURNAL, read_only=True)) as store:
            reading = store.read(image.identity)
            known = {row.identity: row for row in store.images()}
            told = int(store.get("losses told") or 0)
            former = None
            if image.identity not in known:
                former = self._former(store, image, list(known.values()))
            last = store.last_number()
        dropped = max(0, self._marked() - last)
        reading.lost += dropped
        losses = reading.lost + reading.lost_objects
        snapshot, damaged = None, list[str]()
        if losses or problems:
            snapshot, damaged = newest_intact(snapshots_of(self.folder, image.identity))
        self._number = max(self._number, last, self._marked(), 0 if snapshot is None else snapshot.number)
        said = [*problems, *damaged]
        if losses > told:
            said.append(_losses(reading, snapshot))
            self._remember_losses(losses)
        return replace(tell(reading, snapshot, tuple(said)), former=former, is_foreign=snapshot is not None)

    def _former(self, store: Store, image: ImageRow, rows: Sequence[ImageRow]) -> Former | None:
        """The newest work on another content of the same place of the file."""
        found = None
        for row in rows:
            if row.place == image.place:
                story = tell(store.read(row.identity))
                if story.states and (found is None or story.time > found.time):
                    found = Former(row.identity, len(story.states), story.time, row.shape)
        return found

    def _remember_losses(self, losses: int) -> None:
        if not self.is_read_only:
            with suppress(sqlite3.Error), closing(Store(self.folder / JOURNAL)) as store:
                store.put("losses told", str(losses))

    def objects_of(self, identity: str) -> Story:
        """The objects of another content, to be taken over if the user wants that."""
        with closing(Store(self.folder / JOURNAL, read_only=True)) as store:
            return tell(store.read(identity))

    # ---------------------------------------------------------------- writing

    def commit(self, image: ImageRow, step: Step) -> Step:
        """Write a step; it is on disk when this returns, unless `trouble` says otherwise.

        Returns
        -------
        Step
            With its number and time.

        Raises
        ------
        ProjectError
            Another window works on this project: nothing was written, and nothing is to be done.
        """
        if not self._is_open:
            self._begin()
        self.must_be_ours()
        self._number += 1
        numbered = step.numbered(self._number, time.time())
        with self._state:
            self._pending.append((image, numbered))
        self.try_again()
        return numbered

    def _begin(self) -> None:
        """Make a project of it; a disk that is full or does not answer is told with the first step, not here."""

        def enter() -> None:
            with self._opening:
                self._enter()

        with suppress(FutureTimeout, OSError, sqlite3.Error):
            self._writer.submit(enter).result(PATIENCE_S)
        self._is_open = True

    def must_be_ours(self) -> None:
        """Raise unless this window may write.

        Raises
        ------
        ProjectError
            Another window works on this project, or its folder is read-only.
        """
        if self.is_read_only:
            raise ProjectError(
                f"The project {self.folder.name} is open in another window, so this one only shows it; "
                "work there, or close it and open the image here again."
            )

    def try_again(self) -> bool:
        """Write what is still to be written; True if all is on disk then."""
        future = self._writer.submit(self._write_pending)
        try:
            future.result(PATIENCE_S)
            self.trouble = ""
        except FutureTimeout:
            self._keep_elsewhere("it does not answer")
        except (OSError, sqlite3.Error) as error:
            self._keep_elsewhere(_reason(error, self.folder))
        return not self.trouble

    def take_removal(self) -> bool:
        """Whether the folder was removed while it was in use, so that all that is known is to be written anew; once."""
        was_removed, self._was_removed = self._was_removed, False
        return was_removed

    @property
    def unwritten(self) -> int:
        """Number of steps that are not on the project's disk yet."""
        with self._state:
            return len(self._pending)

    def _write_pending(self) -> None:
        """On the writer's thread."""
        try:
            self._write_all()
        except (OSError, sqlite3.Error) as error:
            self._drop_store()
            if not is_about_space(error, self.folder):
                raise
            self._make_room()
            try:
                self._write_all()
            except (OSError, sqlite3.Error):
                self._drop_store()
                (self.folder / RESERVE).unlink(missing_ok=True)
                self._write_all()

    def _write_all(self) -> None:
        self._write_adapters()
        while True:
            with self._state:
                if not self._pending:
                    break
                image = self._pending[0][0]
                steps = [step for each, step in self._pending if each.identity == image.identity]
            if self._store is None:
                self.folder.mkdir(parents=True, exist_ok=True)
                if not self.exists:
                    note_place(self.folder)
                self._store = Store(self.folder / JOURNAL)
                sync_folder(self.folder)
                sync_folder(self.folder.parent)
            elif not self._store.path.exists():
                # Somebody removed the folder while it was open: SQLite would go on writing into a file without a name.
                self._drop_store()
                self._kept.clear()
                self._was_removed = True
                self._write_adapters()
                continue
            self._store.append(image, steps)
            self._mark(steps[-1].number)
            done = {step.number for step in steps}
            with self._state:
                self._pending = [item for item in self._pending if item[1].number not in done]

        self._fill_reserve()

    def _mark(self, number: int) -> None:
        """Note how far the journal goes; without waiting for the disk, since it is only there to notice damage by."""
        with suppress(OSError):
            text = f"{number:012d}"
            (self.folder / MARK).write_text(f"{text} {digest_of([text])}\n", encoding="ascii")

    def _marked(self) -> int:
        try:
            text, _, digest = (self.folder / MARK).read_text(encoding="ascii").strip().partition(" ")
            return int(text) if digest == digest_of([text]) else 0
        except (OSError, ValueError):
            return 0

    def _fill_reserve(self) -> None:
        """Take some space that can be given back when there is no other; what goes wrong costs nothing."""
        path = self.folder / RESERVE
        with suppress(OSError):
            if not path.exists():
                path.write_bytes(bytes(RESERVE_BYTES))

    def _drop_store(self) -> None:
        if self._store is not None:
            with suppress(sqlite3.Error):
                self._store._connection.close()
        self._store = None

    # ------------------------------------------------------------------ spare

    @property
    def _spare_path(self) -> Path:
        name = hashlib.blake2b(str(self.folder.absolute()).encode(), digest_size=8).hexdigest()
        return data_folder("unwritten") / f"{name}.sqlite"

    def _keep_elsewhere(self, reason: str) -> None:
        """Keep what cannot be written in the user's own folder, and say so."""
        with self._state:
            pending = list(self._pending)
        where = "in memory only; free some space or save the labels elsewhere before you close the window"
        try:
            if self._spare is None:
                self._spare = Store(self._spare_path)
            for image, step in pending:
                self._spare.append(image, [step])
            where = f"safe in {self._spare_path.parent}, and written there when that is possible"
        except (OSError, sqlite3.Error):
            self._spare = None
        count = len(pending)
        steps = "1 gesture is" if count == 1 else f"{count} gestures are"
        self.trouble = f"{self.folder} cannot be written ({reason}): {steps} {where}."

    def _take_over_spare(self, store: Store) -> None:
        """Write what an earlier session could only keep elsewhere."""
        path = self._spare_path
        if not path.exists():
            return
        last = store.last_number()
        with closing(Store(path)) as spare:
            for image in spare.images():
                steps = [step for step in spare.read(image.identity).steps if step.number > last]
                if steps:
                    store.append(image, steps)
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)

    # -------------------------------------------------------------- snapshots

    def snapshot(self, snapshot: Snapshot) -> None:
        """Have a snapshot written when all steps are; what goes wrong costs nothing, the steps are there."""

        def work() -> None:
            with self._state:
                is_ahead = any(step.number <= snapshot.number for _, step in self._pending)
            if not is_ahead:
                with suppress(ProjectError):
                    snapshot.write(self.folder)

        if not self.is_read_only:
            self._writer.submit(work)

    # --------------------------------------------------------------- adapters

    def keep(self, fingerprint: str, content: Callable[[], bytes]) -> None:
        """Have an adapter written before the next step, which may speak of it.

        Parameters
        ----------
        fingerprint : str
        content : callable
            Gives the content of its file; called on another thread, and only if it is not there yet.
        """
        with self._state:
            self._adapters.setdefault(fingerprint, content)

    def _write_adapters(self) -> None:
        with self._state:
            wanted = {name: make for name, make in self._adapters.items() if name not in self._kept}
        for name, make in wanted.items():
            path = self.adapter_path(name)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                try:
                    write_atomically(path, make(), error=ProjectError)
                except ProjectError as error:
                    # As the operating system said it: a full disk is a full disk, whatever does not fit on it.
                    raise (error.__cause__ or error) from None
            self._kept.add(name)

    def adapter_path(self, fingerprint: str) -> Path:
        """Where an adapter that was in use is kept."""
        return self.folder / "adapters" / f"{fingerprint}.safetensors"

    # ---------------------------------------------------------------- closing

    def close(self, patience: float = 5.0) -> bool:
        """Write what is left, give the folder free; False if something could not be written."""
        if self.unwritten:
            self.try_again()
        self._writer.submit(self._close_store)
        ended = self._writer.stop(patience)
        if self._spare is not None:
            is_needed = bool(self.unwritten)
            self._spare.close()
            self._spare = None
            if not is_needed:
                for end in ("", "-wal", "-shm"):
                    self._spare_path.with_name(self._spare_path.name + end).unlink(missing_ok=True)
        if ended:
            with suppress(OSError):
                self._lock.release()
        self._is_open = self.is_read_only = False
        return ended and not self.unwritten

    def _close_store(self) -> None:
        if self._store is not None:
            self._store.close()
        self._store = None


def is_about_space(error: BaseException, folder: Path) -> bool:
    """Whether a disk or a quota is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if "full" in str(error):
        return True
    with suppress(OSError):  # SQLite calls it an I/O error where its shared memory does not fit
        return "I/O" in str(error) and shutil.disk_usage(folder).free < _LITTLE_BYTES
    return False


def copy_of(theirs: Path, ours: Path) -> None:
    """Begin a project with all that a read-only one holds."""
    shutil.copytree(theirs, ours, ignore=shutil.ignore_patterns(LOCK, RESERVE))


def _reason(error: BaseException, folder: Path) -> str:
    if is_about_space(error, folder):
        return "the disk is full"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _losses(reading: Reading, snapshot: Snapshot | None) -> str:
    parts = []
    if reading.lost:
        parts.append(f"{reading.lost} gesture{'s' if reading.lost != 1 else ''}")
    if reading.lost_objects:
        parts.append(f"{reading.lost_objects} version{'s' if reading.lost_objects != 1 else ''} of objects")
    whole = "all others are back" if snapshot is None else "the newest snapshot and all others are back"
    return f"{' and '.join(parts)} in the journal could not be read; {whole}."
