"""What is measured in a real window: every phase, every figure. No time is asserted; needs a display, Xvfb will do."""

from __future__ import annotations

import os
import sys
import time

import pytest

pytest.importorskip("napari")
if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    pytest.skip("needs a display", allow_module_level=True)

from napari_simmat.errors import SimmatError
from napari_simmat.evaluation.speed import GrowthRow, WindowFigures, run_child
from napari_simmat.evaluation.speed.report import EVENT_PHASES
from napari_simmat.plugin.stalls import Ticks

MODULE = "napari_simmat.plugin.responsiveness"


@pytest.fixture
def environment(tmp_path):
    return {"NAPARI_CONFIG": str(tmp_path / "napari.yaml")}


def test_a_window_is_worked_in_and_every_figure_comes_back(environment):
    told = run_child(MODULE, ["window", "1", "20", "1"], environment=environment)
    found = WindowFigures.model_validate(told)

    assert [phase.name for phase in found.phases] == [
        "first open",
        "encode",
        "click",
        "accept",
        "quick",
        "deep",
        "open",
    ]
    for phase in found.phases:
        assert 0 < phase.p50_ms <= phase.p99_ms <= phase.worst_ms
    assert [len(found.click_painted_ms), len(found.first_click_ms), len(found.accept_ms)] == [1, 1, 1]
    assert found.click_painted_ms[0] >= found.click_in_layer_ms[0] > 0
    assert found.open_to_mask_ms[0] >= found.first_click_ms[0] > 0
    assert found.accept_objects == 20
    counted = {phase.name: phase.worst_ms for phase in found.phases if phase.name in EVENT_PHASES}
    assert set(counted) == {"encode", "quick", "deep"}
    assert found.worst_stall_ms == max(counted.values())
    assert min(found.canvas) > 100


def test_accepting_beside_more_objects_is_a_row(environment):
    row = GrowthRow.model_validate(run_child(MODULE, ["objects", "30", "1"], environment=environment))

    assert (row.what, row.value) == ("objects", 30)
    assert [each.name for each in row.times] == ["accept_ms"]


def test_what_keeps_the_event_loop_waiting_is_found(qtbot):
    ticks = Ticks()
    with ticks.phase("quiet"):
        ticks.rest(50)
    with ticks.phase("busy"):
        ticks.rest(5)
        time.sleep(0.08)
        ticks.rest(5)
    ticks.stop()

    quiet, busy = ticks.phases()
    assert (quiet.name, busy.name) == ("quiet", "busy")
    assert busy.worst_ms >= 79
    assert busy.over_50_ms >= 1


def test_nothing_is_recorded_where_memory_is_measured(qtbot):
    ticks = Ticks()
    ticks.is_recording = False
    with ticks.phase("hours"):
        ticks.rest(20)
    ticks.stop()
    assert ticks.phases() == []


def test_waiting_ends_with_a_sentence(qtbot):
    ticks = Ticks(patience_s=0.05)
    with pytest.raises(SimmatError, match="in vain: a miracle"):
        ticks.until(lambda: False, "a miracle")

    def refuse():
        raise SimmatError("No.")

    with pytest.raises(SimmatError, match=r"No\."):
        ticks.until(refuse, "a refusal")
    ticks.stop()
