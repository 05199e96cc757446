"""Keeps Python's collector from walking through the whole window while the model works.

What napari, vispy and Qt have made is a million objects. A full collection looks at all of them, in whichever thread
happens to make the next one, and for a third of a second no other thread runs, the window's neither. So full ones wait
while a long job runs; the usual small ones, which look at what was made lately, go on.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NEVER = 1_000_000_000

_lock = threading.Lock()
_at_work = 0
_usual = gc.get_threshold()


@contextmanager
def small_collections_only() -> Iterator[None]:
    """No full collection in here; may be entered from several threads at once."""
    global _at_work, _usual
    with _lock:
        if not _at_work:
            _usual = gc.get_threshold()
            gc.set_threshold(*_usual[:2], NEVER)
        _at_work += 1
    try:
        yield
    finally:
        with _lock:
            _at_work -= 1
            if (
                not _at_work and gc.get_threshold()[2] == NEVER
            ):  # else somebody has decided otherwise meanwhile
                gc.set_threshold(*_usual)


def keep_what_is_imported() -> None:
    """Take what is there, nearly all of it imported modules, out of the collector's sight for good.

    To be called once before a window is made: of a million objects a tenth is left to look at then, and a full collection
    takes a twentieth of a second instead of a third.
    """
    gc.collect()
    gc.freeze()
