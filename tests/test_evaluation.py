"""Figures of merit agree with what they say they are."""

from __future__ import annotations

import numpy as np
import pytest

from napari_simmat import Adapter, evaluate
from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.metrics import bootstrap_interval, clicks_to_reach, iou
from napari_simmat.images import as_image


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
