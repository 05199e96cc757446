"""What people are offered to see of each sensor, and that its colours mean what the legend says."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from napari_simmat.errors import ImageError
from napari_simmat.images import Channel, MultiChannelImage, open_image, profile_for, screen_rgb
from napari_simmat.images.looks.composites import painter_for, presets_for
from napari_simmat.images.looks.display import overview_rgb
from napari_simmat.images.looks.painters import hsv, hue, ramp_colours

DATA = Path(os.environ.get("NAPARI_SIMMAT_DATA", Path(__file__).parents[2] / "shared" / "data"))


def polarized(angles, degrees, intensity=100.0):
    """An image whose columns are polarized at these angles in radians."""
    angles, degrees = np.broadcast_arrays(np.asarray(angles, float), degrees)
    s0 = np.broadcast_to(np.asarray(intensity, float), angles.shape)
    rows = np.stack([s0, s0 * degrees * np.cos(2 * angles), s0 * degrees * np.sin(2 * angles)])
    channels = [Channel(f"S{k}", role=f"s{k}") for k in range(3)]
    data = np.repeat(rows[:, None], 4, axis=1).astype(np.float32)
    return MultiChannelImage(data, channels, modality="polarization", name="polarized")


def cube(waves, **options):
    data = np.random.default_rng(0).random((len(waves), 12, 16)).astype(np.float32)
    channels = [Channel(f"{wave} nm", wavelength_nm=float(wave)) for wave in waves]
    return MultiChannelImage(data, channels, modality="hyperspectral", **options)


def names(image):
    return [preset.name for preset in presets_for(image)]


def test_hue_is_the_angle_over_half_a_turn():
    shown = hue(np.array([0.0, np.pi / 3, 2 * np.pi / 3, np.pi, -np.pi / 6, np.nan]))
    expected = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 0), (255, 0, 255), (0, 0, 0)]
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize("seed", range(3))
def test_hsv_agrees_with_the_standard_library(seed):
    import colorsys

    h, s, v = np.random.default_rng(seed).random((3, 50))
    ours = hsv(h * np.pi, s, v)
    theirs = [colorsys.hsv_to_rgb(*each) for each in zip(h, s, v, strict=True)]
    np.testing.assert_allclose(ours, 255 * np.array(theirs), atol=1.01)


def test_orientations_half_a_turn_apart_have_one_colour():
    angles = np.linspace(-np.pi / 2, np.pi / 2, 19)
    there = screen_rgb(polarized(angles, 0.5), "aolp").astype(int)
    again = screen_rgb(polarized(angles + np.pi, 0.5), "aolp").astype(int)
    assert np.abs(there - again).max() <= 1
    assert np.abs(there[:, 0] - there[:, -1]).max() <= 1  # -90 degrees and 90 degrees
    assert np.ptp(there[:, :-1], axis=1).max() > 200


def test_polarization_opens_in_hue_and_what_is_unpolarized_is_grey():
    image = polarized([0.0, 0.0, np.pi / 2, np.pi / 4], [0.0, 0.8, 0.8, 0.8], [50, 100, 100, 10])
    assert names(image)[:4] == ["hsv", "s0", "dolp", "aolp"]
    shown = screen_rgb(image, "hsv").astype(int)[0]
    assert np.ptp(shown[0]) == 0
    assert shown[1].argmax() == 0
    assert tuple(shown[2] > shown[2].max() / 2) == (False, True, True)  # 90 degrees: cyan
    assert painter_for(image, "hsv").legend.kind == "wheel"


def test_the_scale_of_the_degree_starts_at_zero_and_ends_where_the_legend_says():
    image = polarized(0.3, np.linspace(0, 0.4, 101))
    legend = painter_for(image, "dolp").legend
    shown = screen_rgb(image, "dolp")[0].astype(float)
    assert legend.low == 0
    assert legend.high == pytest.approx(0.4, abs=0.01)
    np.testing.assert_allclose(shown, np.clip(255 * np.linspace(0, 0.4, 101) / legend.high, 0, 255), atol=1)


def test_a_colour_polarization_camera_keeps_its_colours():
    mono = polarized([0.2, 0.8], 0.5)
    data = np.concatenate([mono.data * scale for scale in (1, 0.5, 0.25)])
    channels = [
        Channel(f"{colour} S{k}", role=f"s{k}") for colour in ("red", "green", "blue") for k in range(3)
    ]
    image = MultiChannelImage(data, channels, modality="polarization")
    assert names(image)[:2] == ["hsv", "s0 colour"]
    red, green, blue = screen_rgb(image, "s0 colour")[0, 0].astype(int)
    assert red > green > blue
    np.testing.assert_array_equal(screen_rgb(image, "aolp"), screen_rgb(mono, "aolp"))


def test_true_colour_and_colour_infrared_take_the_nearest_bands():
    image = cube(range(400, 1000, 10))
    found = {preset.name: preset for preset in presets_for(image)}
    assert [image.channels[i].wavelength_nm for i in found["true colour"].channels] == [650, 550, 450]
    assert [image.channels[i].wavelength_nm for i in found["colour infrared"].channels] == [850, 650, 550]
    assert names(image)[0] == "true colour"
    np.testing.assert_array_equal(
        screen_rgb(image, "true colour"), screen_rgb(image, found["true colour"].channels)
    )


def test_a_bad_band_stands_for_no_colour():
    image = cube([450, 548, 552, 560, 650])
    bad = [*image.channels]
    bad[2] = Channel("552 nm", wavelength_nm=552.0, role="bad band")
    found = {preset.name: preset for preset in presets_for(image.with_channels(bad))}
    assert 2 not in found["true colour"].channels


def test_without_visible_bands_there_is_no_true_colour():
    assert "true colour" not in names(cube(range(1000, 2500, 50)))


def test_missing_depth_is_black_and_measured_depth_is_not():
    depth = np.linspace(0.5, 5, 200, dtype=np.float32).reshape(1, 10, 20).copy()
    depth[0, 3, 4], depth[0, 5, 6] = np.nan, 0
    image = MultiChannelImage(depth, [Channel("depth", unit="m", role="depth")], modality="depth")
    for name in ("depth", "relief", "normals"):
        shown = screen_rgb(image, name)
        assert not shown[3, 4].any()
        assert not shown[5, 6].any() or name == "normals"
        assert shown[7:].any(axis=-1).all()
    legend = painter_for(image, "depth").legend
    assert (legend.unit, legend.kind) == ("m", "bar")
    assert 0.5 <= legend.low < 0.6  # zero is no distance


def test_relief_shows_what_stands_on_a_tilted_floor_the_brightest():
    nearness = np.linspace(0.5, 1.0, 60, dtype=np.float32)[:, None] * np.ones((60, 80), np.float32)
    nearness[10:18, 20:28] += 0.05  # where the floor is farthest
    image = MultiChannelImage(
        1 / nearness[None], [Channel("depth", unit="m", role="depth")], modality="depth"
    )
    shown = screen_rgb(image, "relief").sum(axis=-1, dtype=int)
    assert (shown[10:18, 20:28] > shown[40:].max()).all()


def test_a_wall_that_faces_the_camera_is_the_blue_of_normals():
    flat = np.full((1, 9, 9), 2.0, np.float32)
    image = MultiChannelImage(flat, [Channel("depth", unit="m", role="depth")], modality="depth")
    np.testing.assert_allclose(screen_rgb(image, "normals")[4, 4], (128, 128, 255), atol=1)


def test_temperature_is_shown_with_its_unit():
    data = np.linspace(20, 40, 300, dtype=np.float32).reshape(1, 15, 20)
    image = MultiChannelImage(data, [Channel("thermal", unit="°C", role="thermal")], modality="thermal")
    assert names(image)[0] == "temperature"
    legend = painter_for(image, "temperature").legend
    assert (legend.unit, round(legend.low), round(legend.high)) == ("°C", 20, 40)
    shown = screen_rgb(image, "temperature").astype(float).sum(axis=-1)
    assert shown[0, 0] < shown[7, 0] < shown[14, 19]


@pytest.mark.parametrize("ramp", ["heat", "distance"])
def test_ramps_are_monotone_and_never_black(ramp):
    luminance = ramp_colours(ramp) @ np.array([0.2126, 0.7152, 0.0722])
    steps = np.diff(luminance[::5])
    assert (steps > 0).all() or (steps < 0).all()
    assert luminance.min() > 8


def test_a_preset_reads_only_its_channels():
    import dask.array as da

    read = []

    def block(values, block_info=None):
        read.append(block_info[0]["array-location"][0][0])
        return values

    image = cube(range(400, 1000, 10))
    lazy = da.from_array(np.array(image.data), chunks=(1, 12, 16)).map_blocks(block, dtype=np.float32)
    watched = MultiChannelImage(lazy, image.channels, modality="hyperspectral")
    read.clear()

    np.testing.assert_array_equal(screen_rgb(watched, (31,)), screen_rgb(image, (31,)))
    assert set(read) == {31}
    read.clear()
    screen_rgb(watched, "true colour")
    assert set(read) == {25, 15, 5}


def test_a_preset_that_the_image_does_not_have_is_refused_in_words():
    with pytest.raises(ImageError, match="principal components"):
        screen_rgb(cube(range(400, 1000, 10)), "hsv")


def test_looking_changes_nothing_of_what_the_model_sees():
    image = polarized(np.linspace(0, 3, 40), 0.3)
    before = profile_for(image).model_input(image, (32, 32))
    for preset in presets_for(image):
        screen_rgb(image, preset)
        overview_rgb(image, preset, 16)
    np.testing.assert_array_equal(profile_for(image).model_input(image, (32, 32)), before)


@pytest.mark.skipif(not (DATA / "envi").exists(), reason="needs the real cubes")
def test_a_real_cube_is_seen_in_true_colour():
    image = open_image(DATA / "envi" / "jasperRidge2_R198.hdr")
    best = presets_for(image)[0]
    assert best.name == "true colour"
    waves = [image.channels[i].wavelength_nm for i in best.channels]
    np.testing.assert_allclose(waves, (650, 550, 450), atol=5)
    assert screen_rgb(image, best).std() > 20
