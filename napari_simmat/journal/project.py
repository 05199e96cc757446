"""The work on one file, in a folder of its own: steps, snapshots, adapters; one window at a time writes there.

The one invariant: what `commit` returned for without trouble is on disk, in the order of its numbers, written by whoever
held the lock. What cannot be written (a full disk, a drive that does not answer) is kept in memory and in the
user's own folder, tried again with every further step, and told until it is written. Nothing that was written is ever
changed; a damaged file is put aside.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import closing, suppress
from pathlib import Path

from napari_simmat.atomic import sync_folder
from napari_simmat.errors import ProjectError
from napari_simmat.journal.adapter_files import AdapterFiles
from napari_simmat.journal.claim import NOT_READ, OTHERS_WORKED, Claim
from napari_simmat.journal.mark import read_mark, write_mark
from napari_simmat.journal.mending import mend
from napari_simmat.journal.places import note_place
from napari_simmat.journal.reading import read_story
from napari_simmat.journal.snapshots import SUFFIX, Snapshot
from napari_simmat.journal.space import Reserve, is_about_space, reason_of
from napari_simmat.journal.spare import Spare
from napari_simmat.journal.steps import Step
from napari_simmat.journal.store import ImageRow, NumberTakenError, Store
from napari_simmat.journal.story import Story, tell
from napari_simmat.journal.writer import Writer

PATIENCE_S = 0.5
"""So long a gesture waits for the disk; then the window goes on, and says that it does."""

SNAPSHOT_EVERY = 50
JOURNAL = "journal.sqlite"


class Project:
    """One project folder. Gestures are committed from one thread; `restore` may be called on any.

    Parameters
    ----------
    folder : Path
        Made with the first step, not before: whoever only looks leaves no trace.
    make_room : callable
        Frees disk space by removing what can be made again; given a folder on the disk in question.
    """

    def __init__(self, folder: Path, *, make_room: Callable[[Path], None] = lambda folder: None) -> None:
        self.folder = folder
        self.trouble = ""
        """What keeps steps from being written, in one sentence; "" if all are."""
        self._make_room = make_room
        self._claim = Claim(folder)
        self._reserve = Reserve(folder)
        self._store: Store | None = None
        self._writer = Writer(f"journal {folder.name}")
        self._spare, self._spare_writer = Spare(folder), Writer(f"spare of {folder.name}")
        self._adapters = AdapterFiles(folder, self._spare)
        self._waits_for: Future[object] | None = None
        self._disk = threading.RLock()  # held by whoever touches the disk: not for the window's thread
        self._state = threading.Lock()
        self._pending: list[tuple[ImageRow, Step]] = []
        self._number = 0
        self._was_removed = False

    # ---------------------------------------------------------------- opening

    @property
    def refusal(self) -> str:
        """Why nothing may be written, in one sentence; "" if it may, as far as that is known."""
        return self._claim.refusal

    @property
    def shortage(self) -> str:
        """That the disk has no room for the reserve, so that steps may soon not be written, in one sentence; or ""."""
        return self._reserve.shortage

    @property
    def exists(self) -> bool:
        """Whether anything was written here."""
        return (self.folder / JOURNAL).exists() or self._has_traces()

    def _has_traces(self) -> bool:
        return bool(read_mark(self.folder)) or any(self.folder.glob(f"*{SUFFIX}"))

    def restore(self, image: ImageRow) -> Story:
        """What is known of an image; damaged files are put aside and what is whole of them is used.

        Raises
        ------
        ProjectError
            The folder cannot be read; nothing can be written to it until this succeeds.
        """
        try:
            with self._disk:
                self._claim.forget_refusal()
                problems: list[str] = []
                if self.exists or self._spare.exists:
                    problems = self._claim_and_mend()
                if self.unwritten and not self.refusal:
                    self._writer.submit(self._write_pending)
                return read_story(self.folder / JOURNAL, image, self._unwritten_of(image), problems)
        except (OSError, sqlite3.Error, ProjectError) as error:
            self._claim.refuse(NOT_READ)
            raise ProjectError(
                f"The project {self.folder} cannot be read ({reason_of(error, self.folder)}); nothing in it was changed."
            ) from error

    def mend(self) -> list[str]:
        """Make the journal whole, if it is damaged and no window works on it; a sentence for what was done.

        Raises
        ------
        sqlite3.Error, OSError
            It cannot be read.
        """
        with self._disk:
            return self._claim_and_mend()

    def is_as_left(self) -> bool:
        """Whether a project that rested is ours again and nobody else has worked on it; for any thread."""
        with self._disk, suppress(OSError, sqlite3.Error, ProjectError):
            if self.refusal:
                return False
            if self._claim.is_held or not (self.exists or self._number):
                return True
            if self._claim.take():
                return self._last_on_disk() == self._number
        return False

    def _claim_and_mend(self) -> list[str]:
        """Take the lock, mend what is damaged, take over what waits elsewhere; a sentence for each thing to tell."""
        if self._claim.is_held and self._store is not None:
            return []
        if not self._claim.take():
            return []
        problems = (
            mend(self.folder / JOURNAL, read_mark(self.folder)) if (self.folder / JOURNAL).exists() else []
        )
        last = self._last_on_disk()
        problems += self._take_over_spare(last)
        with self._state:
            in_memory = max((step.number for _, step in self._pending), default=0)
            self._number = max(self._number, last, in_memory)
        return problems

    def _last_on_disk(self) -> int:
        """The highest number that was ever given, as far as the disk tells."""
        found = [read_mark(self.folder)]
        found += [
            int(path.stem[-9:]) for path in self.folder.glob(f"*{SUFFIX}") if path.stem[-9:].isdecimal()
        ]
        if (self.folder / JOURNAL).exists():
            with closing(Store(self.folder / JOURNAL, read_only=True)) as store:
                found.append(store.last_number())
        return max(found)

    def objects_of(self, identity: str) -> Story:
        """The objects of another content, to be taken over if the user wants that; slow, for any thread.

        Raises
        ------
        ProjectError
            They cannot be read.
        """
        try:
            with self._disk, closing(Store(self.folder / JOURNAL, read_only=True)) as store:
                return tell(store.read(identity))
        except (OSError, sqlite3.Error) as error:
            raise ProjectError(
                f"The project {self.folder} cannot be read ({reason_of(error, self.folder)}); nothing in it was changed."
            ) from error

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
            Another window works on this project, or it could not be read: nothing was written, and nothing is to be done.
        """
        self.refuse_if_read_only()
        if not self._claim.is_held and not self._pending:
            # Who has not got the lock yet is told before anything is done, unless the disk does not answer.
            with suppress(FutureTimeout, OSError, sqlite3.Error):
                self._writer.submit(self._open_for_writing).result(PATIENCE_S)
            self.refuse_if_read_only()
        with self._state:
            self._number += 1
            numbered = step.numbered(self._number, time.time())
            self._pending.append((image, numbered))
        self.try_again()
        return numbered

    def refuse_if_read_only(self) -> None:
        """Raise unless this window may write.

        Raises
        ------
        ProjectError
            Another window works on this project, or it could not be read.
        """
        self._claim.check()

    def try_again(self) -> bool:
        """Write what is still to be written; True if all is on disk then. Nobody waits twice for one answer."""
        waits = self._waits_for is not None and not self._waits_for.done()
        if not waits or self._waits_for is None:
            self._waits_for = self._writer.submit(self._write_pending)
        try:
            self._waits_for.result(0 if waits else PATIENCE_S)
            if self.unwritten:  # they came while the writer was at it
                self._waits_for = self._writer.submit(self._write_pending)
                self._waits_for.result(PATIENCE_S)
            self.trouble = ""
        except FutureTimeout:
            self._keep_elsewhere("it does not answer")
        except Exception as error:  # whatever it is, the steps must not wait for it to be understood
            self._keep_elsewhere(reason_of(error, self.folder))
        return not self.trouble

    def fill_reserve(self) -> None:
        """See whether the disk has room again, as long as the project is in use; `shortage` tells."""
        with suppress(FutureTimeout):
            self._writer.submit(self._fill_reserve).result(PATIENCE_S)

    def take_removal(self) -> bool:
        """Whether the folder was removed while it was in use, so that all that is known is to be written anew; once."""
        was_removed, self._was_removed = self._was_removed, False
        return was_removed

    @property
    def unwritten(self) -> int:
        """Number of steps that are not on the project's disk yet."""
        with self._state:
            return len(self._pending)

    def _unwritten_of(self, image: ImageRow) -> list[Step]:
        with self._state:
            return [step for row, step in self._pending if row.identity == image.identity]

    def _open_for_writing(self) -> Store:
        """The journal, with the lock held and nothing in it that was not read. On the writer's thread."""
        with self._disk:
            self.refuse_if_read_only()
            if self._store is not None and not self._store.is_in_place:
                # Somebody removed the folder while it was open: SQLite would go on writing into a file without a name.
                self._drop_store()
                self._claim.begin_anew()
                self._adapters.forget_written()
                self._was_removed = True
                if self.exists:  # and somebody else has begun anew there
                    self._claim.refuse(OTHERS_WORKED)
                    self._claim.check()
            if self._store is not None:
                return self._store
            if not self._claim.is_held:
                self._claim.take()
                self._claim.check()
            if self._last_on_disk() > self._number:
                self._claim.refuse(OTHERS_WORKED)
                self._claim.release()
                self._claim.check()
            if not (self.folder / JOURNAL).exists():
                note_place(self.folder)
            self._store = Store(self.folder / JOURNAL)
            sync_folder(self.folder)
            sync_folder(self.folder.parent)
            return self._store

    def _write_pending(self) -> None:
        """On the writer's thread."""
        with self._disk:
            try:
                self._write_all()
            except (OSError, sqlite3.Error) as error:
                self._drop_store()
                if not is_about_space(error, self.folder):
                    raise
                if not self.trouble:
                    self._make_room(self.folder.parent)
                self._reserve.give_up()
                self._write_all()
            if self._spare.exists:
                # A drive that is well needs no second thread.
                self._spare_writer.submit(self._leave_spare, last=True)
        self._fill_reserve()

    def _fill_reserve(self) -> None:
        if self._claim.is_held:
            self._reserve.fill()

    def _write_all(self) -> None:
        while True:
            with self._state:
                items = list(self._pending)
            store = self._open_for_writing()
            self._adapters.write()
            if not items:
                return
            try:
                store.append(items)
            except NumberTakenError:
                self._claim.refuse(OTHERS_WORKED)
                raise
            write_mark(self.folder, items[-1][1].number)
            with self._state:
                del self._pending[: len(items)]

    def _drop_store(self) -> None:
        if self._store is not None:
            self._store.abandon()
        self._store = None

    # ------------------------------------------------------------------ spare

    def _keep_elsewhere(self, reason: str) -> None:
        """Keep what cannot be written in the user's own folder, and say so."""
        with self._state:
            pending = list(self._pending)
        adapters = self._adapters.waiting()
        where = "in memory only; free some space or save the labels elsewhere before you close the window"
        with suppress(Exception):
            self._spare_writer.submit(lambda: self._spare.add(pending, adapters)).result(PATIENCE_S)
            where = f"safe in {self._spare.folder.parent}, and written there when that is possible"
        steps = "1 gesture is" if len(pending) == 1 else f"{len(pending)} gestures are"
        self.trouble = f"{self.folder} cannot be written ({reason}): {steps} {where}."

    def _leave_spare(self) -> None:
        """Remove what was kept elsewhere, unless a gesture has come since that lies only there."""
        with self._state:
            is_needed = bool(self._pending)
        if not is_needed:
            self._spare.clear()

    def _take_over_spare(self, last: int) -> list[str]:
        """Have what an earlier session could only keep elsewhere written with the next steps."""
        if not self._spare.exists:
            return []
        items = self._spare.read()
        written = dict[int, Step]()
        if (self.folder / JOURNAL).exists():
            with closing(Store(self.folder / JOURNAL, read_only=True)) as store:
                written = {s.number: s for row in store.images() for s in store.read(row.identity).steps}
        new = [item for item in items if item[1].number not in written]
        others = [
            step for _, step in items if step.number in written and not step.is_like(written[step.number])
        ]
        if others or any(step.number <= last for _, step in new):
            aside = self._spare.put_aside()
            return [
                f"{len(new) + len(others)} gestures that could not be written in an earlier session lie in {aside}: "
                f"others have been written to {self.folder} since."
            ]
        for fingerprint, path in self._spare.adapters().items():
            self._adapters.keep(fingerprint, path.read_bytes)
        with self._state:
            there = {step.number for _, step in self._pending}
            self._pending += [item for item in new if item[1].number not in there]
        return []

    # -------------------------------------------------------------- snapshots

    def snapshot(self, snapshot: Snapshot) -> None:
        """Have a snapshot written when all steps are; what goes wrong costs nothing, the steps are there."""

        def work() -> None:
            with self._state:
                is_ahead = any(step.number <= snapshot.number for _, step in self._pending)
            if not is_ahead and self._claim.is_held:
                with suppress(ProjectError):
                    snapshot.write(self.folder)

        if not self.refusal:
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
        self._adapters.keep(fingerprint, content)

    def adapter_path(self, fingerprint: str) -> Path:
        """Where an adapter that was in use is kept, or waits to be."""
        return self._adapters.path(fingerprint)

    # ---------------------------------------------------------------- closing

    def rest(self) -> None:
        """Give lock, file and thread back, for as long as nothing is to be written; returns at once."""
        if not self.unwritten:
            self._writer.submit(self._close_store)
            self._writer.finish()

    def begin_closing(self) -> None:
        """Have everything written and the folder given free; `end_closing` waits for it."""
        if self.unwritten:
            self._writer.submit(self._write_pending)
        self._writer.submit(self._close_store)
        self._writer.finish()

    def end_closing(self, patience: float) -> str:
        """Wait so many seconds at most; what is only in memory then, in one sentence, or ""."""
        ended = self._writer.join(patience)
        if self.unwritten:
            self._keep_elsewhere("the window was closed")
        self._spare_writer.finish()
        self._spare_writer.join(patience)
        if ended:
            self._claim.forget_refusal()
        return self.trouble if self.unwritten and "in memory only" in self.trouble else ""

    def close(self, patience: float = 5.0) -> str:
        """Write what is left and give the folder free; what could only be kept in memory, in one sentence, or ""."""
        self.begin_closing()
        return self.end_closing(patience)

    def _close_store(self) -> None:
        with self._disk:
            journal = self.folder / JOURNAL
            with suppress(OSError, sqlite3.Error):
                if (
                    self._store is None
                    and self._claim.is_held
                    and journal.with_name(f"{JOURNAL}-wal").exists()
                ):
                    self._store = Store(journal)  # who only reads cannot clear up after itself
            if self._store is not None:
                self._store.close()
            self._store = None
            self._claim.release()
            self._reserve.shortage = ""
