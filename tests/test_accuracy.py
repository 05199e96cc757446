"""The accuracy benchmark: rows, splits that share no scene, trials that are run once, figures over an untrained model."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading

import numpy as np
import pytest
import tifffile
from balls import SHAPE, ball, pixels
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_simmat.cli import main
from napari_simmat.errors import AdapterError, Cancelled, SimmatError
from napari_simmat.evaluation import evaluate
from napari_simmat.evaluation.accuracy import (
    GROUPS,
    UNTRAINED,
    benchmark_accuracy,
    drawn_split,
    file_split,
    groups_by_file,
    groups_by_pattern,
    make_plan,
    parse_rows,
    report_of,
    table,
    trials_of,
    write_gallery_of,
    write_plots,
)
from napari_simmat.evaluation.accuracy.gallery import chosen_objects
from napari_simmat.images import Normalisation, open_dataset, profile_for
from napari_simmat.images.profile_files import save_profile

# ------------------------------------------------------------------ rows


def test_rows_are_written_in_one_canonical_form():
    rows = parse_rows(["untrained", "mat", "linear+embedding/mat/paper", "mat/lora/l2=0.5", "mat/lora"])
    assert [row.name for row in rows] == [
        "untrained",
        "mat/lora",
        "linear+embedding/mat/paper",
        "mat/lora/l2=0.5",
    ]
    assert rows[3].settings(steps=7, seed=2).l2 == 0.5
    assert rows[3].settings(steps=7, seed=2).steps == 7
    assert rows[2].settings().recipe == "paper"


@pytest.mark.parametrize("group", GROUPS)
def test_every_named_list_of_rows_can_be_trained_or_is_untrained(group):
    rows = parse_rows([group])
    assert len({row.name for row in rows}) == len(GROUPS[group])
    assert sum(row.name == UNTRAINED for row in rows) == 1
    for row in rows:
        row.settings(steps=1)


@pytest.mark.parametrize(
    "text", ["mat/loar", "mat/lora/l2", "mat/lora/l2=much", "mat/lora/depth=3", "mat/lora/seed=1"]
)
def test_a_row_that_says_nothing_known_is_refused_in_words(text):
    with pytest.raises(SimmatError, match="expected MAT/STRATEGY/RECIPE"):
        parse_rows([text])


def test_an_unknown_transfer_layer_is_refused():
    with pytest.raises(AdapterError, match="no transfer layer"):
        parse_rows(["matt/lora"])


# ------------------------------------------------------------------ splits


@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=40).filter(lambda groups: len(set(groups)) > 1),
    st.floats(0.05, 0.95),
    st.integers(0, 5),
)
@settings(deadline=None)
def test_a_drawn_split_has_no_group_on_both_sides(groups, share, seed):
    group_of = {f"image{k}": str(group) for k, group in enumerate(groups)}
    split = drawn_split(list(group_of), test_share=share, seed=seed, groups=group_of)
    train, test = ({group_of[name] for name in side} for side in (split.train, split.test))
    assert train
    assert test
    assert not train & test
    assert sorted(split.train + split.test) == sorted(group_of)


def test_another_seed_draws_another_split():
    names = [f"{k:02}" for k in range(20)]
    assert drawn_split(names, seed=0) == drawn_split(names, seed=0)
    assert len({drawn_split(names, seed=seed).test for seed in range(4)}) > 1
    assert len(drawn_split(names, test_share=0.25).test) == 5


def test_one_scene_cannot_be_split():
    with pytest.raises(SimmatError, match="1 groups, expected at least 2"):
        drawn_split(["a", "b"], groups={"a": "x", "b": "x"})


def test_a_split_file_names_images_or_their_numbers(tmp_path):
    names = [f"field_{k:03}" for k in range(1, 7)]
    file = tmp_path / "split.yaml"
    file.write_text("train: [1, 2, field_003]\ntest: [3, field_005.tif, 6]\n")
    split = file_split(names, file)
    assert split.train == ("field_001", "field_002")  # the third judges, so it is not learnt from
    assert split.test == ("field_003", "field_005", "field_006")
    assert "field_003" in split.remark
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"train": names[:2], "test": names[2:]}))
    assert file_split(names, file).test == tuple(names[2:])


def test_a_split_file_may_name_images_with_a_dot(tmp_path):
    file = tmp_path / "split.json"
    file.write_text(json.dumps({"train": ["img_0.5um"], "test": ["img_1.5um.tif"]}))
    split = file_split(["img_0.5um", "img_1.5um"], file)
    assert (split.train, split.test) == (("img_0.5um",), ("img_1.5um",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("train: [1]", "two lists"),
        ("train: [1]\ntest: [99]", "none of the 2 images"),
        ("train: [1]\ntest: [1]", "separate lists"),
        ("{", "could not be read"),
        ("!!python/object/apply:os.system ['true']", "could not be read"),
    ],
)
def test_a_split_file_without_sense_gives_one_sentence(tmp_path, text, says):
    file = tmp_path / "split.yaml"
    file.write_text(text)
    with pytest.raises(SimmatError, match=says):
        file_split(["001", "002"], file)


def test_groups_come_from_a_pattern_or_a_file(tmp_path):
    names = ["anna_1", "anna_2", "ben_1"]
    assert groups_by_pattern(names, "([a-z]+)_") == {"anna_1": "anna", "anna_2": "anna", "ben_1": "ben"}
    file = tmp_path / "groups.csv"
    file.write_text("image,group\nanna_1,A\nanna_2,A\nben_1,B\n")
    assert groups_by_file(names, file)["ben_1"] == "B"
    with pytest.raises(SimmatError, match="no group for 'carl_1'"):
        groups_by_file([*names, "carl_1"], file)
    for pattern, says in (
        ("[", "no regular expression"),
        ("a", "no group in parentheses"),
        ("(x)", "does not begin"),
    ):
        with pytest.raises(SimmatError, match=says):
            groups_by_pattern(names, pattern)


# ------------------------------------------------------------------ trials


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Five images of four balls each, of which two are labelled: each costs a close-up."""
    folder = tmp_path_factory.mktemp("balls")
    labels = np.zeros(SHAPE, np.uint8)
    for number in (1, 2):
        labels[ball(number)] = number
    for part in ("images", "instances"):
        (folder / part).mkdir()
    for seed in range(5):
        tifffile.imwrite(
            folder / "images" / f"{seed}.tif",
            pixels(2, seed),
            photometric="minisblack",
            metadata={"axes": "CYX"},
        )
        Image.fromarray(labels).save(folder / "instances" / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def bench(dataset, tmp_path_factory):
    """A finished benchmark: its items, plan, trials, folder and results."""
    items = open_dataset(dataset)
    split = drawn_split([item.stem for item in items], test_share=0.4)
    plan = make_plan("balls", items, steps=3, clicks=2)
    rows = parse_rows(["mat/lora", "zero-shot/mat"])
    trials = trials_of(rows, [split], [0], counts=[1], count_rows=["mat/lora"])
    out = tmp_path_factory.mktemp("bench")
    results = benchmark_accuracy(trials, items, plan, out, keep_adapters=["mat/lora"])
    return items, plan, trials, out, results


def test_trials_begin_untrained_and_use_fewer_images_within_more():
    names = [str(k) for k in range(10)]
    splits = [drawn_split(names, seed=seed) for seed in range(2)]
    trials = trials_of(
        parse_rows(["mat/lora", "linear/mat"]), splits, [0, 1], counts=[2, 4, 99], count_rows=["mat/lora"]
    )
    assert trials[0].row.name == UNTRAINED
    assert trials[0].train == ()
    per_seed = [t for t in trials if t.seed == 1]
    assert [(t.row.name, len(t.train), t.all_images) for t in per_seed] == [
        (UNTRAINED, 0, True),
        ("mat/lora", 7, True),
        ("linear/mat", 7, True),
        ("mat/lora", 2, False),
        ("mat/lora", 4, False),
    ]
    two, four = (set(t.train) for t in per_seed if not t.all_images)
    assert two < four < set(splits[1].train)
    assert all(not set(t.train) & set(t.test) for t in trials)


def test_the_untrained_figures_are_those_of_evaluate(bench):
    items, _, trials, _, results = bench
    test = [item for item in items if item.stem in trials[0].test]
    expected = evaluate([item.load() for item in test], clicks=2)
    found = report_of(results, bench[1]).rows[0]
    assert found.row == UNTRAINED
    assert found.miou == pytest.approx(expected.miou, abs=1e-6)
    assert (found.gain, found.gain_ci95, found.steps) == (0.0, (0.0, 0.0), 0)


def test_gains_are_paired_with_the_untrained_model(bench):
    report = report_of(bench[4], bench[1])
    rows = {row.row: row for row in report.rows}
    trained = rows["mat/lora"]
    assert trained.steps == 3
    assert trained.trained_parameters > 1000
    assert trained.gain == pytest.approx(trained.miou[0] - rows[UNTRAINED].miou[0], abs=1e-9)
    assert trained.gain_ci95[0] <= trained.gain <= trained.gain_ci95[1]
    assert [count.images for count in trained.by_count] == [1, 3]
    # Two channels as (0, 1, 1) is what the profile starts with, too: zero-shot changes nothing.
    assert rows["zero-shot/mat"].gain == pytest.approx(0, abs=1e-6)
    words = table(report)
    assert words.count("\n| ") == 4
    assert "1 images" in words


def test_a_second_run_trains_nothing_anew(bench):
    items, plan, trials, out, results = bench
    before = {path.name: path.stat().st_mtime_ns for path in (out / "trials").iterdir()}
    again = benchmark_accuracy(trials, items, plan, out)
    assert again == results
    assert {path.name: path.stat().st_mtime_ns for path in (out / "trials").iterdir()} == before


def test_killed_in_the_middle_it_goes_on_where_it_was(bench, tmp_path):
    items, plan, trials, _, results = bench
    stop = threading.Event()

    def stop_at_the_second(done, total, remark):
        if done == 1:
            stop.set()

    with pytest.raises(Cancelled):
        benchmark_accuracy(trials[:2], items, plan, tmp_path, progress=stop_at_the_second, cancel=stop)
    finished = list((tmp_path / "trials").glob("*.json"))
    assert len(finished) == 1
    when = finished[0].stat().st_mtime_ns
    again = benchmark_accuracy(trials[:2], items, plan, tmp_path)
    assert finished[0].stat().st_mtime_ns == when
    assert [r.scores for r in again] == [r.scores for r in results[:2]]


def test_what_another_process_finished_meanwhile_is_taken(bench, tmp_path):
    items, plan, trials, out, results = bench
    theirs = trials[1].file(plan)
    told = []

    def other_process(done, total, remark):
        told.append(remark)
        if len(told) == 1:  # while the first trial runs
            shutil.copy(out / "trials" / theirs, tmp_path / "trials" / theirs)

    found = benchmark_accuracy(trials[:2], items, plan, tmp_path, progress=other_process)
    assert found[1] == results[1]  # seconds included: it was not run again
    assert not any(trials[1].row.name in remark for remark in told)


def test_a_damaged_or_other_trial_is_not_taken(bench):
    _, plan, trials, _, _ = bench
    other = plan.model_copy(update={"clicks": 3})
    assert trials[0].file(plan) != trials[0].file(other)
    assert trials[0].file(plan) == trials[0].file(plan.model_copy(update={"machine": "another"}))


def test_what_is_read_in_another_way_is_another_trial(bench, dataset, tmp_path):
    """So a folder of results never answers for data that they were not made from."""
    items, plan, trials, _, _ = bench
    files = {trials[0].file(plan)}
    for changes in ({"modality": "depth"}, {"classes_path": dataset / "instances" / "0.png"}):
        others = [dataclasses.replace(item, **changes) for item in items]
        files.add(trials[0].file(make_plan("balls", others, steps=3, clicks=2)))
    profile = tmp_path / "own.json"
    for low in (1.0, 2.0):  # the same file, changed
        image, _ = items[0].load()
        seen = profile_for(image)
        how = Normalisation(method="percentile", low=low, high=99)
        sees = tuple(each.model_copy(update={"normalisation": how}) for each in seen.sees)
        save_profile(seen.model_copy(update={"sees": sees}), profile)
        files.add(trials[0].file(make_plan("balls", items, steps=3, clicks=2, profile=str(profile))))
    assert len(files) == 5


def test_the_time_left_is_told_once_a_trial_is_known(bench, tmp_path):
    items, plan, trials, _, _ = bench
    remarks = []
    benchmark_accuracy(trials[:2], items, plan, tmp_path, progress=lambda d, t, r: remarks.append((d, r)))
    assert not any("left" in remark for done, remark in remarks if done == 0)
    assert remarks[-1] == (2, "done")


def test_plots_and_gallery_show_something(bench, tmp_path):
    items, plan, _trials, out, results = bench
    report = report_of(results, plan)
    made = write_plots(report, tmp_path)
    assert [path.name for path in made] == ["clicks.png", "rows.png", "images.png", "seconds.png"]
    gallery = write_gallery_of("mat/lora", results, items, out)
    for path in (*made, gallery):
        picture = np.asarray(Image.open(path).convert("RGB"))
        assert min(picture.shape[:2]) > 100
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    assert write_gallery_of("zero-shot/mat", results, items, out) is None


def test_the_gallery_takes_the_best_the_middle_and_the_worst(bench):
    *_, results = bench
    untrained, trained = results[0], results[1]
    chosen = chosen_objects(untrained, trained)
    ious = sorted(score.ious[0] for score in trained.scores)
    assert [pair.after.ious[0] for pair in chosen["best"]] == ious[::-1][:3]
    assert [pair.after.ious[0] for pair in chosen["worst"]] == ious[:3]
    for pair in chosen["median"]:
        assert (pair.before.image_number, pair.before.label) == (pair.after.image_number, pair.after.label)


# ------------------------------------------------------------------ the command


def test_the_command_writes_table_figures_and_plots_and_goes_on(dataset, tmp_path, capsys):
    out = tmp_path / "out"
    arguments = [
        "benchmark",
        "accuracy",
        dataset,
        "--out",
        out,
        "--row",
        "mat/mat",
        "--steps",
        2,
        "--clicks",
        1,
    ]
    arguments += ["--seeds", 2, "--limit", 3, "--json"]
    for _ in range(2):
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        assert end.value.code == 0
        said = json.loads(capsys.readouterr().out)
        assert [row["row"] for row in said["rows"]] == [UNTRAINED, "mat/mat"]
        assert said["seeds"] == [0, 1]
    names = {path.name for path in out.iterdir()}
    assert {
        "results.json",
        "table.md",
        "plan.json",
        "clicks.png",
        "rows.png",
        "seconds.png",
        "gallery.png",
    } <= names
    assert len(list((out / "trials").glob("*.json"))) == 4


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["--row", "mat/what"], 1, "expected MAT/STRATEGY"),
        (["--images", "1,two"], 2, "not a list of numbers"),
        (["--dataset", "aims:sonar"], 1, "aims:nir"),
        (["--split", "x.yaml", "--group-by", "(.)"], 2, "leave out"),
        (
            ["--dataset", "aims:nir", "--group-by", "(.)"],
            2,
            "--group-by does nothing beside --dataset aims:nir",
        ),
    ],
)
def test_the_command_refuses_what_makes_no_sense(dataset, tmp_path, capsys, arguments, status, says):
    with pytest.raises(SystemExit) as end:
        main(["benchmark", "accuracy", str(dataset), "--out", str(tmp_path / "out"), *arguments])
    assert end.value.code == status
    assert says in " ".join(capsys.readouterr().err.split())
