"""What Python does of itself and makes a window wait for: collecting garbage, and passing its lock on late.

What napari, vispy and Qt have made is a million objects. A full collection looks at all of them, in whichever thread
happens to make the next one, and for a third of a second no other thread runs, the window's neither. So full ones wait
while a long job runs; the usual small ones, which look at what was made lately, go on.

A thread that wants to run Python waits for the one that does, up to five milliseconds each time, and a draft asks some
hundred times while the window is being drawn.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable
from types import TracebackType

NEVER = 1_000_000_000
SHORT_TURN_S = 0.0001


class WhileAnybodyIsIn:
    """A context that several threads may be in at once; what it changes is undone when the last one leaves.

    Parameters
    ----------
    change : callable
        Makes the change and returns what undoes it.
    """

    def __init__(self, change: Callable[[], Callable[[], None]]) -> None:
        self._change = change
        self._undo: Callable[[], None] = lambda: None
        self._count = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            if not self._count:
                self._undo = self._change()
            self._count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with self._lock:
            self._count -= 1
            if not self._count:
                self._undo()


def _no_full_collections() -> Callable[[], None]:
    usual = gc.get_threshold()
    gc.set_threshold(*usual[:2], NEVER)

    def undo() -> None:
        if gc.get_threshold()[2] == NEVER:  # else somebody has decided otherwise meanwhile
            gc.set_threshold(*usual)

    return undo


def _short_turns() -> Callable[[], None]:
    usual = sys.getswitchinterval()
    sys.setswitchinterval(min(usual, SHORT_TURN_S))
    return lambda: sys.setswitchinterval(usual)


small_collections_only = WhileAnybodyIsIn(_no_full_collections)
"""No full collection in here."""

short_turns = WhileAnybodyIsIn(_short_turns)
"""Threads pass Python on to each other sooner in here."""


def keep_what_is_imported() -> None:
    """Take what is there, nearly all of it imported modules, out of the collector's sight for good.

    To be called once before a window is made: of a million objects a tenth is left to look at then, and a full collection
    takes a twentieth of a second instead of a third.
    """
    gc.collect()
    gc.freeze()
