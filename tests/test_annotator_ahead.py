"""What is done before anybody asks: drafts, and images that may come next."""

from __future__ import annotations

import numpy as np
import pytest
from balls import BALLS, ball, balls, iou, pixels

from napari_simmat import Adapter, Annotator, Segmenter
from napari_simmat.errors import AdapterError
from napari_simmat.images import Channel, MultiChannelImage, as_image, profile_for
from napari_simmat.images.modality import ModelChannel
from napari_simmat.inference import is_at_hand
from napari_simmat.inference.cache import forget
from napari_simmat.inference.frozen import FrozenEncoder

pytestmark = pytest.mark.full_size

CLICK = BALLS[1][:2]


class Later:
    """Keeps jobs until they are run, the newest of a kind only."""

    def __init__(self):
        self.jobs = []

    def __call__(self, job):
        self.jobs = [waiting for waiting in self.jobs if waiting.kind != job.kind] + [job]

    def run(self, kind):
        (job,) = [waiting for waiting in self.jobs if waiting.kind == kind]
        self.jobs.remove(job)
        try:
            result = job.work(job.progress)
        except Exception as error:
            job.failed(error)
        else:
            job.take(result)

    def kinds(self):
        return [job.kind for job in self.jobs]


@pytest.fixture(autouse=True)
def nothing_in_memory():
    forget()


@pytest.fixture
def later():
    return Later()


@pytest.fixture
def opened(later):
    """An image of which nothing is encoded yet."""
    annotator = Annotator(balls(), executor=later)
    later.run("open")
    return annotator


def test_the_first_click_is_answered_by_a_draft_until_the_whole_is_seen(opened, later):
    assert later.kinds() == ["draft", "encode"]
    opened.click(*CLICK)
    later.run("draft")
    assert "answer" not in later.kinds()  # the draft has answered already, with no other job between
    draft = opened.answer
    assert draft.is_draft
    assert not opened.is_answered
    assert iou(draft.mask, ball(1)) > 0.6

    later.run("encode")
    later.run("answer")
    assert opened.is_answered
    assert opened.draft is None
    expected, _ = Segmenter(opened.image).predict([CLICK])
    np.testing.assert_array_equal(opened.answer.mask, expected)


def test_a_draft_is_made_while_the_journal_is_still_read(later):
    annotator = Annotator(balls(), executor=later)
    annotator.click(*CLICK)
    later.run("draft")
    assert annotator.answer.is_draft
    later.run("open")
    assert later.kinds() == ["encode"]
    later.run("encode")
    later.run("answer")
    assert annotator.is_answered


def test_a_click_after_the_one_that_the_draft_saw_is_answered_anew(opened, later):
    opened.click(*CLICK)
    (job,) = [waiting for waiting in later.jobs if waiting.kind == "draft"]
    result = job.work(job.progress)
    opened.click(*CLICK)
    job.take(result)
    assert opened.answer is None
    later.run("answer")
    assert len(opened.answer.prompt.points) == 2


def test_what_is_accepted_on_a_draft_gets_the_mask_of_the_whole(opened, later):
    later.run("draft")
    opened.click(*CLICK)
    later.run("answer")
    assert opened.accept() is None
    assert not opened.objects
    later.run("encode")
    later.run("answer")
    assert sorted(opened.objects) == [1]
    expected, _ = Segmenter(opened.image).predict([CLICK])
    np.testing.assert_array_equal(opened.labels == 1, expected)


def test_a_draft_looks_at_less_than_a_quarter_of_the_pixels(later, monkeypatch):
    sizes, early = [], FrozenEncoder.early
    monkeypatch.setattr(FrozenEncoder, "early", lambda self, x: sizes.append(x.shape[-1]) or early(self, x))
    Annotator(balls(), executor=later)
    for kind in ("open", "draft", "encode"):
        later.run(kind)
    assert sizes == [448, 1024]


def test_a_draft_of_a_large_image_is_computed_from_every_so_manieth_pixel(monkeypatch):
    image, sizes, compute = (
        as_image(np.kron(pixels(2), np.ones((8, 8), np.float32)), channel_axis=0),
        [],
        ModelChannel.compute,
    )
    monkeypatch.setattr(
        ModelChannel,
        "compute",
        lambda self, planes, camera: sizes.append(planes[0].shape) or compute(self, planes, camera),
    )
    Segmenter(image, draft=True)
    assert set(sizes) == {(512, 640)}  # 1280 // 448 = 2
    sizes.clear()
    Segmenter(image)
    assert set(sizes) == {(1024, 1280)}


def test_a_profile_with_a_camera_in_pixels_of_the_whole_sees_the_whole(monkeypatch):
    depth = Channel("depth", unit="m", role="depth")
    image = MultiChannelImage(2 + np.kron(pixels(1), np.ones((8, 8), np.float32)) / 9e4, (depth,), "depth")
    usual, sizes, compute = profile_for(image), [], ModelChannel.compute
    assert not usual.knows_camera
    known = {"parameters": {"focal_length_px": 900.0}}
    sees = (s.model_copy(update=known) if "normal" in s.formula else s for s in usual.sees)
    own = usual.model_copy(update={"sees": tuple(sees)})

    def noted(self, planes, camera):
        sizes.append(planes[0].shape)
        return compute(self, planes, camera)

    monkeypatch.setattr(ModelChannel, "compute", noted)
    for profile, shape in ((usual, (512, 640)), (own, image.shape)):
        sizes.clear()
        Segmenter(image, profile=profile, draft=True)
        assert set(sizes) == {shape}


def test_no_draft_is_made_of_what_is_at_hand(later):
    image = balls()
    Segmenter(image)
    annotator = Annotator(image, executor=later)
    later.run("open")
    later.run("draft")
    assert annotator.draft is None
    annotator.click(*CLICK)
    assert later.kinds() == ["encode"]


def test_a_draft_that_comes_late_or_of_another_image_is_dropped(opened, later):
    (late,) = [job for job in later.jobs if job.kind == "draft"]
    later.run("encode")
    late.take(late.work(late.progress))
    assert opened.draft is None

    opened.set_image(balls(seed=1))
    later.run("open")
    (left,) = [job for job in later.jobs if job.kind == "draft"]
    opened.set_image(balls(seed=2))
    left.take(left.work(left.progress))
    assert opened.draft is None


def test_without_the_encoding_there_is_no_draft_either(opened, later):
    later.run("draft")
    opened.click(*CLICK)
    later.run("answer")
    assert opened.cancel_encoding()
    assert opened.draft is None
    opened.ask_again()
    later.run("draft")
    later.run("encode")
    later.run("answer")
    assert opened.is_answered


def test_another_adapter_needs_no_draft(opened, later):
    later.run("draft")
    later.run("encode")
    opened.use_version(opened.versions.add(Adapter.untrained(opened.image, mat="mat-paper"), "other"))
    assert later.kinds() == ["encode"]


def test_what_nobody_waits_for_leaves_a_core_to_the_window(opened, later, monkeypatch):
    spared = []
    monkeypatch.setattr("napari_simmat._annotator.session.take_threads", lambda spare: spared.append(spare))
    later.run("draft")
    later.run("encode")
    assert spared == []
    opened.use_version(opened.versions.add(Adapter.untrained(opened.image, mat="mat-paper"), "other"))
    later.run("encode")
    assert spared == [1]


def test_on_the_spot_no_drafts_are_made(monkeypatch):
    made, init = [], Segmenter.__init__
    monkeypatch.setattr(
        Segmenter, "__init__", lambda self, *a, **k: made.append(k.get("draft", False)) or init(self, *a, **k)
    )
    Annotator(balls()).click(*CLICK)
    assert made == [False]


def test_a_draft_gives_no_close_ups_and_an_encoder_of_one_size_no_drafts(opened):
    segmenter = Segmenter(balls(), draft=True)
    found = segmenter.predict([CLICK, (60, 80)], [1, 0])[0]
    assert found.shape == balls().shape
    assert not segmenter._close_ups
    from tiny_vit_sam import small_vit

    with pytest.raises(AdapterError, match="one size only, so it makes no drafts"):
        Segmenter(
            balls(), adapter=Adapter.untrained(balls(), base=small_vit()), model=small_vit(), draft=True
        )


def test_images_that_may_come_next_are_encoded_unless_something_else_comes(opened, later):
    later.run("draft")
    later.run("encode")
    others = [balls(seed=seed) for seed in (1, 2)]
    opened.encode_ahead([lambda: others[0], lambda: others[1]])
    later.run("ahead")
    assert all(is_at_hand(other, Adapter.untrained(other)) for other in others)

    third = balls(seed=3)
    opened.encode_ahead([lambda: third])
    (ahead,) = later.jobs
    opened.set_image(others[0])
    assert ahead.cancel.is_set()
    ahead.work(ahead.progress)
    assert not is_at_hand(third, Adapter.untrained(third))


def test_what_cannot_be_encoded_ahead_is_passed_over_in_silence(opened, later):
    told = []
    opened.problem.connect(told.append)
    later.run("draft")
    later.run("encode")

    def fail():
        raise OSError("gone")

    opened.encode_ahead([fail])
    later.run("ahead")
    assert told == []
    assert not opened.is_busy
