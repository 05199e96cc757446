"""The benchmark's folders open in the form that their authors give out and in those that people make of them."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_simmat.errors import ImageError
from napari_simmat.images import AIMS, open_aims, profile_for
from napari_simmat.images.aims.regions import regions

SHAPE = (24, 32)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)


def colours(red=10, green=20, blue=30):
    return np.broadcast_to(np.array([red, green, blue], np.uint8), (*SHAPE, 3)).copy()


def grey(value, dtype=np.uint8):
    return np.full(SHAPE, value, dtype)


def two_squares(first=1, second=1):
    labels = grey(0)
    labels[2:8, 2:8] = first
    labels[14:20, 20:28] = second
    return labels


def add_nir(root, scene, labelled=True):
    number = scene.rpartition("/")[2]
    save(root / f"{scene}_rgb.tiff", colours(red=int(number)))
    save(root / f"{scene}_nir.tiff", grey(100 + int(number)))
    if labelled:
        save(root / "labels" / f"{scene}.png", two_squares(3, 3))


@pytest.fixture
def nirscene(tmp_path):
    for i in range(3):
        add_nir(tmp_path / "nirscene1", f"country/000{i}")
    for i in range(3):
        add_nir(tmp_path / "nirscene1", f"water/000{i}")
    return tmp_path


def add_pair(root, scene, temperature=20.0):
    save(root / scene / "rgb.png", colours())
    save(root / scene / "temperature.npy", grey(temperature, np.float32))
    save(root / scene / "mask.png", two_squares(255, 255))
    save(root / scene / "boundary.png", grey(255))


# Near infrared


def test_near_infrared_scenes_open_with_and_without_colour(nirscene):
    image, labels = open_aims("aims:nir:4", nirscene)[1].load()
    assert (image.name, image.modality) == ("country_0001", "rgb+x")
    assert image.roles == ("red", "green", "blue", "nir")
    assert image.data.dtype == np.uint8
    assert image.data[:, 0, 0].tolist() == [1, 20, 30, 101]
    assert labels.max() == 2
    image, _ = open_aims("aims:nir:1", nirscene)[1].load()
    assert (image.n_channels, image.modality, image.roles) == (1, "nir", ("nir",))
    assert image.data[0, 0, 0] == 101


@pytest.mark.parametrize("name", [*AIMS["aims:nir"].names, *AIMS["aims:thermal-glass"].names])
def test_every_number_of_channels_becomes_model_input(tmp_path, name):
    add_nir(tmp_path / "nirscene1", "country/0001")
    add_pair(tmp_path / "pairs", "train/roof/001")
    folder = tmp_path / ("nirscene1" if "nir" in name else "pairs")
    image, _ = open_aims(name, folder)[0].load()
    assert image.n_channels == int(name.rpartition(":")[2])
    assert np.isfinite(profile_for(image).model_input(image)).all()


def test_without_a_number_of_channels_the_usual_one_is_meant(nirscene):
    assert open_aims("aims:nir", nirscene)[0].load()[0].n_channels == AIMS["aims:nir"].default == 4


def test_a_dataset_without_a_split_gives_every_fifth_scene_to_the_test(nirscene):
    names = [[item.stem for item in open_aims("aims:nir", nirscene, split)] for split in ("train", "test")]
    assert names[1] == ["water_0001"]
    assert names[0] == ["country_0000", "country_0001", "country_0002", "water_0000", "water_0002"]


def test_lists_of_names_tell_the_split(nirscene):
    (nirscene / "train.txt").write_text("country/0000\n")
    (nirscene / "test.txt").write_text("water/0002_rgb.tiff\n\ncountry/0001.tiff\n")
    assert [item.stem for item in open_aims("aims:nir", nirscene, "train")] == ["country_0000"]
    assert [item.stem for item in open_aims("aims:nir", nirscene, "test")] == ["country_0001", "water_0002"]


@pytest.mark.parametrize("listed", ["train", "test"])
def test_a_list_of_one_side_leaves_the_rest_to_the_other(nirscene, listed):
    (nirscene / f"{listed}.txt").write_text("country/0000\nwater/0001\n")
    sides = {
        side: {item.stem for item in open_aims("aims:nir", nirscene, side)} for side in ("train", "test")
    }
    assert sides[listed] == {"country_0000", "water_0001"}
    assert not sides["train"] & sides["test"]
    assert len(sides["train"] | sides["test"]) == 6


def test_scenes_without_labels_are_told_and_left_out(nirscene):
    add_nir(nirscene / "nirscene1", "urban/0007", labelled=False)
    with pytest.warns(UserWarning, match=r"1 scenes of aims:nir .* no labels .*urban_0007") as told:
        items = open_aims("aims:nir", nirscene)
    assert "urban_0007" not in [item.stem for item in items]
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    "place",
    [
        "Labels/country/0000.png",
        "ground_truth/country_0000.png",
        "country/0000_mask.png",
        "country/gt/0000.png",
    ],
)
def test_labels_are_found_wherever_people_put_them(tmp_path, place):
    add_nir(tmp_path, "country/0000", labelled=False)
    save(tmp_path / place, two_squares())
    (item,) = open_aims("aims:nir", tmp_path)
    assert (item.stem, item.load()[1].max()) == ("country_0000", 2)


def test_pictures_sorted_by_kind_and_split_are_the_same_scenes(tmp_path):
    save(tmp_path / "train" / "RGB" / "a.png", colours())
    save(tmp_path / "train" / "NIR" / "a.png", grey(7))
    save(tmp_path / "train" / "labels" / "a.png", two_squares())
    (item,) = open_aims("aims:nir", tmp_path)
    assert item.load()[0].data[3, 0, 0] == 7
    with pytest.raises(ImageError, match=r"no scenes for 'test': found scenes of train only in train/"):
        open_aims("aims:nir", tmp_path, "test")


def test_numbers_of_objects_are_kept_where_a_folder_says_that_they_are(tmp_path):
    add_nir(tmp_path, "country/0000", labelled=False)
    save(tmp_path / "instances" / "country_0000.png", two_squares(5, 5))
    (item,) = open_aims("aims:nir", tmp_path)
    assert np.unique(item.load()[1]).tolist() == [0, 5]
    assert np.unique(item.load_classes()).tolist() == [0, 1]


def test_grey_saved_as_colour_is_one_channel(tmp_path):
    save(tmp_path / "a" / "nir.png", colours(9, 9, 9))
    save(tmp_path / "a" / "label.png", two_squares())
    assert open_aims("aims:nir:1", tmp_path)[0].load()[0].data[0, 0, 0] == 9


# From classes to objects


def test_each_connected_region_of_each_class_is_an_object():
    classes = np.array([[1, 1, 0, 2], [0, 0, 0, 2], [1, 0, 2, 0]])
    assert regions(classes).tolist() == [[1, 1, 0, 3], [0, 0, 0, 3], [2, 0, 3, 0]]


def test_void_and_black_are_no_objects_and_colours_are_classes(tmp_path):
    add_nir(tmp_path, "country/0000", labelled=False)
    labels = np.zeros((*SHAPE, 3), np.uint8)
    labels[:5], labels[5:9], labels[9:12] = (128, 0, 0), (0, 128, 0), (255, 255, 255)
    save(tmp_path / "labels" / "country_0000.png", labels)
    (item,) = open_aims("aims:nir", tmp_path)
    assert np.unique(item.load()[1]).tolist() == [0, 1, 2]
    assert np.unique(item.load_classes()).tolist() == [0, 128 << 8, 128 << 16]
    save(tmp_path / "labels" / "country_0000.png", two_squares(7, 255))
    assert np.unique(open_aims("aims:nir", tmp_path)[0].load_classes()).tolist() == [0, 7]


def test_a_photograph_is_no_label_image(tmp_path):
    add_nir(tmp_path, "country/0000", labelled=False)
    noise = np.random.default_rng(0).integers(0, 255, (*SHAPE, 3)).astype(np.uint8)
    save(tmp_path / "labels" / "country_0000.png", noise)
    with pytest.raises(ImageError, match=r"country_0000\.png holds \d+ colours, expected one for each class"):
        open_aims("aims:nir", tmp_path)[0].load()


# Temperature


def test_temperature_comes_with_colour_or_alone(tmp_path):
    for scene in ("train/lobby/001", "train/lobby/002", "test/roof/001"):
        add_pair(tmp_path, scene, temperature=21.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        items = open_aims("aims:thermal-glass", tmp_path, "train")
    assert [item.stem for item in items] == ["lobby_001", "lobby_002"]
    assert [item.stem for item in open_aims("aims:thermal-glass", tmp_path, "test")] == ["roof_001"]
    image, labels = items[0].load()
    assert image.roles == ("red", "green", "blue", "thermal")
    assert [channel.unit for channel in image.channels] == ["of 255"] * 3 + ["°C"]
    assert image.data[:, 0, 0].tolist() == [10, 20, 30, 21.5]
    assert (labels.max(), items[0].class_names) == (2, {1: "glass"})
    (alone,) = open_aims("aims:thermal-glass:1", tmp_path, "test")
    assert "thermal (absolute)" in [seen.name for seen in profile_for(alone.load()[0]).sees]


def test_scenes_of_one_name_in_both_splits_keep_apart(tmp_path):
    for scene in ("train/roof/001", "train/roof/002", "test/roof/001"):
        add_pair(tmp_path, scene)
    names = [
        [i.stem for i in open_aims("aims:thermal-glass", tmp_path, split)] for split in ("train", "test")
    ]
    assert names == [["train_roof_001", "roof_002"], ["test_roof_001"]]


@pytest.mark.parametrize(
    ("stored", "taken", "unit"), [(294.15, 21.0, "°C"), (21.0, 21.0, "°C"), (7000.0, 7000.0, "")]
)
def test_kelvin_becomes_celsius_and_counts_stay_without_a_unit(tmp_path, stored, taken, unit):
    add_pair(tmp_path, "train/roof/001", temperature=stored)
    image, _ = open_aims("aims:thermal-glass:1", tmp_path)[0].load()
    assert image.data[0, 0, 0] == pytest.approx(taken, abs=1e-3)
    assert image.channels[0].unit == unit
    assert bool(image.assumptions) == (unit == "")


def test_temperatures_are_preferred_to_their_picture(tmp_path):
    add_pair(tmp_path, "train/roof/001")
    save(tmp_path / "train/roof/001/thermal.png", grey(200))
    assert open_aims("aims:thermal-glass:1", tmp_path)[0].load()[0].data[0, 0, 0] == 20


def test_blurred_edges_of_a_mask_belong_to_the_nearer_side(tmp_path):
    add_pair(tmp_path, "train/roof/001")
    mask = two_squares(255, 0)
    mask[2:8, 8], mask[2:8, 9] = 200, 60
    save(tmp_path / "train/roof/001/mask.png", mask)
    _, labels = open_aims("aims:thermal-glass", tmp_path)[0].load()
    assert (labels > 0)[4, 7:11].tolist() == [True, True, False, False]


# What is wrong is said in one sentence


def test_names_that_are_none_get_all_that_are(tmp_path):
    with pytest.raises(
        ImageError, match=r"no dataset 'aims:sea'; choose one of aims:nir:1, aims:nir:4, .*zju:9"
    ):
        open_aims("aims:sea", tmp_path)
    with pytest.raises(ImageError, match=r"no dataset 'aims:nir:3'; choose one of aims:nir:1, aims:nir:4\."):
        open_aims("aims:nir:3", tmp_path)
    with pytest.raises(ImageError, match="no split 'val'"):
        open_aims("aims:nir", tmp_path, "val")
    with pytest.raises(ImageError, match="limit is 0"):
        open_aims("aims:nir", tmp_path, limit=0)


@pytest.mark.parametrize("name", sorted(AIMS.keys() - {"aims:nyu"}))
def test_a_folder_of_other_things_is_refused_with_what_is_in_it_and_what_should_be(tmp_path, name):
    (tmp_path / "holiday" / "beach").mkdir(parents=True)
    with pytest.raises(ImageError) as said:
        open_aims(name, tmp_path)
    assert "found holiday/, holiday/beach/" in str(said.value)
    assert AIMS[name].layout in str(said.value)
    with pytest.raises(ImageError, match="does not exist, expected the folder of the dataset"):
        open_aims(name, tmp_path / "nowhere")


def test_a_dataset_without_labels_says_how_many_of_each_it_has(tmp_path):
    for i in range(3):
        add_nir(tmp_path, f"country/000{i}", labelled=False)
    with pytest.raises(ImageError, match="found 3 of the colour picture, 3 of near infrared, 0 of labels"):
        open_aims("aims:nir", tmp_path)


def test_files_of_one_scene_that_do_not_fit_are_named(tmp_path):
    add_pair(tmp_path, "train/roof/001")
    save(tmp_path / "train/roof/001/rgb.png", colours()[:-2])
    with pytest.raises(ImageError, match=r"pictures of roof_001 have 22 x 32, 24 x 32"):
        open_aims("aims:thermal-glass", tmp_path)[0].load()
    save(tmp_path / "train/roof/001/temperature.npy", grey(20, np.float32)[:20])
    with pytest.raises(ImageError, match=r"labels of roof_001 have 24 .* image has 20"):
        open_aims("aims:thermal-glass:1", tmp_path)[0].load()


def test_two_files_for_one_thing_are_refused(tmp_path):
    add_pair(tmp_path, "train/roof/001")
    save(tmp_path / "train/roof/001/mask.tif", two_squares())
    with pytest.raises(ImageError, match=r"roof_001 has both mask\.png and mask\.tif"):
        open_aims("aims:thermal-glass", tmp_path)


# Streams


def test_nothing_is_read_before_it_is_asked_for(tmp_path):
    for i in range(3):
        add_pair(tmp_path, f"train/roof/{i}")
    (tmp_path / "train/roof/2/rgb.png").write_bytes(b"damaged")
    items = open_aims("aims:thermal-glass", tmp_path)
    assert len(items) == 3
    items[0].load()
    with pytest.raises(ImageError, match=r"rgb\.png"):
        items[2].load()
    assert [item.stem for item in open_aims("aims:thermal-glass", tmp_path, limit=1)] == ["roof_0"]


def test_items_go_to_other_processes(nirscene):
    item = open_aims("aims:nir", nirscene)[0]
    there = pickle.loads(pickle.dumps(item))
    np.testing.assert_array_equal(there.load()[0].data, item.load()[0].data)
