from __future__ import annotations

import threading

import pytest

pytest.importorskip("qtpy.QtCore")

from napari_simmat.annotator import Job
from napari_simmat.errors import Cancelled, PromptError
from napari_simmat.plugin.worker import Worker


@pytest.fixture
def worker(qtbot):
    made = Worker("test")
    yield made
    made.stop()
    qtbot.waitUntil(lambda: not made.is_alive)


class _Hold:
    """A job that waits until it is let go, so that others queue up behind it."""

    def __init__(self, worker, qtbot):
        self.go = threading.Event()
        started = threading.Event()

        def work(progress):
            started.set()
            self.go.wait(30)

        self.job = Job("hold", "holding", work=work, take=lambda result: None)
        worker.submit(self.job)
        qtbot.waitUntil(started.is_set)


def test_work_is_done_elsewhere_and_taken_here(worker, qtbot):
    threads, taken = [], []
    job = Job(
        "answer",
        "",
        work=lambda progress: threads.append(threading.current_thread()) or 42,
        take=lambda result: taken.append((result, threading.current_thread())),
    )

    worker.submit(job)
    qtbot.waitUntil(lambda: bool(taken))

    assert threads[0] is not threading.current_thread()
    assert taken == [(42, threading.current_thread())]


def test_of_what_waits_only_the_newest_of_a_kind_is_done(worker, qtbot):
    done = []
    hold = _Hold(worker, qtbot)
    for kind, number in [("answer", 1), ("encode", 2), ("answer", 3), ("answer", 4)]:
        worker.submit(Job(kind, "", work=lambda progress, n=number: n, take=done.append))

    hold.go.set()
    qtbot.waitUntil(lambda: len(done) >= 2)
    qtbot.wait(50)

    assert sorted(done) == [2, 4]


def test_an_error_reaches_whoever_gave_the_job(worker, qtbot):
    failed = []

    def work(progress):
        raise PromptError("outside")

    worker.submit(Job("answer", "", work=work, take=lambda result: None, failed=failed.append))
    qtbot.waitUntil(lambda: bool(failed))

    assert isinstance(failed[0], PromptError)


def test_a_job_cancelled_while_it_waits_is_not_begun(worker, qtbot):
    begun, failed = [], []
    hold = _Hold(worker, qtbot)
    job = Job(
        "train", "", work=lambda progress: begun.append(1), take=lambda result: None, failed=failed.append
    )
    worker.submit(job)

    job.cancel.set()
    hold.go.set()
    qtbot.waitUntil(lambda: bool(failed))

    assert not begun
    assert isinstance(failed[0], Cancelled)


def test_progress_is_reported_in_order_and_not_after_cancelling(worker, qtbot):
    seen, ended = [], []
    job = Job(
        "train",
        "",
        work=lambda progress: [progress(step, 3, 0.5) for step in (1, 2, 3)],
        take=ended.append,
        progress=lambda *report: seen.append(report),
    )
    worker.submit(job)
    qtbot.waitUntil(lambda: bool(ended))
    assert seen == [(1, 3, 0.5), (2, 3, 0.5), (3, 3, 0.5)]

    cancelled = Job(
        "train",
        "",
        work=lambda progress: (cancelled.cancel.set(), progress(1, 1, 0.0)),
        take=ended.append,
        progress=lambda *report: seen.append("late"),
    )
    worker.submit(cancelled)
    qtbot.waitUntil(lambda: len(ended) == 2)
    assert "late" not in seen


def test_what_runs_is_known(worker, qtbot):
    hold = _Hold(worker, qtbot)
    assert worker.current is hold.job

    hold.go.set()

    qtbot.waitUntil(lambda: worker.current is None)


def test_stopping_cancels_what_runs_and_what_waits(qtbot):
    worker = Worker("test")
    begun = threading.Event()

    def work(progress):
        begun.set()
        running.cancel.wait(30)

    running = Job("train", "", work=work, take=lambda result: None)
    waiting = Job("answer", "", work=lambda progress: None, take=lambda result: None)
    worker.submit(running)
    qtbot.waitUntil(begun.is_set)
    worker.submit(waiting)

    worker.stop()

    qtbot.waitUntil(lambda: not worker.is_alive)
    assert running.cancel.is_set()
    assert waiting.cancel.is_set()


def test_a_result_on_its_way_is_not_taken_after_the_stop(qtbot):
    worker = Worker("test")
    heard = []
    jobs = [
        Job("answer", "", work=lambda progress: progress(1, 2, 0.0), take=heard.append),
        Job("encode", "", work=lambda progress: 1 / 0, take=heard.append),
    ]
    for job in jobs:
        job.progress = lambda *report: heard.append(report)
        job.failed = heard.append
        worker.submit(job)
    last = threading.Event()
    worker.submit(Job("last", "", work=lambda progress: last.set(), take=heard.append))
    assert last.wait(30)  # everything was sent, and nothing is delivered before the event loop runs

    worker.stop()

    qtbot.waitUntil(lambda: not worker.is_alive)
    qtbot.wait(10)
    assert heard == []


@pytest.mark.parametrize("end", [SystemExit(3), KeyboardInterrupt(), MemoryError(), ZeroDivisionError()])
def test_whatever_ends_a_job_the_next_one_is_done(worker, qtbot, end):
    failures, taken = [], []

    def die(progress):
        raise end

    worker.submit(Job("answer", "", work=die, take=taken.append, failed=failures.append))
    worker.submit(Job("encode", "", work=lambda progress: 5, take=taken.append))
    qtbot.waitUntil(lambda: taken == [5])
    assert len(failures) == 1
    assert isinstance(failures[0], Exception)
