"""What polarizers let through becomes Stokes parameters, in closed form and on a camera's frames."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_simmat.errors import ImageError
from napari_simmat.images.physics.mosaic import find_polarization_mosaic
from napari_simmat.images.physics.polarization import (
    ANGLES,
    SONY_LAYOUT,
    aolp,
    demosaic,
    demosaic_colour,
    dolp,
    stokes_of_angles,
    stokes_of_four,
)

DATA = Path(os.environ.get("NAPARI_SIMMAT_DATA", Path(__file__).parents[2] / "shared" / "data"))
FRAMES = sorted((DATA / "polarization-camera").glob("*.png"))
real = pytest.mark.skipif(not FRAMES, reason="the frames of a polarization camera are not here")
PERMUTATIONS = [((a, b), (c, d)) for a, b, c, d in itertools.permutations(ANGLES)]


def malus(s0, degree, angle, polarizer):
    """Behind a polarizer: half of the unpolarized light and cos squared of the polarized."""
    return s0 * ((1 - degree) / 2 + degree * np.cos(angle - polarizer) ** 2)


def behind_mosaic(planes, layout):
    """The raw frame of a camera that would see these four intensities."""
    frame = np.empty(planes.shape[1:], planes.dtype)
    for y, row in enumerate(layout):
        for x, angle in enumerate(row):
            frame[y::2, x::2] = planes[ANGLES.index(angle), y::2, x::2]
    return frame


def behind_colour_mosaic(colours, layout):
    frame = np.empty(colours.shape[2:], colours.dtype)
    for (y, x), colour in {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 2}.items():
        mono = behind_mosaic(colours[colour], layout)
        for dy, dx in itertools.product((0, 1), repeat=2):
            place = slice(2 * y + dy, None, 4), slice(2 * x + dx, None, 4)
            frame[place] = mono[place]
    return frame


def ramps(count, shape):
    y, x = np.indices(shape)
    return np.stack([10.0 * k + (k + 1) * y + (2 - k) * x for k in range(count)])


@pytest.mark.parametrize("shape", [(32, 40), (33, 41)])
@pytest.mark.parametrize("layout", PERMUTATIONS)
def test_ramps_come_out_exactly_behind_every_polarizer(layout, shape):
    planes = ramps(4, shape)
    out = demosaic(behind_mosaic(planes, layout), layout)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out[:, 2:-2, 2:-2], planes[:, 2:-2, 2:-2].astype("f4"))


def test_ramps_come_out_exactly_behind_every_filter_and_polarizer():
    colours = ramps(12, (41, 38)).reshape(3, 4, 41, 38)
    for layout in PERMUTATIONS[::5]:
        out = demosaic_colour(behind_colour_mosaic(colours, layout), layout)
        np.testing.assert_array_equal(out[..., 4:-4, 4:-4], colours[..., 4:-4, 4:-4].astype("f4"))


@pytest.mark.parametrize("top", [255, 1023, 4095, 65535])
def test_pixels_keep_their_own_value_and_borders_repeat_the_nearest(top):
    frame = (
        np.random.default_rng(top).integers(0, top, (9, 8), endpoint=True).astype("u2" if top > 255 else "u1")
    )
    out = demosaic(frame, SONY_LAYOUT)
    assert np.array_equal(out[2, ::2, ::2], frame[::2, ::2])
    assert np.array_equal(out[0, 1::2, 1::2], frame[1::2, 1::2])
    assert np.array_equal(out[0, 0, 1::2], frame[1, 1::2])
    assert np.array_equal(out[0, -1, 1::2], frame[-2, 1::2])
    assert out.min() >= frame.min()
    assert out.max() <= frame.max()


def test_what_is_smaller_than_a_cell_is_no_mosaic():
    with pytest.raises(ImageError, match=r"shape \(1, 8\).*at least 2 pixels"):
        demosaic(np.zeros((1, 8), "u1"))
    with pytest.raises(ImageError, match="at least 4 pixels"):
        demosaic_colour(np.zeros((3, 8), "u1"))


@pytest.mark.parametrize("degrees", range(-90, 91, 15))
def test_a_rotating_polarizer_follows_malus_law_in_all_four_quadrants(degrees):
    angle = np.deg2rad(degrees)
    through = [malus(200.0, 1, angle, np.deg2rad(a)) for a in ANGLES]
    s0, s1, s2 = stokes_of_four(*(np.full((2, 2), i) for i in through))
    np.testing.assert_allclose(s0, 200, rtol=1e-6)
    np.testing.assert_allclose(s1, 200 * np.cos(2 * angle), atol=2e-5)
    np.testing.assert_allclose(s2, 200 * np.sin(2 * angle), atol=2e-5)
    np.testing.assert_allclose(dolp(s0, s1, s2), 1, atol=1e-6)
    if abs(degrees) < 90:
        np.testing.assert_allclose(aolp(s1, s2), angle, atol=1e-6)
    else:  # both ends of the circle are the same
        np.testing.assert_allclose(np.abs(aolp(s1, s2)), np.pi / 2, atol=1e-6)


@pytest.mark.parametrize("degree", [0, 0.25, 0.6, 1])
@pytest.mark.parametrize("count", [3, 4, 7, 12])
def test_any_angles_give_the_stokes_parameters_of_a_known_mixture(count, degree):
    angles = np.linspace(0.1, 0.1 + np.pi, count, endpoint=False)
    images = [np.full((3, 2), malus(1000, degree, 1.1, a)) for a in angles]
    s0, s1, s2 = stokes_of_angles(images, angles)
    np.testing.assert_allclose(s0, 1000, rtol=1e-6)
    np.testing.assert_allclose(
        [s1, s2], 1000 * degree * np.ones((2, 3, 2)) * [[[np.cos(2.2)]], [[np.sin(2.2)]]], atol=1e-3
    )
    np.testing.assert_allclose(dolp(s0, s1, s2), degree, atol=1e-6)


def test_least_squares_over_the_four_angles_is_the_usual_formula():
    images = np.random.default_rng(3).integers(0, 4095, (4, 20, 30)).astype("u2")
    np.testing.assert_allclose(
        stokes_of_angles(images, np.deg2rad(ANGLES)), stokes_of_four(*images), atol=1e-3
    )


@pytest.mark.parametrize(
    "degrees", [(0, 90), (0, 90, 180), (30, 210, 120, 300), (45, 45, 45), (0, 60, np.nan)]
)
def test_angles_that_leave_the_polarization_open_are_refused(degrees):
    with pytest.raises(ImageError, match="at least three that differ"):
        stokes_of_angles(np.ones((len(degrees), 2, 2)), np.deg2rad(degrees))


def test_each_image_needs_its_angle():
    with pytest.raises(ImageError, match="4 images come with 3 polarizer angles"):
        stokes_of_angles(np.ones((4, 2, 2)), [0, 1, 2])


def test_degree_of_polarization_is_clipped_and_dark_pixels_have_none():
    s0, s1, s2 = np.array([[10, 10, 0, -1, 10, np.nan], [6, 9, 5, 1, 0, 1], [8, 9, 0, 1, 0, 1]], float)
    np.testing.assert_array_equal(dolp(s0, s1, s2), np.array([1, 1, 0, 0, 0, np.nan], "f4"))


# --- recognition


@real
@pytest.mark.parametrize("frame", FRAMES, ids=lambda path: path.stem)
def test_real_frames_are_recognised_whole_and_cut_out(frame):
    picture = np.asarray(Image.open(frame))
    assert find_polarization_mosaic(picture) == "mono"
    assert find_polarization_mosaic(picture[102:1602, 206:2006]) == "mono"
    assert find_polarization_mosaic(picture[500:1012, 700:1212]) == "mono"
    assert find_polarization_mosaic(picture[501:1013, 701:1213]) == "mono", "a diagonal stays one"
    assert find_polarization_mosaic(picture.astype("u2") * 16) == "mono"


@real
@pytest.mark.parametrize("frame", FRAMES, ids=lambda path: path.stem)
def test_real_frames_agree_with_another_way_to_compute_them(frame):
    from scipy.interpolate import RegularGridInterpolator

    raw = np.asarray(Image.open(frame)).astype(np.float64)[400:800, 600:1000]
    y, x = np.indices(raw.shape)
    planes = {}
    for angle, (top, left) in {90: (0, 0), 45: (0, 1), 135: (1, 0), 0: (1, 1)}.items():
        grid = np.arange(top, 400, 2), np.arange(left, 400, 2)
        linear = RegularGridInterpolator(grid, raw[top::2, left::2], bounds_error=False)
        planes[angle] = linear((y, x))[2:-2, 2:-2]
    s0, s1, s2 = stokes_of_four(*demosaic(raw.astype("u1")))[:, 2:-2, 2:-2]
    one, two = planes[0] - planes[90], planes[45] - planes[135]
    degree = np.clip(np.sqrt(one**2 + two**2) / (sum(planes.values()) / 2), 0, 1)
    np.testing.assert_allclose(dolp(s0, s1, s2), degree, atol=1e-6)
    np.testing.assert_allclose(aolp(s1, s2), 0.5 * np.arctan2(two, one), atol=1e-6)


def glass_like_scene(seed=0, shape=(320, 384), highest=4000):
    """Soft bodies with a smooth angle and degree of polarization, in four intensities with shot noise."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape) / 60
    s0 = highest * (0.5 + 0.3 * np.sin(y) * np.cos(x))
    angle, degree = np.arctan2(y - 2, x - 3), 0.25 + 0.2 * np.cos(y - x)
    planes = np.stack([malus(s0, degree, angle, np.deg2rad(a)) for a in ANGLES])
    return rng.poisson(planes).astype("u2")


@pytest.mark.parametrize("layout", [SONY_LAYOUT, ((0, 45), (135, 90)), ((45, 0), (90, 135))])
def test_simulated_frames_are_recognised_in_every_layout_and_depth(layout):
    scene = glass_like_scene()
    assert find_polarization_mosaic(behind_mosaic(scene, layout)) == "mono"
    assert find_polarization_mosaic((behind_mosaic(scene, layout) // 16).astype("u1")) == "mono"
    colours = np.stack([scene // 2, scene, scene // 3])
    assert find_polarization_mosaic(behind_colour_mosaic(colours, layout)) == "colour"


def photographs():
    from skimage import data

    for name in ("camera", "coins", "moon", "page", "text", "clock", "brick", "grass", "gravel", "cell"):
        yield name, getattr(data, name)()
    for name in ("horse", "binary_blobs", "checkerboard", "microaneurysms"):
        yield name, getattr(data, name)().astype("u1") * (255 if name in ("horse", "binary_blobs") else 1)
    yield "thermal", (29500 + 8 * data.camera().astype("u2")).astype("u2")


def colour_pictures():
    from skimage import data

    return {
        name: getattr(data, name)()
        for name in ("astronaut", "coffee", "chelsea", "rocket", "immunohistochemistry")
    }


def test_photographs_microscopy_and_drawings_are_not_taken_for_frames():
    for name, picture in photographs():
        assert find_polarization_mosaic(picture) == "", name


def test_colour_filters_interlacing_and_dithering_are_not_taken_for_polarizers():
    for name, rgb in colour_pictures().items():
        bayer = rgb[..., 1].copy()
        bayer[::2, ::2], bayer[1::2, 1::2] = rgb[::2, ::2, 0], rgb[1::2, 1::2, 2]
        grey = rgb.mean(axis=2)
        rows, columns = grey.copy(), grey.copy()
        rows[::2] *= 0.9
        columns[:, ::2] *= 0.9
        cell = np.array([[32, 160], [224, 96]])
        dithered = (
            grey
            > np.tile(cell, (-(-grey.shape[0] // 2), -(-grey.shape[1] // 2)))[
                : grey.shape[0], : grey.shape[1]
            ]
        )
        for what, picture in {
            "green": rgb[..., 1],
            "bayer": bayer,
            "bayer, shifted": bayer[:, 1:],
            "rows": rows,
            "columns": columns,
            "dithered": dithered * 255,
        }.items():
            assert find_polarization_mosaic(picture.astype("u1")) == "", f"{name}, {what}"


def test_pixels_of_unequal_gain_are_not_taken_for_polarizers():
    y, x = np.indices((384, 448))
    smooth = 1500 + 600 * np.sin(y / 80) * np.cos(x / 100)
    gains = np.tile([[1.06, 0.98], [1.01, 0.94]], (192, 224))
    for picture in (smooth * gains, np.random.default_rng(0).poisson(smooth * gains)):
        assert find_polarization_mosaic(picture.astype("u2")) == ""
    for name, rgb in colour_pictures().items():
        grey = rgb.mean(axis=2)[:256, :320]
        seen = (grey * np.tile([[1.06, 0.98], [1.01, 0.94]], (128, 160))).clip(0, 255)
        assert find_polarization_mosaic(seen.astype("u1")) == "", name


def test_near_infrared_beside_colours_is_not_taken_for_a_polarizer():
    for name, rgb in colour_pictures().items():
        red, green, blue = np.moveaxis(rgb.astype(float), -1, 0)
        for infrared in (0.5 * red + 0.6 * green, 255 - 0.5 * blue, 1.1 * rgb.mean(axis=2)):
            for layout in (
                (red, green, infrared, blue),
                (red, green, blue, infrared),
                (blue, green, infrared, red),
            ):
                frame = np.empty_like(red)
                for i, plane in enumerate(layout):
                    frame[i // 2 :: 2, i % 2 :: 2] = plane[i // 2 :: 2, i % 2 :: 2]
                assert find_polarization_mosaic(frame.clip(0, 255).astype("u1")) == "", name


def test_labels_noise_and_constants_are_not_taken_for_frames():
    rng = np.random.default_rng(0)
    labels = rng.integers(1, 300, (30, 30)).astype("u2").repeat(17, 0).repeat(17, 1)
    for picture in (
        labels,
        rng.poisson(100, (400, 400)).astype("u2"),
        rng.integers(0, 256, (400, 400)).astype("u1"),
        np.zeros((400, 400), "u1"),
        np.full((400, 400), 65535, "u2"),
        np.zeros((2, 2), "u1"),
    ):
        assert find_polarization_mosaic(picture) == ""


def test_only_unsigned_numbers_of_8_to_16_bits_come_from_such_a_sensor():
    frame = behind_mosaic(glass_like_scene(), SONY_LAYOUT)
    for dtype in ("i2", "f4", "u4"):
        assert find_polarization_mosaic(frame.astype(dtype)) == ""


@pytest.mark.parametrize("unit", [1e-30, 1e-22, 1.0, 1e20, 1e30])
def test_dolp_does_not_depend_on_the_unit(unit):
    planes = [np.full((2, 2), k * unit, np.float32) for k in (2, 1, -1)]
    np.testing.assert_allclose(dolp(*planes), np.sqrt(0.5), rtol=1e-5)
