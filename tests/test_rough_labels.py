"""Rough labels: what they hold, how they are written, and where they lie in what a step sees."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from balls import BALLS, balls

from napari_simmat.errors import TrainingError
from napari_simmat.images import as_image
from napari_simmat.inference import Frame
from napari_simmat.models import Adapter
from napari_simmat.training.rough import (
    RoughLabels,
    RoughObject,
    Scribble,
    hints,
    open_rough,
    read_prompts,
    write_prompts,
)
from napari_simmat.training.rough.augment import degraded, directions
from napari_simmat.training.rough.windows import Place, RoughScenes

EVERYTHING = (
    RoughObject(points=((30, 34), (5.5, 5)), signs=(1, 0)),
    RoughObject(
        box=(10, 90, 60, 130), scribbles=(Scribble(((30, 100), (40, 118))), Scribble(((2, 2), (2, 9)), 0))
    ),
    RoughObject(polygon=((70, 20), (70, 60), (112, 60), (112, 20))),
)


def test_prompts_come_back_from_their_file_as_they_were(tmp_path):
    write_prompts(tmp_path / "prompts" / "a.json", EVERYTHING)
    assert read_prompts(tmp_path / "prompts" / "a.json") == EVERYTHING


def test_masks_cannot_be_given():
    mask = np.ones((128, 160), bool)
    with pytest.raises(TrainingError, match="no masks"):
        RoughLabels(balls(), (mask,))
    with pytest.raises(TrainingError):
        RoughObject(points=mask)
    assert not any(isinstance(v, np.ndarray) for each in EVERYTHING for v in vars(each).values())


@pytest.mark.parametrize(
    "told",
    [
        "{",
        "[]",
        '{"format": "other", "objects": []}',
        {"objects": [{"points": [[1, 2, 3]]}]},
        {"objects": [{"points": [[1, "a", 1]]}]},
        {"objects": [{"points": [[1, 2, 0]]}]},
        {"objects": [{"box": [1, 2, 3]}]},
        {"objects": [{"box": [1, 2, 1, 5]}]},
        {"objects": [{"polygon": [[1, 2], [3, 4]]}]},
        {"objects": [{"mask": [[1]]}]},
        {"objects": [{"points": [[1e999, 2, 1]]}]},
        {"objects": [7]},
    ],
)
def test_a_bad_file_gives_one_sentence(tmp_path, told):
    file = tmp_path / "bad.json"
    if not isinstance(told, str):
        told = json.dumps({"format": "napari-simmat prompts 1", **told})
    file.write_text(told)
    with pytest.raises(TrainingError) as found:
        read_prompts(file)
    assert "\n" not in str(found.value)
    assert "expected" in str(found.value) or "JSON" in str(found.value) or "give it" in str(found.value)


def test_prompts_outside_of_the_image_are_refused():
    with pytest.raises(TrainingError, match=r"row and column in an image of 128 x 160"):
        RoughLabels(balls(), (RoughObject(points=((130, 10),)),))
    with pytest.raises(TrainingError, match="outside"):
        RoughLabels(balls(), (RoughObject(box=(200, 10, 240, 40)),))


def test_a_dataset_without_prompts_says_what_is_missing(tmp_path):
    import tifffile

    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "a.tif", np.zeros((16, 16), np.uint8))
    with pytest.raises(TrainingError, match=r"STEM\.json"):
        open_rough(tmp_path)
    write_prompts(tmp_path / "prompts" / "a.json", [RoughObject(points=((3, 4),))])
    (labels,) = open_rough(tmp_path)
    assert labels.image.name == "a"
    assert labels.objects[0].points == ((3.0, 4.0),)


def test_prompts_go_with_the_window_and_its_mirrors():
    image = balls(3)
    pixels = np.array(image.data)
    marks = [(20, 30), (100, 140), (64, 80)]
    for y, x in marks:
        pixels[:, y - 1 : y + 2, x - 1 : x + 2] = 900
    image = as_image(pixels, channel_axis=0, name="marked")
    labels = RoughLabels(image, tuple(RoughObject(points=(m,)) for m in marks))
    profile = Adapter.untrained(image).profile
    scenes = RoughScenes([labels], profile, side=1024, flexible=True, sizes=[80])
    mirrored = set()
    for seed in range(5):
        rng = np.random.default_rng(seed)
        for scene, place in scenes.chosen(2, rng):
            window = scenes.window(scene, place, rng, mirror=True)
            mirrored.add(window.place.mirrors)
            plain = scenes.window(scene, place, rng, mirror=False)
            assert [each.number for each in window.objects] == [each.number for each in plain.objects] != []
            for each in window.objects:
                (y, x), bright = each.points[0], window.x[0]
                near = bright[max(0, round(y) - 2) : round(y) + 3, max(0, round(x) - 2) : round(x) + 3]
                assert near.max() > 0.9 * bright.max()
                row, column = round((y + 0.5) / 4 - 0.5), round((x + 0.5) / 4 - 0.5)
                assert each.known[row, column] == 1
    assert len(mirrored) > 3


def test_masks_are_turned_back():
    rng = np.random.default_rng(0)
    place = Place(Frame((64, 64), 256), (0, 0), (16, 16), 1.0, ("columns", "both", "rows"))
    picture = torch.from_numpy(rng.random((16, 16)))
    turned = picture.flip(1).T.flip(0)
    assert torch.equal(place.back(turned), picture)


def test_what_users_say_is_known_and_nothing_else():
    labels = RoughLabels(balls(3), EVERYTHING)
    profile = Adapter.untrained(labels.image).profile
    scenes = RoughScenes([labels], profile, side=1024, flexible=False, sizes=[80])
    rng = np.random.default_rng(0)
    window = scenes.window(0, Place(Frame((128, 160), 1024), (0, 0), (819, 1024), 1.0), rng, mirror=False)
    first, second, third = window.objects
    scale = 1024 / 160 / 4

    def at(each, y, x):
        return each.known[round((y + 0.5) * scale - 0.5), round((x + 0.5) * scale - 0.5)]

    assert (at(first, 30, 34), at(first, 5.5, 5), at(first, 60, 70)) == (1, 0, -1)
    assert at(first, 35, 109) == 0  # another one's scribble
    assert (at(second, 35, 109), at(second, 2, 5), at(second, 80, 110), at(second, 20, 95)) == (1, 0, 0, -1)
    assert (at(third, 91, 40), at(third, 20, 20), at(third, 70, 40)) == (1, 0, -1)
    assert first.others, "the teacher is told of the others"
    assert set(first.as_taught.signs[2:]) == {0}


def test_an_outline_is_filled_by_the_even_odd_rule():
    inside = hints.filled((6, 6), [(0.5, 0.5), (0.5, 4.5), (3.5, 4.5), (3.5, 0.5)])
    assert inside.sum() == 12
    assert inside[1:4, 1:5].all()


def test_windows_show_every_object_and_its_own_clicks_alone():
    labels = RoughLabels(balls(3), tuple(RoughObject(points=(BALLS[n][:2],)) for n in BALLS))
    profile = Adapter.untrained(labels.image).profile
    scenes = RoughScenes([labels], profile, side=1024, flexible=True, sizes=[120])
    rng = np.random.default_rng(3)
    seen = set()
    for scene, place in scenes.chosen(8, rng):
        for each in scenes.window(scene, place, rng, mirror=False).objects:
            seen.add(each.number)
            assert each.points[0] == pytest.approx(place.to_window(*labels.objects[each.number].points[0]))
            assert len(each.points) == 1
    assert seen == set(range(4))


def test_strong_views_keep_directions():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 32, 32)).astype(np.float32))
    x[2], x[3] = torch.sin(x[0]), torch.cos(x[0])
    kept = x.clone()
    angles = []
    for seed in range(6):
        y = degraded(x, [2, 3], np.random.default_rng(seed))
        assert torch.isfinite(y).all()
        angles.append(torch.atan2(y[2].mean(), y[3].mean()) - torch.atan2(x[2].mean(), x[3].mean()))
    assert torch.equal(x, kept)
    assert np.median(np.abs(angles)) < 0.1


def test_parts_of_directions_are_known_by_their_mirror_images():
    from napari_simmat.images import open_dataset
    from napari_simmat.images.samples import sample_path

    glass, _ = open_dataset(sample_path("glass-train"), limit=1)[0].load()
    profile = Adapter.untrained(glass).profile
    named = {profile.sees[k].name for k in directions(profile)}
    assert named == {"S1/S0", "S2/S0"}
    assert directions(Adapter.untrained(balls(3)).profile) == []
