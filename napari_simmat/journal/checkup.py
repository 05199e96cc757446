"""Whether a project folder is whole, and what of it can be mended. Damaged files are put aside, never deleted."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, Field

from napari_simmat.errors import AdapterError, ProjectError, SimmatError
from napari_simmat.folders import PROJECT_SUFFIX, data_folder
from napari_simmat.journal.claim import LOCK
from napari_simmat.journal.places import places
from napari_simmat.journal.project import JOURNAL, Project
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
            f"There is no project in {folder}; expected a folder {PROJECT_SUFFIX} with a {JOURNAL} in it."
        )
    found = Checkup(folder=str(folder), megabytes=_size(folder) / 2**20)
    project = Project(folder)
    try:
        if repair:
            _repair(project, found)
        else:
            found.is_open = _is_locked(folder)
        _read(folder, found)
        may_repair = repair and not found.is_open
        for path in sorted(folder.glob(f"*{SNAPSHOT}")):
            _look(path, Snapshot.read, found, repair=may_repair)
            found.snapshots += path.exists()
        for path in sorted((folder / "adapters").glob("*.safetensors")):
            _look(path, _load_adapter, found, repair=may_repair)
            found.adapters += path.exists()
    finally:
        project.close()
    return found


def _load_adapter(path: Path) -> None:
    if Adapter.load(path).fingerprint != path.stem:
        raise AdapterError("It does not hold what was written there.")


def known_projects() -> list[Path]:
    """All projects that this user's windows have made and that are still there."""
    own = sorted(data_folder("projects").glob(f"*{PROJECT_SUFFIX}"))
    return [folder for folder in dict.fromkeys([*own, *places()]) if (folder / JOURNAL).is_file()]


def _read(folder: Path, found: Checkup) -> None:
    try:
        with closing(Store(folder / JOURNAL, read_only=True)) as store:
            found.problems += [f"{folder / JOURNAL}: {problem}." for problem in store.problems()]
            lost = lost_objects = bridged = 0
            for image in store.images():
                reading = store.read(image.identity)
                story = tell(reading)
                found.images += 1
                found.objects += len(story.states)
                found.gestures += len(reading.steps)
                lost, lost_objects = max(lost, reading.lost), lost_objects + reading.lost_objects
                bridged += max((int(step.details.get("bridges", 0)) for step in reading.steps), default=0)
    except sqlite3.Error as error:
        found.problems.append(f"{folder / JOURNAL} cannot be read ({error}).")
        return
    if lost + lost_objects > bridged:
        found.problems.append(
            f"{folder / JOURNAL}: {lost} gestures and {lost_objects} versions of objects are damaged or missing."
        )


def _repair(project: Project, found: Checkup) -> None:
    """Mend the journal; the project keeps its lock until everything else is looked at."""
    try:
        found.repaired += project.mend()
        found.is_open = bool(project.refusal)
    except (OSError, sqlite3.Error, SimmatError) as error:
        found.problems.append(f"{project.folder} could not be repaired ({error}).")


def _is_locked(folder: Path) -> bool:
    """Whether a window works on it."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def _look(path: Path, read: Callable[[Path], object], found: Checkup, *, repair: bool) -> None:
    try:
        read(path)
    except SimmatError as error:
        if repair:
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
