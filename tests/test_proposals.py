"""What to click next: proposals like the accepted objects, everything, and doubts; each gesture undone and repeated."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from balls import BALLS, SHAPE, ball, balls, iou
from journals import accept, home, opened, scene, session  # noqa: F401

from napari_simmat.annotator import Annotator
from napari_simmat.errors import Cancelled, ImageError, PromptError, TrainingError
from napari_simmat.inference import Frame, Segmenter
from napari_simmat.inference.blending import blending
from napari_simmat.inference.doubt import Doubt, Doubter, doubt_map
from napari_simmat.inference.everything import everything, tidied
from napari_simmat.inference.prompts import Prompt
from napari_simmat.inference.proposing import Proposal, peaks, seen_by, without_doubles
from napari_simmat.replay import replay
from napari_simmat.training.proposals import learn_to_propose, lesson_of

STEPS = 15


@pytest.fixture(scope="module")
def image():
    return balls()


@pytest.fixture(scope="module")
def segmenter(image):
    return Segmenter(image)


def labels_of(*numbers):
    labels = np.zeros(SHAPE, np.int32)
    for number in numbers:
        labels[ball(number)] = number
    return labels


def hit(proposals):
    """Numbers of the balls that proposals click on, the surest first."""
    return [next((n for n in BALLS if ball(n)[tuple(round(v) for v in p.point)]), 0) for p in proposals]


def square(y, x, side, score):
    window = slice(y, y + side), slice(x, x + side)
    return Proposal(Prompt().with_point(y, x), score, window, np.ones((side, side), bool))


# ------------------------------------------------------------------ the engine


def test_objects_like_the_accepted_ones_are_proposed_on_another_image_with_their_masks(image):
    annotator = Annotator(image)
    accept(annotator, 1, 3)
    annotator.set_image(balls(seed=5, name="other"))

    found = annotator.propose(steps=STEPS)[:4]

    assert sorted(hit(found)) == [1, 2, 3, 4]
    assert sum(iou(whole(p), ball(n)) > 0.7 for p, n in zip(found, hit(found), strict=True)) >= 3
    assert annotator.proposed.learnt_from == 2
    annotator.set_image(image)
    assert annotator.proposals == []


def whole(proposal):
    mask = np.zeros(SHAPE, bool)
    mask[proposal.window] = proposal.crop
    return mask


def test_the_same_seed_proposes_the_same(segmenter):
    lessons = [lesson_of(segmenter, labels_of(1, 2, 3))]
    one, other = (learn_to_propose(lessons, steps=2, seed=3) for _ in range(2))

    assert one.threshold == other.threshold
    for a, b in zip(one.head.parameters(), other.head.parameters(), strict=True):
        assert (a == b).all()


def test_a_complete_image_and_a_rejection_say_that_there_is_nothing(segmenter):
    """The same two balls, accepted as two of some, as all there are, and with another one rejected."""
    seen = seen_by(segmenter)
    some = lesson_of(segmenter, labels_of(1, 3))
    row, column = (round(v) for v in seen.to_cells(*BALLS[2][:2]))
    heats = []
    for lesson in (some, replace(some, is_complete=True), replace(some, rejected=[BALLS[2][:2]])):
        head = learn_to_propose([lesson], steps=STEPS, threshold=0.5).head
        heat = head(seen.embedding[None], seen.picture[None])[0, row, column]
        heats.append(float(heat.detach().sigmoid()))

    assert heats[1] < 0.5 * heats[0]  # all of it is background
    assert heats[2] < 0.75 * heats[0]  # one that looks like the two is none


def test_cells_and_pixels_are_the_same_places(segmenter):
    seen = seen_by(segmenter)

    assert seen.to_image(*seen.to_cells(17.0, 101.5)) == pytest.approx((17.0, 101.5))
    assert seen.to_cells(*seen.to_image(0, 0)) == pytest.approx((0, 0))
    rows, columns = seen.cells
    assert seen.to_image(rows - 0.5, columns - 0.5) == pytest.approx(
        (SHAPE[0] - 0.5, SHAPE[1] - 0.5), abs=0.9
    )


def test_peaks_are_the_hottest_within_their_radius():
    heat = np.zeros((20, 20), np.float32)
    heat[4, 4], heat[4, 7], heat[15, 15] = 0.9, 0.8, 0.5

    assert peaks(heat, 4) == [(pytest.approx(0.9), 4, 4), (pytest.approx(0.5), 15, 15)]
    assert len(peaks(heat, 2)) == 3


def test_of_proposals_with_one_mask_the_surest_stays():
    kept = without_doubles([square(0, 0, 10, 0.5), square(1, 1, 10, 0.9), square(30, 30, 10, 0.4)])
    assert [p.score for p in kept] == [0.9, 0.4]

    taken = np.zeros((64, 64), bool)
    taken[0:12, 0:12] = True
    assert [p.score for p in without_doubles(kept, taken)] == [0.4]


def test_learning_can_be_cancelled_and_needs_two_objects(segmenter):
    cancel = threading.Event()

    def stop(step, total, loss):
        if step == 2:
            cancel.set()

    with pytest.raises(Cancelled):
        learn_to_propose([lesson_of(segmenter, labels_of(1, 2))], steps=4, on_step=stop, cancel=cancel)
    with pytest.raises(TrainingError, match="Found 1 accepted object, expected at least 2"):
        learn_to_propose([lesson_of(segmenter, labels_of(1))])


@pytest.mark.full_size
def test_everything_finds_each_ball_once(image):
    found = everything(Segmenter(image), grid=6)
    objects = [p for p in found if p.area < 2000]

    assert {n for n in BALLS if any(iou(whole(p), ball(n)) > 0.7 for p in objects)} == set(BALLS)
    for one in found:
        for other in found:
            assert one is other or iou(whole(one), whole(other)) < 0.7
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)


def test_nobody_clicks_on_what_is_known(segmenter):
    taken = np.ones(SHAPE, bool)
    taken[60:, 80:] = False

    found = everything(segmenter, grid=5, sure=0, stable=0, taken=taken)

    assert found
    assert not any(taken[tuple(round(v) for v in p.point)] for p in found)


def test_small_holes_and_islands_go_and_large_ones_stay():
    mask = np.zeros((60, 60), bool)
    mask[5:45, 5:45] = True
    mask[10:12, 10:12] = False
    mask[20:35, 20:35] = False
    mask[50:52, 50:52] = True

    found = tidied(mask)

    assert found[10, 10]
    assert not found[25, 25]
    assert not found[50, 50]


def test_a_wrong_mask_is_doubted_more_than_a_right_one(segmenter):
    doubter = Doubter(segmenter)
    right = doubter.about(ball(2), clicks=4, boxes=2)
    wrong = np.zeros(SHAPE, bool)
    wrong[20:70, 70:100] = True  # half of the ball and much ground

    assert right.value < 0.4 < doubter.about(wrong, clicks=4, boxes=2).value
    assert doubter.about(ball(2), clicks=4, boxes=2).value == right.value
    layer = doubt_map([right], SHAPE)
    assert layer.shape == SHAPE
    assert layer.dtype == np.float32
    assert 0 <= layer.min() <= layer.max() <= 1
    assert layer[~ball(2)].mean() < layer[ball(2) ^ inner(2)].mean()


def test_doubt_is_that_of_two_witnesses_or_of_one_for_both(segmenter):
    frame, logits = Frame((80, 120), 240), np.zeros((1, 40, 60), np.float32)
    assert Doubt(0.2, 0.5, logits, frame, (0, 0, 1, 1)).value == pytest.approx(0.6)
    assert Doubt(0.2, None, logits, frame, (0, 0, 1, 1)).value == pytest.approx(0.36)
    known = ball(2) | ball(3)
    found = Doubter(segmenter, known).about(ball(2), clicks=1, boxes=0)
    assert found.blending == blending(segmenter.channels(), segmenter.frame, ball(2), known)
    assert segmenter.channels().shape == (segmenter.adapter.profile.n_channels, *segmenter.frame.shape)


def test_doubt_is_shown_where_the_object_is_in_a_much_enlarged_image():
    frame = Frame((8, 8), 128)  # four cells for each pixel
    logits = np.full((4, 32, 32), 1.0, np.float32)
    logits[:2] = -1.0
    layer = doubt_map([Doubt(0.5, None, logits, frame, box=(2.5, 3.5, 4.5, 5.5))], (8, 8))
    assert np.argwhere(layer > 0.9).min(0).tolist() == [1, 2]
    assert np.argwhere(layer > 0.9).max(0).tolist() == [6, 7]
    assert layer[7].max() < 0.2


def test_a_mask_that_runs_away_is_doubted_near_its_object_alone():
    frame = Frame((80, 120), 240)
    logits = np.full((4, 40, 60), 1.0, np.float32)  # all of the image
    logits[:2] = -1.0
    doubt = Doubt(0.5, None, logits, frame, box=(19.5, 29.5, 29.5, 49.5))

    layer = doubt_map([doubt], (80, 120))

    assert layer[11:38, 11:68].min() == 1.0  # 10 rows and 20 columns aside, as large as the object is
    layer[8:41, 8:71] = 0
    assert not layer.any()


def inner(number):
    row, column, radius = BALLS[number]
    y, x = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (y - row) ** 2 + (x - column) ** 2 <= (radius - 2) ** 2


def test_a_frame_of_one_tall_image_has_its_map(segmenter):
    doubt = Doubter(segmenter).about(ball(2), clicks=2, boxes=0)
    assert doubt.frame == Frame(SHAPE, doubt.frame.side)
    assert len(doubt.logits) == 2


# ------------------------------------------------------------------ gestures


def test_accepted_and_rejected_proposals_are_gestures(scene):  # noqa: F811
    annotator = session(scene)
    accept(annotator, 1, 3)
    first, second = annotator.propose(steps=STEPS)[:2]
    count = len(annotator.proposals)

    (label,) = annotator.accept_proposals([first])
    assert label == 3
    assert annotator.objects[3].prompt.points == first.prompt.points
    assert first not in annotator.proposals
    annotator.reject_proposals([second])
    assert second not in annotator.proposals
    assert [step.kind for step in annotator.history[0]][-2:] == ["accept", "refuse"]

    annotator.undo()
    assert second in annotator.proposals
    annotator.undo()
    assert sorted(annotator.objects) == [1, 2]
    assert len(annotator.proposals) == count
    annotator.redo()
    annotator.redo()
    assert sorted(annotator.objects) == [1, 2, 3]
    assert second not in annotator.proposals
    annotator.set_complete()
    annotator.close()

    again = session(scene)
    assert again.is_complete
    assert np.array_equal(again.labels, annotator.labels)
    assert second.point not in {p.point for p in again.propose(steps=2)}
    again.undo()
    assert not again.is_complete
    again.undo()
    again.close()
    (found,) = replay(scene.with_name("balls.tif.simmat"))
    assert found.same, found.differences


def test_all_above_a_score_are_one_gesture_and_repeated_bit_for_bit(scene):  # noqa: F811
    annotator = session(scene)
    annotator.propose_everything(grid=5)
    assert annotator.proposed.how == "everything"
    scores = [p.score for p in annotator.proposals]
    made = annotator.accept_above(sorted(scores)[1])
    assert 1 <= len(made) < len(scores)
    assert len(annotator.history[0]) == 1
    labels = annotator.labels.copy()
    assert set(np.unique(labels)) == {0, *made}
    annotator.undo()
    assert not annotator.objects
    annotator.redo()
    assert np.array_equal(annotator.labels, labels)
    annotator.close()

    (found,) = replay(scene.with_name("balls.tif.simmat"))
    assert found.same, found.differences
    assert found.accepted == len(made)


def test_setting_aside_sets_aside_what_was_said_of_the_image(scene):  # noqa: F811
    annotator = session(scene)
    annotator.set_complete()
    annotator.start_empty()
    assert not annotator.is_complete
    annotator.undo()
    assert annotator.is_complete
    annotator.close()


def test_a_review_ranks_objects_until_they_are_others(image):
    annotator = Annotator(image)
    heard = []
    annotator.reviewed.connect(heard.append)
    accept(annotator, 1, 2)

    review = annotator.ask_review()

    assert heard == [review]
    assert {label for label, _ in review.doubts} == {1, 2}
    doubts = [doubt for _, doubt in review.doubts]
    assert doubts == sorted(doubts, reverse=True)
    annotator.name_objects([1], "ball")
    assert annotator.review is review
    annotator.erase(2)
    assert annotator.review is None
    assert heard[-1] is None


def test_images_are_ranked_by_the_doubts_about_their_objects(image):
    annotator = Annotator(image)
    accept(annotator, 1, 2)
    mean = np.mean([doubt for _, doubt in annotator.ask_review().doubts])
    annotator.set_image(balls(seed=1))
    accept(annotator, 1)
    only = np.mean([doubt for _, doubt in annotator.ask_review().doubts])
    empty = balls(seed=2)
    annotator.set_image(empty)
    heard = []
    annotator.images_ranked.connect(heard.append)

    annotator.rank_images()

    (ranking,) = heard
    assert {each.identity: (each.objects, each.doubt) for each in ranking} == {
        image.identity: (2, pytest.approx(mean, abs=1e-6)),
        balls(seed=1).identity: (1, pytest.approx(only, abs=1e-6)),
    }
    assert [each.doubt for each in ranking] == sorted((mean, only), reverse=True)
    annotator.set_image(image)  # which is what a ranking is for
    assert annotator.ranking == ranking


def test_what_cannot_be_done_is_said_in_a_sentence(image):
    annotator = Annotator(image)
    with pytest.raises(TrainingError, match="at least 2"):
        annotator.propose()
    with pytest.raises(PromptError, match="no proposal to accept"):
        annotator.accept_above(0.5)
    with pytest.raises(PromptError, match="no proposal to reject"):
        annotator.reject_proposals([])
    with pytest.raises(PromptError, match="no object to look at"):
        annotator.ask_review()
    with pytest.raises(PromptError, match="no object to look at"):
        annotator.rank_images()
    with pytest.raises(ImageError):
        Annotator().propose()
