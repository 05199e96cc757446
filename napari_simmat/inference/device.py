"""Where the model runs, and in which precision: found out once, shown to the user."""

from __future__ import annotations

import functools
import os
import platform
from contextlib import AbstractContextManager, nullcontext

import torch

from napari_simmat.errors import SimmatError

DEVICE_VARIABLE = "NAPARI_SIMMAT_DEVICE"


def device_choice() -> str:
    """The best device at hand: "cuda", "mps" or "cpu"; the variable `NAPARI_SIMMAT_DEVICE` overrules."""
    if wanted := os.environ.get(DEVICE_VARIABLE):
        if wanted.split(":")[0] not in ("cpu", "cuda", "mps"):
            raise SimmatError(f"{DEVICE_VARIABLE} is {wanted!r}, expected cpu, cuda or mps.")
        return wanted
    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    return "cpu"


@functools.cache
def uses_bfloat16(device_type: str) -> bool:
    """Whether matrix products on this device are worth doing in bfloat16.

    fp16 is no choice: it overflows in the TinyViT encoder. On a CPU bfloat16 pays where the processor has it;
    where it is emulated it is slower than float32. What the processor says of itself decides, and no timing: on
    a machine that happens to be busy another precision would win, and the same clicks would give other masks.
    """
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device_type != "cpu":
        return False
    if platform.machine().lower() in ("arm64", "aarch64"):
        return platform.system() == "Linux" and bool(torch.ops.mkldnn._is_mkldnn_bf16_device_supported())
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name)()) for name in names if hasattr(torch.cpu, name))


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
