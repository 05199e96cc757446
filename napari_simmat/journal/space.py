"""Disk space: whether a disk is full, and some of it kept for the journal."""

from __future__ import annotations

import errno
import shutil
from contextlib import suppress
from pathlib import Path

RESERVE, RESERVE_BYTES = "reserve", 1 << 20

_LITTLE_BYTES = 1 << 16  # less than SQLite needs to begin with


def is_about_space(error: BaseException, folder: Path) -> bool:
    """Whether an error while writing to a folder says that its disk or a quota is full."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    if "full" in str(error):
        return True
    with suppress(OSError):  # SQLite calls it an I/O error where its shared memory does not fit
        return "I/O" in str(error) and shutil.disk_usage(folder).free < _LITTLE_BYTES
    return False


def reason_of(error: BaseException, folder: Path) -> str:
    """Why something could not be read from or written to a folder, in a few words."""
    if is_about_space(error, folder):
        return "the disk is full"
    return getattr(error, "strerror", None) or str(error).rstrip(".") or type(error).__name__


class Reserve:
    """A file that takes some space, to be given up when there is no other.

    Parameters
    ----------
    folder : Path
        Of the project.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / RESERVE
        self.shortage = ""
        """That the disk has no room for it, in one sentence; "" if it has."""

    def give_up(self) -> None:
        """Free its space."""
        self._path.unlink(missing_ok=True)

    def fill(self) -> None:
        """Take what is missing of it, as far as there is room; whatever else goes wrong costs nothing."""
        shortage = ""
        try:
            with self._path.open("ab") as file:
                file.write(bytes(max(0, RESERVE_BYTES - file.tell())))
        except OSError as error:
            if is_about_space(error, self._path.parent):
                shortage = (
                    f"{self._path.parent}: the disk is full; gestures are still written, into what little space is "
                    "kept for them. Free some space."
                )
        self.shortage = shortage
