"""Where the model runs, in which precision and with how many threads: chosen once, shown to people, theirs to overrule.

What is chosen here or in the variables `NAPARI_SIMMAT_DEVICE`, `NAPARI_SIMMAT_PRECISION` and `NAPARI_SIMMAT_THREADS`
goes before what is found to be best; a choice goes before a variable.
"""

from __future__ import annotations

import functools
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from napari_simmat.errors import SimmatError
from napari_simmat.inference.recorded import forget_recordings

DEVICE_VARIABLE = "NAPARI_SIMMAT_DEVICE"
PRECISION_VARIABLE = "NAPARI_SIMMAT_PRECISION"
THREADS_VARIABLE = "NAPARI_SIMMAT_THREADS"

PRECISIONS = ("bfloat16", "float32")

_MOST_THREADS = 1024

T = TypeVar("T")


def _check(is_right: bool, what: str, value: object) -> None:
    if is_right:
        return
    expected = {"device": "cpu, cuda or mps", "precision": " or ".join(PRECISIONS)}.get(what, "1 or more")
    raise SimmatError(f"The {what} to compute with is {value!r}, expected {expected}.")


@dataclass(frozen=True)
class Choice:
    """What somebody decided; None is what is found to be best.

    Attributes
    ----------
    device : str, optional
        "cpu", "cuda", "cuda:1" or "mps".
    precision : str, optional
        Of products: "bfloat16" or "float32".
    threads : int, optional
        On a CPU.
    """

    device: str | None = None
    precision: str | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        _check(
            self.device is None or self.device.split(":")[0] in ("cpu", "cuda", "mps"), "device", self.device
        )
        _check(self.precision in (None, *PRECISIONS), "precision", self.precision)
        _check(self.threads is None or self.threads >= 1, "number of threads", self.threads)


_choice = Choice()


def choose(**changes: str | int | None) -> Choice:
    """Decide on `device`, `precision` or `threads` for this process; what is left out stays as it was.

    Raises
    ------
    SimmatError
        There is no such device or precision, or not one thread.
    """
    global _choice
    _choice = replace(_choice, **changes)  # type: ignore[arg-type]
    return _choice


def chosen() -> Choice:
    """What was decided in this process or by variables."""
    told = os.environ.get(THREADS_VARIABLE)
    if told and not told.isdecimal():
        _check(False, "number of threads", told)
    environment = Choice(
        os.environ.get(DEVICE_VARIABLE) or None,
        os.environ.get(PRECISION_VARIABLE) or None,
        int(told) if told else None,
    )
    return Choice(
        _choice.device or environment.device,
        _choice.precision or environment.precision,
        _choice.threads or environment.threads,
    )


def devices() -> list[str]:
    """The devices at hand, the best first."""
    gpus = [f"cuda:{k}" for k in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    return [
        *(["cuda"] if len(gpus) == 1 else gpus),
        *(["mps"] if torch.backends.mps.is_available() else []),
        "cpu",
    ]


def device_choice() -> str:
    """The device that was decided on, else the best one at hand."""
    return chosen().device or devices()[0]


def uses_bfloat16(device_type: str) -> bool:
    """Whether products on a device are taken in bfloat16.

    fp16 is no choice: it overflows in the TinyViT encoder.
    """
    wanted = chosen().precision
    return pays_bfloat16(device_type) if wanted is None else wanted == "bfloat16"


@functools.cache
def pays_bfloat16(device_type: str) -> bool:
    """Whether products on this device are worth taking in bfloat16.

    On a CPU bfloat16 pays where the processor has it; where it is emulated it is slower than float32. What the
    processor says of itself decides, and no timing: on a machine that happens to be busy another precision would win,
    and the same clicks would give other masks.
    """
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device_type != "cpu":
        return False
    if platform.machine().lower() in ("arm64", "aarch64"):
        return platform.system() == "Linux" and bool(torch.ops.mkldnn._is_mkldnn_bf16_device_supported())
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name)()) for name in names if hasattr(torch.cpu, name))


def products(device: torch.device) -> torch.dtype:
    """The precision in which products are taken on a device."""
    return torch.bfloat16 if uses_bfloat16(device.type) else torch.float32


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Context in which the encoder and the decoder run on `device`."""
    if uses_bfloat16(device.type):
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()


@functools.cache
def _usual_threads() -> int:
    return torch.get_num_threads()


def threads() -> int:
    """The number of threads that was decided on, else torch's own: one for each core."""
    usual = _usual_threads()
    return chosen().threads or usual


def take_threads(*, spare: int = 0) -> None:
    """Have the thread that calls this compute with as many threads as were decided on.

    Parameters
    ----------
    spare : int
        So many are left to others, such as a window that people work in; one is taken in any case.
    """
    count = max(1, threads() - spare)
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def how_computed(count: int) -> dict[str, str | int]:
    """What decides on a CPU how sums are rounded: precision and number of threads. To be given to `compute_as`."""
    return {"precision": "bfloat16" if uses_bfloat16("cpu") else "float32", "threads": count}


def compute_as(told: Mapping[str, object]) -> bool:
    """Have the thread that calls this compute as something was computed once; True if that is another precision.

    What is not told, or not of this release, stays as it is.
    """
    precision, count = told.get("precision"), told.get("threads")
    if isinstance(count, int) and 1 <= count <= _MOST_THREADS and torch.get_num_threads() != count:
        torch.set_num_threads(count)
    if precision not in PRECISIONS or (precision == "bfloat16") == uses_bfloat16("cpu"):
        return False
    choose(precision=str(precision))
    return True


@contextmanager
def for_a_while() -> Iterator[None]:
    """What is decided on in here, and the number of threads, is forgotten behind it."""
    global _choice
    before, count = _choice, torch.get_num_threads()
    try:
        yield
    finally:
        _choice = before
        torch.set_num_threads(count)


def describe_device(device: torch.device) -> str:
    """Device and precision in words, such as "CPU, 2 threads, bfloat16"."""
    precision = "bfloat16" if uses_bfloat16(device.type) else "float32"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {precision}"
    if device.type == "mps":
        return f"Apple GPU, {precision}"
    count = threads()
    return f"CPU, {count} thread{'s' if count != 1 else ''}, {precision}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()


def first_that_fits(attempts: Sequence[Callable[[], T]]) -> tuple[T, int]:
    """Do something in the first of several ways for which there is memory.

    Returns
    -------
    result
    int
        Which way it was.

    Raises
    ------
    Exception
        What the last of the ways raised, or any of them for another reason than memory.
    """
    for number, attempt in enumerate(attempts):
        try:
            return attempt(), number
        except RuntimeError as error:
            if number == len(attempts) - 1 or not is_out_of_memory(error):
                raise
        # Outside of the handler, whose traceback holds on to what took the memory.
        forget_recordings()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    raise ValueError("there is no way to do it")
