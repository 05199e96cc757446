"""Polarization of the benchmark's datasets is the physics that was recorded, however it is stored."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_simmat.errors import ImageError
from napari_simmat.images import open_aims, profile_for
from napari_simmat.images.physics.polarization import aolp, dolp

SHAPE = (24, 32)
DEGREES = np.linspace(0, 179, SHAPE[1])  # of the red channel; green and blue are turned by 30 and 60 degrees
TURNED = (0, 30, 60)
POLARIZED = (0.2, 0.4, 0.6)  # degree of red, green and blue


def angles():
    """Angles in degrees of red, green and blue, (Y, X, 3)."""
    rows = np.stack([(DEGREES + turn) % 180 for turn in TURNED], axis=-1)
    return np.broadcast_to(rows, (*SHAPE, 3))


def degrees():
    return np.broadcast_to(np.array(POLARIZED), (*SHAPE, 3))


def mask(value=255):
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:12, 4:12] = value
    return labels


def in_bytes(array, full):
    return np.rint(array * 255 / full).astype(np.uint8)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tiff":
        tifffile.imwrite(path, array, photometric="rgb")
    else:
        Image.fromarray(array).save(path)


def add_glass(root, name="20210717001004", angle=None, degree=None):
    """As published: the colours of angle and degree stand in the file as blue, green and red."""
    angle = in_bytes(angles(), 180) if angle is None else angle
    degree = in_bytes(degrees(), 1) if degree is None else degree
    write(root / "image" / f"{name}_rgb.tiff", np.full((*SHAPE, 3), (50, 100, 150), np.uint8))
    write(root / "aolp" / f"{name}_aolp.tiff", np.ascontiguousarray(angle[..., ::-1]))
    write(root / "dolp" / f"{name}_dolp.tiff", np.ascontiguousarray(degree[..., ::-1]))
    write(root / "mask" / f"{name}_mask.png", mask())
    write(root / "edge" / f"{name}_edge.png", mask())


def add_street(root, name, polarized=True):
    """Four pictures by Malus' law."""
    for polarizer in (0, 45, 90, 135):
        degree = degrees() if polarized else 0
        light = 200 * (1 + degree * np.cos(2 * np.deg2rad(angles() - polarizer))) / 2
        write(root / str(polarizer) / f"{name}_image0_{polarizer}.png", np.rint(light).astype(np.uint8))
    labels = mask(2)
    labels[16:20, 20:30] = 3
    write(root / "label" / f"{name}_image0.png", labels)


def distance(left, right):
    """Between angles in degrees, of which 0 and 180 are one."""
    return np.abs((left - right + 90) % 180 - 90)


def polarization_of(image, colour):
    s0, s1, s2 = image.data[3 * colour : 3 * colour + 3]
    return np.rad2deg(aolp(s1, s2)), dolp(s0, s1, s2)


def assert_recovered(image, tolerance):
    for colour in range(3):
        angle, degree = polarization_of(image, colour)
        assert distance(angle, angles()[..., colour]).max() < tolerance
        np.testing.assert_allclose(degree, POLARIZED[colour], atol=0.02)


def test_glass_has_the_degree_and_angle_of_each_colour(tmp_path):
    add_glass(tmp_path / "train")
    (item,) = open_aims("aims:rgbp-glass", tmp_path)
    image, labels = item.load()
    assert (item.stem, image.modality, image.n_channels) == ("20210717001004", "polarization", 9)
    assert image.roles == ("s0", "s1", "s2") * 3
    assert image.channels[3].name == "green S0"
    assert image.data[::3, 0, 0].tolist() == [50, 100, 150]
    assert_recovered(image, tolerance=0.5)
    assert labels.max() == 1
    assert len(profile_for(image).sees) == 12
    assert np.isfinite(profile_for(image).model_input(image)).all()


def test_the_two_ends_of_the_scale_are_one_angle(tmp_path):
    ends = np.zeros((*SHAPE, 3), np.uint8)
    ends[:, ::2] = 255
    add_glass(tmp_path / "train", angle=ends)
    image, _ = open_aims("aims:rgbp-glass", tmp_path)[0].load()
    even, odd = image.data[:, :, ::2], image.data[:, :, 1::2]
    np.testing.assert_allclose(even, odd, atol=1e-4)
    assert (image.data[1] > 0).all()  # along 0 degrees


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        (lambda a: np.deg2rad(a).astype(np.float32), "radians"),
        (lambda a: (np.deg2rad((a + 90) % 180) - np.pi / 2).astype(np.float32), "radians"),
        (lambda a: a.astype(np.float32), "degrees"),
        (lambda a: (a / 180).astype(np.float32), "0 to 180 degrees stored as 0 to 1"),
        (lambda a: np.rint(a).astype(np.uint8), "whole degrees"),
        (lambda a: np.rint(a / 180 * 65535).astype(np.uint16), "0 to 65535"),
    ],
)
def test_the_unit_of_angles_is_found_from_their_range_and_told(tmp_path, stored, text):
    add_glass(tmp_path / "train", angle=stored(angles()))
    image, _ = open_aims("aims:rgbp-glass", tmp_path)[0].load()
    assert text in image.assumptions[0]
    assert_recovered(image, tolerance=0.6)


def test_one_unit_holds_for_all_images_though_one_alone_would_tell_another(tmp_path):
    few = np.full((*SHAPE, 3), 51, np.uint8)  # 36 degrees; as whole degrees it would be 51
    add_glass(tmp_path / "train", "1", angle=few)
    add_glass(tmp_path / "train", "2")
    image, _ = open_aims("aims:rgbp-glass", tmp_path, limit=1)[0].load()
    assert distance(polarization_of(image, 0)[0], 36).max() < 0.1


def test_numbers_that_can_be_no_angle_or_degree_are_refused(tmp_path):
    add_glass(tmp_path / "train", angle=np.full((*SHAPE, 3), 400, np.float32))
    with pytest.raises(
        ImageError, match=r"angles of polarization in .* between 0 and 400 \(float32\), expected"
    ):
        open_aims("aims:rgbp-glass", tmp_path)[0].load()
    add_glass(tmp_path / "test", degree=np.full((*SHAPE, 3), 40, np.float32))
    with pytest.raises(ImageError, match=r"degrees of polarization in .*_dolp\.tiff are float32 of up to 40"):
        open_aims("aims:rgbp-glass", tmp_path, "test")[0].load()


def test_six_channels_are_the_normalised_stokes_parameters(tmp_path):
    add_glass(tmp_path / "test")
    six, _ = open_aims("aims:rgbp-glass:6", tmp_path, "test")[0].load()
    nine, _ = open_aims("aims:rgbp-glass:9", tmp_path, "test")[0].load()
    assert [channel.name for channel in six.channels[:2]] == ["red S1/S0", "red S2/S0"]
    for colour in range(3):
        np.testing.assert_allclose(
            six.data[2 * colour], nine.data[3 * colour + 1] / nine.data[3 * colour], atol=1e-5
        )
    assert (
        profile_for(six).mirrored("rows") is None
    )  # percentiles would not keep the sign that a mirror turns
    (alone,) = open_aims("aims:rgbp-glass:6", tmp_path / "test", "test")  # the part that was downloaded
    assert alone.stem == "20210717001004"


def test_an_angle_of_one_channel_says_what_is_missing(tmp_path):
    add_glass(tmp_path / "train")
    tifffile.imwrite(tmp_path / "train/aolp/20210717001004_aolp.tiff", np.zeros(SHAPE, np.uint8))
    with pytest.raises(ImageError, match=r"_aolp\.tiff has 1 channel, expected red, green and blue"):
        open_aims("aims:rgbp-glass", tmp_path)[0].load()


def test_streets_become_stokes_parameters_of_their_four_angles(tmp_path):
    for name in ("1", "2"):
        add_street(tmp_path / "train", name)
    add_street(tmp_path / "val", "3", polarized=False)
    items = open_aims("aims:zju", tmp_path)
    assert [item.stem for item in items] == ["1", "2"]
    image, labels = items[0].load()
    assert (image.modality, image.roles) == ("polarization", ("s0", "s1", "s2") * 3)
    np.testing.assert_allclose(image.data[::3], 200, atol=1)
    assert_recovered(image, tolerance=1.5)
    assert labels.max() == 2
    classes = items[0].load_classes()
    assert {items[0].class_names[i] for i in np.unique(classes[classes > 0]).tolist()} == {"glass", "car"}
    (other,) = open_aims("aims:zju", tmp_path, "test")  # the authors' validation set is the test
    assert np.abs(other.load()[0].data[1::3]).max() <= 1


def test_streets_of_one_folder_are_told_by_the_ends_of_names(tmp_path):
    add_street(tmp_path / "apart", "7")
    flat = tmp_path / "train"
    flat.mkdir()
    for path in (tmp_path / "apart").rglob("*.png"):
        end = "_label.png" if path.parent.name == "label" else ".png"
        path.rename(flat / f"{path.stem}{end}")
    (item,) = open_aims("aims:zju", tmp_path)
    assert_recovered(item.load()[0], tolerance=1.5)


def test_streets_may_be_given_as_degree_and_angle(tmp_path):
    write(tmp_path / "train/s0/1.png", np.full((*SHAPE, 3), 80, np.uint8))
    write(tmp_path / "train/aolp/1_aolp.png", in_bytes(angles(), 180))
    write(tmp_path / "train/dolp/1_dolp.png", in_bytes(degrees(), 1))
    write(tmp_path / "train/label/1.png", mask(2))
    image, _ = open_aims("aims:zju", tmp_path)[0].load()
    assert image.data[0, 0, 0] == 80
    assert_recovered(image, tolerance=0.5)


def test_a_scene_called_like_an_angle_keeps_its_name(tmp_path):
    for polarizer in (0, 45, 90, 135):
        for name in ("street_45", "street_90"):
            write(tmp_path / f"train/I{polarizer}/{name}.png", np.full((*SHAPE, 3), polarizer, np.uint8))
    for name in ("street_45", "street_90"):
        write(tmp_path / f"train/label/{name}.png", mask(2))
    assert [item.stem for item in open_aims("aims:zju", tmp_path)] == ["street_45", "street_90"]


def test_a_missing_angle_is_named(tmp_path):
    add_street(tmp_path / "train", "1")
    (tmp_path / "train/135/1_image0_135.png").unlink()
    with pytest.raises(
        ImageError, match=r"1 of the picture at 0 degrees, .* 0 of the picture at 135 degrees"
    ):
        open_aims("aims:zju", tmp_path)
