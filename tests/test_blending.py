"""How far an object blends in with what surrounds it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_simmat.inference.blending import blending
from napari_simmat.inference.frame import Frame

SHAPE = (96, 120)
FRAME = Frame(SHAPE, 240)


def disk(y, x, radius):
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def seen(image):
    """Channels of the image's pixels in the frame, each pixel twice along both axes."""
    return image.repeat(2, axis=1).repeat(2, axis=2).astype(np.float32)


@pytest.fixture
def channels():
    """An object that the difference of two channels shows, and neither of them alone."""
    rng = np.random.default_rng(0)
    common = rng.normal(0, 3, SHAPE)
    own = rng.normal(0, 0.1, (2, *SHAPE))
    return seen(np.stack([common + own[0], common + own[1] + disk(40, 50, 14)]))


def test_what_only_a_mixture_of_channels_tells_does_not_blend_in(channels):
    assert blending(channels, FRAME, disk(40, 50, 14)) < 0.05
    assert blending(channels[:1], FRAME, disk(40, 50, 14)) > 0.8
    assert blending(channels[1:], FRAME, disk(40, 50, 14)) > 0.6


def test_a_mask_that_goes_too_far_or_not_far_enough_blends_in(channels):
    right = blending(channels, FRAME, disk(40, 50, 14))
    assert blending(channels, FRAME, disk(40, 50, 28)) > right + 0.3
    assert blending(channels, FRAME, disk(40, 50, 5)) > 0.7  # leaf on both sides
    assert blending(channels, FRAME, disk(40, 64, 14)) > right + 0.2
    assert blending(channels, FRAME, disk(40, 100, 12)) > 0.7  # ground on both sides


def test_units_and_signs_of_channels_do_not_matter(channels):
    mask = disk(40, 56, 14)
    others = channels * np.array([-100, 0.01], np.float32)[:, None, None] + np.float32(5)
    assert blending(others, FRAME, mask) == pytest.approx(blending(channels, FRAME, mask), abs=0.01)


@pytest.mark.parametrize("radius", [4, 8, 14])
def test_many_channels_of_noise_tell_nothing(radius):
    noise = seen(np.random.default_rng(1).normal(size=(16, *SHAPE)))
    assert blending(noise, FRAME, disk(40, 50, radius)) > 0.7


def test_objects_at_the_border_and_large_ones_have_a_ring_where_there_is_image():
    corner = disk(0, 0, 20)
    image = seen(np.random.default_rng(0).normal(0, 0.1, (1, *SHAPE)) + corner)
    assert blending(image, FRAME, corner) < 0.05
    half = np.zeros(SHAPE, bool)
    half[:, :60] = True
    assert blending(image, FRAME, half) > 0.8


def test_neighbours_that_are_known_are_no_surroundings():
    crowd = [disk(40, x, 12) for x in (26, 50, 74)] + [disk(y, 50, 12) for y in (15, 65)]
    image = seen(np.random.default_rng(0).normal(0, 0.1, (1, *SHAPE)) + np.any(crowd, 0))
    assert blending(image, FRAME, crowd[1]) > 0.3
    assert blending(image, FRAME, crowd[1], np.any(crowd, 0)) < 0.05
    assert blending(image, FRAME, crowd[1], np.ones(SHAPE, bool)) is None


def test_what_nothing_surrounds_or_the_frame_cannot_show_is_not_told(channels):
    assert blending(channels, FRAME, np.ones(SHAPE, bool)) is None
    lost = np.zeros((4000, 5000), bool)
    lost[7, 3] = True
    assert blending(channels, Frame(lost.shape, 240), lost) is None


def test_an_image_without_any_difference_tells_nothing():
    assert blending(np.zeros((3, 192, 240), np.float32), FRAME, disk(40, 50, 14)) == 1.0
