"""Annotators are killed at random moments; `python tests/faults/crash.py --kills 200` is the long run of this."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "faults"))

from crash import Outcome, _judge, run

KILLS, SEED = 10, 7

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="killed processes are forked ones")


def test_every_gesture_that_was_done_survives_being_killed(tmp_path, capsys):
    outcome = run(KILLS, SEED, tmp_path)
    with capsys.disabled():
        print(f"\n{outcome.kills} kills, seed {SEED}: {dict(outcome.by_kind)}")
    assert outcome.failures == []
    assert outcome.kills == KILLS
    assert outcome.missing + outcome.there + outcome.between == KILLS


def test_the_harness_sees_a_lost_gesture():
    whole = {"problems": [], "told": [], "read_only": False, "now": "b", "undo": "a", "redo": "c"}
    for last, under_way, is_fine in (
        ("b", "", True),
        ("b", "click", True),
        ("a", "accept", True),
        ("a", "", False),
        ("x", "accept", False),
    ):
        outcome = Outcome()
        _judge(whole, last, under_way, Path("folder"), outcome)
        assert (not outcome.failures) == is_fine
    outcome = Outcome()
    _judge({**whole, "problems": ["torn page"]}, "b", "", Path("folder"), outcome)
    assert outcome.failures
