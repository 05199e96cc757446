"""The study of modality experts: figures from scores, and a run that goes on where it was stopped."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import tifffile
from balls import BALLS, ball, pixels

from napari_simmat.cli import main
from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation.experts import (
    ROWS,
    Plan,
    Set,
    Trial,
    bundled_sets,
    report_of,
    run_trials,
    table,
)
from napari_simmat.evaluation.experts.noise import NoiseScore
from napari_simmat.images import open_dataset, profile_for, sample_path, save_profile
from napari_simmat.models import load_base_model

PLAN = Plan(steps=1, side=128, base_sha256="x", noisy_images=1)


def trial(name="a", seed=0, one=0.5, gain=0.1, noise=(0.4, 0.3, 0.2)):
    """Two images of two and one objects; experts are `gain` better where a group is missing, 0.01 worse where none is."""
    full, lacking = [[0.9, 0.7], [0.8]], [[one, one], [one]]
    better = [[v + gain for v in image] for image in lacking]
    worse = [[v - 0.01 for v in image] for image in full]
    ious = {
        ROWS[0]: {"": full, "red": lacking, "NIR": lacking},
        ROWS[1]: {"": full, "red": better, "NIR": lacking},
        ROWS[2]: {"": worse, "red": better, "NIR": better},
    }
    scores = [NoiseScore(image="i", group="red", levels=(0, 1, 2), weights=noise)]
    return Trial(set=name, seed=seed, plan=PLAN, files="", groups=("red", "NIR"), ious=ious, noise=scores)


def test_figures_are_those_of_the_scores():
    report = report_of([trial(), trial(seed=1), trial("b", gain=0.3, noise=(0.1, 0.2, 0.3))], PLAN)
    assert report.full == pytest.approx(-0.01)
    assert report.missing == pytest.approx((0.1 + 0.3) / 2)
    assert report.missing_over_mean == pytest.approx((0.05 + 0.15) / 2)
    assert report.missing_ci95 == pytest.approx((0.2, 0.2))  # the same in all images
    assert [each.noise for each in report.sets] == [-1, 1]
    assert report.sets[0].miou[ROWS[0]] == pytest.approx({"": 0.8, "red": 0.5, "NIR": 0.5})
    told = table(report)
    assert "| a | NIR | 0.500 | 0.500 | 0.600 | +0.100 |" in told
    assert "One group missing: +0.200 (+0.200 to +0.200)" in told
    assert "rank correlation: +0.00 (a -1.00, b +1.00)" in told
    unheard = report_of([trial().model_copy(update={"noise": []})], PLAN)
    assert unheard.noise is None
    assert "Noise" not in table(unheard)


def test_a_weight_that_never_changes_follows_no_noise():
    assert trial(noise=(0.5, 0.5, 0.5)).noise[0].correlation == 0


def test_sample_sets_of_several_groups_are_found_and_others_refused(tmp_path):
    found = {one.name: one.groups for one in bundled_sets()}
    assert found["camouflage"] == ("RGB", "NIR", "SWIR")
    assert {"glass", "seedlings"} < set(found)
    assert "warm" not in found
    warm = Set("warm", *(open_dataset(sample_path(f"warm-{side}")) for side in ("train", "test")))
    with pytest.raises(SimmatError, match=r"All channels of warm are of one group \(thermal\)"):
        run_trials([warm], [0], PLAN, tmp_path, base=load_base_model().at(128))


def dataset(folder, names):
    """One image whose channels have names, with labels."""
    for part in ("images", "instances"):
        (folder / part).mkdir(parents=True)
    metadata = {"axes": "CYX", "Channel": {"Name": names}}
    tifffile.imwrite(
        folder / "images" / "a.ome.tif", pixels(2), ome=True, photometric="minisblack", metadata=metadata
    )
    labels = sum(number * ball(number).astype(np.uint8) for number in BALLS)
    tifffile.imwrite(folder / "instances" / "a.tif", labels)
    return folder


def test_groups_that_a_profile_names_are_left_out_in_turn(tmp_path, capsys):
    folder, written, out = (
        dataset(tmp_path / "set", ["left", "right"]),
        tmp_path / "mine.json",
        tmp_path / "out",
    )
    image = open_dataset(folder)[0].load()[0]
    plain = profile_for(image)
    assert tuple(plain.groups) == ("other",)
    sees = tuple(
        seen.model_copy(update={"group": name})
        for seen, name in zip(plain.sees, ("west", "east"), strict=True)
    )
    save_profile(plain.model_copy(update={"sees": sees}), written)
    options = ["--side", "128", "--steps", "1", "--seeds", "1", "--noisy", "0", "--out", str(out), "--json"]
    with pytest.raises(SystemExit) as end:
        main(["benchmark", "experts", str(folder), str(folder), *options])
    assert end.value.code == 1
    assert "of one group (other)" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["benchmark", "experts", str(folder), str(folder), *options, "--profile", str(written)])
    assert not end.value.code
    (found,) = json.loads(capsys.readouterr().out)["sets"]
    assert set(found["miou"][ROWS[0]]) == {"", "west", "east"}


def test_a_run_goes_on_where_it_was_stopped(tmp_path):
    folder, out = dataset(tmp_path / "set", ["red", "NIR"]), tmp_path / "out"
    one = Set("set", open_dataset(folder), open_dataset(folder))
    out.mkdir()
    base = load_base_model().at(128)
    told, cancel = [], threading.Event()

    def tell(done, total, what):
        told.append(what)
        if "judging" in what:
            cancel.set()

    with pytest.raises(Cancelled):
        run_trials([one], [0], PLAN, out, base=base, tell=tell, cancel=cancel)
    assert any("training" in what for what in told)
    told.clear()
    (first,) = run_trials([one], [0], PLAN, out, base=base, tell=lambda *each: told.append(each[2]))
    assert not any("training" in what for what in told)  # the adapter was there
    assert set(first.ious) == set(ROWS)
    assert set(first.ious[ROWS[2]]) == {"", "red", "NIR"}
    assert len(first.ious[ROWS[2]][""][0]) == len(BALLS)
    assert [score.group for score in first.noise] == ["red", "NIR"]
    told.clear()
    (again,) = run_trials([one], [0], PLAN, out, base=base, tell=lambda *each: told.append(each[2]))
    assert told == ["done"]
    assert again == first
