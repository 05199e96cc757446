"""Whether a project folder is whole, and what of it can be mended. Damaged files are put aside, never deleted."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from pydantic import BaseModel, Field

from napari_simmat.errors import AdapterError, ProjectError, SimmatError
from napari_simmat.folders import data_folder
from napari_simmat.journal.places import places
from napari_simmat.journal.project import JOURNAL, SUFFIX, Project
from napari_simmat.journal.snapshots import SUFFIX as SNAPSHOT
from napari_simmat.journal.snapshots import Snapshot
from napari_simmat.journal.store import Store
from napari_simmat.journal.story import tell
from napari_simmat.models import Adapter


class Checkup(BaseModel):
    """What a project holds and what is wrong with it."""

    folder: str
    images: int = 0
    objects: int = 0
    gestures: int = 0
    adapters: int = 0
    snapshots: int = 0
    megabytes: float = 0.0
    is_open: bool = Field(default=False, description="Whether a window works on it now.")
    repaired: list[str] = Field(
        default_factory=list, description="A sentence for each thing that was mended."
    )
    problems: list[str] = Field(default_factory=list, description="A sentence each.")


def check_project(folder: Path, *, repair: bool = False) -> Checkup:
    """Look at everything in a project.

    Parameters
    ----------
    folder : Path
    repair : bool
        Put what is damaged aside, and make a new journal of all that is whole in it.

    Raises
    ------
    ProjectError
        There is no project in this folder.
    """
    if not (folder / JOURNAL).is_file():
        raise ProjectError(
            f"There is no project in {folder}; expected a folder {SUFFIX} with a {JOURNAL} in it."
        )
    found = Checkup(folder=str(folder), megabytes=_size(folder) / 2**20)
    if repair:
        _repair(folder, found)
    _read(folder, found)
    for path in sorted(folder.glob(f"*{SNAPSHOT}")):
        _look(path, Snapshot.read, found, repair=repair)
        found.snapshots += path.exists()
    for path in sorted((folder / "adapters").glob("*.safetensors")):
        _look(path, _load_adapter, found, repair=repair)
        found.adapters += path.exists()
    return found


def _load_adapter(path: Path) -> None:
    if Adapter.load(path).fingerprint != path.stem:
        raise AdapterError("It does not hold what was written there.")


def known_projects() -> list[Path]:
    """All projects that this user's windows have made and that are still there."""
    own = sorted(data_folder("projects").glob(f"*{SUFFIX}"))
    return [folder for folder in dict.fromkeys([*own, *places()]) if (folder / JOURNAL).is_file()]


def _read(folder: Path, found: Checkup) -> None:
    try:
        with closing(Store(folder / JOURNAL, read_only=True)) as store:
            found.problems += [f"{folder / JOURNAL}: {problem}." for problem in store.problems()]
            lost = lost_objects = 0
            for image in store.images():
                reading = store.read(image.identity)
                story = tell(reading)
                found.images += 1
                found.objects += len(story.states)
                found.gestures += len(reading.steps)
                lost, lost_objects = max(lost, reading.lost), lost_objects + reading.lost_objects
    except sqlite3.Error as error:
        found.problems.append(f"{folder / JOURNAL} cannot be read ({error}).")
        return
    if lost or lost_objects:
        found.problems.append(
            f"{folder / JOURNAL}: {lost} gestures and {lost_objects} versions of objects are damaged; the newest "
            "snapshot stands in for them."
        )


def _repair(folder: Path, found: Checkup) -> None:
    project = Project(folder)
    try:
        found.repaired += project.mend()
        found.is_open = project.is_read_only
    except (OSError, sqlite3.Error, SimmatError) as error:
        found.problems.append(f"{folder} could not be repaired ({error}).")
    finally:
        project.close()


def _look(path: Path, read: Callable[[Path], object], found: Checkup, *, repair: bool) -> None:
    try:
        read(path)
    except SimmatError as error:
        if repair and not found.is_open:
            aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
            os.replace(path, aside)
            found.repaired.append(f"{path.name} is damaged and was renamed {aside.name}.")
        else:
            found.problems.append(f"{path}: {error}")


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # a window may have removed it
            continue
    return total
