"""Undo brings back exactly what was, whatever was done, and goes on doing so after a restart."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from balls import BALLS, balls
from gestures import KINDS, ON_GROUPS, gesture, state, two_groups
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_simmat.annotator import Annotator, title_of
from napari_simmat.errors import SimmatError
from napari_simmat.journal import Journal


def act(annotator, kinds, seed):
    """Do gestures; all states that undo has to come back to, the present one last."""
    rng, states = np.random.default_rng(seed), [state(annotator)]
    for kind in kinds:
        depth = len(annotator.history[0])
        with contextlib.suppress(SimmatError):
            gesture(annotator, kind, rng)
        grown = len(annotator.history[0]) - depth
        assert grown in (0, 1)
        if grown:
            states.append(state(annotator))
    return states


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=4, max_size=14),
    seed=st.integers(0, 2**16),
    restarts=st.booleans(),
)
def test_undo_and_redo_go_through_the_same_states_again(tmp_path_factory, kinds, seed, restarts):
    go_back_and_forth(tmp_path_factory.mktemp("project"), balls(), kinds, seed, restarts)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kinds=st.lists(st.sampled_from(ON_GROUPS), min_size=4, max_size=10),
    seed=st.integers(0, 2**16),
    restarts=st.booleans(),
)
def test_so_they_do_where_experts_look_at_groups_of_channels(tmp_path_factory, kinds, seed, restarts):
    go_back_and_forth(tmp_path_factory.mktemp("project"), two_groups(), ["experts", *kinds], seed, restarts)


def go_back_and_forth(folder, image, kinds, seed, restarts):
    """Undo all that gestures made and do it again: each state is as it was."""
    annotator = Annotator(image, journal=Journal(folder))
    states = act(annotator, kinds, seed)
    if restarts:
        annotator.close()
        annotator = Annotator(image, journal=Journal(folder))
        assert state(annotator) == states[-1]
    for wanted in reversed(states[:-1]):
        assert annotator.undo() is not None
        assert state(annotator) == wanted
    assert annotator.undo() is None
    if restarts:
        annotator.close()
        annotator = Annotator(image, journal=Journal(folder))
        assert state(annotator) == states[0]
    for wanted in states[1:]:
        assert annotator.redo() is not None
        assert state(annotator) == wanted
    assert annotator.redo() is None
    annotator.close()


def test_a_new_gesture_ends_what_could_be_redone():
    annotator = Annotator(balls())
    for number in (1, 2):
        annotator.click(*BALLS[number][:2])
        annotator.accept()
    annotator.undo()
    annotator.undo()
    annotator.click(*BALLS[3][:2])
    assert annotator.redo() is None
    assert [title_of(step) for step in annotator.history[0]] == ["click 1", "object 1 accepted", "click 1"]


def test_hundreds_of_gestures_can_be_undone():
    annotator = Annotator(balls())
    for k in range(400):
        annotator.book.target.data[k // 4, k % 4] = 1 + k % 5
        annotator.sync_labels()
    for _ in range(400):
        assert annotator.undo() is not None
    assert annotator.undo() is None
    assert not annotator.labels.any()


def test_what_is_painted_and_not_yet_noted_is_undone_first():
    annotator = Annotator(balls())
    annotator.click(*BALLS[1][:2])
    annotator.accept()
    before = annotator.labels.copy()
    annotator.book.target.data[:9, :9] = 4
    assert title_of(annotator.undo()) == "object 4 edited"
    np.testing.assert_array_equal(annotator.labels, before)


def test_undoing_an_object_brings_its_clicks_and_mask_back():
    annotator = Annotator(balls())
    annotator.click(*BALLS[1][:2])
    annotator.click(60, 80, 0)
    annotator.cycle_candidate()
    mask = annotator.answer.mask.copy()
    annotator.accept()
    annotator.undo()
    assert annotator.prompt.labels == (1, 0)
    np.testing.assert_array_equal(annotator.answer.mask, mask)
    annotator.accept()
    np.testing.assert_array_equal(annotator.labels > 0, mask)


def test_a_version_whose_file_is_gone_cannot_be_gone_back_to(tmp_path):
    image = balls()
    annotator = Annotator(image, journal=Journal(tmp_path))
    annotator.click(*BALLS[1][:2])
    annotator.accept()
    assert annotator.quick(steps=1).kept
    folder, first = annotator.project_folder, annotator.versions.all[0].adapter.fingerprint
    annotator.close()
    (folder / "adapters" / f"{first}.safetensors").unlink()
    again = Annotator(image, journal=Journal(tmp_path))
    with pytest.raises(SimmatError, match="'untrained' is not there any more"):
        again.undo()
    assert set(again.objects) == {1}
    again.close()


@pytest.mark.parametrize(
    ("do", "title"),
    [
        (lambda a: a.set_box(10, 10, 50, 50), "box"),
        (lambda a: a.click(30, 34), "click 1"),
        (lambda a: (a.click(30, 34), a.clear()), "clicks dropped"),
        (lambda a: (a.click(30, 34), a.accept()), "object 1 accepted"),
        (lambda a: (a.click(30, 34), a.accept(), a.erase(1)), "object 1 erased"),
        (lambda a: (a.book.target.data.__setitem__((slice(0, 4),), 3), a.sync_labels()), "object 3 edited"),
        (lambda a: (a.click(30, 34), a.accept(), a.use_transfer("linear")), "model: untrained to untrained, linear"),
    ],
)  # fmt: skip
def test_each_gesture_is_told_in_words(do, title):
    annotator = Annotator(balls())
    do(annotator)
    assert title_of(annotator.history[0][-1]) == title
    assert title_of(annotator.undo()) == title
