"""The one file of NYU Depth v2 gives scenes the right way up, in metres, with objects that share class and number."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from napari_simmat.errors import ImageError
from napari_simmat.images import AIMS, open_aims, profile_for

SHAPE = (480, 640)


def write_scenes(path, shape=SHAPE, count=3):
    """As MATLAB 7.3 writes it: its last axis first."""
    rows, columns = np.indices(shape)
    images = np.zeros((count, 3, *shape), np.uint8)
    depths = np.full((count, *shape), 2.0, np.float32)
    labels = np.zeros((count, *shape), np.uint16)
    instances = np.zeros((count, *shape), np.uint8)
    for i in range(count):
        images[i, 0], images[i, 1], images[i, 2] = rows % 256, columns % 256, i
        depths[i] += rows / shape[0] + i
        depths[i, 0, 0] = 0
        for number, (label, instance) in enumerate([(5, 1), (5, 2), (890, 1), (5, 1)]):
            labels[i, 2:6, 4 * number : 4 * number + 3] = label
            instances[i, 2:6, 4 * number : 4 * number + 3] = instance
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in (
            ("images", images),
            ("depths", depths),
            ("labels", labels),
            ("instances", instances),
        ):
            dataset = file.create_dataset(name, data=array.swapaxes(-1, -2))
            dataset.attrs["MATLAB_class"] = np.bytes_(str(array.dtype))
        names = np.array(["wall", "floor", "cabinet", "bed", "chair"])
        cells = [
            file.create_dataset(f"#refs#/{i}", data=[[ord(c)] for c in name]) for i, name in enumerate(names)
        ]
        file.create_dataset("names", data=[[cell.ref for cell in cells]], dtype=h5py.ref_dtype)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(116))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nyu")
    write_scenes(folder / "nyu_depth_v2_labeled.mat")
    savemat(folder / "splits.mat", {"trainNdxs": [[3], [1]], "testNdxs": [[2]]})
    return folder


def test_rows_are_rows_and_depth_is_in_metres(folder):
    image, labels = open_aims("aims:nyu:4", folder)[0].load()
    assert image.shape == labels.shape == SHAPE
    assert image.roles == ("red", "green", "blue", "depth")
    assert image.data[0, 7, 90] == 7
    assert image.data[1, 7, 90] == 90
    assert image.channels[3].unit == "m"
    assert image.data[3, 240, 5] == pytest.approx(2.5)
    assert np.isnan(image.data[3, 0, 0])


def test_the_split_is_the_authors_and_counts_from_one(folder):
    train, test = (open_aims("aims:nyu", folder, split) for split in ("train", "test"))
    assert [item.stem for item in train] == ["00001", "00003"]
    assert [item.stem for item in test] == ["00002"]
    assert [item.load()[0].data[2, 0, 0] for item in (*train, *test)] == [0, 2, 1]
    assert [item.stem for item in open_aims("aims:nyu", folder, limit=1)] == ["00001"]


def test_objects_share_class_and_instance_in_one_piece_or_not(folder):
    item = open_aims("aims:nyu", folder)[0]
    labels = item.load()[1]
    assert labels[3, [0, 4, 8, 12]].tolist() == [1, 2, 3, 1]
    assert labels.max() == 3
    assert not labels[10:].any()
    assert item.load_classes()[3, [0, 4, 8]].tolist() == [5, 5, 890]
    assert item.class_names[5] == "chair"


def test_depth_alone_is_what_the_depth_profiles_take(folder):
    image, _ = open_aims("aims:nyu:1", folder)[0].load()
    assert (image.modality, image.roles) == ("depth", ("depth",))
    assert image.camera.focal_length_px[0] == pytest.approx(519.47, abs=0.01)
    assert [seen.formula for seen in profile_for(image, "depth-hha").sees][:3] == [
        "inverse depth",
        "height",
        "angle with gravity",
    ]


@pytest.mark.parametrize("channels", AIMS["aims:nyu"].channels)
def test_every_number_of_channels_becomes_model_input(folder, channels):
    image, _ = open_aims(f"aims:nyu:{channels}", folder)[0].load()
    assert image.n_channels == channels
    assert np.isfinite(profile_for(image).model_input(image, (60, 80))).all()


def test_hha_is_computed_from_depth_and_the_camera(folder):
    image, _ = open_aims("aims:nyu:3", folder)[0].load()
    assert [(channel.name, channel.unit) for channel in image.channels] == [
        ("inverse depth", "1/m"),
        ("height", "m"),
        ("angle with gravity", "rad"),
    ]
    assert image.data[0, 240, 5] == pytest.approx(1 / 2.5)
    # Two points of one column: their distance down the picture, over the focal length, times their depth.
    upper, lower = (2.25 * (120 - 252.736) / 519.470, 2.75 * (360 - 252.736) / 519.470)
    assert image.data[1, 120, 5] - image.data[1, 360, 5] == pytest.approx(lower - upper, abs=2e-4)
    both, _ = open_aims("aims:nyu:6", folder)[0].load()
    assert both.n_channels == 6
    for seen in (image, both):  # a room is not turned upside down, nor laid on its side
        profile = profile_for(seen)
        assert profile.mirrored("columns") is not None
        assert profile.mirrored("rows") is None
        assert profile.mirrored("both") is None
    np.testing.assert_array_equal(both.data[3:], image.data)


def test_the_file_itself_may_be_given(folder):
    assert len(open_aims("aims:nyu", folder / "nyu_depth_v2_labeled.mat")) == 2


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(
        ImageError, match=r"has no nyu_depth_v2_labeled\.mat \(found no file\), expected a folder"
    ):
        open_aims("aims:nyu", tmp_path)
    write_scenes(tmp_path / "nyu_depth_v2_labeled.mat", shape=(12, 16))
    with pytest.raises(ImageError, match=r"has no splits\.mat \(found nyu_depth_v2_labeled\.mat\)"):
        open_aims("aims:nyu", tmp_path)
    savemat(tmp_path / "splits.mat", {"trainNdxs": [[4]]})
    with pytest.raises(ImageError, match="names scenes 4 to 4 in trainNdxs, but there are 3"):
        open_aims("aims:nyu", tmp_path)
    with pytest.raises(ImageError, match="holds no testNdxs"):
        open_aims("aims:nyu", tmp_path, "test")
    (tmp_path / "splits.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(140))
    with pytest.raises(ImageError, match=r"splits\.mat is a damaged or unusual MATLAB file"):
        open_aims("aims:nyu", tmp_path)


def test_another_file_is_refused_with_what_it_holds(tmp_path):
    savemat(tmp_path / "splits.mat", {"trainNdxs": [[1]]})
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w") as file:
        file["depths"] = np.zeros((2, 16, 12), np.float32)
    with pytest.raises(ImageError, match=r"holds depths \(12, 16, 2\), expected images"):
        open_aims("aims:nyu", tmp_path)
    path.write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(ImageError, match=r"is no MATLAB 7\.3 file"):
        open_aims("aims:nyu", tmp_path)


def test_links_to_other_files_are_not_followed(tmp_path):
    write_scenes(tmp_path / "elsewhere.mat", shape=(12, 16))
    savemat(tmp_path / "splits.mat", {"trainNdxs": [[1]]})
    with h5py.File(tmp_path / "nyu_depth_v2_labeled.mat", "w") as file:
        for name in ("images", "depths", "labels", "instances"):
            file[name] = h5py.ExternalLink("elsewhere.mat", name)
    with pytest.raises(ImageError, match="holds none of its maps"):
        open_aims("aims:nyu", tmp_path)
