"""How things are timed, how work is followed and stopped, and what the machine is."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from napari_simmat.errors import Cancelled
from napari_simmat.training.memory import peak_rss_mb

__all__ = [
    "Course",
    "Pairs",
    "clock",
    "gpu_peak_mb",
    "median",
    "own_peak_mb",
    "processor",
    "quartiles",
    "software",
]

T = TypeVar("T")


@dataclass
class Course:
    """How far the work is: told of each step, and asked whether to stop.

    Attributes
    ----------
    total : int
        Steps in all.
    progress : callable (done, total, remark), optional
    cancel : threading.Event, optional
    """

    total: int
    progress: Callable[[int, int | None, str], None] | None = None
    cancel: threading.Event | None = None
    done: int = 0

    def check(self) -> None:
        """Stop here if asked to.

        Raises
        ------
        Cancelled
        """
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled("The benchmark was cancelled.")

    def step(self, remark: str) -> None:
        """One more step is done; `check` is called, too."""
        self.done += 1
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total, remark)
        self.check()


@dataclass
class Pairs:
    """Milliseconds that stock and ours took for the same work, in the order in which they were taken."""

    stock: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)

    def measure(self, stock: Callable[[], object], ours: Callable[[], T], device: torch.device) -> T:
        """Time stock, then ours; what ours gave."""
        _, stock_ms = clock(stock, device)
        result, ours_ms = clock(ours, device)
        self.stock.append(stock_ms)
        self.ours.append(ours_ms)
        return result


def clock(work: Callable[[], T], device: torch.device) -> tuple[T, float]:
    """What some work gives and the milliseconds that it takes, until the device has done its part."""
    _synchronise(device)
    began = time.perf_counter()
    result = work()
    _synchronise(device)
    return result, 1000 * (time.perf_counter() - began)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def median(values: Sequence[float]) -> float:
    """The middle value."""
    return float(np.median(values))


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """First and third quartile."""
    low, high = np.percentile(values, (25, 75))
    return float(low), float(high)


def own_peak_mb() -> float:
    """Largest resident memory of this process so far, in MB.

    On Linux what `getrusage` tells of a process that was started by another one begins with the memory of that one.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return peak_rss_mb()


def gpu_peak_mb(device: torch.device) -> float | None:
    """Largest memory of a CUDA device that was used, in MB; None elsewhere."""
    return torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None


def processor() -> str:
    """Processor and cores in words."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{name}, {cores} core{'s' if cores != 1 else ''}, {platform.system()} {platform.machine()}"


def software() -> dict[str, str]:
    """Versions of what the figures depend on."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in ("napari-simmat", "torch", "timm", "numpy", "napari"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
