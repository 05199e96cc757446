"""What keeps the collector from stopping the window while the model works."""

from __future__ import annotations

import gc

import pytest

from napari_simmat.annotator import Job
from napari_simmat.plugin.executor import Executor
from napari_simmat.plugin.garbage import set_apart


def test_what_was_there_is_set_apart_until_the_last_one_leaves():
    assert gc.get_freeze_count() == 0
    with set_apart():
        assert gc.get_freeze_count() > 1000
        with set_apart():
            pass
        assert gc.get_freeze_count() > 1000
    assert gc.get_freeze_count() == 0


def test_it_is_handed_back_also_if_the_work_fails():
    with pytest.raises(ValueError, match="wrong"), set_apart():
        raise ValueError("wrong")
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize(("kind", "is_long"), [("train", True), ("encode", True), ("answer", False)])
def test_only_long_jobs_set_apart(qtbot, kind, is_long):
    executor, seen = Executor(), []
    executor(Job(kind, "work", lambda progress: gc.get_freeze_count() > 0, seen.append))
    qtbot.waitUntil(lambda: seen == [is_long])
    executor.stop()
    qtbot.waitUntil(lambda: not any(worker.is_alive for worker in executor.workers))
    assert gc.get_freeze_count() == 0
