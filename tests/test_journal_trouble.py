"""Disks that are full or do not answer, folders that go, damage: work goes on, and no more is lost than was damaged."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from contextlib import closing

import numpy as np
from balls import BALLS, balls
from journals import accept, full_for, home, opened, scene, session  # noqa: F401

from napari_simmat.annotator import Annotator
from napari_simmat.journal import Change, Journal, ObjectState, Project, Step, Was, row_of
from napari_simmat.journal.project import JOURNAL, PATIENCE_S
from napari_simmat.journal.snapshots import KEPT, Snapshot, snapshots_of
from napari_simmat.journal.space import RESERVE
from napari_simmat.journal.store import Store


def state(label=1, size=5, **more):
    crop = np.ones((size, size), bool)
    return ObjectState.of(
        label, (slice(2, 2 + size), slice(3, 3 + size)), crop, source="clicks", prompt=None, **more
    )


# ------------------------------------------------------------------ disks


def test_what_a_full_disk_does_not_take_is_kept_elsewhere_and_told_until_it_is_written(scene, monkeypatch):
    annotator = session(scene)
    accept(annotator, 1)
    troubles, threads = [], threading.enumerate()
    annotator.trouble_changed.connect(troubles.append)
    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", full_for(scene.parent))
        accept(annotator, 2)
        assert set(annotator.objects) == {1, 2}  # work goes on
        assert "the disk is full" in annotator.trouble
        assert "2 gestures are safe in" in annotator.trouble
        assert not (annotator.project_folder / RESERVE).exists()  # given up for them
        assert not annotator.try_writing_again()
    assert annotator.try_writing_again()
    assert troubles[-1] == annotator.trouble == ""
    for thread in {*threading.enumerate()} - {*threads}:  # what kept it elsewhere ends once it is not needed
        thread.join(60)
        assert not thread.is_alive()
    labels = annotator.labels.copy()
    annotator.close()
    again = session(scene)
    np.testing.assert_array_equal(again.labels, labels)
    again.close()


def test_what_was_kept_elsewhere_comes_back_in_the_next_session(scene, monkeypatch):
    annotator = session(scene)
    accept(annotator, 1)
    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", full_for(scene.parent))
        accept(annotator, 2)
        annotator.close()
    again = session(scene)
    assert set(again.objects) == {1, 2}
    again.close()
    third = session(scene)  # and it is not brought a second time
    assert set(third.objects) == {1, 2}
    assert len(third.history[0]) == 4
    third.close()


def test_a_drive_that_does_not_answer_keeps_nobody_waiting(scene, monkeypatch):
    annotator = session(scene)
    accept(annotator, 1)
    append, hanging = Store.append, [True]

    def hang(self, *arguments):
        while str(self.path.parent).endswith(".simmat") and hanging[0]:
            time.sleep(0.01)
        return append(self, *arguments)

    monkeypatch.setattr(Store, "append", hang)
    annotator.click(*BALLS[2][:2])
    assert "does not answer" in annotator.trouble
    hanging[0] = False
    time.sleep(PATIENCE_S)
    assert annotator.try_writing_again()
    annotator.close()
    again = session(scene)
    assert again.prompt.points == ((36.0, 110.0),)
    again.close()


def test_a_project_that_was_removed_meanwhile_is_made_again(scene):
    annotator = session(scene)
    accept(annotator, 1)
    shutil.rmtree(annotator.project_folder)
    accept(annotator, 2)
    labels = annotator.labels.copy()
    annotator.close()
    again = session(scene)
    np.testing.assert_array_equal(again.labels, labels)
    again.close()


def test_a_file_system_without_write_ahead_logs_has_a_rollback_journal(tmp_path, monkeypatch):
    class NoWal(sqlite3.Connection):
        def execute(self, statement, *values):
            if "journal_mode=WAL" in statement:
                raise sqlite3.OperationalError("locking protocol")
            return super().execute(statement, *values)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **k, factory=NoWal))
    with closing(Store(tmp_path / "journal.sqlite")) as store:
        assert store.mode == "delete"
        store.append([(row_of(balls()), Step("accept", changes=(Change(None, state()),), number=1))])
        assert [step.kind for step in store.read(balls().identity).steps] == ["accept"]


def test_a_clock_that_was_set_back_changes_nothing(scene, monkeypatch):
    annotator = session(scene)
    accept(annotator, 1)
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    accept(annotator, 2)
    annotator.erase(1)
    annotator.close()
    again = session(scene)
    assert set(again.objects) == {2}
    assert [step.what for step in again.history[0]] == ["prompt", "accept", "prompt", "accept", "erase"]
    again.close()


# ------------------------------------------------------------------ damage


def test_a_damaged_step_costs_itself_and_is_told_once(scene):
    annotator = session(scene)
    accept(annotator, 1, 2, 3)
    folder = annotator.project_folder
    annotator.close()
    for path in folder.glob("*.snapshot"):
        path.unlink()
    with closing(sqlite3.connect(folder / JOURNAL)) as connection, connection:
        connection.execute("UPDATE steps SET body = replace(body, 'accept', 'accepd') WHERE number = 5")
    told = []
    again = Annotator(journal=Journal())
    again.problem.connect(told.append)
    again.set_image(opened(scene))
    assert set(again.objects) == {1, 3}
    assert told == ["1 gesture in the journal could not be read; all others are back."]
    again.close()
    told.clear()
    again = Annotator(journal=Journal())
    again.problem.connect(told.append)
    again.set_image(opened(scene))
    assert not told
    again.close()


def test_the_newest_snapshot_stands_in_for_a_damaged_journal(scene):
    annotator = session(scene)
    accept(annotator, 1, 2, 3)
    labels, folder = annotator.labels.copy(), annotator.project_folder
    annotator.close()
    (folder / JOURNAL).write_bytes(b"not a database at all" * 400)
    told = []
    again = Annotator(journal=Journal())
    again.problem.connect(told.append)
    again.set_image(opened(scene))
    np.testing.assert_array_equal(again.labels, labels)
    assert "was damaged" in told[0]
    assert [(p / JOURNAL).read_bytes()[:3] for p in folder.glob("damaged-*")] == [b"not"]  # as it was
    accept(again, 4)
    again.close()
    third = session(scene)
    assert set(third.objects) == {1, 2, 3, 4}
    third.close()


def test_three_snapshots_are_kept_and_a_damaged_one_is_passed_over(tmp_path):
    for number in range(1, 6):
        Snapshot("abcdef" * 4, number, (state(number),), number, None, None, 0.0).write(tmp_path)
    paths = snapshots_of(tmp_path, "abcdef" * 4)
    assert [int(p.stem[-9:]) for p in paths] == [5, 4, 3]
    assert len(paths) == KEPT
    content = bytearray(paths[0].read_bytes())
    content[-3] ^= 4
    paths[0].write_bytes(content)
    from napari_simmat.journal.snapshots import newest_intact

    found, problems = newest_intact(paths)
    assert found.number == 4
    assert "damaged" in problems[0]


def test_an_object_whose_clicks_cannot_be_read_comes_back_without_them(tmp_path):
    image = balls()
    with closing(Store(tmp_path / "journal.sqlite")) as store:
        odd = ObjectState.of(
            1, (slice(2, 5), slice(2, 5)), np.ones((3, 3), bool), source="clicks", prompt={"labels": [7]}
        )
        store.append([(row_of(image), Step("accept", changes=(Change(None, odd),), number=1))])
    folder = tmp_path / f"{image.identity}.simmat"
    folder.mkdir()
    os.replace(tmp_path / "journal.sqlite", folder / JOURNAL)
    told = []
    annotator = Annotator(journal=Journal(tmp_path))
    annotator.problem.connect(told.append)
    annotator.set_image(image)
    assert annotator.objects[1].prompt is None
    assert "came back without its clicks" in told[0]
    annotator.close()


def test_steps_are_not_written_twice(tmp_path):
    with closing(Store(tmp_path / "journal.sqlite")) as store:
        step = Step("prompt", prompt=Was(None, {"points": [[1, 2]], "labels": [1]}), number=1)
        store.append([(row_of(balls()), step)])
        store.append([(row_of(balls()), step)])
        assert len(store.read(balls().identity).steps) == 1


def test_a_project_writes_from_the_threads_it_was_given_and_gives_them_back(tmp_path):
    before = threading.active_count()
    project = Project(tmp_path / "a.simmat")
    project.commit(row_of(balls()), Step("accept", changes=(Change(None, state()),)))
    assert threading.active_count() == before + 1
    assert project.close() == ""
    assert threading.active_count() == before
