"""The screen shows what people can see, whatever the numbers are."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from napari_simmat.errors import ImageError
from napari_simmat.images import MultiChannelImage, as_image, screen_rgb


def test_an_8_bit_colour_picture_is_shown_as_it_is():
    picture = data.astronaut()
    assert np.array_equal(screen_rgb(as_image(picture), [0, 1, 2]), picture)


def test_a_dim_16_bit_colour_picture_is_brightened_but_keeps_its_colours():
    grey = np.linspace(0, 400, 30 * 40).reshape(30, 40)
    dim = np.stack([grey, grey * 0.5, grey * 0.25]).astype(np.uint16)
    shown = screen_rgb(as_image(dim, channel_axis=0, modality="rgb"), [0, 1, 2]).astype(float)
    assert shown.max() == 255
    np.testing.assert_allclose(shown[20, 20, 1] / shown[20, 20, 0], 0.5, atol=0.03)


def test_each_channel_of_a_composite_is_stretched_by_itself():
    ramp = np.linspace(0, 1, 1200).reshape(30, 40)
    image = MultiChannelImage(np.stack([ramp, ramp * 1000 + 50, -ramp]))
    shown = screen_rgb(image, [0, 1, 2])
    assert shown.reshape(-1, 3).max(axis=0).tolist() == [255, 255, 255]
    assert np.array_equal(shown[..., 0], shown[..., 1])
    assert np.array_equal(shown[..., 0], 255 - shown[..., 2][...])


def test_one_channel_is_grey():
    image = MultiChannelImage(np.random.default_rng(0).random((4, 30, 40)))
    assert screen_rgb(image, [3]).shape == (30, 40)
    assert screen_rgb(image, [3, 3, 1]).shape == (30, 40, 3)
    assert screen_rgb(image).shape == (30, 40, 3)


def test_missing_pixels_are_black():
    plane = np.random.default_rng(0).random((1, 30, 40)) + 5
    plane[0, 4, 4] = np.nan
    assert screen_rgb(MultiChannelImage(plane), [0])[4, 4] == 0


def test_principal_components_show_what_any_channel_shows():
    rng = np.random.default_rng(0)
    planes = rng.normal(0, 1, (6, 60, 80))
    planes[5, 20:40, 20:40] += 8
    planes[4, 20:40, 20:40] += 8
    shown = screen_rgb(MultiChannelImage(planes), "principal components").astype(float)
    inside, outside = shown[25:35, 25:35].mean((0, 1)), shown[:15].mean((0, 1))
    assert inside[0] - outside[0] > 100


def test_principal_components_are_the_same_each_time():
    planes = np.random.default_rng(0).normal(0, 1, (6, 60, 80))
    first, second = (screen_rgb(MultiChannelImage(planes), "principal components") for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize("channels", [[], [0, 1], [4], [-1], [0, 1, 2, 3], "colours"])
def test_channels_that_cannot_be_shown_are_refused(channels):
    with pytest.raises(ImageError, match="give one or three numbers from 0 to 3"):
        screen_rgb(MultiChannelImage(np.zeros((4, 5, 6))), channels)
