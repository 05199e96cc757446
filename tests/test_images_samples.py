"""The sample data are there, are what their generator makes, and need the channels that cameras lack."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, gaussian_filter
from scipy.stats import rankdata

from napari_simmat.errors import ImageError
from napari_simmat.images import SAMPLES, open_dataset, open_image, profile_for, sample_path
from napari_simmat.images.simulate import CAMOUFLAGE_SETS, camouflage_scene

TOOL = Path(__file__).parents[1] / "tools" / "make_sample_data.py"


@pytest.fixture(scope="module")
def scenes():
    """Training and test scenes as they are bundled."""
    return [[item.load() for item in open_dataset(sample_path(name))] for name in CAMOUFLAGE_SETS]


def test_every_sample_is_there_and_small():
    paths = {name: sample_path(name) for name in SAMPLES}
    assert all(path.exists() for path in paths.values())
    files = [file for file in paths["motorcycle"].parent.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 4_000_000
    with pytest.raises(ImageError, match=r"no sample 'car'.*motorcycle"):
        sample_path("car")


def test_the_motorcycle_is_a_colour_picture_with_disparity():
    image = open_image(sample_path("motorcycle"))
    assert (image.n_channels, image.shape, image.modality) == (4, (500, 741), "rgb+x")
    assert image.roles == ("red", "green", "blue", "disparity")
    measured = np.isfinite(image.data[3])
    assert 0.9 < measured.mean() < 0.95
    assert np.isfinite(profile_for(image).model_input(image, (691, 1024))).all()


def test_the_motorcycle_is_made_from_the_pictures_of_scikit_image():
    spec = importlib.util.spec_from_file_location("make_sample_data", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.motorcycle().content_key() == open_image(sample_path("motorcycle")).content_key()


@pytest.mark.parametrize("name", CAMOUFLAGE_SETS)
def test_the_scenes_are_what_the_generator_makes(name):
    """Exactly, but for grey values that another processor may round the other way."""
    for item, seed in zip(open_dataset(sample_path(name)), CAMOUFLAGE_SETS[name], strict=True):
        image, instances = item.load()
        made, made_instances = camouflage_scene(seed)
        assert item.stem == f"{seed:02}"
        assert np.array_equal(instances, made_instances)
        difference = np.abs(image.data.astype(int) - made.data.astype(int))
        assert difference.max() <= 1
        assert difference.mean() < 1e-4
        assert image.channels == made.channels
        assert image.modality == made.modality == "rgb+x"


def test_the_scenes_have_objects_of_many_sizes(scenes):
    diameters = [
        2 * np.sqrt(np.count_nonzero(instances == label) / np.pi)
        for part in scenes
        for _, instances in part
        for label in np.unique(instances)[1:]
    ]
    assert len(diameters) >= 40
    assert min(diameters) < 25
    assert max(diameters) > 90


def features(data):
    """Value, local mean and local spread of each channel, standardised: (pixels, 3 C)."""
    columns = []
    for channel in data.astype(float):
        mean = gaussian_filter(channel, 3)
        spread = np.sqrt(np.maximum(gaussian_filter(channel**2, 3) - mean**2, 0))
        columns += [channel.ravel(), mean.ravel(), spread.ravel()]
    table = np.stack(columns, axis=1)
    return (table - table.mean(axis=0)) / table.std(axis=0)


def area_under_curve(score, truth):
    """Chance that a pixel of an object has a higher score than one of the background."""
    ranks, n = rankdata(score), np.count_nonzero(truth)
    return (ranks[truth].sum() - n * (n + 1) / 2) / (n * (truth.size - n))


def separability(scenes, channels):
    """Area under the curve, on the test scenes, of the linear discriminant of the training scenes."""
    (x, y), (x_test, y_test) = (
        (
            np.concatenate([features(image.data[channels]) for image, _ in part]),
            np.concatenate([instances.ravel() > 0 for _, instances in part]),
        )
        for part in scenes
    )
    scatter = np.cov(x[y].T) + np.cov(x[~y].T)
    direction = np.linalg.solve(scatter, x[y].mean(axis=0) - x[~y].mean(axis=0))
    return area_under_curve(x_test @ direction, y_test)


def test_colour_does_not_separate_the_objects(scenes):
    assert abs(separability(scenes, [0, 1, 2]) - 0.5) < 0.1


def test_the_infrared_channels_do(scenes):
    assert separability(scenes, [3, 4]) > 0.95


def test_objects_have_the_colours_of_their_surroundings(scenes):
    contrasts = []
    for image, instances in scenes[0] + scenes[1]:
        inside = instances > 0
        around = binary_dilation(inside, iterations=15) & ~inside
        contrasts.append([(c[inside].mean() - c[around].mean()) / c.std() for c in image.data.astype(float)])
    red, green, blue, nir, swir = np.median(np.abs(contrasts), axis=0)
    assert max(red, green, blue) < 0.25
    assert nir > 0.7
    assert swir > 1.5


def test_another_seed_and_shape_give_another_scene():
    image, instances = camouflage_scene(99, (120, 160))
    assert image.shape == instances.shape == (120, 160)
    assert image.content_key() != camouflage_scene(98, (120, 160))[0].content_key()
    assert camouflage_scene(99, (120, 160))[0].content_key() == image.content_key()
