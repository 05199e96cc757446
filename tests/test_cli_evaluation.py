"""What the command line tells about how good masks are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_simmat.cli import main
from napari_simmat.images import open_dataset, sample_path

TEST = sample_path("camouflage-test")


@pytest.fixture
def run(capsys):
    """Run the command line in this process: exit status, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def classed(tmp_path) -> Path:
    """One scene, its left objects of class 1 and its right ones of class 2."""
    item = open_dataset(TEST, limit=1)[0]
    for name, path in (("images", item.image_path), ("instances", item.instances_path)):
        (tmp_path / name).mkdir()
        shutil.copy(path, tmp_path / name / path.name)
    image, _ = item.load()
    classes = np.ones(image.shape, np.uint8)
    classes[:, image.shape[1] // 2 :] = 2
    (tmp_path / "masks").mkdir()
    Image.fromarray(classes).save(tmp_path / "masks" / f"{item.stem}.png")
    (tmp_path / "classes.json").write_text('{"1": "left", "2": "right"}')
    return tmp_path


def test_evaluate_tells_classes_and_sizes(run, classed):
    options = ["--classes", "masks", "--clicks", "2", "--jitter", "0.5", "--seed", "4"]
    status, out, _ = run("evaluate", classed, *options, "--json")
    told = json.loads(out)
    assert status == 0
    assert [group["name"] for group in told["by_class"]] == ["left", "right"]
    assert sum(group["objects"] for group in told["by_class"]) == told["objects"]
    assert sum(group["objects"] for group in told["by_size"]) == told["objects"]
    assert (told["jitter"], told["seed"]) == (0.5, 4)
    assert json.loads(run("evaluate", classed, "--json")[1])["by_class"] == []

    status, out, _ = run("evaluate", classed, *options)
    assert status == 0
    for word in ("mean IoU", "best of three", "left", "right", "2 clicks", "0.5 depths"):
        assert word in out


def test_a_folder_of_classes_that_is_not_there_is_refused(run, classed):
    status, out, err = run("evaluate", classed, "--classes", "kinds")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert "kinds" in err


@pytest.mark.parametrize("options", [["--jitter", "-1"], ["--seed", "-1"], ["--jitter", "far"]])
def test_impossible_jitter_is_wrong_usage(run, classed, options):
    assert run("evaluate", classed, *options)[0] == 2


# --------------------------------------------------------------- benchmark channels


def test_channels_are_told_as_json_and_as_a_table(run, classed):
    options = ["--profile", "generic", "--groups", "2"]
    status, out, _ = run("benchmark", "channels", classed, *options, "--json")
    told = json.loads(out)
    assert status == 0
    names = [effect["name"] for effect in told["model_channels"]]
    assert names == ["red to green", "blue to SWIR"]
    assert all(
        effect["change"] == pytest.approx(effect["miou_without"] - told["miou"])
        for effect in told["model_channels"]
    )
    status, out, _ = run("benchmark", "channels", classed, *options)
    assert status == 0
    for word in (
        "untrained",
        *names,
        "without",
        "change",
        f"{told['miou']:.3f}",
        f"{told['miou_of_none']:.3f}",
    ):
        assert word in out


def test_benchmark_is_a_command_and_no_file(run, tmp_path):
    assert run("benchmark", "--help")[0] == 0
    assert run("benchmark", "colours")[0] == 2
    status, out, err = run("benchmark", "channels", tmp_path / "missing")
    assert (status, out, len(err.splitlines())) == (1, "", 1)
    assert "missing" in err
