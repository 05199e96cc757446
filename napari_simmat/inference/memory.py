"""Giving back what the process does not need any more."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress


def give_memory_back() -> None:
    """Have the C library return what was freed to the system, where it can.

    glibc keeps what was freed in pools of the threads that freed it: a few hundred MB after each encoding, and more with
    each training.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").malloc_trim(0)
