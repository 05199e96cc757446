"""Derived channels: closed forms, units, and what a mirror does to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_simmat.errors import AdapterError
from napari_simmat.images import (
    MODALITIES,
    Camera,
    Channel,
    ModalityProfile,
    ModelChannel,
    MultiChannelImage,
    Normalisation,
    profile_for,
)
from napari_simmat.images.physics.derived import FORMULAS
from napari_simmat.training.inputs import mirrored

SIGNED = Normalisation(method="range", low=-1, high=1)


def compute(formula, *planes, **parameters):
    return FORMULAS[formula]([np.asarray(plane, np.float32) for plane in planes], parameters)


def stokes(intensity, degree, angle):
    """Stokes parameters of light of an intensity, degree and angle of polarization."""
    s0 = np.full((1, 1), intensity)
    return s0, s0 * degree * np.cos(2 * angle), s0 * degree * np.sin(2 * angle)


@pytest.mark.parametrize("angle", [0.3, 1.2, -0.4, -1.3])  # in all four quadrants of twice the angle
def test_the_state_of_polarization_comes_out_of_its_stokes_parameters(angle):
    s0, s1, s2 = stokes(200.0, 0.4, angle)
    assert compute("dolp", s0, s1, s2) == pytest.approx(0.4, abs=1e-6)
    assert compute("aolp", s1, s2) == pytest.approx(angle, abs=1e-6)
    assert compute("sin 2aolp", s1, s2) == pytest.approx(np.sin(2 * angle), abs=1e-6)
    assert compute("cos 2aolp", s1, s2) == pytest.approx(np.cos(2 * angle), abs=1e-6)
    assert compute("s1/s0", s1, s0) == pytest.approx(0.4 * np.cos(2 * angle), abs=1e-6)
    assert compute("s2/s0", s2, s0) == pytest.approx(0.4 * np.sin(2 * angle), abs=1e-6)


def test_nothing_is_made_of_no_light():
    zero = np.zeros((2, 2))
    assert not compute("dolp", zero, zero, zero).any()
    assert not compute("s1/s0", zero, zero).any()
    assert not compute("sin 2aolp", zero, zero).any()
    assert not compute("cos 2aolp", zero, zero).any()
    assert np.isnan(compute("s1/s0", zero, np.full((2, 2), np.nan))).all()


def test_a_normalised_difference_is_ndvi():
    assert compute("normalised difference", [[0.5]], [[0.1]]) == pytest.approx(0.4 / 0.6)


def tilted_plane(normal, shape=(41, 61), distance=2.0, focal=70.0):
    """Depth of a plane n . p = const seen by a pinhole in the middle of the image."""
    nx, ny, nz = normal
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    right, down = (x - (shape[1] - 1) / 2) / focal, (y - (shape[0] - 1) / 2) / focal
    return -distance * nz / (nx * right + ny * down - nz)  # the camera looks against the third axis


@pytest.mark.parametrize("smoothing", [0.0, 1.5])
def test_the_normals_of_a_tilted_plane(smoothing):
    normal = np.array([0.2, -0.3, 0.0])
    normal[2] = np.sqrt(1 - normal @ normal)
    depth = tilted_plane(normal)
    for formula, expected in zip(("normal x", "normal y", "normal z"), normal, strict=True):
        found = compute(formula, depth, focal_length_px=70.0, smoothing_px=smoothing)[8:-8, 8:-8]
        np.testing.assert_allclose(found, expected, atol=2e-3 if smoothing else 1e-5)


def test_a_tilted_plane_has_no_relief_and_what_stands_on_it_keeps_its_own():
    depth = tilted_plane((0.2, -0.3, np.sqrt(0.87)), shape=(120, 160))
    assert np.abs(compute("relief", depth)).max() < 1e-4 * np.ptp(1 / depth)
    stood, dug = 1 / depth, 1 / depth
    stood[50:56, 70:76] += 0.02
    dug[50:56, 70:76] -= 0.02
    for inverse, expected in ((stood, 0.02), (dug, -0.02)):
        relief = compute("relief", 1 / inverse)
        np.testing.assert_allclose(relief[53, 73], expected, rtol=0.05)
        assert np.abs(relief[:, :20]).max() < 1e-3  # far from it


def test_the_relief_of_a_large_image_is_that_of_the_small_one():
    rng = np.random.default_rng(2)
    small = 1 + 0.1 * rng.random((64, 96))
    large = np.kron(small, np.ones((8, 8)))  # above the size at which surroundings are averaged
    found = compute("relief", large)[4::8, 4::8]
    np.testing.assert_allclose(found, compute("relief", small), atol=0.05 * np.ptp(1 / small))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 1)])
def test_the_smallest_depth_images_have_no_relief(shape):
    assert (compute("relief", np.full(shape, 2.0)) == 0).all()
    assert np.isnan(compute("relief", np.full(shape, np.nan))).all()


def test_what_was_not_measured_stays_so():
    depth = np.full((20, 20), 2.0)
    depth[5:8, 5:8] = np.nan
    for formula in ("inverse depth", "relief", "normal x", "height", "angle with gravity"):
        found = compute(formula, depth)
        assert np.isnan(found[6, 6])
        assert np.isfinite(found[15, 15])
    assert (compute("measured", depth) == np.isfinite(depth)).all()


def test_missing_depth_neither_spreads_nor_pulls_when_resized():
    depth = np.full((64, 64), 2.0, np.float32)
    depth[:, 32:] = 4.0
    depth[20:40, 10:50] = np.nan
    image = MultiChannelImage(depth[None], [Channel("depth", "m", role="depth")], "depth")
    profile = profile_for(image)
    nearness, measured = (profile.model_input(image, (16, 16))[i] for i in (0, 4))
    solid = nearness[1:4, [2, 13]]
    assert np.ptp(solid[:, 0]) < 1e-5
    assert np.ptp(solid[:, 1]) < 1e-5
    beside = nearness[7, [0, 14]]  # next to the hole: as far from it
    np.testing.assert_allclose(beside, solid[0], atol=1e-5)
    assert measured[7, 7] == measured.min()
    assert measured[1, 1] == measured.max()


def image_of(modality):
    rng = np.random.default_rng(5)
    if modality.startswith("polarization"):
        s0 = rng.uniform(50, 200, (24, 24))
        angle, degree = rng.uniform(-1.5, 1.5, (2, 24, 24))
        planes = [s0, s0 * abs(degree) / 2 * np.cos(angle), s0 * abs(degree) / 2 * np.sin(angle)]
        channels = [Channel(name, role=name.lower()) for name in ("S0", "S1", "S2")]
    else:
        y, x = np.mgrid[:24, :24] / 24
        planes = [2 + np.sin(3 * x) * np.cos(2 * y + 1) * 0.5]
        channels = [Channel("depth", "m", role="depth")]
    return MultiChannelImage(np.array(planes, np.float32), channels, modality)


def mirrored_scene(image, axis):
    """The image of the scene in a mirror: pixels move, and S1 and S2 change as the angle does."""
    data = np.array(image.data)
    data = {"rows": data[:, ::-1], "columns": data[:, :, ::-1], "both": data.swapaxes(1, 2)}[axis].copy()
    if len(data) == 3:
        data[1 if axis == "both" else 2] *= -1
    return MultiChannelImage(data, image.channels, image.modality)


@pytest.mark.parametrize("axis", ["rows", "columns", "both"])
@pytest.mark.parametrize("modality", ["polarization", "polarization-angle", "depth"])
def test_augmentation_shows_what_the_camera_would_see_of_a_mirrored_scene(modality, axis):
    image = image_of(modality)
    profile = profile_for(image)
    x = torch.from_numpy(profile.model_input(image))
    moved = {"rows": x.flip(1), "columns": x.flip(2), "both": x.transpose(1, 2)}[axis]
    augmented = mirrored(x, axis, profile.mirrored(axis)).numpy()
    seen = profile.model_input(mirrored_scene(image, axis))
    np.testing.assert_allclose(augmented, seen, atol=2e-5)
    assert np.abs(moved.numpy() - seen).max() > 0.1  # without the physics it would be another scene


def test_gravity_forbids_an_upside_down_room():
    profile = profile_for(image_of("depth-hha"))
    assert profile.mirrored("rows") is None
    assert profile.mirrored("both") is None
    assert profile.mirrored("columns") == ([0, 1, 2, 3], [1.0] * 4)


def test_every_formula_says_what_it_is():
    for name, formula in FORMULAS.items():
        assert formula.text, name
        assert set(formula.mirrors) == {"rows", "columns", "both"}
        planes = [np.random.default_rng(1).uniform(1, 2, (9, 8)).astype(np.float32) for _ in formula.inputs]
        found = formula(planes)
        assert found.shape == (9, 8)
        low, high = formula.limits or (-np.inf, np.inf)
        assert np.nanmin(found) >= low
        assert np.nanmax(found) <= high


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"formula": "magic"}, "no formula 'magic'"),
        ({"of": (0,)}, "takes 2 channels"),
        ({"parameters": {"f": 1}}, "no parameter 'f'"),
        ({"normalisation": Normalisation(method="range", low=0, high=1)}, "symmetric"),
        ({"normalisation": Normalisation(method="percentile", low=1, high=99)}, "symmetric"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_a_model_channel_that_cannot_be_computed_is_refused_with_the_reason(change, words):
    good = {"name": "S2/S0", "formula": "s2/s0", "of": (2, 0), "normalisation": SIGNED}
    ModelChannel(**good)
    with pytest.raises(ValidationError, match=words):
        ModelChannel(**{**good, **change})


def test_a_profile_of_the_first_release_is_understood():
    old = {
        "modality": "generic",
        "channels": ["a", "b"],
        "normalisation": [{"method": "range", "low": 0, "high": 9}] * 2,
        "roles": ["", ""],
        "pseudo_rgb": [0, 1, 1],
        "display": [0],
    }
    profile = ModalityProfile.model_validate(old)
    assert [(seen.name, seen.formula, seen.of) for seen in profile.sees] == [
        ("a", "value", (0,)),
        ("b", "value", (1,)),
    ]
    with pytest.raises(ValidationError, match="1 entries for 2"):
        ModalityProfile.model_validate({**old, "normalisation": old["normalisation"][:1]})


def test_the_json_schema_describes_every_field():
    schema = ModalityProfile.model_json_schema()
    for definition in (schema, *schema["$defs"].values()):
        assert definition["additionalProperties"] is False
        assert all(field.get("description") for field in definition["properties"].values())


def test_bad_bands_are_not_shown_to_the_model():
    channels = [Channel(f"band {i}", wavelength_nm=400 + 20 * i) for i in range(20)]
    channels[3] = Channel("band 3", wavelength_nm=460, role="bad band")
    image = MultiChannelImage(np.random.default_rng(0).random((20, 8, 9)), channels, "hyperspectral")
    profile = profile_for(image)
    assert profile.n_channels == 19
    assert 3 not in {i for seen in profile.sees for i in seen.of}
    assert profile.model_input(image).shape == (19, 8, 9)
    assert profile_for(image, "generic").n_channels == 20


def test_absolute_and_relative_temperature():
    celsius = np.linspace(10, 40, 400).reshape(20, 20).astype(np.float32)
    image = MultiChannelImage(celsius[None], [Channel("temperature", "°C", role="thermal")], "thermal")
    warmer = MultiChannelImage(celsius[None] + 20, image.channels, "thermal")
    profile = profile_for(image)
    relative, absolute = profile.model_input(image)
    np.testing.assert_allclose(relative, profile.model_input(warmer)[0], atol=1e-4)
    np.testing.assert_allclose(profile.model_input(warmer)[1] - absolute, 20 / 120 / 0.226, rtol=1e-4)
    counts = MultiChannelImage(celsius[None], [Channel("counts", role="thermal")], "thermal")
    assert profile_for(counts).n_channels == 1  # no absolute range without a scale


def test_each_image_has_its_own_camera():
    image = image_of("depth")
    profile = profile_for(image)
    near, far = (
        MultiChannelImage(image.data, image.channels, "depth", camera=Camera((f, f))) for f in (20.0, 200.0)
    )
    x, other = (profile.model_input(each)[2] for each in (near, far))
    assert np.abs(x - other).max() > 0.1
    expected = FORMULAS["normal x"]([image.plane(0)], camera=near.camera)
    np.testing.assert_allclose(x[5:-5, 5:-5], ((expected + 1) / 2 - 0.5)[5:-5, 5:-5] / 0.226, atol=1e-4)
    assumed = profile.model_copy(
        update={
            "sees": tuple(
                s.model_copy(update={"parameters": {"focal_length_px": 20.0}}) for s in profile.sees[2:4]
            )
        }
    )
    np.testing.assert_allclose(assumed.planes(image).__next__(), expected, atol=1e-6)


def test_a_window_of_a_depth_image_has_the_normals_of_the_whole():
    image = image_of("depth")
    normal = FORMULAS["normal x"]([image.plane(0)], camera=image.camera)
    window = image.window(4, 2, 20, 22)
    part = FORMULAS["normal x"]([window.plane(0)], camera=window.camera)
    np.testing.assert_allclose(part[6:-6, 6:-6], normal[4:20, 2:22][6:-6, 6:-6], atol=1e-3)


def test_stokes_parameters_as_they_are_forbid_what_would_turn_them():
    image = image_of("polarization")
    generic = profile_for(image, "generic")
    assert generic.mirrored("rows") is None
    assert generic.mirrored("both") is None
    symmetric = [seen.model_copy(update={"normalisation": SIGNED}) for seen in generic.sees]
    own = generic.model_copy(update={"sees": (generic.sees[0], *symmetric[1:])})
    assert own.mirrored("rows") == ([0, 1, 2], [1.0, 1.0, -1.0])
    assert own.mirrored("both") == ([0, 1, 2], [1.0, -1.0, 1.0])


def test_nearness_and_relief_stand_for_colour_wherever_the_depth_is():
    planes = np.random.default_rng(0).uniform(1, 2, (2, 9, 9)).astype(np.float32)
    channels = [Channel("amplitude", role="amplitude"), Channel("depth", "m", role="depth")]
    profile = profile_for(MultiChannelImage(planes, channels, "depth"))
    names = [profile.sees[i].formula for i in profile.pseudo_rgb]
    assert names == ["inverse depth", "relief", "relief"]


def test_numbers_of_another_meaning_are_refused():
    celsius = MultiChannelImage(
        np.zeros((1, 4, 4), "f4"), [Channel("temperature", "°C", role="thermal")], "thermal"
    )
    counts = MultiChannelImage(np.zeros((1, 4, 4), "u2"))
    with pytest.raises(AdapterError, match=r"temperature in °C.*without a unit.*sample format"):
        profile_for(celsius).check(counts)
    stokes = image_of("polarization")
    with pytest.raises(AdapterError, match=r"of unknown meaning.*sample format"):
        profile_for(stokes).check(MultiChannelImage(np.zeros((3, 4, 4), "u1")))
    profile_for(stokes, "generic").check(MultiChannelImage(np.zeros((3, 4, 4), "u1")))


def test_all_modalities_can_be_named():
    assert {"polarization", "hyperspectral", "thermal", "depth", "nir", "rgb+x"} <= MODALITIES.keys()


def test_normals_are_remembered_only_of_what_nobody_can_write_to():
    depth = (1 + 0.01 * np.arange(400.0).reshape(20, 20)).astype(np.float32)
    before = FORMULAS["normal x"]([depth]).copy()
    depth[:] = depth[:, ::-1].copy()
    assert not np.allclose(FORMULAS["normal x"]([depth]), before, equal_nan=True)
    depth.flags.writeable = False
    first, second = (FORMULAS[f"normal {name}"]([depth]) for name in "xy")
    assert first.base is second.base is not None
