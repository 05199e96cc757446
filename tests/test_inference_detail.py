"""What close-ups are cut from: right in place, and as fine as the image is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_simmat import Segmenter
from napari_simmat.evaluation.protocol import click_curve
from napari_simmat.images import as_image
from napari_simmat.inference import segmenter as segmenter_module
from napari_simmat.inference.close_up import CloseUp
from napari_simmat.inference.detail import Detail, detail_scale
from napari_simmat.inference.frame import Frame

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("shape", "n_channels", "scale"),
    [
        ((483, 648), 2, 1),
        ((1200, 1500), 4, 1),
        ((2048, 2448), 4, 2),
        ((2048, 2448), 100, 1),
        ((1, 4000), 3, 2),
    ],
)
def test_images_that_are_finer_than_the_frame_are_kept_finer_as_far_as_memory_allows(
    shape, n_channels, scale
):
    assert detail_scale(Frame(shape), n_channels) == scale


@pytest.mark.parametrize("part", [(0, 0, 268, 268), (200, 310, 468, 578), (495, 756, 763, 1024)])
def test_a_close_up_is_the_part_of_what_the_layer_makes_of_the_whole(part):
    torch.manual_seed(0)
    layers = torch.nn.Sequential(*(torch.nn.Conv2d(3, 3, 15, padding=7) for _ in range(2)))
    x = np.random.default_rng(0).normal(size=(3, 763, 1024)).astype(np.float32)
    view = CloseUp((966, 1296), 1024, part)
    with torch.no_grad():
        whole = layers(torch.from_numpy(x).half().float()[None])
        top, left, bottom, right = part
        expected = F.interpolate(whole[..., top:bottom, left:right], view.shape, mode="bicubic")
        shown = Detail(x, 1).show(view, layers, CPU)
    torch.testing.assert_close(shown, expected, atol=1e-4, rtol=1e-4)


def test_fine_lines_of_a_large_image_are_seen():
    """Lines of two pixels, of which the frame has less than one."""
    lines = np.tile(np.arange(2400) // 2 % 2, (1800, 1)).astype(np.float32)
    frame = Frame(lines.shape)
    view = CloseUp(frame.image_shape, 1024, (200, 310, 468, 578))
    contrast = {}
    for scale in (1, 2):
        size = tuple(scale * n for n in frame.shape)
        x = F.interpolate(torch.from_numpy(lines)[None, None], size, mode="bilinear", antialias=True)[0]
        shown = Detail(x.numpy(), scale).show(view, lambda picture: picture, CPU)
        assert shown.shape[2:] == view.shape
        contrast[scale] = float(shown.std())
    assert contrast[2] > 3 * contrast[1]


def test_clicks_count_for_more_on_fine_details_of_a_large_image(monkeypatch):
    shape = (1500, 2000)
    y, x = np.mgrid[: shape[0], : shape[1]]
    angle = np.arctan2(y - 700, x - 1100)
    mask = np.hypot(y - 700, x - 1100) < 24 + 9 * np.sign(np.sin(7 * angle))
    rng = np.random.default_rng(3)
    noisy = np.stack([90 + 75 * mask + rng.normal(0, 2, shape) for _ in range(3)])
    image = as_image(noisy.astype(np.float32), channel_axis=0)
    _, finely, _ = click_curve(Segmenter(image), mask, 5)
    monkeypatch.setattr(segmenter_module, "detail_scale", lambda frame, n_channels: 1)
    _, coarsely, _ = click_curve(Segmenter(image), mask, 5)
    assert finely[0] == coarsely[0]
    assert max(finely) > max(coarsely) + 0.01, (finely, coarsely)
