"""Leaving out a group of channels is a gesture: undo takes it back, a restart and a replay know it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from balls import BALLS, pixels

from napari_simmat import Adapter
from napari_simmat.annotator import Annotator, title_of
from napari_simmat.cli import main
from napari_simmat.errors import AdapterError, TrainingError
from napari_simmat.images import open_image
from napari_simmat.inference.sight import OneSight
from napari_simmat.journal import Journal
from napari_simmat.models import load_base_model
from napari_simmat.models.experts import begin_experts
from napari_simmat.replay import replay


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """Two channels, red and NIR, and the folder of the user."""
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    path = tmp_path / "scene.ome.tif"
    metadata = {"axes": "CYX", "Channel": {"Name": ["red", "NIR"]}}
    tifffile.imwrite(path, pixels(2), ome=True, photometric="minisblack", metadata=metadata)
    return path


@pytest.fixture
def experts(scene, tmp_path):
    """A file of experts for it."""
    image = open_image(scene)
    path = tmp_path / "experts.safetensors"
    begin_experts(Adapter.untrained(image), [image], load_base_model()).save(path)
    return path


def accept(annotator, number):
    annotator.click(*BALLS[number][:2])
    annotator.accept()


def test_a_group_is_left_out_taken_back_and_remembered(scene, experts, monkeypatch):
    encoded = []
    encode = OneSight._encode
    annotator = Annotator(open_image(scene), journal=Journal())
    assert annotator.groups == {}
    with pytest.raises(AdapterError, match="train one with experts"):
        annotator.leave_out(["NIR"])
    annotator.load_adapter(experts)
    assert annotator.groups == {"red": True, "NIR": True}
    assert annotator.groups_in_image == ("red", "NIR")
    assert set(annotator.segmenter.weights) == {"red", "NIR", "all together"}
    accept(annotator, 1)

    monkeypatch.setattr(OneSight, "_encode", lambda self: encoded.append(1) or encode(self))
    annotator.leave_out(["NIR"])
    assert annotator.groups == {"red": True, "NIR": False}
    assert annotator.segmenter.weights == {"red": 1.0}
    assert title_of(annotator.history[0][-1]) == "model: experts to experts without NIR"
    with pytest.raises(TrainingError, match="not to look at NIR at present"):
        annotator.quick(steps=1)
    accept(annotator, 2)
    annotator.undo()
    annotator.undo()  # object and clicks
    annotator.undo()
    assert annotator.groups == {"red": True, "NIR": True}
    annotator.redo()
    assert annotator.groups == {"red": True, "NIR": False}
    accept(annotator, 2)
    with pytest.raises(AdapterError, match="leave the model at least one"):
        annotator.leave_out(["red", "NIR"])
    assert encoded == []
    labels = annotator.labels.copy()
    annotator.close()

    again = Annotator(open_image(scene), journal=Journal())
    assert again.groups == {"red": True, "NIR": False}
    np.testing.assert_array_equal(again.labels, labels)
    again.close()
    (found,) = replay(scene.with_name(f"{scene.name}.simmat"))
    assert found.same, found.differences
    assert encoded == []


def test_experts_are_trained_and_judged_from_a_terminal(scene, tmp_path, capsys):
    (tmp_path / "set" / "images").mkdir(parents=True)
    (tmp_path / "set" / "instances").mkdir()
    scene.rename(tmp_path / "set" / "images" / "a.ome.tif")
    labels = np.zeros((128, 160), np.uint8)
    labels[20:44, 24:48] = 1
    tifffile.imwrite(tmp_path / "set" / "instances" / "a.tif", labels)
    out = tmp_path / "experts.safetensors"

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            main([str(a) for a in arguments])
        return end.value.code, capsys.readouterr()

    status, said = run(
        *("finetune", tmp_path / "set", "-o", out, "--experts", "--mode", "quick", "--steps", 1, "--no-gate")
    )
    assert status == 0, said.err
    assert Adapter.load(out).card.members == ("red", "NIR", "all together")
    status, said = run("evaluate", tmp_path / "set", "--adapter", out, "--missing", "nir", "--json")
    assert status == 0, said.err
    assert '"miou"' in said.out
    status, said = run("evaluate", tmp_path / "set", "--adapter", out, "--missing", "radar,NIR", "--json")
    assert (status, said.out) == (1, "")
    assert "There is no group of channels 'radar'; the adapter has red, NIR." in said.err
    status, said = run("evaluate", tmp_path / "set", "--missing", "NIR")
    assert status == 2
