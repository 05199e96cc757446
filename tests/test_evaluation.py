"""Figures of merit agree with what they say they are."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_simmat import Adapter, evaluate
from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation import Evaluation, ObjectScore, evaluate_objects, summarise
from napari_simmat.evaluation.metrics import bootstrap_interval, clicks_to_reach, iou
from napari_simmat.images import as_image
from napari_simmat.training.clicks import depth, first_click, jittered, next_click


def test_iou_of_known_masks():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    a[:2], b[1:3] = True, True
    assert iou(a, b) == pytest.approx(1 / 3)
    assert iou(a, a) == 1.0
    assert iou(a & False, b & False) == 1.0


def test_clicks_to_reach_counts_from_one_and_is_capped():
    assert clicks_to_reach([0.5, 0.81, 0.79, 0.9], 0.8) == 2
    assert clicks_to_reach([0.95], 0.8) == 1
    assert clicks_to_reach([0.5] * 20, 0.8) == 20


def test_the_interval_holds_the_mean_and_narrows_with_more_images():
    rng = np.random.default_rng(0)
    few = [rng.normal(0.6, 0.1, 5).tolist() for _ in range(4)]
    many = [rng.normal(0.6, 0.1, 5).tolist() for _ in range(100)]
    for groups in (few, many):
        low, high = bootstrap_interval(groups)
        assert low < np.mean([v for g in groups for v in g]) < high
    assert np.diff(bootstrap_interval(many)) < np.diff(bootstrap_interval(few))
    assert bootstrap_interval([[0.5, 0.7], []]) == bootstrap_interval([[0.5, 0.7]])


@pytest.fixture(scope="module")
def discs():
    y, x = np.mgrid[:100, :160]
    labels = np.zeros((100, 160), int)
    labels[(y - 50) ** 2 + (x - 40) ** 2 < 22**2] = 3
    labels[(y - 50) ** 2 + (x - 115) ** 2 < 25**2] = 7
    labels[2:7, 2:7] = 9  # 25 pixels: skipped
    noise = np.random.default_rng(0).normal(0, 4, (3, 100, 160))
    return as_image((60 + 120 * (labels > 0) + noise).astype(np.float32), channel_axis=0), labels


def test_an_evaluation_counts_objects_and_gives_one_value_for_each_click(discs):
    seen = []
    found = evaluate([discs, discs], clicks=3, on_image=seen.append)
    assert (found.images, found.objects, found.clicks) == (2, 4, 3)
    assert seen == [1, 2]
    assert len(found.miou) == 3
    assert found.miou[-1] > 0.9
    assert found.miou_best_of_candidates >= found.miou[0] - 1e-9
    assert found.ci95[0] <= found.miou[0] <= found.ci95[1]
    assert found.noc80 is None


def test_twenty_clicks_give_the_numbers_of_clicks(discs):
    found = evaluate([discs], clicks=20, adapter=Adapter.untrained(discs[0]))
    assert 1 <= found.noc80 <= found.noc85 <= found.noc90 <= 20


@pytest.mark.parametrize("size", [0, 5])
def test_labels_without_objects_of_thirty_pixels_are_refused(discs, size):
    labels = np.zeros((100, 160), int)
    labels[:size, :size] = 1
    with pytest.raises(SimmatError, match="Found no object of at least 30 pixels in 1 images"):
        evaluate([(discs[0], labels)])


def test_no_clicks_are_refused(discs):
    with pytest.raises(SimmatError, match="Got 0 clicks"):
        evaluate([discs], clicks=0)


# --------------------------------------------------------------- clicks off the middle


def bar_and_square() -> np.ndarray:
    """A square of 21 pixels with a long thin arm."""
    mask = np.zeros((60, 120), bool)
    mask[20:41, 10:31] = True
    mask[29:32, 31:110] = True
    return mask


@pytest.mark.parametrize("jitter", [0.3, 1.0])
def test_jittered_clicks_spread_as_far_as_said_and_stay_inside(jitter):
    mask = bar_and_square()
    rng = np.random.default_rng(0)
    clicks = np.array([first_click(mask, jittered(jitter, rng)) for _ in range(400)])
    middle, reach = first_click(mask), depth(mask).max()
    away = np.hypot(*(clicks - middle).T)
    assert all(mask[int(y), int(x)] for y, x in clicks)
    assert 0.8 * jitter * reach < away.max() <= jitter * reach
    assert len({tuple(click) for click in clicks}) > 20
    # Evenly over a disc, not crowded in its middle: the mean distance is two thirds of the radius.
    assert away.mean() == pytest.approx(2 / 3 * jitter * reach, rel=0.1)


def test_no_jitter_is_the_deepest_point_and_a_large_one_reaches_thin_parts():
    mask = bar_and_square()
    rng = np.random.default_rng(0)
    assert first_click(mask, jittered(0.0, rng)) == first_click(mask)
    assert max(first_click(mask, jittered(100.0, rng))[1] for _ in range(100)) > 80
    assert all(mask[tuple(map(int, first_click(mask, jittered(100.0, rng))))] for _ in range(100))


def test_jittered_corrections_lie_in_the_error_that_they_correct():
    mask = bar_and_square()
    short, wide = mask & (np.arange(120) < 50), mask | (np.arange(60) > 45)[:, None]
    rng = np.random.default_rng(0)
    for _ in range(50):
        y, x, label = next_click(mask, short, jittered(1.0, rng))
        assert (label, bool(mask[int(y), int(x)] and x >= 50)) == (1, True)
        y, x, label = next_click(mask, wide, jittered(1.0, rng))
        assert (label, y > 45) == (0, True)
    assert next_click(mask, mask, jittered(1.0, rng)) is None


def test_jitter_depends_on_seed_and_object_not_on_what_else_is_evaluated(discs):
    image, labels = discs
    other = as_image(image.data[:, ::-1].copy(), channel_axis=0), labels[::-1].copy() * (labels[::-1] == 7)

    def found(dataset, number=0, **options):
        scores = evaluate_objects(dataset, clicks=2, **options)
        return {s.label: (s.clicks, s.ious) for s in scores if s.image_number == number}

    alone = found([discs], jitter=0.8, seed=1)
    assert found([other, discs], number=1, jitter=0.8, seed=1) == alone
    assert found([(image, np.where(labels == 7, 7, 0))], jitter=0.8, seed=1) == {7: alone[7]}
    assert found([discs], jitter=0.8, seed=2) != alone
    assert found([discs], seed=1) == found([discs], seed=2)


@pytest.mark.parametrize("options", [{"jitter": -0.1}, {"jitter": float("nan")}, {"seed": -1}])
def test_impossible_jitter_is_refused(discs, options):
    with pytest.raises(SimmatError, match="expected numbers of at least 0"):
        evaluate([discs], **options)


# --------------------------------------------------------------- by size and by class


def test_an_evaluation_tells_sizes_and_classes_apart(discs):
    image, labels = discs
    classes = np.where(labels == 3, 2, np.where(labels == 7, 10, 0))
    classes[51:, :80] = 0  # not quite half of the first disc
    found = evaluate([(image, labels, classes), discs], class_names={2: "crop"})
    assert [(g.name, g.objects, g.images) for g in found.by_class] == [("crop", 1, 1), ("10", 1, 1)]
    assert [(g.name, g.objects) for g in found.by_size] == [("medium", 4)]
    assert found.by_size[0].miou == found.miou
    by_label = {s.label: s.ious[0] for s in evaluate_objects([discs])}
    assert [g.miou[0] for g in found.by_class] == [by_label[3], by_label[7]]
    assert (found.jitter, found.noc80) == (0.0, None)


def test_class_zero_is_no_class_unless_it_has_a_name(discs):
    image, labels = discs
    dataset = [(image, labels, np.zeros_like(labels))]
    assert evaluate(dataset).by_class == []
    assert [g.name for g in evaluate(dataset, class_names={0: "disc"}).by_class] == ["disc"]


@pytest.mark.parametrize(
    ("area", "size"), [(30, "small"), (1023, "small"), (1024, "medium"), (9215, "medium"), (9216, "large")]
)
def test_sizes_are_those_of_coco_in_pixels_of_the_image(area, size):
    labels = np.zeros((100, 160), int)
    labels.reshape(-1)[:area] = 1
    image = as_image(np.zeros((1, 100, 160), np.float32), channel_axis=0)
    (score,) = evaluate_objects([(image, labels)])
    assert (score.area, score.size) == (area, size)


def test_classes_of_another_shape_are_refused(discs):
    with pytest.raises(SimmatError, match=r"The classes of .* are \(5, 5\)"):
        evaluate([(*discs, np.zeros((5, 5), int))])


# --------------------------------------------------------------- scores


def scored(image: int, *ious: float, **more: object) -> ObjectScore:
    said = {"label": 1, "area": 50, "size": "small", "clicks": ((1, 1, 1),), "best_candidate": ious[0]}
    return ObjectScore(image=f"scene {image}", image_number=image, ious=ious, **{**said, **more})


def test_figures_are_made_of_scores_as_they_were_kept():
    scores = [scored(0, *[0.5] * 3, *[0.83] * 17), scored(0, *[0.86] * 20), scored(1, *[0.4] * 20)]
    kept = [ObjectScore.model_validate_json(score.model_dump_json()) for score in scores]
    found = summarise(kept, images=5, seconds=2.0)
    assert (found.images, found.objects, found.clicks, found.seconds) == (5, 3, 20, 2.0)
    assert found.miou[0] == pytest.approx((0.5 + 0.86 + 0.4) / 3)
    assert (found.noc80, found.noc85, found.noc90) == ((4 + 1 + 20) / 3, (20 + 1 + 20) / 3, 20)
    assert (found.by_size[0].images, found.by_size[0].noc80) == (2, found.noc80)
    assert found.ci95 == bootstrap_interval([[0.5, 0.86], [0.4]])
    assert summarise(kept).images == 2
    assert Evaluation.model_validate_json(found.model_dump_json()) == found


def test_the_summary_of_the_scores_is_the_evaluation(discs):
    blank = discs[0], np.zeros_like(discs[1])
    whole = evaluate([discs, blank], clicks=2, jitter=0.5, seed=3)
    made = summarise(
        evaluate_objects([discs, blank], clicks=2, jitter=0.5, seed=3), images=2, jitter=0.5, seed=3
    )
    assert made == whole.model_copy(update={"seconds": 0.0})


def test_scores_that_do_not_belong_together_are_refused():
    with pytest.raises(SimmatError, match="Got no scores"):
        summarise([])
    with pytest.raises(SimmatError, match="Got scores after 1, 2 clicks"):
        summarise([scored(0, 0.5), scored(0, 0.5, 0.6)])


def test_an_evaluation_can_be_cancelled(discs):
    cancel = threading.Event()
    with pytest.raises(Cancelled):
        evaluate([discs, discs, discs], on_image=lambda done: cancel.set(), cancel=cancel)
