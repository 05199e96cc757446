"""Who may write to a project: one process at a time, and only one that knows all that was written."""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from napari_simmat.errors import ProjectError

LOCK = "lock"

OTHERS_WORK = (
    "The project {name} is open in another window, so this one only shows it; work there, or close it and open the image "
    "here again."
)
OTHERS_WORKED = (
    "Another window has worked on the project {name} meanwhile; open the image again to go on from there. Nothing was "
    "changed."
)
NO_RIGHTS = "The project {name} may not be written to, so it is only shown; change its permissions, or copy the image."
NOT_READ = (
    "The project {name} could not be read, so nothing is written to it; open the image again when it can be."
)


class TakenError(ProjectError):
    """Another window works on a project, or has worked on it."""


class Claim:
    """The lock of one project, and why this process may not have it.

    Parameters
    ----------
    folder : Path
        Of the project.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = self._new_lock()
        self.refusal = ""
        """Why nothing may be written, in one sentence; "" if it may, as far as that is known."""

    def _new_lock(self) -> FileLock:
        return FileLock(self._folder / LOCK, thread_local=False)

    @property
    def is_held(self) -> bool:
        """Whether this process has the lock."""
        return self._lock.is_locked

    def take(self) -> bool:
        """Whether this process may write now; nothing is made but the folder and the lock's own file.

        Raises
        ------
        OSError
            The folder cannot be reached.
        """
        try:
            self._folder.mkdir(exist_ok=True)  # not its parents: they may be on a drive that is gone
            self._lock.acquire(timeout=0)
        except Timeout:
            self.refuse(OTHERS_WORK)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
            self.refuse(NO_RIGHTS)
        return not self.refusal

    def refuse(self, reason: str) -> None:
        """Write nothing from now on, for one of the reasons above."""
        self.refusal = reason.format(name=self._folder.name)

    def forget_refusal(self) -> None:
        """Look anew, next time, whether anything may be written."""
        self.refusal = ""

    def check(self) -> None:
        """Raise unless this process may write, as far as that is known.

        Raises
        ------
        TakenError
            It may not.
        """
        if self.refusal:
            raise TakenError(self.refusal)

    def release(self) -> None:
        """Let others write."""
        with suppress(OSError):
            self._lock.release()

    def begin_anew(self) -> None:
        """Let go of the lock of a folder that somebody removed, for that of the one which comes in its place."""
        self.release()
        self._lock = self._new_lock()
