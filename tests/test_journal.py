"""Every gesture is on disk before it is shown as done, and comes back; what is damaged costs no more than itself."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
from balls import BALLS, ball, balls, pixels
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from napari_simmat.annotator import Annotator, ArrayTarget
from napari_simmat.errors import ImageError, ProjectError, PromptError
from napari_simmat.images import open_image, sample_path
from napari_simmat.journal import Change, Journal, ObjectState, Project, Step, Was, row_of
from napari_simmat.journal.project import JOURNAL, PATIENCE_S, RESERVE
from napari_simmat.journal.runs import pack, unpack
from napari_simmat.journal.snapshots import KEPT, Snapshot, snapshots_of
from napari_simmat.journal.store import Store


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def scene(tmp_path):
    """A file with an image."""
    path = tmp_path / "scenes" / "balls.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, pixels(3), photometric="minisblack")
    return path


def opened(path):
    return open_image(path, channel_axis=0)


def accept(annotator, *numbers):
    for number in numbers:
        annotator.click(*BALLS[number][:2])
        annotator.accept()


def state(label=1, size=5, **more):
    crop = np.ones((size, size), bool)
    return ObjectState.of(
        label, (slice(2, 2 + size), slice(3, 3 + size)), crop, source="clicks", prompt=None, **more
    )


# ------------------------------------------------------------------ run-lengths


@given(arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))))
def test_run_lengths_give_back_the_mask(mask):
    np.testing.assert_array_equal(unpack(pack(mask), mask.shape), mask)


@pytest.mark.parametrize("shape", [(4, 4), (5, 6), (0, 3), (1 << 20, 1 << 20)])
def test_run_lengths_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"mask|run-lengths"):
        unpack(pack(np.ones((5, 5), bool)), shape)


def test_run_lengths_that_would_fill_the_memory_are_refused():
    import zlib

    with pytest.raises(ValueError, match="do not end"):
        unpack(zlib.compress(bytes(100 << 20)), (5, 5))


# ------------------------------------------------------------------ where it lies


def test_a_project_lies_beside_its_image_once_something_was_done(scene):
    annotator = Annotator(opened(scene), journal=Journal())
    assert annotator.project_folder == scene.with_name("balls.tif.simmat")
    assert not annotator.project_folder.exists()  # whoever only looks leaves no trace
    annotator.click(*BALLS[1][:2])
    assert (annotator.project_folder / JOURNAL).is_file()
    annotator.close()
    assert [p.name for p in scene.parent.iterdir() if p.suffix == ".tif"] == ["balls.tif"]


def test_bundled_images_and_images_without_a_file_have_their_projects_in_the_users_folder(home):
    from napari_simmat.images import open_dataset

    sample, _ = open_dataset(sample_path("camouflage-train"))[0].load()
    for image in (sample, balls()):
        assert home in Journal().place_of(image).parents


def test_where_nothing_can_be_written_the_project_lies_in_the_users_folder(scene, home, monkeypatch):
    Annotator(opened(scene), journal=Journal()).click(*BALLS[1][:2])
    theirs = Annotator(opened(scene), journal=Journal())
    theirs.close()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # as on a read-only share
    annotator = Annotator(opened(scene), journal=Journal())
    assert home in annotator.project_folder.parents
    assert annotator.prompt.points == ((30.0, 34.0),)  # it begins with what lies there
    accept(annotator, 2)
    annotator.close()
    again = Annotator(opened(scene), journal=Journal())
    assert set(again.objects) == {1}
    again.close()


# ------------------------------------------------------------------ what comes back


def test_everything_comes_back(scene):
    first = Annotator(opened(scene), journal=Journal())
    accept(first, 1)
    assert first.quick(steps=2).kept
    accept(first, 2)
    first.book.target.data[0:5, 0:5] = 9
    first.sync_labels()
    first.erase(2)
    first.click(*BALLS[3][:2])
    first.click(100, 60, 0)
    labels, prompt, version = first.labels.copy(), first.prompt.to_dict(), first.versions.current
    first.close()

    again = Annotator(opened(scene), journal=Journal())
    np.testing.assert_array_equal(again.labels, labels)
    assert again.prompt.to_dict() == prompt
    assert again.answer is not None
    assert again.versions.current.name == version.name == "quick 1"
    assert again.versions.current.adapter.fingerprint == version.adapter.fingerprint
    assert again.segmenter.adapter.fingerprint == version.adapter.fingerprint
    assert {label: note.source for label, note in again.objects.items()} == {1: "clicks", 9: "brush"}
    assert again.objects[1].prompt.points == ((30.0, 34.0),)
    assert [step.what for step in again.history[0]] == [
        "prompt", "accept", "train", "prompt", "accept", "edit", "erase", "prompt", "prompt",
    ]  # fmt: skip
    for _ in range(7):
        again.undo()
    assert set(again.objects) == {1}
    assert not again.versions.current.adapter.is_trained
    again.redo()
    again.close()
    third = Annotator(opened(scene), journal=Journal())
    assert third.versions.current.adapter.fingerprint == version.adapter.fingerprint
    assert [step.what for step in third.history[1]] == [
        "prompt",
        "prompt",
        "erase",
        "edit",
        "accept",
        "prompt",
    ]
    for _ in range(5):
        third.redo()
    assert set(third.objects) == {1, 9}
    third.close()


def test_a_label_is_never_given_twice(scene):
    first = Annotator(opened(scene), journal=Journal())
    accept(first, 1, 2)
    first.erase(2)
    first.close()
    again = Annotator(opened(scene), journal=Journal())
    accept(again, 3)
    assert set(again.objects) == {1, 3}
    again.close()


def test_clicks_stay_with_their_image(scene):
    annotator = Annotator(opened(scene), journal=Journal())
    annotator.click(*BALLS[1][:2])
    annotator.set_image(balls(name="another"))
    assert annotator.prompt.is_empty
    annotator.set_image(opened(scene))
    assert annotator.prompt.points == ((30.0, 34.0),)
    annotator.close()


def test_diaries_of_the_first_release_come_back_and_are_written_anew(home):
    image, mask = balls(), ball(1)
    rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    entry = {
        "event": "object", "image": image.identity, "label": 4, "source": "clicks",
        "rle": {"size": list(mask.shape), "counts": rle["counts"].decode()},
        "prompt": {"points": [[30, 34]], "labels": [1]},
    }  # fmt: skip
    diary = home / "data" / "journal" / f"{image.identity}.jsonl"
    diary.parent.mkdir(parents=True)
    diary.write_text(json.dumps(entry) + "\n" + '{"event": "object", "label": 5, "cut sh')
    told = []
    annotator = Annotator(journal=Journal())
    annotator.problem.connect(told.append)
    annotator.set_image(image)
    np.testing.assert_array_equal(annotator.labels == 4, mask)
    assert told == [
        f"1 line of the journal {diary.name} could not be read and was left out; all others are back."
    ]
    annotator.close()
    diary.unlink()
    again = Annotator(image, journal=Journal())
    np.testing.assert_array_equal(again.labels == 4, mask)
    again.close()


# ------------------------------------------------------------------ others, and other contents


def test_a_second_window_only_shows_a_project(scene):
    first = Annotator(opened(scene), journal=Journal())
    accept(first, 1)
    second = Annotator(opened(scene), journal=Journal())
    told = []
    second.problem.connect(told.append)
    assert second.refusal
    assert set(second.objects) == {1}
    second.click(*BALLS[2][:2])  # whoever may look may try
    with pytest.raises(ProjectError, match="open in another window"):
        second.accept()
    with pytest.raises(ProjectError, match="open in another window"):
        second.erase(1)
    second.book.target.data[0:5, 0:5] = 7
    assert not second.sync_labels()
    assert "open in another window" in told[0]
    np.testing.assert_array_equal(
        second.book.target.data, first.labels
    )  # what it painted is not kept, nor shown
    second.close()
    accept(first, 2)
    first.close()
    third = Annotator(opened(scene), journal=Journal())
    assert not third.refusal
    assert set(third.objects) == {1, 2}
    third.close()


def test_the_window_that_comes_second_on_a_new_image_is_refused(scene):
    first, second = (Annotator(opened(scene), journal=Journal()) for _ in range(2))
    accept(first, 1)
    second.click(*BALLS[2][:2])
    with pytest.raises(ProjectError, match="open in another window"):
        second.accept()
    assert not second.objects
    first.close()
    second.close()


def test_objects_of_another_content_are_told_of_and_only_taken_over_if_that_is_wanted(scene):
    first = Annotator(opened(scene), journal=Journal())
    accept(first, 1, 2)
    labels = first.labels.copy()
    first.close()
    before = scene.read_bytes()
    tifffile.imwrite(scene, pixels(3, seed=5), photometric="minisblack")

    changed = Annotator(opened(scene), journal=Journal())
    assert not changed.objects
    assert changed.book.former.objects == 2
    came = []
    changed.brought.connect(came.append)
    changed.bring_former()
    assert came == [2]
    np.testing.assert_array_equal(changed.labels, labels)
    changed.undo()
    assert not changed.objects
    accept(changed, 3)
    changed.close()

    scene.write_bytes(before)
    back = Annotator(opened(scene), journal=Journal())
    np.testing.assert_array_equal(back.labels, labels)
    back.close()


def test_objects_of_an_image_of_another_size_stay_where_they_are(scene):
    first = Annotator(opened(scene), journal=Journal())
    accept(first, 1)
    first.close()
    tifffile.imwrite(scene, pixels(3)[:, :100], photometric="minisblack")
    changed = Annotator(opened(scene), journal=Journal())
    with pytest.raises(ProjectError, match=r"was \(128, 160\) pixels"):
        changed.bring_former()
    changed.close()


def test_work_can_wait_for_an_answer_and_be_set_aside(scene):
    first = Annotator(opened(scene), journal=Journal())
    accept(first, 1, 2)
    first.close()
    again = Annotator(journal=Journal())
    again.asks_to_resume = True
    found = []
    again.found.connect(found.append)
    again.set_image(opened(scene))
    assert len(found[0].book.notes) == 2
    assert again.book is None
    again.start_empty()
    assert not again.objects
    again.undo()
    assert set(again.objects) == {1, 2}
    again.redo()
    again.close()
    third = Annotator(journal=Journal())
    third.asks_to_resume = True
    third.set_image(opened(scene))
    third.click(*BALLS[3][:2])  # whoever goes on without an answer resumes
    assert third.book is not None
    assert len(third.prompt.points) == 1
    third.accept()
    assert set(third.objects) == {3}
    third.close()


# ------------------------------------------------------------------ disks


def full(self, items):
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


def test_what_a_full_disk_does_not_take_is_kept_elsewhere_and_told_until_it_is_written(scene, monkeypatch):
    annotator = Annotator(opened(scene), journal=Journal())
    accept(annotator, 1)
    troubles = []
    annotator.trouble_changed.connect(troubles.append)
    append = Store.append
    with monkeypatch.context() as patched:
        patched.setattr(
            Store,
            "append",
            lambda self, *a: (full if str(self.path.parent).endswith(".simmat") else append)(self, *a),
        )
        accept(annotator, 2)
        assert set(annotator.objects) == {1, 2}  # work goes on
        assert "the disk is full" in annotator.trouble
        assert "2 gestures are safe in" in annotator.trouble
        assert not (annotator.project_folder / RESERVE).exists()  # given up for them
        assert not annotator.try_writing_again()
    assert annotator.try_writing_again()
    assert troubles[-1] == annotator.trouble == ""
    labels = annotator.labels.copy()
    annotator.close()
    again = Annotator(opened(scene), journal=Journal())
    np.testing.assert_array_equal(again.labels, labels)
    again.close()


def test_what_was_kept_elsewhere_comes_back_in_the_next_session(scene, monkeypatch):
    annotator = Annotator(opened(scene), journal=Journal())
    accept(annotator, 1)
    append = Store.append
    with monkeypatch.context() as patched:
        patched.setattr(
            Store,
            "append",
            lambda self, *a: (full if str(self.path.parent).endswith(".simmat") else append)(self, *a),
        )
        accept(annotator, 2)
        annotator.close()
    again = Annotator(opened(scene), journal=Journal())
    assert set(again.objects) == {1, 2}
    again.close()
    third = Annotator(opened(scene), journal=Journal())  # and it is not brought a second time
    assert set(third.objects) == {1, 2}
    assert len(third.history[0]) == 4
    third.close()


def test_a_drive_that_does_not_answer_keeps_nobody_waiting(scene, monkeypatch):
    annotator = Annotator(opened(scene), journal=Journal())
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
    again = Annotator(opened(scene), journal=Journal())
    assert again.prompt.points == ((36.0, 110.0),)
    again.close()


def test_a_project_that_was_removed_meanwhile_is_made_again(scene):
    annotator = Annotator(opened(scene), journal=Journal())
    accept(annotator, 1)
    shutil.rmtree(annotator.project_folder)
    accept(annotator, 2)
    labels = annotator.labels.copy()
    annotator.close()
    again = Annotator(opened(scene), journal=Journal())
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
    annotator = Annotator(opened(scene), journal=Journal())
    accept(annotator, 1)
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    accept(annotator, 2)
    annotator.erase(1)
    annotator.close()
    again = Annotator(opened(scene), journal=Journal())
    assert set(again.objects) == {2}
    assert [step.what for step in again.history[0]] == ["prompt", "accept", "prompt", "accept", "erase"]
    again.close()


# ------------------------------------------------------------------ damage


def test_a_damaged_step_costs_itself_and_is_told_once(scene):
    annotator = Annotator(opened(scene), journal=Journal())
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
    annotator = Annotator(opened(scene), journal=Journal())
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
    third = Annotator(opened(scene), journal=Journal())
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
    import threading

    before = threading.active_count()
    project = Project(tmp_path / "a.simmat")
    project.commit(row_of(balls()), Step("accept", changes=(Change(None, state()),)))
    assert threading.active_count() == before + 1
    assert project.close() == ""
    assert threading.active_count() == before


# ------------------------------------------------------------------ merging


def test_objects_are_merged_and_come_apart_again(scene):
    annotator = Annotator(opened(scene), journal=Journal())
    accept(annotator, 1, 2)
    labels = annotator.labels.copy()
    assert annotator.merge([2, 1]) == 2
    np.testing.assert_array_equal(annotator.labels == 2, labels > 0)
    assert set(annotator.objects) == {2}
    annotator.undo()
    np.testing.assert_array_equal(annotator.labels, labels)
    with pytest.raises(PromptError, match="no object 7"):
        annotator.merge([1, 7])
    with pytest.raises(PromptError, match="1 to merge"):
        annotator.merge([1, 1])
    annotator.close()


def test_thousands_of_objects_are_one_step(tmp_path):
    image = balls()
    numbers = np.arange(1, 40 * 50 + 1).reshape(40, 50)
    labels = np.zeros(image.shape, np.int32)
    labels[:120, :150] = np.kron(numbers, np.ones((3, 3), int))
    annotator = Annotator(image, journal=Journal(tmp_path))
    annotator.attach(ArrayTarget(labels.copy()))
    assert len(annotator.history[0]) == 1
    annotator.close()
    again = Annotator(image, journal=Journal(tmp_path))
    np.testing.assert_array_equal(again.labels, labels)
    again.undo()
    assert not again.labels.any()
    again.close()


def test_the_place_of_a_project_is_noted_for_the_doctor(scene):
    from napari_simmat.journal.checkup import known_projects

    annotator = Annotator(opened(scene), journal=Journal())
    accept(annotator, 1)
    annotator.close()
    assert known_projects() == [Path(f"{scene}.simmat")]


# ------------------------------------------------------------------ beside the images


def test_projects_beside_images_are_no_images(tmp_path):
    from napari_simmat.images import open_dataset
    from napari_simmat.images.unlabelled import image_paths

    folder = tmp_path / "dataset"
    shutil.copytree(sample_path("camouflage-train"), folder)
    before = image_paths(folder), [item.image_path for item in open_dataset(folder)]
    annotator = Annotator(open_image(before[0][0]), journal=Journal())
    annotator.click(50, 50)
    annotator.close()
    assert list((folder / "images").glob("*.simmat"))
    assert (image_paths(folder), [item.image_path for item in open_dataset(folder)]) == before


def test_a_project_opens_the_image_that_it_belongs_to(scene):
    annotator = Annotator(opened(scene), journal=Journal())
    annotator.click(*BALLS[1][:2])
    folder = annotator.project_folder
    annotator.close()
    assert open_image(folder, channel_axis=0).identity == opened(scene).identity
    scene.unlink()
    with pytest.raises(ImageError, match=r"there is no balls\.tif beside it"):
        open_image(folder)
