"""Slow work as a value, so that whoever drives the annotator decides on which thread it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Kind = str
Progress = Callable[[int, int, float], None]


def _ignore(step: int, total: int, value: float) -> None:
    pass


@dataclass(eq=False)
class Job:
    """A slow pure function of a snapshot, and the fast change of state that its result makes.

    Attributes
    ----------
    kind : str
        What it is for; a newer job makes a waiting one of the same kind pointless.
    title : str
        What to tell people who wait for it.
    work : callable
        The slow part: safe on any thread, changes no state of the annotator and reads none, but that a draft looks at
        the newest prompt and at the versions there are. It is given a callable
        ``(step, total, value)`` to report to, and stops with `Cancelled` once `cancel` is set.
    take : callable
        The fast part, with the result: to be called on the annotator's thread. A result that has gone
        stale is dropped in here.
    progress : callable
        What a report means; to be called on the annotator's thread.
    failed : callable
        To be called on the annotator's thread if `work` raised.
    cancel : threading.Event
        Set it to stop the work at its next step.
    """

    kind: Kind
    title: str
    work: Callable[[Progress], Any]
    take: Callable[[Any], None]
    progress: Progress = _ignore
    failed: Callable[[Exception], None] = lambda error: None
    cancel: threading.Event = field(default_factory=threading.Event)


Executor = Callable[[Job], None]


def run_now(job: Job) -> None:
    """Run a job on the spot, as scripts and tests want it; what it raises reaches the caller."""
    try:
        result = job.work(job.progress)
    except Exception as error:
        job.failed(error)
        raise
    job.take(result)
