"""What a project tells of an image, whatever of its files is damaged."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from napari_simmat.journal.mark import read_mark
from napari_simmat.journal.snapshots import Snapshot, newest_intact, snapshots_of
from napari_simmat.journal.steps import Step
from napari_simmat.journal.store import ImageRow, Reading, Store
from napari_simmat.journal.story import Former, Story, tell


def read_story(path: Path, image: ImageRow, unwritten: Sequence[Step], problems: Sequence[str]) -> Story:
    """All that is known of an image.

    Parameters
    ----------
    path : Path
        Of the journal, which may not be there.
    image : ImageRow
    unwritten : sequence of Step
        Steps of the image that are only in memory.
    problems : sequence of str
        What is to be told anyway.

    Raises
    ------
    sqlite3.Error, OSError
        It cannot be read, for another reason than damage.
    """
    folder, reading, former, last = path.parent, Reading(), None, 0
    if path.exists():
        with closing(Store(path, read_only=True)) as store:
            reading, last = store.read(image.identity), store.last_number()
            rows = store.images()
            if not unwritten and image.identity not in {row.identity for row in rows}:
                former = _former(store, image, rows)
    reading.lost += max(0, read_mark(folder) - last)
    there = {step.number for step in reading.steps}
    reading.steps += [step for step in unwritten if step.number not in there]
    losses = reading.lost + reading.lost_objects
    is_bridged = losses <= max((int(s.details.get("bridges", 0)) for s in reading.steps), default=0)
    snapshot, said = None, list(problems)
    is_lossy = bool(problems) or (
        losses > 0 and not is_bridged
    )  # of a mended journal nobody knows what is missing
    if is_lossy:
        snapshot, damaged = newest_intact(snapshots_of(folder, image.identity))
        said += [*damaged, *([_losses(reading, snapshot)] if losses else [])]
    story = tell(reading, snapshot, tuple(said))
    return replace(story, former=former, bridges=max(losses, 1) if is_lossy else 0)


def _former(store: Store, image: ImageRow, rows: Sequence[ImageRow]) -> Former | None:
    """The newest work on another content of the same place of the file."""
    found = None
    for row in rows:
        if row.place == image.place:
            story = tell(store.read(row.identity))
            if story.states and (found is None or story.time > found.time):
                found = Former(row.identity, len(story.states), story.time, row.shape)
    return found


def _losses(reading: Reading, snapshot: Snapshot | None) -> str:
    parts = []
    if reading.lost:
        parts.append(f"{reading.lost} gesture{'s' if reading.lost != 1 else ''}")
    if reading.lost_objects:
        parts.append(f"{reading.lost_objects} version{'s' if reading.lost_objects != 1 else ''} of objects")
    whole = "all others are back" if snapshot is None else "the newest snapshot and all others are back"
    return f"{' and '.join(parts)} in the journal could not be read; {whole}."
