"""Files of a project cut short anywhere or with flipped bits: a clear report, and the newest intact state comes back.

``NAPARI_SIMMAT_DAMAGES=100`` damages each file a hundred times in each way, as `docs/reliability.md` reports it.
"""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import tifffile
from balls import BALLS, pixels

from napari_simmat._annotator.found import open_book
from napari_simmat.annotator import Annotator
from napari_simmat.images import open_image
from napari_simmat.journal import Journal
from napari_simmat.journal.checkup import check_project
from napari_simmat.journal.project import JOURNAL

CUTS = FLIPS = int(os.environ.get("NAPARI_SIMMAT_DAMAGES", "20"))
NAME = "balls.tif.simmat"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with an image and a project that is open, the same after it was closed, and all states on the way."""
    folder = tmp_path_factory.mktemp("work")
    tifffile.imwrite(folder / "balls.tif", pixels(3), photometric="minisblack")
    annotator = Annotator(open_image(folder / "balls.tif", channel_axis=0), journal=Journal())
    states = [annotator.labels.copy()]

    def note():
        states.append(annotator.labels.copy())

    for number in (1, 2, 3):
        annotator.click(*BALLS[number][:2])
        annotator.accept()
        note()
    annotator.quick(steps=1)
    annotator.book.target.data[:20, :30] = 3
    annotator.sync_labels()
    note()
    annotator.erase(2)
    note()
    annotator.book._keep_snapshot(now=True)
    annotator.click(*BALLS[4][:2])
    annotator.accept()
    note()
    assert annotator.try_writing_again()
    annotator.book.log.project._writer.submit(lambda: None).result(10)  # the snapshot
    still_open = tmp_path_factory.mktemp("open")
    shutil.copytree(folder, still_open, dirs_exist_ok=True)
    annotator.close()
    return still_open, folder, states


def files_of(folder):
    return sorted(
        path.relative_to(folder / NAME)
        for path in (folder / NAME).rglob("*")
        if path.is_file() and path.name not in ("lock", "reserve") and path.stat().st_size
    )


def restored(folder):
    """What a fresh session finds, with all that it is told."""
    journal = Journal()
    image = open_image(folder / "balls.tif", channel_axis=0)
    found = open_book(image, journal, on_problem=pytest.fail)
    told = found.book.problems_found()
    labels = found.book.known
    if found.story.bridges:  # as a session does
        found.book.write_all(bridges=found.story.bridges)
    journal.close()
    return labels, told


def damaged_copies(folder, base, damage, count):
    """Copies of a folder, each with one file damaged in another way."""
    rng = np.random.default_rng(0)
    for file in files_of(folder):
        for number in range(count):
            copy = base / f"{file.name}-{number}"
            shutil.copytree(folder, copy)
            path = copy / NAME / file
            path.write_bytes(damage(path.read_bytes(), rng))
            yield file.name, copy
            shutil.rmtree(copy)


def cut(content, rng):
    return content[: rng.integers(0, len(content))]


def flip(content, rng):
    damaged = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        damaged[rng.integers(0, len(damaged))] ^= 1 << int(rng.integers(0, 8))
    return bytes(damaged)


@pytest.mark.parametrize(("damage", "count"), [(cut, CUTS), (flip, FLIPS)], ids=["cut", "flipped"])
@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "killed"])
def test_a_damaged_file_costs_as_little_as_possible(work, tmp_path, damage, count, is_open):
    still_open, closed, states = work
    folder = still_open if is_open else closed
    as_states = {labels.tobytes(): number for number, labels in enumerate(states)}
    last = len(states) - 1
    for name, copy in damaged_copies(folder, tmp_path, damage, count):
        labels, told = restored(copy)
        number = as_states.get(labels.tobytes())
        assert number is not None, f"{name}: no state that ever was; {told}"
        # The last snapshot holds all but the last object of a session that is open, and all of one that was closed.
        assert number >= (last - 1 if is_open else last), f"{name}: {number} {told}"
        assert number == last or told, f"{name}: nothing is told of what was lost"
        if damage is cut and name == JOURNAL and not is_open:
            assert told, f"{name}: nothing is told"
        again, told = restored(copy)
        assert not any("journal" in sentence for sentence in told), f"{name}: told twice, {told}"
        assert again.tobytes() == labels.tobytes(), f"{name}: another state the second time"
        found = check_project(copy / NAME, repair=True)
        assert not found.problems, f"{name}: {found.problems}"
