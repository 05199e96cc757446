"""Learning without labels: what lies beside the colours comes to say what SAM sees in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_vit_sam import small_vit

from napari_simmat import Adapter
from napari_simmat.cli import main
from napari_simmat.errors import ImageError, TrainingError
from napari_simmat.images import (
    Channel,
    ModalityProfile,
    ModelChannel,
    MultiChannelImage,
    Normalisation,
    open_dataset,
    open_image,
    sample_path,
)
from napari_simmat.images.unlabelled import open_images
from napari_simmat.training import align, distance
from napari_simmat.training.teacher import colour_profile, teacher_of, unexplained, without

COLOURS = ("red", "green", "blue")


def picture(seed: int, names=(*COLOURS, "nir", "swir"), side: int = 96) -> MultiChannelImage:
    """Blotches of colour, and two channels that are made of it: what is blue is dark in the one, bright in the other."""
    rng = np.random.default_rng(seed)
    rgb = np.kron(rng.random((3, 8, 8)), np.ones((side // 8, side // 8)))
    made = {
        **dict(zip(COLOURS, rgb, strict=True)),
        "nir": 0.8 * rgb[0] + 0.2 * (1 - rgb[2]),
        "swir": rgb[2],
    }
    pixels = np.stack([made[name] for name in names]) + rng.normal(0, 0.01, (len(names), side, side))
    channels = tuple(Channel(name, role=name) for name in names)
    modality = "rgb+x" if set(COLOURS) < set(names) else "generic"
    return MultiChannelImage(pixels.astype(np.float32), channels, modality, name=f"picture {seed}")


@pytest.fixture(scope="module")
def vit():
    return small_vit()


@pytest.fixture(scope="module")
def aligned(vit):
    return align([picture(k) for k in range(6)], steps=40, base=vit)


def test_the_distance_is_the_share_of_variance_that_is_not_explained():
    teacher = torch.randn(1, 256, 4, 4, generator=torch.Generator().manual_seed(0))
    mean = teacher.mean((2, 3), keepdim=True).expand_as(teacher)
    assert unexplained(teacher, teacher) == 0
    assert unexplained(mean, teacher) == pytest.approx(1)
    assert unexplained(0.5 * (mean + teacher), teacher) == pytest.approx(0.25)


def test_the_loss_falls(aligned):
    adapter, report = aligned
    assert report.mode == "align"
    assert adapter.card.strategy == report.strategy == "lora:decoder=no"
    assert report.loss_last < 0.7 * report.loss_first


def test_without_colours_an_image_it_has_not_seen_comes_nearer_to_the_teacher(vit, aligned):
    adapter, report = aligned
    unseen = picture(99)
    before = distance(Adapter.untrained(unseen, base=vit), unseen, base=vit)
    after = distance(adapter, unseen, base=vit)
    assert after < 0.7 * before
    assert report.kept
    assert report.distance_after < report.distance_before
    assert (report.images, report.objects) == (5, 0)  # one of six judged


def test_with_colours_it_still_sees_what_the_teacher_sees(vit, aligned):
    adapter, _ = aligned
    unseen = picture(99)
    model = adapter.build_merged(vit)
    x = torch.from_numpy(adapter.profile.model_input(unseen, (256, 256)))[None]
    rgb = torch.from_numpy(colour_profile(unseen).model_input(unseen, (256, 256)))[None]
    teacher = teacher_of(vit).encode(rgb)
    shown, hidden = (float(unexplained(model.encode(t), teacher)) for t in (x, without(x, [0, 1, 2])))
    assert shown < hidden
    assert shown < 0.5


def test_untrained_the_student_of_all_channels_is_the_teacher(vit):
    image = picture(0)
    adapter = Adapter.untrained(image, base=vit)
    x = torch.from_numpy(adapter.profile.model_input(image, (256, 256)))[None]
    rgb = torch.from_numpy(colour_profile(image).model_input(image, (256, 256)))[None]
    assert torch.allclose(adapter.build(vit).encode(x), teacher_of(vit).encode(rgb), atol=1e-5)


def test_a_profile_without_colours_has_a_student_without_them(vit):
    images = [picture(k) for k in range(3)]
    how = Normalisation(method="percentile", low=0.5, high=99.5)
    profile = ModalityProfile(
        modality="generic",
        channels=tuple(channel.name for channel in images[0].channels),
        roles=images[0].roles,
        sees=tuple(
            ModelChannel(name=name, of=(k,), normalisation=how) for k, name in ((3, "nir"), (4, "swir"))
        ),
        pseudo_rgb=(0, 0, 1),
        display=(3,),
    )
    adapter, report = align(images, profile=profile, steps=20, base=vit)
    assert adapter.profile.n_channels == 2
    assert report.distance_after < report.distance_before


def test_the_embedded_model_learns_to_see_foliage_in_the_infrared():
    """The real thing, in a few steps on two scenes; their labels are not looked at."""
    images = [item.load()[0] for item in open_dataset(sample_path("camouflage-train"), limit=2)]
    _, report = align(images, steps=12)
    assert report.kept
    assert report.distance_after < 0.9 * report.distance_before


def test_a_version_that_is_farther_away_is_rolled_back(vit):
    images = [picture(k) for k in range(3)]
    start = Adapter.untrained(images, base=vit)
    adapter, report = align(images, start=start, steps=6, learning_rate=0.9, base=vit)
    assert adapter is start
    assert not report.kept
    assert f"{report.distance_after:.3f} after" in report.reason


def test_of_one_image_nothing_is_held_out(vit):
    _, report = align([picture(0)], steps=1, base=vit)
    assert report.kept
    assert report.distance_before is None
    assert "single image" in report.reason


@pytest.mark.parametrize(
    ("images", "says"),
    [
        ([], "no images"),
        ([picture(0, ("nir", "swir"))], "has nir, swir, expected red, green and blue"),
        ([picture(0, COLOURS)], "at least one other channel"),
        ([picture(0), picture(0, ("nir", "swir"))], "has nir, swir, expected"),
    ],
)
def test_what_cannot_be_aligned_is_refused_in_words(vit, images, says):
    with pytest.raises(TrainingError, match=says):
        align(images, base=vit)


def test_a_profile_of_colours_alone_leaves_nothing_to_align(vit):
    image = picture(0)
    with pytest.raises(TrainingError, match="nothing beside red, green and blue"):
        align([image], profile=colour_profile(image), base=vit)


# ---------------------------------------------------------------- command line


@pytest.fixture
def unlabelled(tmp_path) -> Path:
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    for path in sorted((sample_path("camouflage-train") / "images").iterdir())[:1]:
        shutil.copy(path, folder / "images")
    return folder


def test_images_are_opened_without_labels(unlabelled, tmp_path):
    (image,) = open_images(unlabelled)
    assert image.identity == open_image(next((unlabelled / "images").iterdir())).identity
    with pytest.raises(ImageError, match=r"folder with images/ in it"):
        open_images(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(ImageError, match="no image"):
        open_images(tmp_path)


def test_finetune_align_needs_no_labels(unlabelled, tmp_path, capsys):
    out = tmp_path / "a.safetensors"
    with pytest.raises(SystemExit) as end:
        main(["finetune", str(unlabelled), "-o", str(out), "--align", "--align-steps", "2", "--json"])
    assert not end.value.code
    told = json.loads(capsys.readouterr().out)
    assert (told["mode"], told["steps"], told["objects"]) == ("align", 2, 0)
    assert [run.mode for run in Adapter.load(out).card.history] == ["align"]
