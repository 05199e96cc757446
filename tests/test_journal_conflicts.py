"""Two windows, folders that go away, slow locks, errors that are no damage: no gesture is lost without a word."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sqlite3
import time
from contextlib import closing

import numpy as np
import pytest
import tifffile
from balls import BALLS, balls, pixels
from filelock import FileLock
from journals import accept, full_for, home, opened, scene, session  # noqa: F401

from napari_simmat.annotator import Annotator
from napari_simmat.errors import ProjectError
from napari_simmat.images.opened import open_file
from napari_simmat.journal import Journal, Step, Was, row_of
from napari_simmat.journal import mending as mending_module
from napari_simmat.journal.project import JOURNAL
from napari_simmat.journal.store import NumberTakenError, Store


def test_who_looked_first_does_not_overwrite_who_worked_meanwhile(scene):
    first, second = session(scene), session(scene)
    accept(second, 1, 2)
    labels = second.labels.copy()
    second.close()
    first.click(*BALLS[3][:2])
    with pytest.raises(ProjectError, match="has worked on the project"):
        first.accept()
    first.set_image(opened(scene))  # opened again, it goes on from there
    np.testing.assert_array_equal(first.labels, labels)
    accept(first, 3)
    first.close()
    again = session(scene)
    assert set(again.objects) == {1, 2, 3}
    again.close()


def test_a_window_that_only_showed_works_when_the_other_one_is_closed_and_the_image_opened_again(scene):
    first = session(scene)
    accept(first, 1)
    second = session(scene)
    assert second.refusal
    first.close()
    second.set_image(opened(scene))
    assert not second.refusal
    accept(second, 2)
    assert set(second.objects) == {1, 2}
    second.close()


def test_a_number_is_never_taken_twice(tmp_path):
    row = row_of(balls())
    with closing(Store(tmp_path / JOURNAL)) as store:
        store.append([(row, Step("prompt", prompt=Was(None, {"points": [[1, 2]]}), number=1, time=1.0))])
        with pytest.raises(NumberTakenError):
            store.append([(row, Step("prompt", prompt=Was(None, {"points": [[3, 4]]}), number=1, time=2.0))])
        assert len(store.read(row.identity).steps) == 1


def test_a_lock_that_is_slow_to_tell_lets_nobody_write_without_it(scene, monkeypatch):
    first = session(scene)
    second = session(scene)
    accept(first, 1)
    acquire = FileLock.acquire

    def slow(self, *arguments, **options):
        time.sleep(1.2)
        return acquire(self, *arguments, **options)

    monkeypatch.setattr(FileLock, "acquire", slow)
    second.click(*BALLS[2][:2])
    time.sleep(3)
    second.try_writing_again()
    assert "is open in another window" in second.trouble  # said, and kept elsewhere
    monkeypatch.setattr(FileLock, "acquire", acquire)
    accept(first, 2)
    first.close()
    again = session(scene)
    assert set(again.objects) == {1, 2}
    again.close()
    second.close()


def test_of_two_windows_on_a_removed_folder_only_one_goes_on(scene):
    first = session(scene)
    accept(first, 1)
    shutil.rmtree(first.project_folder)
    second = session(scene)
    accept(second, 2)
    with contextlib.suppress(ProjectError):
        accept(first, 3)
    assert first.trouble or first.refusal
    first.close()
    second.close()
    again = session(scene)
    assert [state for state in again.objects] == [1]  # what the second window made
    assert again.objects[1].prompt.points == ((36.0, 110.0),)
    again.close()


def test_a_drive_that_is_gone_gets_no_folder_of_its_name(scene):
    annotator = session(scene)
    accept(annotator, 1)
    scene.parent.rename(scene.parent.with_name("unmounted"))
    accept(annotator, 2)
    assert not scene.parent.exists()
    assert "safe in" in annotator.trouble
    scene.parent.with_name("unmounted").rename(scene.parent)
    assert annotator.try_writing_again()
    annotator.close()
    again = session(scene)
    assert set(again.objects) == {1, 2}
    again.close()


def test_gestures_on_several_slices_wait_elsewhere_together(tmp_path, monkeypatch):
    path = tmp_path / "stack.tif"
    data = np.stack([pixels(2), pixels(2, seed=3)]).astype(np.float32)
    tifffile.imwrite(path, data, metadata={"axes": "ZCYX"}, imagej=True)
    opened = open_file(path)
    annotator = Annotator(opened.image(index=(0,)), journal=Journal())
    accept(annotator, 1)
    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", full_for(tmp_path))
        accept(annotator, 2)
        annotator.set_image(opened.image(index=(1,)))
        accept(annotator, 3)
        annotator.set_image(opened.image(index=(0,)))
        accept(annotator, 4)
        assert "safe in" in annotator.trouble
        assert annotator.close() == []
    again = Annotator(opened.image(index=(0,)), journal=Journal())
    assert set(again.objects) == {1, 2, 3}
    again.set_image(opened.image(index=(1,)))
    assert set(again.objects) == {1}
    again.close()


def test_an_adapter_that_could_not_be_written_comes_back_too(scene, monkeypatch):
    annotator = session(scene)
    accept(annotator, 1)
    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", full_for(scene.parent))
        patched.setattr("napari_simmat.journal.adapter_files.AdapterFiles.write", lambda self: None)
        assert annotator.quick(steps=1).kept
        annotator.close()
    again = session(scene)
    assert again.versions.current.name == "quick 1"
    accept(again, 2)
    again.close()
    third = session(scene)
    assert third.versions.current.name == "quick 1"
    third.close()


def test_an_error_that_is_no_damage_changes_nothing_and_lets_nothing_be_written(scene, monkeypatch):
    annotator = session(scene)
    accept(annotator, 1, 2)
    annotator.close()
    before = {p.name: p.read_bytes() for p in annotator.book.log.project.folder.iterdir() if p.is_file()}

    def busy(self):
        raise sqlite3.OperationalError("unable to open database file")

    told = []
    with monkeypatch.context() as patched:
        patched.setattr(Store, "problems", busy)
        again = Annotator(journal=Journal())
        again.problem.connect(told.append)
        again.set_image(opened(scene))
        assert "cannot be read (unable to open database file)" in told[0]
        again.click(*BALLS[3][:2])
        with pytest.raises(ProjectError, match="could not be read, so nothing is written to it"):
            again.accept()
    again.set_image(opened(scene))
    assert set(again.objects) == {1, 2}
    again.close()
    after = {p.name: p.read_bytes() for p in annotator.book.log.project.folder.iterdir() if p.is_file()}
    assert after == before


@pytest.mark.parametrize("moment", ["copied", "noted", "made", "logs removed"])
def test_mending_that_is_interrupted_is_done_again(scene, monkeypatch, moment):
    annotator = session(scene)
    accept(annotator, 1, 2, 3)
    labels, folder = annotator.labels.copy(), annotator.project_folder
    annotator.book._keep_snapshot(now=True)
    annotator.close()
    content = bytearray((folder / JOURNAL).read_bytes())
    content[4096:8192] = bytes(4096)
    (folder / JOURNAL).write_bytes(content)

    class Killed(BaseException):
        pass

    def die(*arguments, **options):
        raise Killed

    with monkeypatch.context() as patched:
        name = {
            "copied": "write_atomically",
            "noted": "_make_anew",
            "made": "sync_folder",
            "logs removed": "os.replace",
        }[moment]
        if moment == "made":
            calls = []
            patched.setattr(
                mending_module,
                "sync_folder",
                lambda f: calls.append(f) or (die() if len(calls) == 3 else None),
            )
        elif moment == "logs removed":
            patched.setattr(mending_module.os, "replace", die)
        else:
            patched.setattr(mending_module, name, die)
        with contextlib.suppress(Killed):
            Annotator(opened(scene), journal=Journal())
            pytest.fail("it was not interrupted")
    gc.collect()  # the lock of a process ends with it
    told = []
    again = Annotator(journal=Journal())
    again.problem.connect(told.append)
    again.set_image(opened(scene))
    np.testing.assert_array_equal(again.labels, labels)
    assert "was damaged" in told[0]
    assert not (folder / "mending").exists()
    again.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")
def test_files_whose_names_are_no_text_can_be_worked_on(scene):
    odd = scene.parent / os.fsdecode(b"sc\xe8ne.tif")
    scene.rename(odd)
    annotator = session(odd)
    accept(annotator, 1)
    assert annotator.trouble == ""
    annotator.close()
    again = session(odd)
    assert set(again.objects) == {1}
    again.close()


def test_start_empty_sets_clicks_aside_too(scene):
    first = session(scene)
    first.click(*BALLS[1][:2])
    first.close()
    again = Annotator(journal=Journal())
    again.asks_to_resume = True
    again.set_image(opened(scene))
    again.start_empty()
    assert again.prompt.is_empty
    assert again.answer is None
    again.undo()
    assert again.prompt.points == ((30.0, 34.0),)
    again.close()


def test_snapshots_are_made_while_objects_are_accepted(tmp_path):
    from napari_simmat._annotator.found import open_book
    from napari_simmat.inference import Prompt
    from napari_simmat.journal.project import SNAPSHOT_EVERY

    journal = Journal(tmp_path)
    book = open_book(balls(), journal, on_problem=pytest.fail).book
    for k in range(SNAPSHOT_EVERY):
        mask = np.zeros(balls().shape, bool)
        mask[k, :9] = True
        book.accept(mask, label=None, prompt=Prompt(), adapter="")
    journal.close()
    assert list(tmp_path.rglob("*.snapshot"))


def test_a_training_that_ends_while_work_waits_to_be_resumed_is_kept(scene):
    first = session(scene)
    accept(first, 1)
    assert first.quick(steps=1).kept
    first.close()
    again = Annotator(journal=Journal())
    again.asks_to_resume = True
    again.set_image(opened(scene))
    again.use_transfer("linear")  # while the bar still asks
    again.resume()
    name = again.versions.current.name
    again.close()
    third = session(scene)
    assert third.versions.current.name == name
    third.close()
