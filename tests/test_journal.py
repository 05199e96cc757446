"""Every gesture is on disk before it is shown as done, and comes back; what is damaged costs no more than itself."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile
from balls import BALLS, ball, balls, pixels
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from journals import accept, full_for, home, opened, scene, session  # noqa: F401
from pycocotools import mask as coco

from napari_simmat.annotator import Annotator, ArrayTarget
from napari_simmat.errors import ImageError, ProjectError, PromptError
from napari_simmat.images import open_image, sample_path
from napari_simmat.journal import Journal, ObjectState
from napari_simmat.journal.project import JOURNAL
from napari_simmat.journal.runs import pack, unpack
from napari_simmat.journal.store import Store


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
    annotator = session(scene)
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
    session(scene).click(*BALLS[1][:2])
    theirs = session(scene)
    theirs.close()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # as on a read-only share
    annotator = session(scene)
    assert home in annotator.project_folder.parents
    assert annotator.prompt.points == ((30.0, 34.0),)  # it begins with what lies there
    accept(annotator, 2)
    annotator.close()
    again = session(scene)
    assert set(again.objects) == {1}
    again.close()


# ------------------------------------------------------------------ what comes back


def test_everything_comes_back(scene):
    first = session(scene)
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

    again = session(scene)
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
    third = session(scene)
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
    first = session(scene)
    accept(first, 1, 2)
    first.erase(2)
    first.close()
    again = session(scene)
    accept(again, 3)
    assert set(again.objects) == {1, 3}
    again.close()


def test_clicks_stay_with_their_image(scene):
    annotator = session(scene)
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
    first = session(scene)
    accept(first, 1)
    second = session(scene)
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
    third = session(scene)
    assert not third.refusal
    assert set(third.objects) == {1, 2}
    third.close()


def test_the_window_that_comes_second_on_a_new_image_is_refused(scene):
    first, second = (session(scene) for _ in range(2))
    accept(first, 1)
    second.click(*BALLS[2][:2])
    with pytest.raises(ProjectError, match="open in another window"):
        second.accept()
    assert not second.objects
    first.close()
    second.close()


def test_objects_of_another_content_are_told_of_and_only_taken_over_if_that_is_wanted(scene):
    first = session(scene)
    accept(first, 1, 2)
    labels = first.labels.copy()
    first.close()
    before = scene.read_bytes()
    tifffile.imwrite(scene, pixels(3, seed=5), photometric="minisblack")

    changed = session(scene)
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
    back = session(scene)
    np.testing.assert_array_equal(back.labels, labels)
    back.close()


def test_objects_of_an_image_of_another_size_stay_where_they_are(scene):
    first = session(scene)
    accept(first, 1)
    first.close()
    tifffile.imwrite(scene, pixels(3)[:, :100], photometric="minisblack")
    changed = session(scene)
    with pytest.raises(ProjectError, match=r"was \(128, 160\) pixels"):
        changed.bring_former()
    changed.close()


def test_work_can_wait_for_an_answer_and_be_set_aside(scene):
    first = session(scene)
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


# ------------------------------------------------------------------ merging


def test_objects_are_merged_and_come_apart_again(scene):
    annotator = session(scene)
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

    annotator = session(scene)
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
    annotator = session(scene)
    annotator.click(*BALLS[1][:2])
    folder = annotator.project_folder
    annotator.close()
    assert open_image(folder, channel_axis=0).identity == opened(scene).identity
    scene.unlink()
    with pytest.raises(ImageError, match=r"there is no balls\.tif beside it"):
        open_image(folder)


def test_a_journal_whose_making_is_broken_off_anywhere_looks_like_a_new_one(tmp_path, monkeypatch):
    connect, broken_off = sqlite3.connect, 0
    for moment in range(0, 60, 3):
        path = tmp_path / f"{moment}.sqlite"

        def until(*args, moment=moment, **options):
            connection = connect(*args, **options)
            calls = iter(range(1000))
            connection.set_progress_handler(lambda: int(next(calls) >= moment), 10)
            return connection

        with monkeypatch.context() as patch:
            patch.setattr(sqlite3, "connect", until)
            try:
                Store(path).close()
            except sqlite3.Error:
                broken_off += 1
        with closing(Store(path, read_only=True)) as store:
            assert store.problems() == []
            assert store.last_number() == 0
    assert 4 < broken_off < 20
