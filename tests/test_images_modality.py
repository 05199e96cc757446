"""A profile turns any channel, however broken, into numbers that a network can digest."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from skimage import data

from napari_simmat.errors import AdapterError, ImageError
from napari_simmat.images import (
    MODALITIES,
    Channel,
    ModalityProfile,
    MultiChannelImage,
    Normalisation,
    as_image,
    profile_for,
    screen_rgb,
)

SAM_MEAN = np.array([123.675, 116.28, 103.53])
SAM_STD = np.array([58.395, 57.12, 57.375])


def generic(*planes):
    return MultiChannelImage(np.stack(planes))


def ramp(rows=40, columns=60, dtype=np.float32):
    return np.linspace(0, 1000, rows * columns).reshape(rows, columns).astype(dtype)


def test_an_8_bit_colour_picture_becomes_exactly_the_input_of_sam():
    picture = data.astronaut()
    image = as_image(picture)
    expected = np.moveaxis((picture - SAM_MEAN) / SAM_STD, -1, 0)
    np.testing.assert_allclose(profile_for(image).model_input(image), expected, atol=2e-6)


def test_an_8_bit_colour_picture_is_resized_as_sam_resizes_it():
    picture = data.astronaut()[:300, :400]
    image = as_image(picture)
    resized = np.asarray(Image.fromarray(picture).resize((1024, 768), Image.Resampling.BILINEAR))
    expected = np.moveaxis((resized - SAM_MEAN) / SAM_STD, -1, 0)
    np.testing.assert_allclose(profile_for(image).model_input(image, (768, 1024)), expected, atol=2e-6)


def test_a_percentile_channel_has_mean_zero_and_deviation_one():
    z = profile_for(generic(ramp())).model_input(generic(ramp()))
    assert abs(z.mean()) < 1e-3
    assert abs(z.std() - 1) < 1e-3


def test_a_percentile_channel_does_not_depend_on_gain_and_offset():
    one, other = generic(ramp()), generic(ramp(dtype=np.float64) * 1e-6 + 5)
    profile = profile_for(one)
    np.testing.assert_allclose(profile.model_input(one), profile.model_input(other), atol=1e-4)


def test_a_fixed_range_keeps_absolute_differences():
    profile = ModalityProfile(
        modality="generic",
        channels=("temperature",),
        normalisation=(Normalisation(method="range", low=20, high=40),),
        roles=("",),
        pseudo_rgb=(0, 0, 0),
        display=(0,),
    )
    cool, warm = generic(np.full((4, 4), 30.0)), generic(np.full((4, 4), 35.0))
    z_cool, z_warm = profile.model_input(cool), profile.model_input(warm)
    np.testing.assert_allclose(z_cool, (0.5 - 0.449) / 0.226, rtol=1e-5)
    np.testing.assert_allclose(z_warm, (0.75 - 0.449) / 0.226, rtol=1e-5)


def test_limits_and_moments_do_not_depend_on_the_size_that_is_asked_for():
    smooth = generic(ramp(64, 64))
    profile = profile_for(smooth)
    full, half = profile.model_input(smooth), profile.model_input(smooth, (32, 32))
    np.testing.assert_allclose(half, full.reshape(1, 32, 2, 32, 2).mean((2, 4)), atol=0.05)


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", ">u2", "<i4", "u4", "i8", "u8", "f2", ">f4", "f8"])
def test_any_type_gives_finite_numbers_without_a_warning(dtype):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2 if dtype == "?" else 120, (3, 20, 30)).astype(dtype)
    image = MultiChannelImage(values)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        z = profile_for(image).model_input(image, (40, 60))
    assert z.dtype == np.float32
    assert np.isfinite(z).all()
    assert z.std() > 0.5


HUGE = np.finfo(np.float64).max
BROKEN = {
    "all zero": np.zeros((20, 30)),
    "constant": np.full((20, 30), 7.5),
    "all NaN": np.full((20, 30), np.nan),
    "all infinite": np.full((20, 30), -np.inf),
    "half NaN": np.where(np.arange(600).reshape(20, 30) % 2, np.nan, ramp(20, 30)),
    "one infinite": np.where(np.arange(600).reshape(20, 30) == 5, np.inf, ramp(20, 30)),
    "saturated": np.minimum(ramp(20, 30), 300),
    "one bright pixel": np.where(np.arange(600).reshape(20, 30) == 5, 1.0, 0.0),
    "hot pixel": np.where(np.arange(600).reshape(20, 30) == 5, 1e30, ramp(20, 30)),
    "as wide as a double": np.where(np.arange(600).reshape(20, 30) % 2, -HUGE, HUGE),
    "as narrow as a double": np.where(np.arange(600).reshape(20, 30) % 2, 5e-324, 0.0),
    "large offset": ramp(20, 30).astype(np.float64) + 1e12,
    "as wide as a single": np.where(np.arange(600).reshape(20, 30) % 2, -3e38, 3e38).astype(np.float32),
    "nodata of a single": np.full((20, 30), np.finfo(np.float32).min),
    "few far below": np.where(np.arange(600).reshape(20, 30) < 2, -3e38, 3e38).astype(np.float32),
}


@pytest.mark.parametrize("plane", BROKEN.values(), ids=BROKEN.keys())
def test_broken_channels_survive_beside_good_ones(plane):
    image = generic(plane, ramp(20, 30), plane)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        z = profile_for(image).model_input(image, (33, 50))
        pictures = [screen_rgb(image, shown) for shown in ([0], [0, 1, 2], "principal components")]
    assert np.isfinite(z).all()
    np.testing.assert_allclose(z[1].std(), 1, atol=0.05)
    assert [picture.shape for picture in pictures] == [(20, 30), (20, 30, 3), (20, 30, 3)]
    assert all(picture.dtype == np.uint8 for picture in pictures)


EMPTY = ("all zero", "constant", "all NaN", "all infinite", "nodata of a single")


@pytest.mark.parametrize("name", EMPTY)
def test_a_channel_without_information_is_zero(name):
    image = generic(BROKEN[name])
    assert not profile_for(image).model_input(image).any()


@pytest.mark.parametrize("name", sorted(BROKEN.keys() - set(EMPTY)))
def test_a_channel_with_information_keeps_it(name):
    image = generic(BROKEN[name])
    z = profile_for(image).model_input(image)[0]
    finite = np.where(np.isfinite(BROKEN[name]), BROKEN[name], -np.inf)
    assert z.std() > 0.5
    assert z.flat[finite.argmax()] == z.max() > z.min()


def test_missing_pixels_become_the_median():
    plane = ramp()
    plane[10:20, 10:20] = np.nan
    z = profile_for(generic(plane)).model_input(generic(plane))[0]
    holes = z[10:20, 10:20]
    assert np.ptp(holes) == 0
    np.testing.assert_allclose(holes[0, 0], np.median(z), atol=0.01)


def test_a_hot_pixel_does_not_bleed_when_the_image_is_resized():
    plane = ramp(40, 40)
    hot = plane.copy()
    hot[20, 20] = 1e9
    profile = profile_for(generic(plane))
    difference = profile.model_input(generic(hot), (80, 80)) - profile.model_input(generic(plane), (80, 80))
    assert np.abs(difference).max() < 2
    assert np.count_nonzero(np.abs(difference) > 0.1) < 25


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 1, 1), (3, 1, 40), (3, 40, 1), (300, 12, 16)])
def test_extreme_shapes_go_through(shape):
    image = MultiChannelImage(np.random.default_rng(0).random(shape))
    profile = profile_for(image)
    assert profile.model_input(image).shape == shape
    assert np.isfinite(profile.model_input(image, (9, 11))).all()
    assert screen_rgb(image, "principal components").shape == (*shape[1:], 3)
    assert screen_rgb(image, profile.display).shape[:2] == shape[1:]


def test_large_images_are_judged_by_a_sample_that_misses_nothing_that_counts():
    plane = np.zeros((2000, 1500), np.uint16)
    plane[3, 5] = 9  # off the grid of the sample
    z = profile_for(generic(plane)).model_input(generic(plane))
    assert z.argmax() == 3 * 1500 + 5
    assert 10 < z.max() <= 50
    noisy = np.random.default_rng(0).normal(100, 10, (2000, 1500))
    z = profile_for(generic(noisy)).model_input(generic(noisy))
    assert abs(z.mean()) < 0.01
    assert abs(z.std() - 1) < 0.01


def named(*names, dtype=np.uint8, wavelengths=None):
    wavelengths = wavelengths or [None] * len(names)
    image = as_image(np.zeros((len(names), 4, 5), dtype), channel_axis=0, names=names)
    return image.with_channels(
        [
            Channel(c.name, wavelength_nm=w, role=c.role)
            for c, w in zip(image.channels, wavelengths, strict=True)
        ]
    )


@pytest.mark.parametrize(
    ("image", "pseudo_rgb"),
    [
        (named("a"), (0, 0, 0)),
        (named("a", "b"), (0, 1, 1)),
        (named("a", "b", "c"), (0, 1, 2)),
        (named("a", "b", "c", "d"), None),
        (named("depth", "blue", "green", "red"), (7, 6, 5)),  # depth becomes five channels
        (named("red", "green", "blue", "nir"), (0, 1, 2)),
        (named("nir", "red"), (1, 0, 0)),
        (named("nir", "red", "green"), (0, 1, 2)),
        (named("nir"), (0, 0, 0)),
        (named("1", "2", "3", "4", wavelengths=[440, 560, 655, 860]), (2, 1, 0)),
        (named("1", "2", "3", "4", wavelengths=[560, 655, 720, 860]), None),
    ],
)
def test_the_channels_that_stand_for_colour_are_chosen_by_what_they_measure(image, pseudo_rgb):
    profile = profile_for(image)
    assert profile.pseudo_rgb == pseudo_rgb
    assert len(profile.display) in (1, 3)


@pytest.mark.parametrize(
    ("count", "modality", "roles"),
    [
        (3, "rgb", ("red", "green", "blue")),
        (5, "rgb+x", ("red", "green", "blue", "", "")),
        (1, "nir", ("nir",)),
        (2, "nir", ("red", "nir")),
        (4, "nir", ("red", "green", "blue", "nir")),
        (6, "nir", ("", "", "", "", "", "nir")),
    ],
)
def test_a_modality_gives_unnamed_channels_their_usual_roles(count, modality, roles):
    image = MultiChannelImage(np.zeros((count, 4, 5), np.uint8))
    assert profile_for(image, modality).roles == roles
    assert as_image(image.data, channel_axis=0, modality=modality).roles == roles


def test_every_modality_has_a_profile_and_a_description():
    for modality, description in MODALITIES.items():
        count = 3 if modality == "rgb" else 4
        names = ("S0", "S1", "S2", "other") if "polarization" in modality else ("",) * count
        channels = [Channel(name, role=name.lower() if name.startswith("S") else "") for name in names]
        image = MultiChannelImage(np.zeros((count, 4, 5)), channels)
        assert profile_for(image, modality).modality == modality
        assert description.endswith(".")
    with pytest.raises(ImageError, match="no modality 'sonar'"):
        profile_for(image, "sonar")


def test_colour_of_more_than_8_bits_is_scaled_by_percentiles():
    assert profile_for(named("red", "green", "blue")).sees[0].normalisation.method == "range"
    deep = profile_for(named("red", "green", "blue", dtype=np.uint16))
    assert deep.sees[0].normalisation.method == "percentile"


def test_a_profile_goes_through_json_unchanged():
    profile = profile_for(named("red", "green", "blue", "depth"))
    assert ModalityProfile.model_validate_json(profile.model_dump_json()) == profile


@pytest.mark.parametrize(
    "change",
    [
        {"roles": ("",)},
        {"normalisation": ()},
        {"pseudo_rgb": (0, 1, 2)},
        {"display": (0, 1)},
        {"display": (-1,)},
        {"channels": ()},
        {"colour": "blue"},
    ],
)
def test_a_profile_that_contradicts_itself_is_refused(change):
    good = profile_for(named("a", "b")).model_dump()
    with pytest.raises(ValidationError):
        ModalityProfile.model_validate(good | change)


@pytest.mark.parametrize(("low", "high"), [(1, 0), (5, 5), (-1, 50), (0, 101), (0, float("nan"))])
def test_percentiles_that_are_none_are_refused(low, high):
    with pytest.raises(ValidationError):
        Normalisation(method="percentile", low=low, high=high)


def test_every_field_is_described():
    for model in (ModalityProfile, Normalisation):
        assert all(field.description for field in model.model_fields.values())


def test_an_image_with_other_channels_is_refused_in_words_that_name_both():
    profile = profile_for(named("red", "nir"))
    with pytest.raises(AdapterError, match=r"2 channels \(red, nir\).*3 channels \(red, green, blue\)"):
        profile.model_input(named("red", "green", "blue"))
    with pytest.raises(AdapterError, match=r"\(red, nir\).*\(nir, red\)"):
        profile.check(named("nir", "red"))


def test_long_lists_of_channels_are_shortened_in_the_error():
    profile = profile_for(MultiChannelImage(np.zeros((300, 2, 2))))
    with pytest.raises(AdapterError) as caught:
        profile.check(named("a", "b"))
    assert "300 channels" in str(caught.value)
    assert len(str(caught.value)) < 300


def test_names_that_say_nothing_fit_any_name():
    profile = profile_for(named("red", "nir"))
    profile.check(MultiChannelImage(np.zeros((2, 4, 5))))
    profile.check(named("Red", "NIR"))
