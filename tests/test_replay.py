"""A project done once more gives the same labels bit for bit, and says so where it does not."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
import tifffile
import torch
from balls import BALLS, pixels
from gestures import gesture

from napari_simmat.annotator import Annotator, run_now
from napari_simmat.cli import main
from napari_simmat.errors import ProjectError, SimmatError
from napari_simmat.images import open_image
from napari_simmat.inference import Segmenter
from napari_simmat.inference.compute import choose, for_a_while, take_threads, uses_bfloat16
from napari_simmat.journal import Journal, ObjectState
from napari_simmat.journal.store import Store
from napari_simmat.replay import replay
from napari_simmat.training.recipes import Quick
from napari_simmat.training.rough import RoughObject, RoughSettings

KINDS = (
    "click",
    "click",
    "box",
    "candidate",
    "accept",
    "accept",
    "brush",
    "erase",
    "merge",
    "name",
    "train",
    "version",
    "accept proposals",
    "reject proposal",
    "complete",
    "rename class",
    "accept painted",
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "balls.tif"
    tifffile.imwrite(path, pixels(3), photometric="minisblack")
    return path


def work(path, seed, count=30):
    """Random gestures with undo and redo between them; the labels and the number of trainings."""
    rng = np.random.default_rng(seed)
    annotator = Annotator(open_image(path, channel_axis=0), journal=Journal())
    for _ in range(count):
        with contextlib.suppress(SimmatError):
            chance = rng.random()
            if chance < 0.15:
                annotator.undo()
            elif chance < 0.25:
                annotator.redo()
            else:
                gesture(annotator, str(rng.choice(KINDS)), rng)
    labels, trainings = annotator.labels.copy(), len(annotator.reports)
    annotator.close()
    return labels, trainings


@pytest.mark.parametrize("seed", [1, 5, 9, 12, 13])
def test_the_same_labels_come_of_it(scene, seed):
    labels, _ = work(scene, seed)
    before = {path: path.read_bytes() for path in scene.parent.rglob("*") if path.is_file()}
    (found,) = replay(scene.with_name("balls.tif.simmat"))
    assert found.differences == []
    assert found.same
    assert found.objects == len(np.unique(labels)) - 1
    assert {path: path.read_bytes() for path in before} == before


def test_the_same_labels_come_of_experts_and_of_groups_left_out(tmp_path):
    path = tmp_path / "two.ome.tif"
    channels = {"axes": "CYX", "Channel": {"Name": ["red", "NIR"]}}
    tifffile.imwrite(path, pixels(2), photometric="minisblack", metadata=channels)
    rng, groups = np.random.default_rng(0), []
    annotator = Annotator(open_image(path), journal=Journal())
    for kind in ("experts", "click", "accept", *("leave out", "click", "accept", "version") * 4):
        with contextlib.suppress(SimmatError):
            gesture(annotator, kind, rng)
        groups.append(tuple(annotator.groups.items()))
    assert len(set(groups)) > 2
    assert len(annotator.objects) > 2
    annotator.close()
    (found,) = replay(path.with_name("two.ome.tif.simmat"))
    assert (found.differences, found.same) == ([], True)
    assert found.objects == len(annotator.objects)


def test_choosing_the_adapter_in_use_is_a_gesture_that_undo_takes_back(scene):
    annotator = Annotator(open_image(scene, channel_axis=0), journal=Journal())
    annotator.click(*BALLS[1][:2])
    annotator.accept()
    annotator.use_version(annotator.versions.current)
    annotator.undo()
    annotator.close()
    (found,) = replay(scene.with_name("balls.tif.simmat"))
    assert (found.differences, found.objects, found.same) == ([], 1, True)


def test_a_training_is_done_anew_with_what_there_was_when_it_began(scene):
    annotator = Annotator(open_image(scene, channel_axis=0), journal=Journal())
    annotator.click(*BALLS[1][:2])
    annotator.accept()
    assert annotator.quick(steps=2, seed=3).kept
    annotator.click(*BALLS[2][:2])
    annotator.accept()
    annotator.close()
    (found,) = replay(scene.with_name("balls.tif.simmat"))
    assert (found.trainings, found.accepted, found.same) == (1, 2, True)


def test_a_training_from_rough_labels_is_done_anew(scene):
    annotator = Annotator(open_image(scene, channel_axis=0), journal=Journal())
    clicks = [RoughObject(points=(BALLS[n][:2],)) for n in BALLS]
    report = annotator.adapt_from_rough(clicks, settings=RoughSettings(steps=1, windows=1, check=False))
    annotator.close()
    (found,) = replay(scene.with_name("balls.tif.simmat"))
    assert (found.trainings, found.differences, found.not_repeated) == (int(report.kept), [], [])


def test_a_training_that_learnt_from_another_image_is_not_repeated_and_that_is_said(scene, tmp_path, capsys):
    other = tmp_path / "other.tif"
    tifffile.imwrite(other, pixels(3, 1), photometric="minisblack")
    annotator = Annotator(open_image(scene, channel_axis=0), journal=Journal())
    annotator.click(*BALLS[1][:2])
    annotator.accept()
    annotator.set_image(open_image(other, channel_axis=0))
    assert annotator.quick(steps=1, seed=3).kept  # before any gesture on this one
    annotator.click(*BALLS[2][:2])
    annotator.accept()
    annotator.close()
    (found,) = replay(tmp_path / "other.tif.simmat")
    assert (found.differences, found.trainings, found.accepted, found.same) == ([], 0, 1, True)
    (said,) = found.not_repeated
    assert "it learnt from 1 other image(s)" in said
    with pytest.raises(SystemExit) as end:
        main(["replay", str(tmp_path / "other.tif.simmat")])
    assert not end.value.code
    assert said in capsys.readouterr().out


def test_an_object_that_comes_out_otherwise_is_told(scene, monkeypatch):
    work(scene, 1)
    original = Store.read

    def other(self, identity):
        reading = original(self, identity)
        step = next(step for step in reading.steps if step.kind == "accept")
        after = step.changes[0].after
        wrong = ObjectState.of(
            after.label,
            after.slices,
            ~after.crop,
            source=after.source,
            prompt=after.prompt,
            adapter=after.adapter,
        )
        object.__setattr__(step.changes[0], "after", wrong)
        return reading

    monkeypatch.setattr(Store, "read", other)
    (found,) = replay(scene.with_name("balls.tif.simmat"))
    assert not found.same
    assert "is another one" in found.differences[0]


def test_an_image_that_is_gone_or_changed_is_said(scene, tmp_path):
    work(scene, 1, count=6)
    project = scene.with_name("balls.tif.simmat")
    moved = scene.rename(tmp_path / "elsewhere.tif")
    with pytest.raises(ProjectError, match="is not there; say where it is with --image"):
        replay(project)
    assert replay(project, image=moved)[0].same
    tifffile.imwrite(moved, pixels(3, seed=4), photometric="minisblack")
    with pytest.raises(ProjectError, match="is not what it was"):
        replay(project, image=moved)
    with pytest.raises(ProjectError, match="There is no project"):
        replay(tmp_path)


def test_the_command_says_whether_it_is_the_same(scene, capsys):
    work(scene, 1)
    project = str(scene.with_name("balls.tif.simmat"))
    with pytest.raises(SystemExit) as end:
        main(["replay", project])
    assert end.value.code == 0
    assert "the same labels, bit for bit" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        main(["replay", project, "--json"])
    assert end.value.code == 0
    assert json.loads(capsys.readouterr().out)["same"] is True


def test_a_slice_of_a_stack_is_found_again(tmp_path):
    from napari_simmat.images.opened import open_file

    path = tmp_path / "stack.tif"
    tifffile.imwrite(
        path,
        np.stack([pixels(2), pixels(2, seed=3)]).astype(np.float32),
        metadata={"axes": "ZCYX"},
        imagej=True,
    )
    opened = open_file(path)
    annotator = Annotator(opened.image(index=(1,)), journal=Journal())
    annotator.click(*BALLS[1][:2])
    annotator.accept()
    annotator.close()
    (found,) = replay(tmp_path / "stack.tif.simmat")
    assert found.same
    assert found.accepted == 1


def test_it_computes_as_it_was_computed(scene, monkeypatch):
    """Sums are rounded otherwise with another number of threads, and masks are not the same bit for bit."""
    used = {"answer": [], "train": []}
    answer, learn = Segmenter.answer, Quick.sampler
    monkeypatch.setattr(Segmenter, "answer", lambda *a, **k: used["answer"].append(now()) or answer(*a, **k))
    monkeypatch.setattr(Quick, "sampler", lambda *a, **k: used["train"].append(now()) or learn(*a, **k))

    def now():
        return torch.get_num_threads(), uses_bfloat16("cpu")

    def on_one_thread(job):
        """As a window leaves one core to people while it learns."""
        count = torch.get_num_threads()
        torch.set_num_threads(1 if job.kind == "train" else count)
        run_now(job)
        torch.set_num_threads(count)

    before = torch.get_num_threads()
    with for_a_while():
        choose(threads=3, precision="float32")
        take_threads()
        annotator = Annotator(open_image(scene, channel_axis=0), journal=Journal(), executor=on_one_thread)
        annotator.click(*BALLS[1][:2])
        annotator.accept()
        annotator.quick(steps=1)
        annotator.click(*BALLS[2][:2])
        annotator.accept()
        annotator.close()
    assert set(used["answer"]) == {(3, False)}
    assert set(used["train"]) == {(1, False)}
    used["answer"].clear()
    used["train"].clear()
    with for_a_while():
        choose(precision="bfloat16")
        (found,) = replay(scene.with_name("balls.tif.simmat"))
        assert now() == (before, True)
    assert (found.differences, found.trainings, found.same) == ([], 1, True)
    assert set(used["answer"]) == {(3, False)}
    assert set(used["train"]) == {(1, False)}
