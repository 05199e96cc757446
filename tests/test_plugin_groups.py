"""Groups of channels in the panel: ticks that the model follows at once, and names that an expert may give."""

from __future__ import annotations

import pytest

pytest.importorskip("napari")

from balls import pixels
from test_plugin_panel import journal, open_panel  # noqa: F401

from napari_simmat import Adapter
from napari_simmat.images import Channel, MultiChannelImage
from napari_simmat.models import load_base_model
from napari_simmat.models.experts import begin_experts
from napari_simmat.plugin.pictures import layer_data


@pytest.fixture
def scene():
    return MultiChannelImage(
        pixels(2), (Channel("red", role="red"), Channel("NIR", role="nir")), modality="nir", name="scene"
    )


def test_a_tick_leaves_a_group_out_and_names_can_be_given(open_panel, scene, tmp_path):  # noqa: F811
    window = open_panel(layer_data(scene))
    window.ready()
    row, annotator = window.panel.model.groups, window.annotator
    assert not row.isVisible()

    profile = window.panel.profile
    profile.fold.expand()
    window.until(lambda: len(profile.list.samples) == 2)
    profile.list.choose(1)
    assert profile.group.currentText() == "NIR"
    profile.group.setEditText("a, b")
    profile.group.lineEdit().editingFinished.emit()
    assert profile.edited.groups == {"red": (0,), "NIR": (1,)}
    profile.group.setEditText("red")
    profile.group.lineEdit().editingFinished.emit()
    assert profile.edited.groups == {"red": (0, 1)}
    assert profile.apply.isEnabled()
    profile.fold.collapse()

    path = tmp_path / "experts.safetensors"
    begin_experts(Adapter.untrained(scene), [scene], load_base_model()).save(path)
    window.controller.load_adapter(path)
    window.until(lambda: bool(annotator.segmenter.weights) and not annotator.is_busy)
    assert row.isVisible()
    assert [tick.text() for tick in row.ticks.values()] == ["red", "NIR"]
    assert row.weights.text() == "gate: red 50 %, NIR 50 %; all together 50 %"

    row.ticks["NIR"].click()
    window.until(lambda: set(annotator.segmenter.weights) == {"red"} and not annotator.is_busy)
    assert annotator.groups == {"red": True, "NIR": False}
    assert not row.ticks["red"].isEnabled()  # the last one
    assert "not learning without NIR" in row.weights.text()
    window.controller.undo()
    window.until(lambda: len(annotator.segmenter.weights) == 3 and not annotator.is_busy)
    assert row.ticks["NIR"].isChecked()
    assert row.ticks["red"].isEnabled()


def test_experts_are_asked_for_in_the_settings(open_panel):  # noqa: F811
    window = open_panel()
    advanced = window.panel.train.settings
    assert not advanced.values()["settings"].experts
    advanced.experts.setChecked(True)
    assert advanced.values()["settings"].experts
    assert window.annotator.auto_quick_settings.experts
