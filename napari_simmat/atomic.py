"""A file is either complete or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from napari_simmat.errors import ExportError, SimmatError


def write_atomically(path: Path, content: bytes, *, error: type[SimmatError] = ExportError) -> None:
    """Write `content` beside `path` and move it there when it is complete.

    Raises
    ------
    SimmatError
        Of the class `error`, if it cannot be written; what was at `path` before is still there then.
    """
    if path.is_dir():
        raise error(f"{path} is a folder; name a file in it.")
    if not path.parent.is_dir():
        raise error(f"There is no folder {path.parent}; create it first or choose another one.")
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _usual_mode(path))
        os.replace(temporary, path)
        sync_folder(path.parent)
    except OSError as cause:
        reason = cause.strerror or type(cause).__name__
        raise error(
            f"Could not write {path} ({reason}); nothing was changed there, choose another place."
        ) from cause
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def sync_folder(folder: Path) -> None:
    """Make the names of new files last, where the system can do that.

    Raises
    ------
    OSError
        The folder cannot be opened.
    """
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network drives have no such thing
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _usual_mode(path: Path) -> int:
    """Mode of the file that is replaced, or what `open` gives a new one (`mkstemp` gives 0600)."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
