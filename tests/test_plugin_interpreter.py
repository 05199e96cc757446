"""What keeps the interpreter itself from stopping the window while the model works."""

from __future__ import annotations

import gc
import sys

import pytest

from napari_simmat.annotator import Job
from napari_simmat.plugin.executor import Executor
from napari_simmat.plugin.interpreter import (
    NEVER,
    SHORT_TURN_S,
    keep_what_is_imported,
    short_turns,
    small_collections_only,
)


def test_full_collections_wait_until_the_last_one_leaves():
    usual = gc.get_threshold()
    with small_collections_only:
        assert gc.get_threshold() == (*usual[:2], NEVER)
        with small_collections_only:
            pass
        assert gc.get_threshold()[2] == NEVER
    assert gc.get_threshold() == usual


def test_the_usual_comes_back_also_if_the_work_fails_and_not_if_somebody_decided_otherwise():
    usual = gc.get_threshold()
    with pytest.raises(ValueError, match="wrong"), small_collections_only:
        raise ValueError("wrong")
    assert gc.get_threshold() == usual
    with small_collections_only:
        gc.set_threshold(900, 9, 9)
    assert gc.get_threshold() == (900, 9, 9)
    gc.set_threshold(*usual)


def test_turns_are_short_until_the_last_one_leaves():
    usual = sys.getswitchinterval()
    with short_turns:
        with short_turns:
            assert sys.getswitchinterval() == pytest.approx(SHORT_TURN_S)
        assert sys.getswitchinterval() == pytest.approx(SHORT_TURN_S)
    assert sys.getswitchinterval() == pytest.approx(usual)


def test_what_is_imported_is_looked_at_no_more():
    gc.unfreeze()  # what the first window of this process had frozen
    before = len(gc.get_objects())
    try:
        keep_what_is_imported()
        assert len(gc.get_objects()) < before / 10
        assert gc.get_freeze_count() > before / 2
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(("kind", "is_long"), [("train", True), ("encode", True), ("answer", False)])
def test_full_collections_wait_for_long_jobs_only(qtbot, kind, is_long):
    executor, seen = Executor(), []
    executor(Job(kind, "work", lambda progress: gc.get_threshold()[2] == NEVER, seen.append))
    qtbot.waitUntil(lambda: seen == [is_long])
    executor.stop()
    qtbot.waitUntil(lambda: not any(worker.is_alive for worker in executor.workers))
    assert gc.get_threshold()[2] != NEVER


@pytest.mark.parametrize("fails", [False, True])
def test_the_mask_of_a_draft_is_shown_before_the_image_is_encoded(qtbot, fails):
    executor, seen = Executor(), []

    def look(progress):
        if fails:
            raise ValueError("wrong")

    def show(result):
        qtbot.wait(100)  # as napari makes a layer
        seen.append("shown")

    executor(Job("draft", "looking", look, show, failed=show))
    executor(Job("encode", "encoding", lambda progress: seen.append("encoding"), lambda _: None))
    qtbot.waitUntil(lambda: len(seen) == 2)
    assert seen == ["shown", "encoding"]
    executor.stop()
    qtbot.waitUntil(lambda: not any(worker.is_alive for worker in executor.workers))


def test_encoding_waits_for_no_draft_that_never_comes(qtbot):
    executor, seen = Executor(), []
    executor._draft_is_shown.clear()
    executor(Job("encode", "encoding", lambda progress: 1, seen.append))
    qtbot.waitUntil(lambda: seen == [1])
    executor.stop()
    qtbot.waitUntil(lambda: not any(worker.is_alive for worker in executor.workers))
