"""Classes: their table in the journal, learnt for every pixel, painted, taken as objects, exported and judged."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import tifffile
from balls import BALLS, SHAPE, ball, balls, iou, pixels
from journals import accept, home, scene, session  # noqa: F401

from napari_simmat import Adapter
from napari_simmat.annotator import Annotator
from napari_simmat.cli import main
from napari_simmat.errors import AdapterError, Cancelled, PromptError, TrainingError
from napari_simmat.images.class_names import colour_of
from napari_simmat.inference import Segmenter
from napari_simmat.inference.painting import HEAD, ClassMap, paint, parts_of
from napari_simmat.inference.proposing import seen_by
from napari_simmat.models.class_head import class_head_of
from napari_simmat.models.heads import Head
from napari_simmat.replay import replay
from napari_simmat.training.classes import UNKNOWN, class_lesson, learn_classes

LARGE, SMALL = (2, 3), (1, 4)
STEPS = 40


@pytest.fixture(scope="module")
def image():
    return balls()


@pytest.fixture(scope="module")
def segmenter(image):
    return Segmenter(image)


def kinds():
    """Class 1 for two of the balls, class 2 for the others."""
    found = np.zeros(SHAPE, np.uint8)
    for number in BALLS:
        found[ball(number)] = 1 if number in LARGE else 2
    return found


def objects_of(*numbers):
    whole = slice(0, SHAPE[0]), slice(0, SHAPE[1])
    return [(whole, ball(n), 1 if n in LARGE else 2) for n in numbers]


# ----------------------------------------------------------------- the engine


def test_what_nobody_spoke_of_is_unknown_but_right_around_objects(segmenter):
    seen = seen_by(segmenter)
    partial = class_lesson(seen, objects_of(1)).numbers
    assert (partial[ball(1)] == 2).all()
    assert partial[30, 34 + 16] == 0
    assert partial[120, 10] == partial[36, 110] == UNKNOWN
    complete = class_lesson(seen, [*objects_of(1), (*objects_of(2)[0][:2], 0)], is_complete=True).numbers
    assert complete[120, 10] == 0
    assert (complete[ball(2)] == UNKNOWN).all()


@pytest.mark.parametrize(("images", "steps"), [(1, 150), (12, 240), (80, 1000)])
def test_many_images_are_learnt_from_for_longer(segmenter, images, steps):
    lesson = class_lesson(seen_by(segmenter), objects_of(*BALLS))
    cancel, totals = threading.Event(), []

    def on_step(step, total, loss):
        totals.append(total)
        cancel.set()

    with pytest.raises(Cancelled):
        learn_classes([lesson] * images, ["a", "b"], ["#ff0000", "#00ff00"], on_step=on_step, cancel=cancel)
    assert totals == [steps]


def test_classes_are_learnt_kept_in_the_adapter_and_painted(image, segmenter, tmp_path):
    lesson = class_lesson(seen_by(segmenter), objects_of(*BALLS), is_complete=True)
    losses = []
    head = learn_classes(
        [lesson],
        ["large", "small"],
        ["#ff0000", "#00ff00"],
        steps=STEPS,
        on_step=lambda *s: losses.append(s[2]),
    )
    assert losses[-1] < losses[0] / 2
    adapter = segmenter.adapter.with_head(HEAD, head)
    adapter.save(tmp_path / "classes.safetensors")

    painted = paint(Segmenter(image, adapter=Adapter.load(tmp_path / "classes.safetensors")))

    assert painted.numbers.shape == SHAPE
    assert painted.numbers.dtype == np.uint8
    assert painted.names == ["large", "small"]
    truth = kinds()
    assert min(iou(painted.numbers == k, truth == k) for k in (0, 1, 2)) > 0.6
    assert painted.shares()["large"] == pytest.approx((painted.numbers == 1).mean())
    assert np.array_equal(paint(Segmenter(image, adapter=adapter)).numbers, painted.numbers)


def test_parts_are_connected_and_leave_known_objects_alone():
    numbers = np.zeros((40, 40), np.uint8)
    numbers[0:10, 0:10] = numbers[20:30, 0:10] = 1
    numbers[0:10, 10:20] = 2
    numbers[39, 39] = 2
    free = np.ones((40, 40), bool)
    free[20:30, :] = False

    found = parts_of(ClassMap(numbers, ["a", "b"], ["#000000", "#ffffff"]), smallest=20, free=free)

    assert [(part.name, part.window[1].start) for part in found] == [("a", 0), ("b", 10)]


def test_what_cannot_be_learnt_or_painted_is_said(segmenter):
    lesson = class_lesson(seen_by(segmenter), objects_of(1, 2), is_complete=True)
    with pytest.raises(TrainingError, match="Nothing is of the class 'third'"):
        learn_classes([lesson], ["a", "b", "third"], ["#000000"] * 3)
    with pytest.raises(TrainingError, match="expected 1 to 254"):
        learn_classes([lesson], [], [])
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        learn_classes([lesson], ["a", "b"], ["#000000"] * 2, cancel=cancel)
    with pytest.raises(AdapterError, match="has learnt no classes"):
        paint(segmenter)
    for config in ({"names": ["a"], "colours": []}, {"names": ["a"], "colours": ["#000000"], "channels": -1}):
        with pytest.raises(AdapterError, match="damaged"):
            class_head_of(Head("classes", config, {}))


def test_a_class_has_its_own_colour():
    assert colour_of("weed") == colour_of("weed") != colour_of("crop")
    assert len(colour_of("weed")) == 7


# -------------------------------------------------------------------- gestures


def test_the_table_is_undone_restarted_and_repeated(scene):  # noqa: F811
    annotator = session(scene)
    accept(annotator, 1, 2)
    annotator.add_class("soil")
    annotator.name_objects([1], "wed")
    annotator.recolour_class("wed", "#112233")
    annotator.rename_class("wed", "weed")
    assert annotator.objects[1].class_name == "weed"
    assert annotator.classes == {"soil": colour_of("soil"), "weed": "#112233"}
    annotator.undo()
    assert annotator.objects[1].class_name == "wed"
    assert annotator.classes["wed"] == "#112233"
    annotator.undo()
    assert annotator.classes["wed"] == colour_of("wed")
    annotator.redo()
    annotator.redo()
    annotator.close()

    again = session(scene)
    assert again.classes == {"soil": colour_of("soil"), "weed": "#112233"}
    again.close()
    (found,) = replay(scene.with_name("balls.tif.simmat"))
    assert found.same, found.differences
    with pytest.raises(PromptError, match="expected one such as"):
        again.recolour_class("weed", "red")
    with pytest.raises(PromptError, match="no class 'crop'"):
        again.recolour_class("crop", "#112233")


def test_learnt_classes_are_a_version_and_painted_parts_become_objects(scene, tmp_path):  # noqa: F811
    annotator = session(scene)
    with pytest.raises(TrainingError, match="No object has a class"):
        annotator.learn_classes()
    with pytest.raises(AdapterError, match="No classes were learnt"):
        annotator.paint_classes()
    accept(annotator, 1, 2)
    annotator.name_each({1: "small", 2: "large"})
    before = annotator.versions.current
    annotator.learn_classes(steps=4)
    assert annotator.versions.current.name.endswith("+ classes")
    assert annotator.can_paint
    heard = []
    annotator.painted.connect(heard.append)

    painted = annotator.paint_classes()

    assert heard == [painted]
    assert painted.names == ["large", "small"]
    known = annotator.labels.copy()
    annotator.class_map = ClassMap(kinds(), painted.names, painted.colours)  # as if it had learnt for long
    count = annotator.accept_painted(smallest=40)
    assert count == len(annotator.objects) - 2 >= 2
    assert np.array_equal(annotator.labels[known > 0], known[known > 0])
    assert {note.class_name for note in annotator.objects.values()} <= {"large", "small"}
    annotator.export(tmp_path / "classes.tif", "classes")
    told = json.loads((tmp_path / "classes.json").read_text())
    assert [told[k]["name"] for k in ("0", "1", "2")] == ["background", "large", "small"]
    assert told["1"]["colour"] == annotator.classes["large"]
    numbers = tifffile.imread(tmp_path / "classes.tif")
    assert numbers.dtype == np.uint8
    assert (numbers[annotator.labels == 2] == 1).all()
    annotator.undo()  # the export is no gesture to be undone
    assert len(annotator.objects) == 2
    annotator.undo()
    assert annotator.versions.current is before
    assert annotator.class_map is None
    annotator.close()
    (found,) = replay(scene.with_name("balls.tif.simmat"))
    assert found.same, found.differences


# ------------------------------------------------------------ the command line


def test_a_dataset_with_classes_is_learnt_painted_and_judged(tmp_path, capsys):
    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        return int(end.value.code or 0), capsys.readouterr().out

    data, labels = tmp_path / "data", np.zeros(SHAPE, np.uint8)
    for number in BALLS:
        labels[ball(number)] = number
    for name, array in (("images", pixels(3)), ("instances", labels), ("classes", kinds())):
        (data / name).mkdir(parents=True)
        tifffile.imwrite(data / name / "one.tif", array, photometric="minisblack")
    (data / "classes.json").write_text('{"1": "large", "2": "small"}')
    adapter, out = tmp_path / "a.safetensors", tmp_path / "painted.tif"
    axis = ("--channel-axis", 0)

    status, said = run("finetune-classes", data, "-o", adapter, "--steps", 4, *axis, "--json")
    assert status == 0
    assert json.loads(said)["classes"] == ["large", "small"]
    status, said = run("paint", data / "images" / "one.tif", "--adapter", adapter, "-o", out, *axis)
    assert status == 0
    assert "large" in said
    assert json.loads(out.with_suffix(".json").read_text())["2"]["name"] == "small"
    assert set(np.unique(tifffile.imread(out))) <= {0, 1, 2}
    status, said = run("evaluate", data, "--adapter", adapter, *axis, "--json")
    assert status == 0
    figures = json.loads(said)["class_map"]
    assert 0 <= figures["miou"] <= 1
    assert set(figures["iou"]) == {"background", "large", "small"}
    assert run("paint", data / "images" / "one.tif", "--adapter", adapter, "-o", out, *axis)[0] == 1
    untrained = Annotator(balls(n_channels=3))
    untrained.save_adapter(tmp_path / "none.safetensors")
    status, said = run(
        "paint",
        data / "images" / "one.tif",
        "--adapter",
        tmp_path / "none.safetensors",
        "-o",
        tmp_path / "x.tif",
        *axis,
    )
    assert (status, said) == (1, "")
