"""The commands propose, review and segment --everything."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from balls import BALLS, SHAPE, ball, pixels

from napari_simmat.cli import main


@pytest.fixture
def run(capsys):
    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return run


@pytest.fixture
def dataset(tmp_path):
    """One image with labels, and the same scene with other noise beside it."""
    for name in ("images", "instances"):
        (tmp_path / "data" / name).mkdir(parents=True)
    labels = np.zeros(SHAPE, np.uint8)
    for number in BALLS:
        labels[ball(number)] = number
    tifffile.imwrite(tmp_path / "data" / "images" / "one.tif", pixels(3), photometric="minisblack")
    tifffile.imwrite(tmp_path / "data" / "instances" / "one.tif", labels)
    tifffile.imwrite(tmp_path / "other.tif", pixels(3, seed=4), photometric="minisblack")
    return tmp_path / "data"


def test_propose_writes_clicks(run, dataset, tmp_path):
    other, table = tmp_path / "other.tif", tmp_path / "out.csv"
    options = ("--like", dataset, "--complete", "--steps", 15, "--threshold", 0.2, "--channel-axis", 0)

    status, out, _ = run("propose", other, *options, "-o", table, "--json")
    assert status == 0
    told = json.loads(out)
    assert (told["learnt_from"], told["threshold"]) == (4, 0.2)
    rows = list(csv.DictReader(table.open()))
    assert [float(row["score"]) for row in rows] == [each["score"] for each in told["proposals"]]
    found = {n for n in BALLS for row in rows if ball(n)[round(float(row["y"])), round(float(row["x"]))]}
    assert len(found) >= 3


def test_review_ranks_objects_of_a_dataset_and_of_one_image(run, dataset, tmp_path):
    wrong = tifffile.imread(dataset / "instances" / "one.tif")
    wrong[wrong == 2] = 0
    wrong[50:75, 55:100] = 2  # ground
    wrong[wrong > 2] = 0
    tifffile.imwrite(dataset / "instances" / "one.tif", wrong)

    image, labels = dataset / "images" / "one.tif", dataset / "instances" / "one.tif"
    assert run("review", image, image)[0] == 2
    status, out, _ = run("review", image, "--labels", labels, "--channel-axis", 0)
    assert status == 0
    assert "object 2" in out.splitlines()[0]
    status, out, _ = run("review", dataset, "--channel-axis", 0, "--json")
    assert status == 0
    told = json.loads(out)
    assert [each["label"] for each in told["objects"]] == [2, 1]
    assert told["images"][0]["objects"] == 2


def test_segment_everything_writes_labels(run, dataset, tmp_path):
    out = tmp_path / "all.tif"
    status, said, _ = run(
        "segment", tmp_path / "other.tif", "--everything", "--grid", 5, "--channel-axis", 0, "-o", out
    )
    assert status == 0
    assert said.endswith("objects\n")
    assert len(np.unique(tifffile.imread(out))) > 3


def test_what_does_not_fit_together_is_refused(run, dataset, tmp_path):
    image = tmp_path / "other.tif"
    assert run("segment", image, "--everything", "--click", "3,3", "-o", tmp_path / "x.tif")[0] == 2
    assert run("propose", image, "--like", dataset, "-o", tmp_path / "x.txt")[0] == 2
    small = tmp_path / "small.tif"
    tifffile.imwrite(small, np.ones((9, 9), np.uint8))
    status, _, said = run("propose", image, "--like", small, "--channel-axis", 0, "-o", tmp_path / "x.csv")
    assert status == 1
    assert "(9, 9)" in said
