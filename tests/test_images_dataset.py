"""A dataset is two folders whose files share stems, and says what does not fit."""

from __future__ import annotations

import json
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


def add_classes(folder, place, *stems):
    (folder / place).mkdir()
    for number, stem in enumerate(stems, start=1):
        Image.fromarray(np.full((30, 40), number, "u1")).save(folder / place / f"{stem}.png")


def test_classes_are_found_and_named(folder):
    assert open_dataset(folder)[0].load_classes() is None
    add_classes(folder, "classes", "a", "b", "c", "elsewhere")
    (folder / "classes.json").write_text(json.dumps({"1": "crop", "2": "weed"}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        items = open_dataset(folder)
    assert [int(item.load_classes().max()) for item in items] == [1, 2, 3]
    assert items[0].class_names == {1: "crop", 2: "weed"}


def test_a_folder_of_classes_may_be_called_otherwise_or_lie_elsewhere(folder, tmp_path_factory):
    add_classes(folder, "masks", "a", "b", "c")
    assert open_dataset(folder)[0].classes_path is None
    assert open_dataset(folder, classes="masks")[2].load_classes().max() == 3
    other = tmp_path_factory.mktemp("other")
    add_classes(other, "kinds", "c", "b", "a")
    (other / "classes.json").write_text('{"3": "vine"}')
    item = open_dataset(folder, classes=other / "kinds")[0]
    assert (item.load_classes().max(), item.class_names) == (3, {3: "vine"})


def test_images_without_classes_are_told_and_a_folder_without_any_is_refused(folder):
    add_classes(folder, "classes", "b")
    with pytest.warns(UserWarning, match=r"2 of the files in .*/images \(a, c\) .* count without a class"):
        items = open_dataset(folder)
    assert [item.load_classes() is None for item in items] == [True, False, True]
    with pytest.raises(ImageError, match=r"There is no folder .*kinds"):
        open_dataset(folder, classes="kinds")
    add_classes(folder, "kinds", "x")
    with pytest.raises(ImageError, match="shares its name"):
        open_dataset(folder, classes="kinds")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        '{"one": "crop"}',
        '{"1": 2}',
        '{"-1": "crop"}',
        '{"1": ""}',
        "[" * 100_000,
        '"' + "x" * 2_000_000,
    ],
    ids=lambda text: text[:12],
)
def test_names_of_classes_that_are_none_are_refused_in_one_sentence(folder, text):
    add_classes(folder, "classes", "a", "b", "c")
    (folder / "classes.json").write_text(text)
    with pytest.raises(ImageError, match=r"^classes\.json .*expected each number with its name") as refused:
        open_dataset(folder)
    assert len(str(refused.value)) < 300
