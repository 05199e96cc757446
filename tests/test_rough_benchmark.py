"""The study of rough labels: figures from scores, a run that goes on where it was stopped, and the command."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import tifffile
from balls import BALLS, ball, pixels

from napari_simmat.cli import main
from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation.accuracy import make_plan
from napari_simmat.evaluation.rough import benchmark_rough, report_of, table
from napari_simmat.evaluation.rough.benchmark import RoughTrial
from napari_simmat.evaluation.scores import ObjectScore
from napari_simmat.images import open_dataset
from napari_simmat.models import load_base_model

ROWS = ("rough", "masks")  # the untrained model comes of itself


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two images to learn from and one to judge by."""
    folder = tmp_path_factory.mktemp("balls")
    for part in ("images", "instances"):
        (folder / part).mkdir()
    labels = sum(number * ball(number).astype(np.uint8) for number in BALLS)
    for seed in range(3):
        tifffile.imwrite(
            folder / "images" / f"{seed}.tif",
            pixels(2, seed),
            photometric="minisblack",
            metadata={"axes": "CYX"},
        )
        tifffile.imwrite(folder / "instances" / f"{seed}.tif", labels)
    return folder


@pytest.fixture(scope="module")
def base():
    return load_base_model().at(128)


@pytest.fixture(scope="module")
def plan(folder, base):
    return make_plan("balls", open_dataset(folder), steps=2, clicks=1, base=base)


def trial(row, ious, *, seed=0, refused=""):
    """Two objects of a first image and one of a second."""
    scores = tuple(
        ObjectScore(
            image=str(image),
            image_number=image,
            label=label,
            area=9,
            size="small",
            clicks=((0, 0, 1),),
            ious=(iou,),
            best_candidate=iou,
        )
        for (image, label), iou in zip(((0, 1), (0, 2), (1, 1)), ious, strict=True)
    )
    return RoughTrial(
        row=row,
        seed=seed,
        train=("a",),
        test=("0", "1"),
        steps=2,
        seconds=3.0,
        refused=refused,
        scores=scores,
    )


def test_figures_are_those_of_the_scores(plan):
    trials = [
        trial("untrained", (0.2, 0.4, 0.6)),
        trial("rough", (0.3, 0.5, 0.7)),
        trial("rough", (0.3, 0.5, 0.7), seed=1),
        trial("masks", (0.4, 0.6, 0.8)),
        trial("shuffled", (0.2, 0.4, 0.6), refused="They belong to others."),
    ]
    report = report_of(trials, plan, steps=2)
    rows = {row.row: row for row in report.rows}
    assert (report.train_images, report.test_images, report.test_objects) == (1, 2, 3)
    assert rows["rough"].miou == pytest.approx(0.5)
    assert rows["rough"].each == pytest.approx([0.5, 0.5])
    assert rows["rough"].gain == pytest.approx(0.1)
    assert rows["rough"].gain_ci95 == pytest.approx((0.1, 0.1))  # the same in both images
    assert rows["rough"].share == pytest.approx(0.5)
    assert (rows["shuffled"].refused, rows["shuffled"].gain) == (1, 0)
    said = table(report)
    assert "| rough | 0.500 | 0.500, 0.500 | +0.100 (+0.100 to +0.100) | 50 % |" in said
    assert "| 1 of 1 | 3 s |" in said


def test_without_the_untrained_model_there_is_no_gain(plan):
    with pytest.raises(SimmatError, match="no trial of the untrained model"):
        report_of([trial("rough", (0.1, 0.1, 0.1))], plan, steps=2)


def test_a_run_goes_on_where_it_was_stopped(folder, base, plan, tmp_path):
    items, told, cancel = list(open_dataset(folder)), [], threading.Event()

    def tell(done, total, what):
        told.append((done, what))
        if what.startswith("masks"):
            cancel.set()

    def run(**more):
        return benchmark_rough(
            items[:2], items[2:], plan, tmp_path, rows=ROWS, seeds=1, steps=2, base=base, **more
        )

    with pytest.raises(Cancelled):
        run(progress=tell, cancel=cancel)
    assert [what for _, what in told] == ["untrained, seed 0", "rough, seed 0", "masks, seed 0"]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "trials").iterdir()}
    assert len(before) == 2

    untrained, rough, masks = run()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert [len(each.scores) for each in (untrained, rough, masks)] == [len(BALLS)] * 3
    assert (untrained.steps, rough.steps, masks.steps) == (0, 2, 2)
    assert rough.prompts_kept is not None
    assert run() == [untrained, rough, masks]


def test_what_is_asked_wrongly_is_said(folder, base, plan, tmp_path, capsys):
    items = list(open_dataset(folder))
    with pytest.raises(SimmatError, match="no row 'guessed'"):
        benchmark_rough(items[:2], items[2:], plan, tmp_path, rows=("guessed",), base=base)
    with pytest.raises(SystemExit) as end:
        main(["benchmark", "rough", str(folder)])
    assert end.value.code == 2
    assert "either --test or --split" in capsys.readouterr().err
