"""The adapters that the steps of a project speak of, each in a file named by its fingerprint."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import ProjectError
from napari_simmat.journal.spare import Spare

Content = Callable[[], bytes]


class AdapterFiles:
    """Those that are there, and those that wait to be written; all of it may be asked from any thread.

    Parameters
    ----------
    folder : Path
        Of the project.
    spare : Spare
        Where they lie as long as they cannot be written there.
    """

    def __init__(self, folder: Path, spare: Spare) -> None:
        self._folder = folder / "adapters"
        self._spare = spare
        self._lock = threading.Lock()
        self._wanted: dict[str, Content] = {}
        self._written: set[str] = set()

    def keep(self, fingerprint: str, content: Content) -> None:
        """Have one written by the next `write`; its content is only asked for then, and if it is not there yet."""
        with self._lock:
            self._wanted.setdefault(fingerprint, content)

    def path(self, fingerprint: str) -> Path:
        """Where one lies, or will."""
        path = self._folder / f"{fingerprint}.safetensors"
        return path if path.exists() else self._spare.adapters().get(fingerprint, path)

    def waiting(self) -> dict[str, Content]:
        """Those that are not written yet."""
        with self._lock:
            return {name: content for name, content in self._wanted.items() if name not in self._written}

    def forget_written(self) -> None:
        """Take none of them for written: somebody removed the folder."""
        with self._lock:
            self._written.clear()

    def write(self) -> None:
        """Write those that wait.

        Raises
        ------
        OSError, ProjectError
            They cannot be written.
        """
        for name, content in self.waiting().items():
            path = self._folder / f"{name}.safetensors"
            if not path.exists():
                path.parent.mkdir(exist_ok=True)
                try:
                    write_atomically(path, content(), error=ProjectError)
                except ProjectError as error:
                    # As the operating system said it: a full disk is a full disk, whatever does not fit on it.
                    raise (error.__cause__ or error) from None
            with self._lock:
                self._written.add(name)
