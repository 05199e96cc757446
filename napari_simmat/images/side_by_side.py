"""Work of numpy on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache

__all__ = ["each_at_once"]

_WORKERS = min(8, os.cpu_count() or 1)


def each_at_once(tasks: Iterable[Callable[[], None]]) -> None:
    """Do tasks of numpy side by side, as many as there are cores; they are taken one by one as they come.

    A task is taken when another one is done, so that few of what they hold on to is in memory. No task may call this.
    """
    pool, running = _pool(), list[Future[None]]()
    try:
        for task in tasks:
            running.append(pool.submit(task))
            if len(running) > _WORKERS:
                running.pop(0).result()
        for each in running:
            each.result()
    finally:
        wait(running)


@cache
def _pool() -> ThreadPoolExecutor:
    """Threads that stay: each new one is given a pool of memory by the C library, and leaves 50 MB in it behind."""
    return ThreadPoolExecutor(_WORKERS, thread_name_prefix="scaling")


if hasattr(os, "register_at_fork"):  # a forked process has none of these threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
