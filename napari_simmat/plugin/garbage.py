"""Keeps Python's collector from walking through the whole window while the model works.

What napari, vispy and Qt have made is a million objects. The collector looks at all of them now and then, in whichever
thread happens to make the next one, and for a third of a second no other thread runs, the window's neither. What was
there before a long job is set apart for as long as it lasts, and handed back afterwards.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_at_work = 0


@contextmanager
def set_apart() -> Iterator[None]:
    """Have the collector look only at what is made from here on; may be entered from several threads at once."""
    global _at_work
    with _lock:
        if not _at_work:
            gc.freeze()
        _at_work += 1
    try:
        yield
    finally:
        with _lock:
            _at_work -= 1
            if not _at_work:
                gc.unfreeze()
