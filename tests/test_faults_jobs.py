"""Cancelling, failing and running out of memory, at every job and before or after its work: nothing changes by it."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from balls import BALLS, ball, balls, iou
from gestures import state

from napari_simmat.annotator import Annotator
from napari_simmat.errors import SimmatError
from napari_simmat.journal import Journal


class Held:
    """Runs jobs when told to, as a busy window may, and can let them fail."""

    def __init__(self):
        self.jobs = []

    def __call__(self, job):
        self.jobs.append(job)

    def run_all(self):
        while self.jobs:
            job = self.jobs.pop(0)
            if job.cancel.is_set():
                continue
            try:
                result = job.work(job.progress)
            except SimmatError as error:
                job.failed(error)
            else:
                job.take(result)

    def fail(self, kind, error):
        (job,) = [job for job in self.jobs if job.kind == kind]
        self.jobs.remove(job)
        job.failed(error)

    def work_on(self, kind, then):
        """Do the work of a job, then something, then hand its result over, as a thread may."""
        (job,) = [job for job in self.jobs if job.kind == kind]
        self.jobs.remove(job)
        with contextlib.suppress(SimmatError):
            result = job.work(job.progress)
            then()
            job.take(result)
            return
        then()


@pytest.fixture
def held():
    return Held()


@pytest.fixture
def annotator(tmp_path, held):
    made = Annotator(balls(), journal=Journal(tmp_path), executor=held)
    held.run_all()
    made.click(*BALLS[1][:2])
    held.run_all()
    made.accept()
    yield made
    made.close()


def begin(annotator, kind):
    """Have a job of this kind wait."""
    if kind == "answer":
        annotator.click(*BALLS[2][:2])
    elif kind == "encode":
        annotator.see_again()
    elif kind == "train":
        annotator.quick(steps=2)
    elif kind == "attribution":
        annotator.ask_attribution(1)


def cancel(annotator, kind):
    {
        "answer": annotator.clear,
        "encode": annotator.cancel_encoding,
        "train": annotator.cancel_training,
        "attribution": annotator.cancel_attribution,
    }[kind]()


@pytest.mark.parametrize("kind", ["answer", "encode", "train", "attribution"])
@pytest.mark.parametrize("moment", ["waiting", "done but not taken"])
def test_what_is_cancelled_leaves_everything_as_it_was(annotator, held, kind, moment):
    before = state(annotator)
    begin(annotator, kind)
    if moment == "waiting":
        cancel(annotator, kind)
    else:
        held.work_on(kind, lambda: cancel(annotator, kind))
    held.run_all()
    assert state(annotator) == before
    assert annotator.answer is None
    annotator.ask_again()
    annotator.click(*BALLS[3][:2])
    held.run_all()
    assert iou(annotator.answer.mask, ball(3)) > 0.8  # and work goes on
    assert annotator.accept() == 2


@pytest.mark.parametrize("kind", ["answer", "encode", "train", "attribution"])
@pytest.mark.parametrize("error", [MemoryError(), OSError(5, "Input/output error"), RuntimeError("it died")])
def test_what_fails_is_told_in_one_sentence_and_changes_nothing(annotator, held, kind, error):
    told = []
    annotator.problem.connect(told.append)
    before = annotator.labels.copy(), [step.what for step in annotator.history[0]]
    begin(annotator, kind)
    clicks = [step.what for step in annotator.history[0]][len(before[1]) :]
    held.fail(kind, error)
    held.run_all()
    assert len(told) == 1
    assert "failed" in told[0]
    if isinstance(error, MemoryError):
        assert "not enough memory" in told[0]
    np.testing.assert_array_equal(annotator.labels, before[0])
    assert [step.what for step in annotator.history[0]] == [*before[1], *clicks]
    annotator.clear()
    annotator.ask_again()
    annotator.click(*BALLS[3][:2])
    held.run_all()
    assert annotator.accept() == 2


def test_a_session_that_ends_while_everything_runs_loses_nothing(annotator, held, tmp_path):
    annotator.quick(steps=2)
    annotator.click(*BALLS[2][:2])
    annotator.book.target.data[:9, :9] = 7
    annotator.close()
    held.run_all()
    again = Annotator(balls(), journal=Journal(tmp_path))
    assert set(again.objects) == {1, 7}
    assert again.prompt.points == ((36.0, 110.0),)
    again.close()


def test_an_image_whose_file_is_gone_can_be_worked_on_as_far_as_it_is_in_memory(tmp_path):
    import tifffile
    from balls import pixels

    from napari_simmat.images import open_image

    path = tmp_path / "balls.tif"
    tifffile.imwrite(path, pixels(3), photometric="minisblack")
    annotator = Annotator(open_image(path, channel_axis=0), journal=Journal())
    path.unlink()
    annotator.click(*BALLS[1][:2])
    assert annotator.accept() == 1
    annotator.close()
    tifffile.imwrite(path, pixels(3), photometric="minisblack")
    again = Annotator(open_image(path, channel_axis=0), journal=Journal())
    assert set(again.objects) == {1}
    again.close()
