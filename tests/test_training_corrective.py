"""Corrective clicks: the same on a GPU as on the processor."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_simmat.training.clicks import depth
from napari_simmat.training.corrective import _in_the_deepest, corrective_clicks, depths

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def blobs(count, shape, seed=0):
    noise = np.random.default_rng(seed).normal(size=(count, *shape))
    return ndimage.gaussian_filter(noise, (0, 3, 3)) > 0.02


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (40, 30), (64, 150)])
def test_depths_are_those_of_each_mask(device, shape, monkeypatch):
    monkeypatch.setattr(
        "napari_simmat.training.corrective._MOST_BYTES", 4 * 5 * 152 * 152 * 7
    )  # in several parts
    masks = np.concatenate([blobs(3, shape), np.ones((1, *shape), bool), np.zeros((1, *shape), bool)])
    found = depths(torch.from_numpy(masks).to(device)).cpu().numpy()
    for mask, distance in zip(masks, found, strict=True):
        np.testing.assert_allclose(distance, depth(mask), rtol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_clicks_go_into_the_deepest_error(device):
    masks, answers = blobs(6, (50, 70)), blobs(6, (50, 70), seed=1)
    answers[0] = masks[0]
    answers[0, 20:30, 20:30] ^= True
    given = (torch.from_numpy(each).to(device) for each in (masks, answers))
    for mask, answer, (y, x, label) in zip(masks, answers, _in_the_deepest(*given), strict=True):
        missed, extra = depth(mask & ~answer), depth(answer & ~mask)
        assert label == int(missed.max() >= extra.max())
        error = missed if label else extra
        assert error[int(y), int(x)] == pytest.approx(error.max())


@pytest.mark.parametrize("device", DEVICES)
def test_only_what_is_wrong_is_clicked_on_and_not_more_than_asked_for(device):
    masks = blobs(5, (48, 64))
    shown = torch.from_numpy(np.where(masks, 4.0, -4.0).astype(np.float32))[:, None].to(device)
    assert corrective_clicks(masks, shown, 3, np.random.default_rng(0)) == {}
    shown[1], shown[3] = -4.0, -4.0
    clicks = corrective_clicks(masks, shown, 3, np.random.default_rng(0))
    assert list(clicks) == [1, 3]
    assert all(label == 1 and masks[k, int(y), int(x)] for k, (y, x, label) in clicks.items())
    assert len(corrective_clicks(masks, shown, 1, np.random.default_rng(0))) == 1
