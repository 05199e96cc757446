"""The speed benchmark: fair to stock SAM, in turns, the same masks, and reports that can be read. No time is asserted."""

from __future__ import annotations

import io
import json
import shutil
import threading
from contextlib import redirect_stderr, redirect_stdout
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from segment_anything import SamPredictor
from segment_anything.utils.transforms import ResizeLongestSide

from napari_simmat.cli import main
from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation import speed
from napari_simmat.evaluation.speed import (
    GrowthRow,
    Phase,
    SpeedReport,
    WindowFigures,
    benchmark_speed,
    grow,
    run_child,
    stock_predictor,
)
from napari_simmat.evaluation.speed import contest as contests
from napari_simmat.evaluation.speed.contest import CLICKS, Contest
from napari_simmat.evaluation.speed.plots import write_plots
from napari_simmat.evaluation.speed.scenes import (
    enlarged,
    fresh,
    handful,
    load_scenes,
    sample_items,
    user_picture,
)
from napari_simmat.evaluation.speed.synthetic import discs, spots, write_picture
from napari_simmat.evaluation.speed.table import table, write_report
from napari_simmat.evaluation.speed.timing import Course, own_peak_mb
from napari_simmat.images import as_image, open_dataset, open_image, profile_for, sample_path
from napari_simmat.inference import Frame
from napari_simmat.inference.sight import OneSight
from napari_simmat.models import Adapter, load_base_model

pytestmark = pytest.mark.full_size

CPU = torch.device("cpu")
TINY = {"repetitions": 1, "handful_size": 1, "deep_steps": 1, "quick_steps": 1}


@pytest.fixture(scope="module")
def base():
    return load_base_model()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """One labelled depth image."""
    folder = tmp_path_factory.mktemp("parts")
    item = open_dataset(sample_path("parts-test"))[0]
    for name, path in (("images", item.image_path), ("instances", item.instances_path)):
        (folder / name).mkdir()
        shutil.copy(path, folder / name / path.name)
    return folder


def command(capsys, *arguments):
    """Run the command in this process: exit status, standard output, standard error."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(["benchmark", "speed", *map(str, arguments)])
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


# ------------------------------------------------------------------ fairness


def test_stock_has_our_weights_and_nothing_else(base):
    rgb = np.random.default_rng(0).integers(0, 256, (96, 1024, 3), np.uint8)
    stock = stock_predictor(base)
    stock.set_image(rgb)

    image = as_image(rgb, channel_axis=2, modality="rgb")
    seen = torch.from_numpy(profile_for(image).model_input(image, image.shape))[None]
    with torch.no_grad():
        ours = Adapter.untrained(image).build_merged(base).encode(seen)

    assert isinstance(stock, SamPredictor)
    torch.testing.assert_close(stock.features, ours, atol=1e-4, rtol=0)


def test_stock_gets_the_picture_that_a_user_would_have(base):
    rgb = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    np.testing.assert_array_equal(user_picture(as_image(rgb, channel_axis=2, modality="rgb"), base), rgb)
    cube = open_dataset(sample_path("metamers-test"))[0].load()[0]
    picture = user_picture(cube, base)
    assert picture.shape == (*cube.shape, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10


def test_both_do_the_whole_work_in_turns(base, dataset, monkeypatch):
    order = []

    def noted(name, function):
        return lambda *given, **more: (order.append(name), function(*given, **more))[1]

    class Noted(contests.Segmenter):
        pass

    monkeypatch.setattr(OneSight, "_encode", noted("ours encodes", OneSight._encode))
    monkeypatch.setattr(SamPredictor, "set_image", noted("stock encodes", SamPredictor.set_image))
    monkeypatch.setattr(SamPredictor, "predict", noted("stock answers", SamPredictor.predict))
    monkeypatch.setattr(Noted, "answer", noted("ours answers", Noted.answer))
    monkeypatch.setattr(contests, "Segmenter", Noted)
    contest = Contest(base, CPU)
    contest.race(load_scenes(open_dataset(dataset), 1), 1, Course(1))

    encoded, answered = ["stock encodes", "ours encodes"], ["stock answers", "ours answers"]
    assert order == [*encoded, *encoded, *(answered * (CLICKS + 1))]  # the first of each does not count
    assert len(contest.encoding.stock) == len(contest.encoding.ours) == 1
    assert len(contest.clicking.stock) == len(contest.clicking.ours) == CLICKS


def test_stock_is_asked_at_the_same_place_of_the_frame():
    frame = Frame((192, 256))
    x, y = contests._as_stock_counts((100.0, 31.0), frame)
    asked = ResizeLongestSide(1024).apply_coords(np.array([[x, y]]), (192, 256))[0]
    np.testing.assert_allclose(asked, frame.to_frame(100.0, 31.0))
    assert contests._as_stock_counts((5.0, 7.0), Frame((512, 1024))) == (7.0, 5.0)


def test_images_are_brought_to_the_models_size_and_no_cache_knows_them():
    image = open_dataset(sample_path("glass-test"))[0].load()[0]
    large = enlarged(image, 1024)
    assert max(large.shape) == 1024
    assert large.n_channels == image.n_channels
    assert set(np.unique(large.data[0])) <= set(np.unique(image.data[0]))
    again = [fresh(large, k) for k in range(3)]
    assert len({each.content_key() for each in (large, *again)}) == 4
    assert all(each.data is not None and np.array_equal(each.data, large.data) for each in again)


def test_the_bundled_images_are_of_every_kind():
    first = load_scenes(sample_items(), 6)
    assert len({scene.image.modality for scene in first}) == 6
    assert len(sample_items()) > 12


# ------------------------------------------------------------------ the command


@pytest.fixture(scope="module")
def told(dataset, tmp_path_factory):
    """A small run of the whole command with a growth row, where there is no display."""
    out = tmp_path_factory.mktemp("out") / "speed"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DISPLAY", "WAYLAND_DISPLAY"):
            patch.delenv(name, raising=False)
        patch.setattr("napari_simmat._cli.window.platform.system", lambda: "Linux")
        patch.setattr(speed, "benchmark_speed", partial(benchmark_speed, **TINY))
        patch.setattr(speed, "GROWTH", {"size": (64,)})
        patch.setattr(speed, "grow", partial(grow, runs=1))
        said, err = io.StringIO(), io.StringIO()
        with redirect_stdout(said), redirect_stderr(err), pytest.raises(SystemExit) as end:
            main(["benchmark", "speed", str(dataset), "--runs", "1", "--json", "--report", "--out", str(out)])
    return int(end.value.code or 0), said.getvalue(), err.getvalue(), out


def test_one_json_object_with_every_figure(told):
    status, said, err, _ = told
    found = json.loads(said)
    assert status == 0, err
    assert said.count("\n") == 1
    for key in (
        "encode_ms",
        "stock_encode_ms",
        "click_ms",
        "stock_click_ms",
        "finetune_quick_s",
        "finetune_deep_s_per_step",
    ):
        assert found[key] > 0
        low, high = found[f"{key}_quartiles"]
        assert low <= found[key] <= high
    assert found["runs"] == 1
    assert found["clicks"] == CLICKS
    assert found["device"]
    assert found["threads"] == torch.get_num_threads()
    assert found["peak_rss_mb"] > 100
    assert {"torch", "napari-simmat", "python"} <= set(found["software"])
    SpeedReport.model_validate(found)


def test_masks_are_those_of_stock(told):
    found = json.loads(told[1])
    assert found["mask_iou_vs_stock"] > 0.9
    assert found["objects"] == 7
    assert abs(found["miou"] - found["stock_miou"]) < 0.1


def test_without_a_display_the_window_is_null_and_a_sentence_says_why(told):
    found = json.loads(told[1])
    assert found["event_loop_worst_stall_ms"] is None
    assert found["window"] is None
    assert "xvfb-run" in told[2]


def test_growth_is_measured_in_a_process_of_its_own(told):
    (row,) = json.loads(told[1])["growth"]
    assert (row["what"], row["value"], row["remark"]) == ("size", 64, "")
    assert [each["name"] for each in row["times"]] == ["open_ms", "encode_ms", "click_ms"]
    assert row["peak_rss_mb"] > 100


def test_the_report_is_written(told):
    out = told[3]
    assert json.loads((out / "speed.json").read_text()) == json.loads(told[1])
    assert "SamPredictor" in (out / "speed.md").read_text()
    assert np.asarray(Image.open(out / "stock.png")).std() > 5


def test_bad_input_is_refused_in_one_sentence(capsys, tmp_path):
    status, out, err = command(capsys, tmp_path / "nowhere", "--no-window", "--json")
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1
    assert "nowhere" in err

    (tmp_path / "file").write_text("")
    status, _, err = command(capsys, "--out", tmp_path / "file")
    assert status == 1
    assert "is a file" in err


def test_images_without_objects_are_refused(tmp_path):
    for name in ("images", "instances"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / name / "a.png")
    with pytest.raises(SimmatError, match="no labelled object"):
        benchmark_speed(open_dataset(tmp_path))


def test_it_can_be_cancelled(dataset):
    cancel = threading.Event()
    told = []

    def stop(*progress):
        told.append(progress)
        cancel.set()

    course = Course(3, stop, cancel)
    with pytest.raises(Cancelled):
        course.step("encoded")
    assert told == [(1, 3, "encoded")]
    with pytest.raises(Cancelled):
        benchmark_speed(open_dataset(dataset), cancel=cancel)


# ------------------------------------------------------------------ processes of their own


def test_a_process_can_be_cancelled():
    cancel = threading.Event()
    threading.Timer(0.5, cancel.set).start()
    with pytest.raises(Cancelled):
        run_child("timeit", ["-n", "1", "-r", "1", "import time; time.sleep(600)"], cancel=cancel)


def test_a_process_that_fails_leaves_a_row_that_says_why():
    rows = grow("size", (256,), runs=1, module="napari_simmat.nothing_of_that_name")
    assert rows[0].times == []
    assert "nothing_of_that_name" in rows[0].remark


def test_memory_of_a_process_is_its_own():
    before = own_peak_mb()
    block = np.ones(64 << 20, np.uint8)
    assert own_peak_mb() >= before
    assert block.sum() == 64 << 20


# ------------------------------------------------------------------ synthetic images


@pytest.mark.parametrize("count", [1, 10, 1000])
def test_spots_are_as_many_as_wanted_and_leave_room(count):
    labels = spots((205, 256), count)
    assert len(np.unique(labels)) == count + 1
    assert (labels == 0).mean() > 0.5


def test_discs_fill_a_grid():
    labels = discs(70, 7)
    assert len(np.unique(labels)) == 50
    assert labels[5, 5] == 1


def test_pictures_are_written_tile_by_tile(tmp_path):
    write_picture(tmp_path / "p.tif", 300)
    image = open_image(tmp_path / "p.tif")
    assert image.shape == (300, 300)
    assert image.n_channels == 3


def test_a_handful_of_objects_comes_from_the_first_images():
    found = handful(open_dataset(sample_path("camouflage-train")), 9)
    assert len(found) == 9
    assert len({id(each.image) for each in found}) == 2


# ------------------------------------------------------------------ table and plots


@pytest.fixture
def whole_report(told):
    phase = {"seconds": 2.0, "worst_ms": 40.0, "p50_ms": 1.1, "p99_ms": 6.0, "over_16_ms": 3, "over_50_ms": 0}
    window = WindowFigures(
        phases=[
            Phase(name=name, **phase)
            for name in ("open", "first open", "encode", "click", "quick", "deep", "accept")
        ],
        click_painted_ms=[40.0, 50.0, 60.0],
        click_in_layer_ms=[30.0],
        first_click_ms=[200.0, 240.0],
        open_to_mask_ms=[400.0],
        accept_ms=[20.0, 30.0],
        accept_objects=5000,
        canvas=(700, 800),
        qt="6.0",
        peak_rss_mb=900.0,
    )
    spread = {"quartiles": (0.5, 2.0), "runs": 3}
    growth = [
        GrowthRow(
            what=what,
            value=value,
            times=[{"name": name, "median": 0.01 * value, **spread} for name in names],
            peak_rss_mb=500.0 + value,
        )
        for what, names in (
            ("size", ("open_ms", "encode_ms", "click_ms")),
            ("objects", ("accept_ms",)),
            ("corrections", ("quick_s_per_step", "deep_s_per_step")),
        )
        for value in (100, 1000)
    ]
    growth.append(
        GrowthRow(
            what="deep", value=8, times=[{"name": "deep_s", "median": 40.0, **spread}], peak_rss_mb=2048
        )
    )
    growth.append(GrowthRow(what="size", value=16384, remark="There was not enough memory."))
    report = SpeedReport.model_validate(json.loads(told[1]))
    return report.model_copy(update={"growth": growth}).with_window(window)


def test_the_longest_stall_is_that_of_encoding_or_training(whole_report):
    phases = [
        phase.model_copy(
            update={"worst_ms": 900.0 if phase.name in ("open", "first open", "click", "accept") else 45.0}
        )
        for phase in whole_report.window.phases
    ]
    window = whole_report.window.model_copy(update={"phases": phases})
    assert whole_report.with_window(window).event_loop_worst_stall_ms == 45.0


def test_the_table_tells_every_figure_beside_what_it_ought_to_be(whole_report):
    lines = table(whole_report).splitlines()
    for start in (
        "| encode at the model's size, ms |",
        "| click to three masks, ms |",
        "| IoU with stock's mask, mean |",
        "| click to mask painted, ms | 50.0 (45.0 to 55.0) | 100 | 50 |",
        "| accept beside 5,000 objects, ms |",
        "| deep training of 8 corrections, s | 40.0 | 60 | 25 |",
        "| longest stall of the event loop, ms | 40.0 | 50 | 16 |",
        "| 16,384 |",
    ):
        assert sum(line.startswith(start) for line in lines) == 1, start
    rows = [line for line in lines if line.startswith("|")]
    tables = "\n".join(lines).split("\n\n")
    for each in tables:
        widths = {line.count("|") for line in each.splitlines() if line.startswith("|")}
        assert len(widths) <= 1
    assert len(rows) > 25


def test_all_plots_are_drawn(whole_report, tmp_path):
    write_report(whole_report, tmp_path)
    made = write_plots(whole_report, tmp_path)
    assert {path.name for path in made} == {
        "stock.png",
        "stalls.png",
        "size.png",
        "objects.png",
        "corrections.png",
    }
    for path in made:
        assert np.asarray(Image.open(path).convert("L")).std() > 5
