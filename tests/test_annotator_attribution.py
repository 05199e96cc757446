"""Which channels the accepted objects are found by, asked of the annotator; no window."""

from __future__ import annotations

import numpy as np
import pytest
from balls import BALLS, SHAPE, ball, balls, pixels

from napari_simmat.annotator import Annotator
from napari_simmat.errors import Cancelled, ImageError, PromptError, TrainingError
from napari_simmat.images import as_image


def one_channel_shows_them(n_channels=3, name="one of three"):
    """The balls in channel 1 alone, beside noise."""
    planes = np.random.default_rng(3).normal(100, 4, (n_channels, *SHAPE)).astype(np.float32)
    planes[1] = pixels(1)[0]
    return as_image(planes, channel_axis=0, modality="generic", name=name)


def accepted(image, *numbers, **options):
    annotator = Annotator(image, **options)
    for number in numbers:
        annotator.set_prompt(annotator.prompt.with_point(*BALLS[number][:2]))
        annotator.accept()
    return annotator


class Later:
    """Runs jobs when told to, as a busy window does."""

    def __init__(self):
        self.jobs = []

    def __call__(self, job):
        self.jobs.append(job)

    def run_all(self):
        while self.jobs:
            job = self.jobs.pop(0)
            try:
                result = job.work(job.progress)
            except Exception as error:
                job.failed(error)
            else:
                job.take(result)


@pytest.fixture
def later():
    """An annotator with an object, whose jobs wait to be run."""
    executor = Later()
    annotator = Annotator(balls(n_channels=2), executor=executor)
    executor.run_all()
    annotator.click(*BALLS[1][:2])
    executor.run_all()
    annotator.accept()
    executor.run_all()
    return annotator, executor


def test_the_channel_that_shows_an_object_is_the_one_it_cannot_do_without():
    annotator = accepted(one_channel_shows_them(), 3)
    heard, steps = [], []
    annotator.attribution_ready.connect(heard.append)
    annotator.attribution_step.connect(lambda *step: steps.append(step))

    found = annotator.ask_attribution(1)

    assert heard == [found]
    assert found.objects == 1
    noise, shows, more_noise = found.model_channels
    assert shows.change < -0.2
    assert all(abs(each.change) < 0.15 for each in (noise, more_noise))
    assert found.sufficient.steps[0].name == "channel 1"
    assert [done for done, _ in steps] == list(range(1, len(steps) + 1))
    assert steps[-1][0] == steps[-1][1]


def test_an_object_is_judged_by_the_clicks_that_made_it():
    annotator = accepted(balls(n_channels=2), 1)
    note = annotator.objects[1]
    assert annotator.ask_attribution(1).miou == 1.0  # the same clicks give the mask that was accepted
    assert note.prompt is not None


def test_without_a_label_all_objects_of_the_image_are_looked_at():
    annotator = accepted(balls(n_channels=2), 1, 2, 3)
    assert annotator.ask_attribution().objects == 3
    annotator.erase(2)
    assert annotator.ask_attribution().objects == 2


def test_what_a_brush_added_counts_too():
    annotator = accepted(balls(n_channels=2), 1)
    annotator.book.target.data_setitem(np.nonzero(ball(2)), 7)
    assert annotator.ask_attribution(7).objects == 1
    assert sorted(annotator.objects) == [1, 7]


def test_many_channels_are_left_out_in_twelve_runs(later):
    annotator, executor = later
    annotator.set_image(balls(n_channels=30, name="spectrum"))
    executor.run_all()
    annotator.click(*BALLS[1][:2])
    executor.run_all()
    annotator.accept()
    executor.run_all()
    steps = []
    annotator.ask_attribution(1)
    (job,) = executor.jobs

    def stop_once_the_runs_are_known(done, total, _):
        steps.append((done, total))
        if done == 2:
            job.cancel.set()

    with pytest.raises(Cancelled):
        job.work(stop_once_the_runs_are_known)
    assert steps == [(1, 1), (2, 1 + 1 + 12)]  # none left out, all of them, and each run


def test_without_an_object_one_sentence_says_what_to_do():
    annotator = Annotator(balls(n_channels=2))
    with pytest.raises(PromptError, match="no object to look at yet; accept one first"):
        annotator.ask_attribution()
    annotator.click(*BALLS[1][:2])
    annotator.accept()
    with pytest.raises(PromptError, match="no object 4 in 'balls'"):
        annotator.ask_attribution(4)
    annotator.erase(1)
    annotator.book.target.data_setitem((np.array([3, 3]), np.array([4, 5])), 1)
    with pytest.raises(PromptError, match="smaller than 30 pixels"):
        annotator.ask_attribution()
    with pytest.raises(ImageError, match="open one first"):
        Annotator().ask_attribution()


def test_while_a_training_is_under_way_nothing_is_left_out(later):
    annotator, _ = later
    annotator.quick(steps=1)
    with pytest.raises(TrainingError, match="A training is under way"):
        annotator.ask_attribution()


def test_a_cancelled_one_says_so_and_brings_nothing(later):
    annotator, executor = later
    heard = []
    annotator.attribution_ready.connect(heard.append)
    annotator.attribution_stopped.connect(heard.append)
    annotator.problem.connect(heard.append)
    annotator.ask_attribution(1)
    job = executor.jobs[-1]

    assert annotator.cancel_attribution()
    assert not annotator.cancel_attribution()

    with pytest.raises(Cancelled):
        job.work(job.progress)
    executor.run_all()
    assert heard == [""]
    assert not annotator.is_busy


@pytest.mark.parametrize("change", ["image", "version", "transfer"])
def test_what_another_image_or_adapter_makes_stale_is_dropped(later, change):
    annotator, executor = later
    if change == "version":  # there must be one to go to
        annotator.use_transfer("linear")
        executor.run_all()
    heard = []
    annotator.attribution_ready.connect(heard.append)
    annotator.attribution_stopped.connect(heard.append)
    annotator.ask_attribution()
    (attribution,) = executor.jobs

    if change == "image":
        annotator.set_image(balls(n_channels=2, seed=1, name="others"))
    elif change == "version":
        annotator.use_version(annotator.versions.all[0])
    else:
        annotator.use_transfer("linear")
        executor.jobs.reverse()  # on threads of their own the new version may be there first
    executor.run_all()

    assert attribution.cancel.is_set()
    assert heard == [""]
