"""Where gestures go that cannot be written where they belong: the user's own folder, until that is possible."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import ProjectError
from napari_simmat.folders import data_folder
from napari_simmat.journal.steps import Step
from napari_simmat.journal.store import ImageRow, Store

_JOURNAL = "journal.sqlite"


class Spare:
    """What belongs into one project and is not there yet.

    Parameters
    ----------
    project : Path
        The folder of the project.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        self._written: set[int] = set()

    @property
    def folder(self) -> Path:
        """Its folder, which may not be there."""
        name = hashlib.blake2b(os.fsencode(self._project.absolute()), digest_size=8).hexdigest()
        return data_folder("unwritten") / name

    @property
    def exists(self) -> bool:
        """Whether anything is waiting there."""
        return (self.folder / _JOURNAL).exists()

    def add(self, items: Sequence[tuple[ImageRow, Step]], adapters: dict[str, Callable[[], bytes]]) -> None:
        """Keep steps and adapters that are not kept here yet.

        Raises
        ------
        sqlite3.Error, OSError, ProjectError
            They cannot be written here either.
        """
        folder = self.folder
        (folder / "adapters").mkdir(parents=True, exist_ok=True)
        for fingerprint, content in adapters.items():
            path = folder / "adapters" / f"{fingerprint}.safetensors"
            if not path.exists():
                write_atomically(path, content(), error=ProjectError)
        new = [item for item in items if item[1].number not in self._written]
        if new:
            with closing(Store(folder / _JOURNAL)) as store:
                store.append(new)
            self._written.update(step.number for _, step in new)

    def read(self) -> list[tuple[ImageRow, Step]]:
        """All steps that wait here, in order.

        Raises
        ------
        sqlite3.Error
            They cannot be read.
        """
        if not self.exists:
            return []
        with closing(Store(self.folder / _JOURNAL)) as store:
            found = [(row, step) for row in store.images() for step in store.read(row.identity).steps]
        return sorted(found, key=lambda item: item[1].number)

    def adapters(self) -> dict[str, Path]:
        """The adapters that wait here, by fingerprint."""
        return {path.stem: path for path in (self.folder / "adapters").glob("*.safetensors")}

    def put_aside(self) -> Path:
        """Keep what waits here under another name, since it cannot go where it belongs; where it is."""
        self._written.clear()
        aside = self.folder
        while aside.exists():
            aside = aside.with_name(f"{aside.name}.other")
        os.replace(self.folder, aside)
        return aside

    def clear(self) -> None:
        """Remove all: it is where it belongs."""
        self._written.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
