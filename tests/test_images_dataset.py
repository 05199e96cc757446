"""A dataset is two folders whose files share stems, and says what does not fit."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_simmat.errors import ImageError
from napari_simmat.images import open_dataset


def add_image(folder, name, shape=(2, 30, 40)):
    (folder / "images").mkdir(exist_ok=True)
    tifffile.imwrite(
        folder / "images" / name, np.zeros(shape, "u2"), photometric="minisblack", metadata={"axes": "CYX"}
    )


def add_labels(folder, name, shape=(30, 40)):
    (folder / "instances").mkdir(exist_ok=True)
    Image.fromarray(np.ones(shape, "u2")).save(folder / "instances" / name)


@pytest.fixture
def folder(tmp_path):
    for stem in ("b", "a", "c"):
        add_image(tmp_path, f"{stem}.tif")
        add_labels(tmp_path, f"{stem}.png")
    return tmp_path


def test_pairs_come_in_the_order_of_their_stems_and_are_read_when_asked(folder):
    items = open_dataset(folder)
    assert [item.stem for item in items] == ["a", "b", "c"]
    image, instances = items[0].load()
    assert (image.n_channels, image.shape) == (2, (30, 40))
    assert instances.dtype == np.int32
    assert instances.shape == image.shape
    assert instances.all()


def test_a_limit_takes_the_first(folder):
    assert [item.stem for item in open_dataset(folder, limit=2)] == ["a", "b"]
    with pytest.raises(ImageError, match="limit is 0"):
        open_dataset(folder, limit=0)


def test_modality_and_channel_axis_go_to_every_image(folder):
    np.save(folder / "images" / "d.npy", np.zeros((30, 40, 2)))
    add_labels(folder, "d.png")
    item = open_dataset(folder, modality="nir", channel_axis=2)[-1]
    assert item.load()[0].roles == ("red", "nir")


def test_ome_tiffs_share_the_stem_before_both_suffixes(tmp_path):
    add_image(tmp_path, "plate.ome.tif")
    add_labels(tmp_path, "plate.png")
    assert [item.stem for item in open_dataset(tmp_path)] == ["plate"]


def test_files_of_other_kinds_are_passed_over(folder):
    (folder / "images" / "notes.txt").write_text("sunny")
    (folder / "images" / ".hidden.tif").write_text("")
    (folder / "images" / "more.tif").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(open_dataset(folder)) == 3


def test_files_without_a_partner_are_reported_and_left_out(folder):
    add_image(folder, "lonely.tif")
    add_labels(folder, "extra.png")
    with pytest.warns(UserWarning, match="left out") as caught:
        assert len(open_dataset(folder)) == 3
    assert all(
        word in str(warning.message) for warning, word in zip(caught, ("lonely", "extra"), strict=True)
    )


def test_labels_of_another_shape_are_refused_naming_both_files_and_shapes(folder):
    add_labels(folder, "a.png", (31, 40))
    with pytest.raises(
        ImageError, match=r"a\.png have 31 rows and 40 columns.*a\.tif has 30 rows and 40 columns"
    ):
        open_dataset(folder)[0].load()


def test_what_is_no_dataset_is_refused_with_what_is_missing(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(ImageError, match="has no folder images/"):
        open_dataset(tmp_path)
    add_image(tmp_path, "a.tif")
    with pytest.raises(ImageError, match="has no folder instances/"):
        open_dataset(tmp_path)
    with pytest.raises(ImageError, match="is a file"):
        open_dataset(tmp_path / "images" / "a.tif")
    add_labels(tmp_path, "b.png")
    with pytest.raises(ImageError, match="no file in images/"):
        open_dataset(tmp_path)


def test_two_files_with_one_stem_are_refused(folder):
    add_labels(folder, "a.tif")
    with pytest.raises(ImageError, match=r"both a\.png and a\.tif"):
        open_dataset(folder)


def test_a_folder_of_four_angles_is_one_image(folder):
    (folder / "images" / "glass").mkdir()
    for angle in (0, 45, 90, 135):
        plane = np.full((30, 40), 100 + angle, "u2")
        tifffile.imwrite(folder / "images" / "glass" / f"I_{angle}.tif", plane)
    add_labels(folder, "glass.png")
    (folder / "images" / "rejected").mkdir()  # nothing is labelled after it
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        items = open_dataset(folder)
    assert [item.stem for item in items] == ["a", "b", "c", "glass"]
    image, labels = items[-1].load()
    assert (image.modality, image.name) == ("polarization", "glass")
    assert labels.shape == image.shape
    add_image(folder, "glass.tif")  # a file of that name comes first
    assert open_dataset(folder)[-1].image_path.name == "glass.tif"


def test_zarr_folders_are_images_of_a_dataset(folder):
    zarr = pytest.importorskip("zarr")
    array = zarr.create_array(str(folder / "images" / "plate.zarr"), shape=(2, 30, 40), dtype="u2")
    array[:] = 7
    add_labels(folder, "plate.png")
    item = open_dataset(folder, channel_axis=0)[-1]
    assert item.stem == "plate"
    assert item.load()[0].data.max() == 7
