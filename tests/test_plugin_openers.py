"""Files are read although a drive hangs."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("qtpy.QtCore")

from napari_simmat.annotator import Job
from napari_simmat.plugin import openers
from napari_simmat.plugin.executor import Executor


@pytest.fixture
def executor(qtbot, monkeypatch):
    monkeypatch.setattr(openers, "HELD_UP_MS", 100)
    made = Executor()
    yield made
    made.stop()
    qtbot.waitUntil(lambda: not any(worker.is_alive for worker in made.workers))


def hanging(kind, taken):
    """A job that reads from a drive that answers when `answers` is set."""
    answers = threading.Event()
    return Job(kind, kind, work=lambda progress: answers.wait(30), take=lambda _: taken.append(kind)), answers


def reading(kind, taken):
    return Job(kind, kind, work=lambda progress: None, take=lambda _: taken.append(kind))


def test_files_behind_a_drive_that_hangs_are_read_nevertheless(executor, qtbot):
    taken = []
    held_up, answers = hanging("open 1", taken)
    executor(held_up)
    for kind in ("read", "open 2"):
        executor(reading(kind, taken))
    qtbot.waitUntil(lambda: len(taken) == 2)
    assert taken == ["read", "open 2"]
    assert executor.current is held_up

    answers.set()
    qtbot.waitUntil(lambda: taken[2:] == ["open 1"])
    qtbot.waitUntil(lambda: len(executor.workers) == 5)
    assert executor.current is None


def test_a_drive_that_hangs_keeps_no_click_waiting(executor, qtbot):
    taken, all_answers = [], []
    for kind in ("open", "read", "open 1"):
        job, answers = hanging(kind, taken)
        all_answers.append(answers)
        executor(job)
    executor(reading("answer", taken))
    qtbot.waitUntil(lambda: taken == ["answer"])
    for answers in all_answers:
        answers.set()


def test_several_drives_may_hang_but_not_any_number_of_threads_wait_for_them(executor, qtbot):
    taken, all_answers = [], []
    for number in range(6):
        job, answers = hanging(f"open {number}", taken)
        all_answers.append(answers)
        executor(job)
    qtbot.waitUntil(lambda: len(executor.workers) == 4 + 4)
    qtbot.wait(400)
    assert len(executor.workers) == 4 + 4
    for answers in all_answers:
        answers.set()
    qtbot.waitUntil(lambda: len(taken) == 6)


def test_what_takes_its_time_alone_gets_no_other_thread(executor, qtbot):
    taken = []
    job, answers = hanging("open", taken)
    executor(job)
    qtbot.wait(400)
    assert len(executor.workers) == 5
    answers.set()
    qtbot.waitUntil(lambda: taken == ["open"])
    executor(reading("read", taken))
    qtbot.waitUntil(lambda: taken == ["open", "read"])
