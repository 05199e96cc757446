"""Random starts of new layers that are the same each time, whatever other threads draw."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_LOCK = threading.Lock()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers on the CPU from `seed` in here; nobody else's stream changes.

    torch has one stream for the whole process, so only one thread at a time may be in here.
    """
    with _LOCK, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # `torch.manual_seed` would change those of GPUs for good
        yield
