"""Files of polarization, thermal and depth cameras open right the first time, or as the user says."""

from __future__ import annotations

import itertools
import json
import os
import sys
import warnings
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
from flir_file import CAMERA, flir_jpeg
from PIL import Image
from test_images_polarization import (
    FRAMES,
    behind_colour_mosaic,
    behind_mosaic,
    glass_like_scene,
    malus,
    real,
)

from napari_simmat.errors import ImageError
from napari_simmat.images import open_image
from napari_simmat.images.camera import Camera
from napari_simmat.images.image import Channel
from napari_simmat.images.opened import open_file
from napari_simmat.images.physics.polarization import (
    SONY_LAYOUT,
    aolp,
    dolp,
    stokes_of_four,
    stokes_of_mosaic,
)
from napari_simmat.images.physics.sample_formats import SAMPLE_FORMATS, fitting_formats, require_sample_format
from napari_simmat.images.roles import EIGHT_BITS

NAN = np.nan


def save(path, array):
    Image.fromarray(array).save(path)
    return path


def said(image):
    return " ".join(image.assumptions)


def names(image):
    return [channel.name for channel in image.channels]


@pytest.fixture
def scene():
    """Intensities behind four polarizers, (4, 320, 384), 12 bits."""
    return glass_like_scene()


# --- raw frames of polarization cameras


@real
@pytest.mark.parametrize("frame", FRAMES, ids=lambda path: path.stem)
def test_a_real_frame_opens_as_stokes_parameters(frame):
    image = open_image(frame)
    assert (image.modality, image.roles, image.data.dtype) == ("polarization", ("s0", "s1", "s2"), np.float32)
    assert image.shape == (2048, 2448)
    assert "Sony" in said(image)
    assert image.facts["sensor"] == "Sony IMX250MZR"
    raw = np.asarray(Image.open(frame)).astype(float)
    inner = (slice(1, None, 2), slice(1, None, 2))
    # At the pixels behind 0 degrees that one is its own value, and 90 the mean of the four around it.
    i0 = raw[inner][:-1, :-1]
    i90 = (raw[:-2:2, :-2:2] + raw[2::2, :-2:2] + raw[:-2:2, 2::2] + raw[2::2, 2::2])[
        : i0.shape[0], : i0.shape[1]
    ] / 4
    np.testing.assert_array_equal(image.data[1][inner][:-1, :-1], (i0 - i90).astype("f4"))


def test_a_frame_without_a_telling_name_is_recognised_and_can_be_taken_otherwise(tmp_path, scene):
    opened = open_file(save(tmp_path / "frame.png", behind_mosaic(scene, ((0, 45), (135, 90)))))
    image = opened.image()
    assert image.modality == "polarization"
    assert "choose another sample format" in said(image).lower()
    other = opened.image(sample_format="mosaic 0-45-135-90")
    np.testing.assert_allclose(other.data, stokes_of_four(*scene), rtol=0.3, atol=400)
    np.testing.assert_array_equal(other.data[1], -image.data[1])
    stored = opened.image(sample_format="as stored")
    assert (stored.n_channels, stored.modality, stored.data.dtype) == (1, "generic", np.uint16)
    assert opened.image(modality="generic").n_channels == 1


def test_a_colour_frame_becomes_stokes_parameters_of_three_colours(tmp_path, scene):
    colours = np.stack([scene // 2, scene, scene // 3])
    image = open_image(save(tmp_path / "frame.png", behind_colour_mosaic(colours, SONY_LAYOUT)))
    assert names(image) == [f"{colour} S{i}" for colour in ("red", "green", "blue") for i in range(3)]
    assert image.roles == ("s0", "s1", "s2") * 3
    assert image.modality == "polarization"


def test_the_name_of_the_sensor_decides_where_nothing_is_polarized(tmp_path):
    dark = np.random.default_rng(0).poisson(50, (64, 64)).astype("u1")
    assert open_image(save(tmp_path / "dark.png", dark)).n_channels == 1
    assert open_image(save(tmp_path / "dark_imx250mzr.png", dark)).n_channels == 3
    assert open_image(save(tmp_path / "dark_IMX250MYR.png", dark)).n_channels == 9


def test_a_photograph_stays_one(tmp_path):
    from skimage import data

    image = open_image(save(tmp_path / "camera.png", data.camera()))
    assert (image.n_channels, image.modality, image.data.dtype) == (1, "generic", np.uint8)


@pytest.mark.parametrize(("shape", "colour"), [((1100, 40), False), ((50, 1029), True)])
def test_a_lazy_frame_gives_the_same_block_by_block(shape, colour):
    frame = np.random.default_rng(0).integers(0, 4096, shape).astype("u2")
    lazy = da.from_array(frame[None], chunks=(1, 333, 501))
    known = require_sample_format(f"{'colour ' if colour else ''}mosaic 90-45-135-0")
    array, channels = known.read(lazy, (Channel("channel 0"),), None)
    assert isinstance(array, da.Array)
    assert len(channels) == len(array) == (9 if colour else 3)
    np.testing.assert_array_equal(array.compute(scheduler="sync"), stokes_of_mosaic(frame, colour=colour))


# --- angles in channels and files


@pytest.mark.parametrize(
    "pattern",
    [
        "img_{}.png",
        "I{}.png",
        "scene 2 {:03d}.png",
        "pol{}.png",
        "{}deg.png",
        "{:03d}.png",
        "x-{}-2024.png",
        "{}°.png",
    ],
)
def test_four_files_are_one_image_by_their_names(tmp_path, scene, pattern):
    paths = [save(tmp_path / pattern.format(a), i) for a, i in zip((0, 45, 90, 135), scene, strict=True)]
    for source in (tmp_path, paths, paths[::-1]):
        image = open_image(source)
        assert (image.modality, image.roles) == ("polarization", ("s0", "s1", "s2"))
        np.testing.assert_allclose(image.data, stokes_of_four(*scene), rtol=1e-6, atol=1e-3)
    assert "0, 45, 90, 135 degrees" in said(image)


def test_a_folder_may_hold_other_things_beside_the_four(tmp_path, scene):
    for angle, picture in zip((0, 45, 90, 135), scene, strict=True):
        save(tmp_path / f"I_{angle}.png", picture)
    save(tmp_path / "overview.png", np.zeros((8, 8, 3), "u1"))
    (tmp_path / "notes.txt").write_text("f/8")
    image = open_image(tmp_path)
    assert image.modality == "polarization"
    assert "1 other file was left out" in said(image)


def test_any_three_angles_are_least_squares_if_the_names_call_them_so(tmp_path):
    angles = (10, 50, 75, 160)
    truth = 1000, 0.4, 0.6
    for angle in angles:
        tifffile.imwrite(
            tmp_path / f"pol_{angle}.tif", np.full((9, 9), malus(*truth, np.deg2rad(angle)), "f4")
        )
    s0, s1, s2 = open_image(tmp_path).data
    np.testing.assert_allclose(s0, 1000, rtol=1e-5)
    np.testing.assert_allclose(dolp(s0, s1, s2), 0.4, rtol=1e-5)
    np.testing.assert_allclose(aolp(s1, s2), 0.6, rtol=1e-5)


def test_colour_files_give_stokes_parameters_of_each_colour(tmp_path, scene):
    scene = (scene // 16).astype("u1")
    for angle, i in zip((0, 45, 90, 135), scene, strict=True):
        save(tmp_path / f"img_{angle}.png", np.stack([i, i // 2, i // 3], axis=-1))
    image = open_image(tmp_path)
    assert names(image)[3:6] == ["green S0", "green S1", "green S2"]
    np.testing.assert_allclose(image.data[3:6], stokes_of_four(*(scene // 2)), atol=1e-4)


@pytest.mark.parametrize("numbers", [(1, 2, 3, 4), (0, 45, 90, 135, 180, 225), range(0, 136), (0, 45)])
def test_numbered_files_are_not_angles(tmp_path, numbers):
    for number in numbers:
        save(tmp_path / f"field_{number}.png", np.zeros((4, 4), "u1"))
    with pytest.raises(ImageError, match="do not make up one image"):
        open_image(tmp_path)


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("roi_{}.png", (1, 2, 3)),
        ("mri_{}.png", range(1, 6)),
        ("Hawaii{}.png", (1, 2, 3)),
        ("polygon{}.png", (10, 20, 30)),
        ("im_pol{}.png", (1, 2, 3, 4)),
        ("roi_{}.png", (0, 50, 100)),
        ("I_{}.png", (0, 5, 10, 15)),
        ("{}deg.png", (0, 90, 180)),
        ("{}degrade.png", (10, 70, 100)),
    ],
)
def test_numbers_beside_other_words_are_not_angles(tmp_path, pattern, numbers):
    for number in numbers:
        save(tmp_path / pattern.format(number), np.zeros((4, 4), "u1"))
    with pytest.raises(ImageError, match="do not make up one image"):
        open_image(tmp_path)


@pytest.mark.parametrize("names", [("I1", "I2", "I3"), ("I 10", "I 12", "I 40"), ("p0", "p50", "p100")])
def test_channels_numbered_otherwise_are_not_angles(tmp_path, names):
    path = tmp_path / "stack.tif"
    metadata = {"axes": "CYX", "channel_names": list(names)}
    tifffile.imwrite(path, np.ones((3, 6, 7), "f4"), photometric="minisblack", metadata=metadata)
    assert open_image(path).modality == "generic"


@pytest.mark.parametrize("pattern", ["pol_{}.png", "{}°.png", "scene_{}deg.png", "{}.png", "I-{}.png"])
def test_a_minus_before_an_angle_is_its_sign(tmp_path, scene, pattern):
    signed = scene[[3, 0, 1, 2]]  # -45 is 135
    for angle, picture in zip((-45, 0, 45, 90), signed, strict=True):
        save(tmp_path / pattern.format(angle), picture)
    image = open_image(tmp_path)
    np.testing.assert_allclose(image.data, stokes_of_four(*scene), rtol=1e-6, atol=1e-3)
    assert "-45, 0, 45, 90 degrees" in said(image)


def test_channels_and_formats_know_negative_angles(tmp_path, scene):
    path = tmp_path / "stack.tif"
    metadata = {"axes": "CYX", "channel_names": ["-45°", "0°", "45°", "90°"]}
    tifffile.imwrite(path, scene[[3, 0, 1, 2]], photometric="minisblack", metadata=metadata)
    expected = stokes_of_four(*scene)
    keys = ("angles -45-0-45-90", "angles -45,0,45,90", "angles 135-0-45-90")
    for image in (open_image(path), *(open_image(path, sample_format=key) for key in keys)):
        np.testing.assert_allclose(image.data, expected, rtol=1e-6, atol=1e-3)


def test_two_scenes_are_parts_of_which_the_first_is_opened(tmp_path, scene):
    for name, pictures in (("scene1", scene), ("scene2", scene[::-1])):
        for angle, picture in zip((0, 45, 90, 135), pictures, strict=True):
            save(tmp_path / f"{name}_{angle}deg.png", picture)
    opened = open_file(tmp_path)
    assert opened.parts == ("scene1", "scene2")
    assert "2 sets of images; the first of these, scene1, was opened" in said(opened.image())
    np.testing.assert_allclose(opened.image().data, stokes_of_four(*scene), rtol=1e-6, atol=1e-3)
    second = open_image(tmp_path, part="scene2")
    np.testing.assert_allclose(second.data, stokes_of_four(*scene[::-1]), rtol=1e-6, atol=1e-3)
    assert "sets" not in said(second)
    with pytest.raises(ImageError, match="no set 'scene3'; choose one of scene1, scene2"):
        open_image(tmp_path, part="scene3")


def test_angles_of_different_size_are_refused(tmp_path):
    for angle in (0, 45, 90, 135):
        save(tmp_path / f"{angle}.png", np.zeros((8, 8 + angle), "u1"))
    with pytest.raises(ImageError, match="the same size"):
        open_image(tmp_path)


def test_channels_named_by_angles_are_recognised(tmp_path, scene):
    path = tmp_path / "stack.tif"
    metadata = {"axes": "CYX", "channel_names": ["I0", "I45", "I90", "I135"]}
    tifffile.imwrite(path, scene, photometric="minisblack", metadata=metadata)
    image = open_image(path)
    np.testing.assert_allclose(image.data, stokes_of_four(*scene), atol=1e-3)
    assert image.modality == "polarization"


def test_unnamed_channels_are_angles_at_the_users_word(tmp_path, scene):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, scene, photometric="minisblack", metadata={"axes": "CYX"})
    opened = open_file(path)
    assert opened.image().modality == "generic"
    assert "angles 0-45-90-135" in opened.sample_formats()
    for how in ({"sample_format": "angles 0-45-90-135"}, {"modality": "polarization"}):
        np.testing.assert_allclose(opened.image(**how).data, stokes_of_four(*scene), atol=1e-3)
    assert opened.image(sample_format="angles 10-20-33.5-100").modality == "polarization"
    with pytest.raises(ImageError, match="cannot be 'angles 0-60-120'"):
        opened.image(sample_format="angles 0-60-120")
    with pytest.raises(ImageError, match="at least three that differ"):
        opened.image(sample_format="angles 0-90-180-0")


@pytest.mark.parametrize("kind", ["radians", "degrees", "bytes"])
@pytest.mark.parametrize("with_intensity", [True, False])
def test_degree_and_angle_become_stokes_parameters(tmp_path, kind, with_intensity):
    rng = np.random.default_rng(0)
    s0, degree = rng.uniform(50, 200, (20, 30)), rng.uniform(0, 1, (20, 30))
    angle = rng.uniform(-np.pi / 2, np.pi / 2, (20, 30))
    stored = {"radians": angle, "degrees": np.rad2deg(angle), "bytes": np.rad2deg(angle % np.pi) * 255 / 180}[
        kind
    ]
    planes = [s0, degree * (255 if kind == "bytes" else 1), stored][not with_intensity :]
    named = ["S0", "DoLP", "AoLP"][not with_intensity :]
    array = np.rint(planes).astype("u1") if kind == "bytes" else np.stack(planes).astype("f4")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="minisblack", metadata={"axes": "CYX", "channel_names": named})
    image = open_image(path)
    assert (image.modality, image.roles) == ("polarization", ("s0", "s1", "s2"))
    intensity = s0 if with_intensity else 1
    expected = intensity * np.stack(
        [np.ones_like(s0), degree * np.cos(2 * angle), degree * np.sin(2 * angle)]
    )
    np.testing.assert_allclose(image.data, expected, rtol=1e-4, atol=4 if kind == "bytes" else 1e-3)
    assert "degree and angle" in said(image)


def test_unnamed_degree_and_angle_are_taken_in_this_order_at_the_users_word(tmp_path):
    array = np.stack([np.full((6, 7), 0.5), np.full((6, 7), 45)]).astype("f4")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, photometric="minisblack", metadata={"axes": "CYX"})
    opened = open_file(path)
    assert opened.image().modality == "generic"
    assert not [key for key in opened.sample_formats() if key.startswith("dolp")]
    chosen = opened.image(sample_format="dolp aolp degrees")
    np.testing.assert_allclose(chosen.data[:, 0, 0], (1, 0, 0.5), atol=1e-6)
    with pytest.raises(ImageError, match="cannot be 'dolp aolp 0-180 as 0-255'"):
        opened.image(sample_format="dolp aolp 0-180 as 0-255")


def test_the_users_word_counts_more_than_the_colours_that_a_writer_made_of_angles(tmp_path, scene):
    path = tmp_path / "a.tif"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tifffile takes three or four planes for colours, and says so
        tifffile.imwrite(path, scene[:3])
        three = open_image(path, sample_format="angles 0-60-120")
        tifffile.imwrite(path, scene)
    assert (three.modality, three.roles) == ("polarization", ("s0", "s1", "s2"))
    assert "angles 0-45-90-135" not in open_file(path).sample_formats()
    four = open_image(path, sample_format="angles 0-45-90-135")  # the fourth is no opacity then
    np.testing.assert_allclose(four.data, stokes_of_four(*scene), rtol=1e-6, atol=1e-3)
    assert "opacity" not in said(four)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tifffile.imwrite(path, np.stack([np.full((6, 7), v, "f4") for v in (10, -3, 4)]))
    assert open_image(path, sample_format="stokes").roles == ("s0", "s1", "s2")


def test_colours_and_disparity_are_not_stokes_parameters():
    motorcycle = Path(__file__).parents[1] / "sample_data" / "motorcycle.tif"
    with pytest.raises(ImageError, match="has no Stokes parameters among its 4 channels"):
        open_image(motorcycle, modality="polarization")


def test_colours_of_8_bits_keep_their_range_beside_depth():
    array = np.zeros((4, 5, 6), "u1")
    channels = tuple(Channel(name) for name in ("red", "green", "blue", "disparity"))
    camera = Camera((100.0, 100.0), None, 0.1)
    _, read = require_sample_format("disparity").read(array, channels, camera)
    assert [channel.unit for channel in read] == [EIGHT_BITS] * 3 + ["m"]
    _, read = require_sample_format("disparity").read(array.astype("u2"), channels, camera)
    assert [channel.unit for channel in read] == ["", "", "", "m"]


def test_stokes_images_are_known_by_name_or_choice(tmp_path):
    stokes = np.stack([np.full((6, 7), v, "f4") for v in (10, -3, 4)])
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, stokes, photometric="minisblack", metadata={"axes": "CYX", "channel_names": ["S0", "S1", "S2"]}
    )
    assert (open_image(path).modality, open_image(path).roles) == ("polarization", ("s0", "s1", "s2"))
    tifffile.imwrite(path, stokes, photometric="minisblack", metadata={"axes": "CYX"})
    chosen = open_image(path, sample_format="stokes")
    assert chosen.roles == ("s0", "s1", "s2")
    assert np.array_equal(chosen.data, stokes)
    folder = tmp_path / "files"
    folder.mkdir()
    for i, plane in enumerate(stokes):
        tifffile.imwrite(folder / f"S{i}.tif", plane)
    image = open_image(folder)
    assert image.roles == ("s0", "s1", "s2")
    assert np.array_equal(image.data, stokes)


def test_plane_and_crossed_polarized_light_are_a_pair(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3)).astype("u1")
    paths = [
        save(tmp_path / f"granite_{name}.png", picture)
        for name, picture in zip(("PPL", "XPL"), rgb, strict=True)
    ]
    image = open_image(paths[::-1])
    assert names(image) == ["PPL red", "PPL green", "PPL blue", "XPL red", "XPL green", "XPL blue"]
    assert image.roles == ("red", "green", "blue", "xpl", "xpl", "xpl")
    assert image.modality == "rgb+x"
    assert np.array_equal(image.data[3:], rgb[1].transpose(2, 0, 1))
    grey = [save(tmp_path / f"{name}.png", rgb[0, :, :, 0]) for name in ("ppl", "xpl")]
    assert open_image(grey).roles == ("ppl", "xpl")


# --- temperatures


def test_counts_stay_counts_until_somebody_knows_their_scale(tmp_path):
    counts = np.full((8, 9), 30015, "u2")
    path = tmp_path / "thermal.tif"
    tifffile.imwrite(path, counts)
    opened = open_file(path)
    image = opened.image(modality="thermal")
    assert np.array_equal(image.data[0], counts)
    assert image.roles == ("thermal",)
    assert "whose scale the file does not tell" in said(image)
    assert "centikelvin" in said(image)
    chosen = opened.image(sample_format="centikelvin")
    assert (chosen.modality, chosen.channels) == ("thermal", (Channel("temperature", "°C", role="thermal"),))
    np.testing.assert_allclose(chosen.data, 27, atol=1e-5)
    assert "hundredths of a kelvin" in said(chosen)


def test_the_files_own_unit_is_its_word(tmp_path):
    path = tmp_path / "frame.tif"
    tifffile.imwrite(path, np.full((8, 9), 30015, "u2"), metadata={"unit": "centikelvin"})
    image = open_image(path)
    assert image.modality == "thermal"
    np.testing.assert_allclose(image.data, 27, atol=1e-5)
    tifffile.imwrite(
        path, np.full((8, 9), 3001, "u2"), description=json.dumps({"unit": "0.1 K"}), metadata=None
    )
    np.testing.assert_allclose(open_image(path).data, 26.95, atol=1e-5)


@pytest.mark.parametrize("png", [True, False])
def test_a_radiometric_flir_jpeg_opens_in_degrees(tmp_path, png):
    celsius = np.linspace(-5, 80, 48 * 64).reshape(48, 64)
    counts = np.round(CAMERA.counts(celsius)).astype("u2")
    path = tmp_path / "IR_0012.jpg"
    path.write_bytes(flir_jpeg(counts, png=png, segment=1500))
    opened = open_file(path)
    image = opened.image()
    assert (image.modality, image.channels) == ("thermal", (Channel("temperature", "°C", role="thermal"),))
    np.testing.assert_allclose(image.data[0], CAMERA.celsius(counts), atol=0.02)
    np.testing.assert_allclose(image.data[0], celsius, atol=0.05)
    assert image.facts["sensor"] == "FLIR Systems AB FLIR E60"
    assert image.facts["emissivity"] == "1"
    assert opened.parts == ("temperature", "picture")
    picture = open_image(path, part="picture")
    assert (picture.n_channels, picture.data.dtype, picture.modality) == (3, np.uint8, "rgb")


def test_the_cameras_emissivity_counts(tmp_path):
    counts = np.full((8, 8), np.round(0.8 * CAMERA.counts(60.0) + 0.2 * CAMERA.counts(15.0)), "u2")
    path = tmp_path / "a.jpg"
    path.write_bytes(flir_jpeg(counts, emissivity=0.8, reflected=15))
    np.testing.assert_allclose(open_image(path).data, 60, atol=0.05)


def test_damaged_flir_data_is_one_sentence(tmp_path):
    whole = flir_jpeg(np.full((32, 32), 12000, "u2"), segment=500)
    path = tmp_path / "a.jpg"
    start = whole.index(b"FFF\0")
    for damaged in (
        whole[:start] + bytes(70) + whole[start + 70 :],
        whole.replace(b"IHDR", b"IHDX", 1),
        whole[: start + 28] + b"\xff" * 4 + whole[start + 32 :],
        whole.replace(b"FLIR\0\1\0", b"FLIR\0\1\7", 1),
    ):
        path.write_bytes(damaged)
        with pytest.raises(ImageError, match="FLIR data"):
            open_image(path)


def test_without_flyr_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "flyr", None)
    path = tmp_path / "a.jpg"
    path.write_bytes(flir_jpeg(np.full((8, 8), 12000, "u2")))
    with pytest.raises(ImageError, match=r"pip install flyr.*part 'picture'"):
        open_image(path)
    assert open_image(path, part="picture").n_channels == 3


def test_an_ordinary_jpeg_is_no_thermogram(tmp_path):
    path = save(tmp_path / "a.jpg", np.zeros((8, 8), "u1"))
    image = open_image(path, modality="thermal")
    assert (image.data.dtype, image.roles) == (np.uint8, ("thermal",))
    assert said(image) == ""


# --- depth


def test_a_png_called_depth_is_in_millimetres(tmp_path):
    millimetres = np.array([[0, 500], [1500, 65535]], "u2")
    image = open_image(save(tmp_path / "scene_depth.png", millimetres))
    np.testing.assert_allclose(image.data, [[[NAN, 0.5], [1.5, 65.535]]], rtol=1e-6)
    assert (image.modality, image.channels) == ("depth", (Channel("depth", "m", role="depth"),))
    assert "millimetres" in said(image)
    plain = open_file(save(tmp_path / "scene.png", millimetres))
    assert plain.image().modality == "generic"
    np.testing.assert_array_equal(plain.image(modality="depth").data, image.data)
    np.testing.assert_allclose(plain.image(sample_format="metres / 5000").data[0, 0, 1], 0.1)


def test_float_depth_is_in_metres_with_gaps(tmp_path):
    path = tmp_path / "depth_0001.tif"
    tifffile.imwrite(path, np.array([[0, 1.5, NAN], [-1, np.inf, 1e10]], "f4"))
    np.testing.assert_array_equal(open_image(path).data, np.array([[[NAN, 1.5, NAN], [NAN, NAN, NAN]]], "f4"))


CALIBRATION = """cam0=[1000.5 0 4.5; 0 999 2.5; 0 0 1]
cam1=[1000.5 0 35; 0 999 2.5; 0 0 1]
doffs=31.086
baseline=193.001
width=9
height=6
"""


def test_disparity_with_calibration_beside_it_becomes_depth(tmp_path):
    disparity = np.full((6, 9), 50, "f4")
    disparity[0, 0] = np.inf
    path = tmp_path / "disp0.tif"
    tifffile.imwrite(path, disparity)
    alone = open_image(path)
    assert alone.channels == (Channel("disparity", "px", role="disparity"),)
    assert "calib.txt" in said(alone)
    (tmp_path / "calib.txt").write_text(CALIBRATION)
    image = open_image(path)
    assert image.modality == "depth"
    assert image.camera.focal_length_px == (999, 1000.5)
    assert image.camera.principal_point == (2.5, 4.5)
    np.testing.assert_allclose(image.data[0, 1], 1000.5 * 0.193001 / 81.086, rtol=1e-6)
    assert np.isnan(image.data[0, 0, 0])


def pfm(array, scale=-1):
    kind = "PF" if array.ndim == 3 else "Pf"
    header = f"{kind}\n{array.shape[1]} {array.shape[0]}\n{scale}\n".encode()
    return header + array[::-1].astype("<f4" if scale < 0 else ">f4").tobytes()


@pytest.mark.parametrize("scale", [-1, 1, -0.00392])
def test_portable_float_maps_are_read_from_the_bottom_up(tmp_path, scale):
    disparity = np.arange(54, dtype="f4").reshape(6, 9)
    path = tmp_path / "scene.pfm"
    path.write_bytes(pfm(disparity, scale))
    assert np.array_equal(open_image(path).data[0], disparity)
    rgb = np.random.default_rng(0).random((4, 5, 3)).astype("f4")
    path.write_bytes(pfm(rgb, scale))
    assert np.array_equal(open_image(path).data, rgb.transpose(2, 0, 1))
    (tmp_path / "disp0.pfm").write_bytes(pfm(disparity + 1, scale))
    (tmp_path / "calib.txt").write_text(CALIBRATION)
    assert open_image(tmp_path / "disp0.pfm").channels == (Channel("depth", "m", role="depth"),)


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (b"Pf\n9 6\n-1\n", "truncated"),
        (b"Pf\n9\n", "no width, height and scale"),
        (b"Pf\n0 6\n-1\n", "at least one pixel"),
        (b"Pf\n-9 6\n-1\n", "no width"),
        (b"Pf\n9 6\n0\n", "no width"),
        (b"Pf\n999999999 999999999\n-1\n", "GiB"),
    ],
)
def test_damaged_portable_float_maps_are_one_sentence(tmp_path, start, why):
    (tmp_path / "a.pfm").write_bytes(start + bytes(100))
    with pytest.raises(ImageError, match=why):
        open_image(tmp_path / "a.pfm")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("width=900\nheight=600\n", "is for an image of 900 x 600 pixels"),
        ("cam0=[1 2]\n", "no camera matrix"),
        ("baseline=-1\n", "not positive"),
    ],
)
def test_a_calibration_that_does_not_fit_is_left_out(tmp_path, words, why):
    tifffile.imwrite(tmp_path / "disp0.tif", np.ones((6, 9), "f4"))
    (tmp_path / "calib.txt").write_text(CALIBRATION + words)
    assert why in said(open_image(tmp_path / "disp0.tif"))


def test_colour_and_depth_in_two_files_are_one_image(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype("u1")
    millimetres = np.full((6, 9), 2000, "u2")
    millimetres[2] = 0
    paths = [save(tmp_path / "desk_rgb.png", colour), save(tmp_path / "desk_depth.png", millimetres)]
    for source in (paths, tmp_path):
        image = open_image(source)
        assert image.roles == ("red", "green", "blue", "depth")
        assert image.modality == "rgb+x"
        assert np.array_equal(image.data[:3], colour.transpose(2, 0, 1))
        np.testing.assert_allclose(image.data[3, 3], 2)
        assert np.isnan(image.data[3, 2]).all()


def test_colour_and_thermal_in_two_files_keep_the_counts(tmp_path):
    save(tmp_path / "desk_rgb.png", np.zeros((6, 9, 3), "u1"))
    save(tmp_path / "desk_thermal.png", np.full((6, 9), 30015, "u2"))
    opened = open_file([tmp_path / "desk_rgb.png", tmp_path / "desk_thermal.png"])
    assert opened.image().roles == ("red", "green", "blue", "thermal")
    assert "does not tell" in said(opened.image())
    chosen = opened.image(sample_format="centikelvin")
    assert (chosen.modality, chosen.channels[3]) == ("rgb+x", Channel("thermal", "°C", role="thermal"))
    np.testing.assert_allclose(chosen.data[3], 27, atol=1e-5)


def test_files_of_different_size_are_not_registered(tmp_path):
    save(tmp_path / "rgb.png", np.zeros((6, 9, 3), "u1"))
    save(tmp_path / "depth.png", np.zeros((3, 4), "u2"))
    with pytest.raises(ImageError, match="register and resample"):
        open_image(tmp_path)


# --- OpenEXR


def write_exr(path, **channels):
    OpenEXR = pytest.importorskip("OpenEXR")
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {name.replace("_", "."): plane for name, plane in channels.items()}) as file:
        file.write(str(path))
    return path


def test_exr_depth_is_in_metres(tmp_path):
    depth = np.array([[1.5, 0], [1e10, np.inf]], "f4")
    image = open_image(write_exr(tmp_path / "a.exr", Z=depth))
    np.testing.assert_array_equal(image.data, np.array([[[1.5, NAN], [NAN, NAN]]], "f4"))
    assert (image.modality, image.channels) == ("depth", (Channel("Z", "m", role="depth"),))


def test_exr_channels_have_their_names_and_colours_come_first(tmp_path):
    planes = {name: np.full((3, 4), i, "f2") for i, name in enumerate("RGB", 1)}
    path = write_exr(tmp_path / "a.exr", A=np.ones((3, 4), "f2"), Z=np.full((3, 4), 7, "f4"), **planes)
    image = open_image(path)
    assert image.roles == ("red", "green", "blue", "depth")
    assert image.modality == "rgb+x"
    assert image.data[:, 0, 0].tolist() == [1, 2, 3, 7]
    assert "opacity channel A" in said(image)
    other = open_image(write_exr(tmp_path / "b.exr", flow_x=planes["R"], flow_y=planes["G"]))
    assert names(other) == ["flow.x", "flow.y"]


def test_a_damaged_exr_is_one_sentence(tmp_path, capfd):
    whole = write_exr(
        tmp_path / "a.exr", Z=np.random.default_rng(0).random((40, 40)).astype("f4")
    ).read_bytes()
    path = tmp_path / "b.exr"
    for damaged in (whole[:30], whole[: len(whole) // 2], whole[:200] + bytes(100) + whole[300:]):
        path.write_bytes(damaged)
        with pytest.raises(ImageError, match="damaged OpenEXR") as error:
            open_image(path)
        assert str(tmp_path) not in str(error.value)


def test_without_openexr_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    path = write_exr(tmp_path / "a.exr", Z=np.ones((3, 4), "f4"))
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(ImageError, match="pip install OpenEXR"):
        open_image(path)


# --- the list of sample formats


def test_every_format_has_a_line_for_people_and_reads_what_it_says_fits():
    stack = {count: np.random.default_rng(count).integers(1, 999, (count, 8, 9)) for count in range(1, 20)}
    tried = set()
    for count, array in stack.items():
        for dtype, degrees in itertools.product(("u1", "u2", "i4", "f4"), (False, True)):
            named = ("S0", "DoLP", "AoLP") if degrees and count == 3 else ()
            channels = tuple(map(Channel, named or (f"channel {i}" for i in range(count))))
            for key in fitting_formats(array.astype(dtype), channels):
                known = SAMPLE_FORMATS[key]
                assert known.text
                assert "\n" not in known.text
                if "disparity" in key:
                    continue  # needs a camera, which an array does not have
                out, described = known.read(array.astype(dtype), channels, None)
                assert len(out) == len(described)
                assert out.shape[1:] == (8, 9)
                tried.add(key)
    untried = set(SAMPLE_FORMATS) - tried
    assert untried == {"angles by name", "reflectance", "disparity", "disparity / 256"}


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    path = save(tmp_path / "a.png", np.zeros((4, 4), "u1"))
    for key in ("mosaic", "angles 0-45", "angles a-b-c"):
        with pytest.raises(ImageError, match=f"no sample format '{key}'.*centikelvin"):
            open_image(path, sample_format=key)


def test_the_folder_of_real_frames_is_not_one_image():
    folder = (
        Path(os.environ.get("NAPARI_SIMMAT_DATA", Path(__file__).parents[2] / "shared" / "data"))
        / "polarization-camera"
    )
    if not folder.is_dir():
        pytest.skip("the frames of a polarization camera are not here")
    with pytest.raises(ImageError, match="4 image files"):
        open_image(folder)


def test_an_exr_that_declares_far_more_than_it_holds_is_refused_at_once(tmp_path):
    whole = bytearray(write_exr(tmp_path / "a.exr", Z=np.ones((8, 8), "f4")).read_bytes())
    place = whole.index(b"dataWindow\0box2i\0") + len(b"dataWindow\0box2i\0") + 4
    whole[place + 8 : place + 16] = np.array([6000, 6000], "<i4").tobytes()
    path = tmp_path / "b.exr"
    path.write_bytes(whole)
    with pytest.raises(ImageError, match="137 MiB"):
        open_image(path)
