"""Where the model runs, and in which precision: found out once, shown to the user."""

from __future__ import annotations

import functools
import os
import time
from contextlib import AbstractContextManager, nullcontext

import torch

DEVICE_VARIABLE = "NAPARI_SIMMAT_DEVICE"

# bfloat16 has to win clearly: where the processor only emulates it, it loses clearly.
_WORTH_IT = 1.5
_PROBE_SIDE = 768


def device_choice() -> str:
    """The best device at hand: "cuda", "mps" or "cpu"; the variable `NAPARI_SIMMAT_DEVICE` overrules."""
    if wanted := os.environ.get(DEVICE_VARIABLE):
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


@functools.cache
def uses_bfloat16(device_type: str) -> bool:
    """Whether matrix products on this device are worth doing in bfloat16.

    fp16 is no choice: it overflows in the TinyViT encoder. On a CPU one small product is timed, because software
    emulation of bfloat16 is slower than float32.
    """
    if device_type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device_type != "cpu":
        return False
    seconds = {dtype: _product_seconds(dtype) for dtype in (torch.float32, torch.bfloat16)}
    return seconds[torch.float32] > _WORTH_IT * seconds[torch.bfloat16]


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Context in which the encoder and the decoder run on `device`."""
    if uses_bfloat16(device.type):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


def describe_device(device: torch.device) -> str:
    """Device and precision in words, such as "CPU, 2 threads, bfloat16"."""
    precision = "bfloat16" if uses_bfloat16(device.type) else "float32"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {precision}"
    if device.type == "mps":
        return f"Apple GPU, {precision}"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads != 1 else ''}, {precision}"


def _product_seconds(dtype: torch.dtype) -> float:
    """Best of several timings of one matrix product."""
    a = torch.ones(_PROBE_SIDE, _PROBE_SIDE, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        a @ a
        best = min(best, time.perf_counter() - start)
    return best
