"""The command line keeps its contract: results, exit status, and who may write to which stream."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_simmat import Adapter, Segmenter, open_image
from napari_simmat.cli import main
from napari_simmat.images import open_dataset, sample_path

TRAIN, TEST, SCENE = "camouflage-train", "camouflage-test", sample_path("motorcycle")


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
def small(tmp_path) -> Path:
    """Four channels of 40 x 60 pixels with a bright square."""
    data = np.random.default_rng(0).integers(0, 100, (4, 40, 60)).astype(np.uint16)
    data[:, 10:30, 20:45] += 2000
    path = tmp_path / "small.tif"
    tifffile.imwrite(path, data, photometric="minisblack", metadata={"axes": "CYX"})
    return path


@pytest.fixture
def labels(tmp_path) -> Path:
    path = tmp_path / "labels.tif"
    square = np.zeros((40, 60), np.uint8)
    square[10:30, 20:45] = 3
    tifffile.imwrite(path, square)
    return path


def assert_failed_in_one_line(result: tuple[int, str, str], *words: str) -> None:
    status, out, err = result
    assert (status, out) == (1, "")
    assert len(err.splitlines()) == 1
    for word in words:
        assert word in err


# ------------------------------------------------------------------ info


def test_info_tells_channels_and_what_the_model_sees(run):
    status, out, _ = run("info", SCENE)
    assert status == 0
    for word in ("500 rows", "741 columns", "disparity", "rgb+x", "red, green, blue"):
        assert word in out


def test_info_as_json_is_one_object(run):
    status, out, err = run("info", SCENE, "--json")
    told = json.loads(out)
    assert (status, err) == (0, "")
    assert told["shape"] == [4, 500, 741]
    assert [channel["role"] for channel in told["channels"]] == ["red", "green", "blue", "disparity"]
    assert told["profile"]["pseudo_rgb"] == [0, 1, 2]


def test_channel_axis_and_modality_are_taken_where_images_are_read(run, tmp_path):
    np.save(tmp_path / "stack.npy", np.zeros((6, 5, 7), np.float32))
    shapes = {
        axis: json.loads(run("info", tmp_path / "stack.npy", "--channel-axis", axis, "--json")[1])["shape"]
        for axis in (0, 1, 2)
    }
    assert shapes == {0: [6, 5, 7], 1: [5, 6, 7], 2: [7, 6, 5]}
    told = json.loads(run("info", SCENE, "--modality", "generic", "--json")[1])
    assert told["modality"] == "generic"


def test_an_ambiguous_channel_axis_is_asked_for(run, tmp_path):
    np.save(tmp_path / "cube.npy", np.zeros((5, 5, 5), np.float32))
    assert_failed_in_one_line(run("info", tmp_path / "cube.npy"), "channel")


def test_info_and_help_load_neither_torch_nor_napari():
    code = (
        "import sys\n"
        "from napari_simmat.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: print(sorted({'torch', 'napari', 'qtpy', 'timm', 'dask', 'zarr', 'h5py'} & set(sys.modules)))"
    )
    for arguments in (["info", str(SCENE)], ["--help"], ["segment", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == "[]"


# --------------------------------------------------------------- segment


def test_segment_gives_the_masks_that_python_gives(run, tmp_path):
    clicks = [(250.0, 350.0, 1), (120.0, 600.0, 0)]
    options = ["--click", "250,350", "--click", "120,600,0"]
    status, out, _ = run("segment", SCENE, *options, "-o", tmp_path / "out.tif", "--json")

    points, signs = [c[:2] for c in clicks], [c[2] for c in clicks]
    mask, score = Segmenter(open_image(SCENE)).predict(points, signs)
    told = json.loads(out)
    assert status == 0
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif").astype(bool), mask)
    assert told["area"] == mask.sum()
    assert told["score"] == pytest.approx(score)


def test_segment_takes_a_box_with_its_corners_in_any_order(run, small, tmp_path):
    for name, box in (("a", "10,20,29,44"), ("b", "29,20,10,44")):
        assert run("segment", small, "--box", box, "-o", tmp_path / f"{name}.tif")[0] == 0
    first, second = (tifffile.imread(tmp_path / f"{name}.tif") for name in "ab")
    np.testing.assert_array_equal(first, second)
    assert first[12:28, 22:42].mean() > 0.9


def test_a_prompt_file_that_is_none_is_refused(run, small, tmp_path):
    prompt, out = tmp_path / "prompt.json", tmp_path / "out.tif"
    for text in (
        "{",
        "[1, 2]",
        "{}",
        '{"points": [[1]], "labels": [1]}',
        '{"points": [[1, 2]], "labels": [7]}',
    ):
        prompt.write_text(text)
        result = run("segment", small, "--prompt", prompt, "-o", out)
        assert_failed_in_one_line(result)
    assert_failed_in_one_line(run("segment", small, "--prompt", tmp_path / "no.json", "-o", out), "no.json")
    assert not out.exists()


def test_a_json_result_is_all_that_a_script_reads(small, tmp_path):
    command = [sys.executable, "-m", "napari_simmat.cli", "segment", str(small), "--click", "20,30", "--json"]
    done = subprocess.run([*command, "-o", str(tmp_path / "out.tif")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout)["out"] == str(tmp_path / "out.tif")


def test_an_existing_output_stays_unless_it_may_be_overwritten(run, small, labels, tmp_path):
    out = tmp_path / "precious"
    for name, command in {
        "m.tif": ["segment", small, "--click", "20,30"],
        "a.safetensors": ["finetune", sample_path(TRAIN)],
        "t.csv": ["export", labels, "--image", small, "--format", "csv"],
    }.items():
        out = tmp_path / name
        out.write_text("precious")
        assert_failed_in_one_line(run(*command, "-o", out), str(out), "--overwrite")
        assert out.read_text() == "precious"
    assert run("export", labels, "--image", small, "--format", "csv", "-o", out, "--overwrite")[0] == 0
    assert out.read_text().startswith("label,")


# ------------------------------------------------- finetune and evaluate


def test_finetune_writes_an_adapter_that_evaluate_and_segment_take(run, tmp_path):
    adapter = tmp_path / "a.safetensors"
    options = ["--mode", "quick", "--steps", "3", "--limit", "2", "--json"]
    status, out, _ = run("finetune", sample_path(TRAIN), "-o", adapter, *options)
    told = json.loads(out)
    assert status == 0
    assert told["steps"] == 3
    for key in (
        "seconds",
        "seconds_per_step",
        "trainable_parameters",
        "loss_first",
        "loss_last",
        "peak_rss_mb",
        "device",
        "kept",
        "held_out_before",
        "held_out_after",
    ):
        assert key in told

    status, out, _ = run("evaluate", sample_path(TEST), "--adapter", adapter, "--limit", "1", "--json")
    told = json.loads(out)
    assert status == 0
    assert told["images"] == 1
    assert len(told["miou"]) == 1
    assert 0 < told["miou"][0] <= told["miou_best_of_candidates"] <= 1
    assert {"objects", "noc80", "noc85", "noc90", "ci95", "seconds"} <= set(told)

    scene = open_dataset(sample_path(TEST))[0].image_path
    click = ["--click", "100,100", "-o", tmp_path / "m.tif"]
    assert run("segment", scene, *click, "--adapter", adapter)[0] == 0


def test_ctrl_c_ends_a_training_with_nothing_written(tmp_path):
    out = tmp_path / "a.safetensors"
    command = [sys.executable, "-m", "napari_simmat.cli", "finetune", str(sample_path(TRAIN)), "-o", str(out)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    assert process.stderr is not None
    first_progress = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert first_progress.startswith("training: ")
    assert process.returncode == 1
    assert said.splitlines()[-1] == "Cancelled; nothing was written."
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ demo


def test_without_a_display_the_demo_writes_a_picture_and_a_table(run, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("napari_simmat.demo.CLICKS", 1)  # then the brush, which costs no answer
    out = tmp_path / "new" / "folder"
    status, said, _ = run("demo", "--out", out, "--steps", "2")
    assert status == 0
    assert "mean IoU after one click" in said

    objects = sum(len(np.unique(item.load()[1])) - 1 for item in open_dataset(sample_path(TEST)))
    rows = list(csv.DictReader((out / "before_after.csv").read_text().splitlines()))
    assert len(rows) == objects
    assert all(0 <= float(row[key]) <= 1 for row in rows for key in ("iou_before", "iou_after"))
    with Image.open(out / "before_after.png") as picture:
        assert picture.width > 3 * 320
        assert picture.height > 4 * 256
    assert Adapter.load(out / "adapter.safetensors").profile.n_channels == 5


# ---------------------------------------------------------------- export


@pytest.mark.parametrize("format", ["coco", "yolo", "geojson", "csv", "tiff"])
def test_export_writes_every_format(format, run, small, labels, tmp_path):
    out = tmp_path / "out"
    status, said, err = run("export", labels, "--image", small, "--format", format, "-o", out, "--json")
    assert (status, err) == (0, "")
    assert json.loads(said) == {"out": str(out), "format": format, "objects": 1}
    assert out.stat().st_size > 0


def test_labels_of_another_shape_are_refused(run, small, labels, tmp_path):
    tifffile.imwrite(labels, np.ones((40, 50), np.uint8))
    result = run("export", labels, "--image", small, "--format", "csv", "-o", tmp_path / "out.csv")
    assert_failed_in_one_line(result, "40 x 50", "40 x 60")
    assert not (tmp_path / "out.csv").exists()


# ------------------------------------------------------------- bad input


def test_a_bad_image_is_refused_in_one_line_and_nothing_is_written(run, small, tmp_path):
    whole = small.read_bytes()
    bad = {
        "empty.tif": b"",
        "truncated.tif": whole[: len(whole) // 2],
        "stub.tif": whole[:60],
        "text.tif": b"not an image at all\n" * 30,
        "page.tif": b"<!DOCTYPE html><html><body>404</body></html>",
    }
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        out = tmp_path / "out.tif"
        assert_failed_in_one_line(run("info", tmp_path / name, "--json"), name)
        assert_failed_in_one_line(run("segment", tmp_path / name, "--click", "1,1", "-o", out), name)
        assert not out.exists()
    assert_failed_in_one_line(run("info", tmp_path / "missing.tif"), "missing.tif")
    assert_failed_in_one_line(run("info", tmp_path), "folder")


def test_an_all_zero_image_and_a_single_pixel_are_answered(run, tmp_path):
    for shape in ((4, 30, 40), (3, 1, 1)):
        path, out = tmp_path / "image.tif", tmp_path / "out.tif"
        tifffile.imwrite(path, np.zeros(shape, np.uint8), photometric="minisblack", metadata={"axes": "CYX"})
        status, _, err = run("segment", path, "--click", "0,0", "-o", out, "--overwrite")
        assert status in (0, 1)
        assert len(err.splitlines()) <= 1
        if status == 0:
            assert tifffile.imread(out).shape == shape[1:]


def test_a_click_outside_of_the_image_is_refused(run, small, tmp_path):
    result = run("segment", small, "--click", "-5,3", "-o", tmp_path / "out.tif")
    assert_failed_in_one_line(result, "-5", "outside", "40", "60")


def test_an_adapter_for_other_channels_is_refused_by_both(run, small, tmp_path):
    adapter = tmp_path / "four.safetensors"
    Adapter.untrained(open_image(small)).save(adapter)
    five = tmp_path / "five.tif"
    data = np.zeros((5, 40, 60), np.uint16)
    tifffile.imwrite(five, data, photometric="minisblack", metadata={"axes": "CYX"})
    result = run("segment", five, "--click", "20,30", "--adapter", adapter, "-o", tmp_path / "out.tif")
    assert_failed_in_one_line(result, "4", "5")


@pytest.mark.parametrize("option", ["--model", "--adapter"])
def test_weights_that_are_a_web_page_are_refused(option, run, small, tmp_path):
    page = tmp_path / "sam_vit_b.pth"
    page.write_text("<!DOCTYPE html><html><body>Too many requests</body></html>")
    out = tmp_path / "out.tif"
    result = run("segment", small, "--click", "20,30", option, page, "-o", out)
    assert_failed_in_one_line(result, "sam_vit_b.pth")
    assert not out.exists()


def test_a_folder_that_is_no_dataset_is_refused(run, tmp_path):
    assert_failed_in_one_line(run("evaluate", tmp_path / "missing", "--json"), "missing")
    assert_failed_in_one_line(run("evaluate", tmp_path, "--json"), "images")
    assert_failed_in_one_line(run("finetune", tmp_path, "-o", tmp_path / "a.safetensors"), "images")


# ----------------------------------------------------------- wrong usage


@pytest.mark.parametrize(
    "arguments",
    [
        ["segmnt", "x.tif"],
        ["segment", "x.tif", "-o", "out.tif"],
        ["segment", "x.tif", "--click", "12", "-o", "out.tif"],
        ["segment", "x.tif", "--click", "1,2,3", "-o", "out.tif"],
        ["segment", "x.tif", "--click", "nan,2", "-o", "out.tif"],
        ["segment", "x.tif", "--box", "1,2,3", "-o", "out.tif"],
        ["segment", "x.tif", "--click", "1,2", "-o", "out.png"],
        ["segment", "x.tif", "--click", "1,2", "--prompt", "p.json", "-o", "out.tif"],
        ["segment", "x.tif", "--click", "1,2"],
        ["finetune", "data", "-o", "adapter.pth"],
        ["finetune", "data", "-o", "a.safetensors", "--mode", "slow"],
        ["evaluate", "data", "--clicks", "0"],
        ["export", "l.tif", "--image", "x.tif", "--format", "shp", "-o", "out"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err
    assert list(tmp_path.iterdir()) == []


def test_without_a_display_a_window_is_refused_in_one_line(run, small, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert_failed_in_one_line(run(small), "no display", "--headless")


def test_a_profile_is_saved_edited_and_used(tmp_path, run):
    scene = sample_path(TEST) / "images" / "07.tif"
    kept = tmp_path / "mine.json"
    assert run("profile", scene, "-o", kept)[0] == 0
    data = json.loads(kept.read_text())
    data["pseudo_rgb"] = [3, 3, 3]
    kept.write_text(json.dumps(data))
    assert json.loads(run("info", scene, "--profile", kept, "--json")[1])["profile"]["pseudo_rgb"] == [
        3,
        3,
        3,
    ]
    assert (
        json.loads(run("info", scene, "--profile", "generic", "--json")[1])["profile"]["modality"]
        == "generic"
    )
    masks = []
    for choice in (kept, "rgb+x"):
        out = tmp_path / f"{len(masks)}.tif"
        assert run("segment", scene, "--click", "120,160", "--profile", choice, "-o", out)[0] == 0
        masks.append(tifffile.imread(out))
    assert not np.array_equal(*masks)
    data["colour"] = "red"
    kept.write_text(json.dumps(data))
    assert_failed_in_one_line(run("info", scene, "--profile", kept), "colour: Extra inputs")
    assert_failed_in_one_line(run("info", scene, "--profile", "sonar"), "neither a file nor one of")
    assert json.loads(run("profile", "--schema")[1])["title"] == "ModalityProfile"


def test_a_slice_of_a_stack_is_chosen_by_its_letters(tmp_path, run):
    stack = tmp_path / "stack.tif"
    array = np.arange(2 * 3 * 2 * 20 * 30, dtype=np.uint16).reshape(2, 3, 2, 20, 30)
    tifffile.imwrite(stack, array, metadata={"axes": "TZCYX"}, ome=True, photometric="minisblack")
    told = json.loads(run("info", stack, "--slice", "T=1,Z=2", "--json")[1])
    assert (told["name"], told["stack"]) == ("stack T1 Z2", {"T": 2, "Z": 3})
    assert_failed_in_one_line(run("info", stack, "--slice", "C=1"), "stack over T (0 to 1), Z (0 to 2)")
    assert run("info", stack, "--slice", "Z=two")[0] == 2


def images_of(folder: Path) -> list[Path]:
    """One image of each set in a folder of sets."""
    return [min((each / "images").glob("*.[htp][dinp]*")) for each in sorted(folder.glob("*-train"))]


@pytest.mark.parametrize("path", [SCENE, *images_of(SCENE.parent)], ids=lambda path: path.parents[1].name)
def test_info_knows_every_sample(run, path):
    status, out, _ = run("info", path)
    assert status == 0
    assert "model sees" in out
    told = json.loads(run("info", path, "--json")[1])
    assert told["modality"] != "generic"
    assert all(each["largest"] > each["least"] for each in told["statistics"])


SHARED = Path(os.environ.get("NAPARI_SIMMAT_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real images to measure against are not here")
def test_info_knows_the_real_images(run):
    found = {}
    for path in [*SHARED.glob("envi/*.hdr"), *SHARED.glob("polarization-camera/*.png")]:
        told = json.loads(run("info", path, "--json")[1])
        found[path.name] = (told["modality"], len(told["channels"]), told["sample_formats"][0])
    assert [value[0] for value in found.values()].count("polarization") == 4
    assert sorted(value[1] for value in found.values() if value[0] == "hyperspectral") == [156, 198]


def test_several_files_are_one_image(run, tmp_path):
    for angle in (0, 45, 90, 135):
        Image.fromarray(np.full((20, 30), 10 + angle, np.uint8)).save(tmp_path / f"scene_{angle}deg.png")
    files = sorted(tmp_path.glob("*.png"))
    for given in (files, [tmp_path]):
        told = json.loads(run("info", *given, "--json")[1])
        assert (told["modality"], told["shape"]) == ("polarization", [3, 20, 30])
