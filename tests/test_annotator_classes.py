"""Objects have a class: a gesture like others, kept by the journal and written by the formats that know categories."""

from __future__ import annotations

import json

import pytest
from journals import accept, home, scene, session  # noqa: F401

from napari_simmat.annotator import title_of
from napari_simmat.errors import ExportError, PromptError
from napari_simmat.journal import ObjectState
from napari_simmat.replay import replay


def classes(annotator):
    return {label: note.class_name for label, note in annotator.objects.items()}


def test_naming_is_a_gesture(scene):  # noqa: F811
    annotator = session(scene)
    accept(annotator, 1, 2, 3)
    annotator.name_objects([1, 3], " weed ")
    assert classes(annotator) == {1: "weed", 2: None, 3: "weed"}
    assert title_of(annotator.history[0][-1]) == "objects 1 and 3 called weed"
    steps = len(annotator.history[0])
    annotator.name_objects([1], "weed")  # nothing new
    assert len(annotator.history[0]) == steps
    annotator.name_each({1: "crop", 2: "weed", 3: ""})
    assert classes(annotator) == {1: "crop", 2: "weed", 3: None}
    assert annotator.class_names == ["crop", "weed"]
    annotator.undo()
    assert classes(annotator) == {1: "weed", 2: None, 3: "weed"}
    annotator.redo()
    annotator.close()
    again = session(scene)
    assert classes(again) == {1: "crop", 2: "weed", 3: None}
    again.undo()
    again.undo()
    assert classes(again) == dict.fromkeys((1, 2, 3))
    again.close()
    (folder,) = scene.parent.glob("*.simmat")
    (told,) = replay(folder)
    assert told.same, told.differences


def test_a_class_stays_with_its_object(scene):  # noqa: F811
    annotator = session(scene)
    accept(annotator, 1, 2)
    annotator.name_each({1: "weed", 2: "crop"})
    annotator.book.target.data[0:3, 0:3] = 1
    annotator.sync_labels()
    annotator.click(*(float(v) for v in annotator.objects[2].prompt.points[0]))
    annotator.accept(2)
    assert classes(annotator) == {1: "weed", 2: "crop"}
    annotator.merge([1, 2])
    assert classes(annotator) == {1: "weed"}
    with pytest.raises(PromptError, match="no object 7"):
        annotator.name_objects([7], "weed")
    with pytest.raises(PromptError, match="expected one line"):
        annotator.name_objects([1], "a\nb")
    annotator.close()


def test_states_without_a_class_are_what_they_were():
    state = ObjectState(3, (0, 0, 2, 2), b"x", "clicks", {"points": []}, "abc")
    assert state.to_row()[-2] == '{"points": []}'  # journals of before say the same
    assert ObjectState.from_row(state.to_row()).class_name is None
    for prompt in ({"points": []}, None):
        named = ObjectState(3, (0, 0, 2, 2), b"x", "clicks", prompt, "abc", "weed")
        again = ObjectState.from_row(named.to_row())
        assert (again.class_name, again.prompt, again.key) == ("weed", prompt, named.key)
        assert named.key != state.key


def test_exports_have_classes_as_categories(scene, tmp_path):  # noqa: F811
    annotator = session(scene)
    accept(annotator, 1, 2, 3)
    annotator.name_each({1: "weed", 2: "crop"})
    annotator.export(tmp_path / "a.json", "coco")
    told = json.loads((tmp_path / "a.json").read_text())
    names = {each["id"]: each["name"] for each in told["categories"]}
    assert [names[each["category_id"]] for each in told["annotations"]] == ["weed", "crop", "object"]
    annotator.export(tmp_path / "a.txt", "yolo")
    assert (tmp_path / "a.names").read_text().split() == ["crop", "weed", "object"]
    assert [line[0] for line in (tmp_path / "a.txt").read_text().splitlines()] == ["1", "0", "2"]
    annotator.export(tmp_path / "a.txt", "yolo")  # its own file of names may be replaced
    (tmp_path / "mine.names").write_text("mine")
    with pytest.raises(ExportError, match=r"mine\.names"):
        annotator.export(tmp_path / "mine.txt", "yolo")
    annotator.export(tmp_path / "a.csv", "csv")
    rows = [line.split(",") for line in (tmp_path / "a.csv").read_text().splitlines()]
    assert [row[1] for row in rows] == ["class", "weed", "crop", ""]
    annotator.export(tmp_path / "a.geojson", "geojson")
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert [f["properties"].get("classification") for f in features] == [
        {"name": "weed"},
        {"name": "crop"},
        None,
    ]
    annotator.close()
