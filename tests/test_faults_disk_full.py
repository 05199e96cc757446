"""A disk that is full at any write of a session: work goes on, nothing is lost, and it is told until it is mended."""

from __future__ import annotations

import contextlib
import subprocess

import numpy as np
import pytest
import tifffile
from balls import pixels
from gestures import gesture, state

from napari_simmat.annotator import Annotator
from napari_simmat.errors import SimmatError
from napari_simmat.images import open_image
from napari_simmat.journal import Journal
from napari_simmat.journal.space import RESERVE_BYTES

SESSION = (
    "click",
    "accept",
    "brush",
    "click",
    "accept",
    "erase",
    "train",
    "click",
    "candidate",
    "accept",
    "merge",
    "export",
)
SIZE_KB = 4096


@pytest.fixture
def disk(tmp_path):
    """A file system of 4 MB with an image."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_KB}k", "tmpfs", str(place)],
        check=False,
        capture_output=True,
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.decode().strip()}")
    tifffile.imwrite(place / "balls.tif", pixels(3), photometric="minisblack")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk, left=0):
    """Take all space but so many bytes."""
    with (disk / "ballast").open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    with (disk / "ballast").open("r+b") as file:
        file.truncate(max(0, (disk / "ballast").stat().st_size - left))


def act(annotator, kind, rng, disk):
    with contextlib.suppress(SimmatError):  # an export says that the disk is full, and writes nothing
        if kind == "export":
            annotator.export(disk / "labels.tif", "tiff")
        else:
            gesture(annotator, kind, rng)


@pytest.mark.parametrize("home", ["elsewhere", "on the same disk"])
@pytest.mark.parametrize("when", range(len(SESSION)), ids=[f"{n}-{kind}" for n, kind in enumerate(SESSION)])
def test_nothing_is_lost_where_the_disk_is_full_from_a_gesture_on(disk, tmp_path, monkeypatch, when, home):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str((tmp_path if home == "elsewhere" else disk) / "home"))
    image, rng = open_image(disk / "balls.tif", channel_axis=0), np.random.default_rng(4)
    annotator = Annotator(image, journal=Journal())
    told = []
    annotator.trouble_changed.connect(told.append)
    for number, kind in enumerate(SESSION):
        if number == when:
            fill(disk, left=int(rng.integers(0, 12)) * 4096)
        act(annotator, kind, rng, disk)
        if number > when and annotator.book.log.project.unwritten:
            assert "the disk is full" in annotator.trouble
            assert ("safe in" in annotator.trouble) == (home == "elsewhere")
    wanted = state(annotator)
    assert annotator.objects
    (disk / "ballast").unlink()
    assert annotator.try_writing_again()
    assert annotator.trouble == ""
    assert not told or told[-1] == ""
    annotator.close()
    again = Annotator(image, journal=Journal())
    assert state(again) == wanted
    again.close()


def test_a_session_that_ends_with_a_full_disk_loses_nothing_if_the_users_folder_has_room(
    disk, tmp_path, monkeypatch
):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    image, rng = open_image(disk / "balls.tif", channel_axis=0), np.random.default_rng(4)
    annotator = Annotator(image, journal=Journal())
    act(annotator, "click", rng, disk)
    fill(disk)
    for _ in range(300):  # more than the reserve holds
        act(annotator, "brush", rng, disk)
        act(annotator, "accept", rng, disk)
        if annotator.book.log.project.unwritten:
            break
    assert "safe in" in annotator.trouble
    for kind in SESSION[:6]:
        act(annotator, kind, rng, disk)
    wanted = state(annotator)
    annotator.close()
    (disk / "ballast").unlink()
    again = Annotator(image, journal=Journal())
    assert state(again) == wanted
    again.close()


def test_the_reserve_is_given_up_first_which_is_told_until_there_is_space_again(disk, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    annotator = Annotator(open_image(disk / "balls.tif", channel_axis=0), journal=Journal())
    rng = np.random.default_rng(4)
    act(annotator, "click", rng, disk)
    assert (annotator.project_folder / "reserve").exists()
    fill(disk)
    for kind in SESSION[1:6]:
        act(annotator, kind, rng, disk)
    assert "the disk is full; gestures are still written" in annotator.trouble
    assert not annotator.book.log.project.unwritten
    (disk / "ballast").unlink()
    assert annotator.try_writing_again()
    assert annotator.trouble == ""
    assert (annotator.project_folder / "reserve").stat().st_size == RESERVE_BYTES
    annotator.close()


def test_a_project_that_rests_is_left_to_others_although_the_disk_was_full(disk, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    image, rng = open_image(disk / "balls.tif", channel_axis=0), np.random.default_rng(4)
    first = Annotator(image, journal=Journal())
    act(first, "click", rng, disk)
    fill(disk)
    for kind in SESSION[1:6]:
        act(first, kind, rng, disk)
    assert first.trouble
    project = first.book.log.project
    first.set_image(None)  # somebody looks at something else, and the banner asks again and again
    project._writer.join(5)
    assert first.try_writing_again()
    assert first.trouble == ""
    second = Annotator(image, journal=Journal())
    assert second.refusal == ""
    first.close()
    second.close()
