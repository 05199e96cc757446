"""Giving back what the process does not need any more."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import suppress

_M_ARENA_MAX = -8
_POOLS = 2


def _c_library() -> ctypes.CDLL:
    return ctypes.CDLL("libc.so.6")


def give_memory_back() -> None:
    """Have the C library return what was freed to the system, where it can.

    glibc keeps what was freed in pools of the threads that freed it: a few hundred MB after each encoding, and more with
    each training.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            _c_library().malloc_trim(0)


def keep_few_pools() -> bool:
    """Have threads share two of the C library's pools, where it has pools; whether that was done.

    glibc gives each thread a pool of its own, up to eight a core. In each, what lives long lies between what was freed,
    and that cannot be given back: with many threads hours of work cost 100 MB more than with one. Two cores wait little
    for each other's pool, for what is large does not come from there. Who has set ``MALLOC_ARENA_MAX`` has decided.
    """
    if sys.platform == "linux" and "MALLOC_ARENA_MAX" not in os.environ:
        with suppress(OSError, AttributeError):  # another C library
            return bool(_c_library().mallopt(_M_ARENA_MAX, _POOLS))
    return False
