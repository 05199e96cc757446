"""A function of one tensor, recorded on a GPU for shapes that come again and played back with a single launch.

The encoder is some hundred small kernels. A GPU of today is done with each before Python has asked for the next, so
asking once for all of them (a CUDA graph) is what brings it near its limit. Nothing is taken on trust: what was recorded
is compared with what the function says, and where it cannot be recorded or says something else, the function is called as
ever.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Recorded", "Recording", "forget_recordings", "record_cuda"]

_MOST_SHAPES = 6
"""Whole frames, drafts and a few sizes of close-ups; each recording keeps its activations."""

_TOLERANCE = 0.02
"""Largest difference, as a share of the largest value: kernels may be chosen otherwise, in bfloat16."""


@dataclass(frozen=True, eq=False)
class Recording:
    """What was recorded for one shape.

    Attributes
    ----------
    given, found : Tensor
        Where the input is put and the output lies.
    play : callable
        Computes `found` from `given`.
    """

    given: Tensor
    found: Tensor
    play: Callable[[], None]


class Recorded:
    """Calls a function, by a recording where its input has had this shape before.

    Parameters
    ----------
    function : callable
        Of one tensor; always the same operations on the same weights for inputs of one shape, which it does not change.
    record : callable
        Makes a `Recording` of it for inputs like the given one; a `RuntimeError` says that this cannot be done.
    """

    def __init__(
        self,
        function: Callable[[Tensor], Tensor],
        record: Callable[[Callable[[Tensor], Tensor], Tensor], Recording],
    ) -> None:
        self._function, self._record = function, record
        self._seen: set[object] = set()
        self._recordings: dict[object, Recording | None] = {}
        self._lock = threading.Lock()
        _made.add(self)

    def forget(self) -> None:
        """Give back the memory of all recordings; they are made anew when their shapes come again."""
        with self._lock:
            self._recordings.clear()

    def __call__(self, x: Tensor) -> Tensor:
        """What the function says of `x`."""
        if torch.is_grad_enabled():
            return self._function(x)
        key = (x.shape, x.dtype, x.stride(), x.device)
        with self._lock:
            recording = self._recordings.get(key)
            if recording is not None:
                recording.given.copy_(x)
                recording.play()
                return recording.found.clone()
            found = self._function(x)
            if key in self._seen and key not in self._recordings and len(self._recordings) < _MOST_SHAPES:
                self._recordings[key] = self._checked(x, found)
            self._seen.add(key)
            return found

    def _checked(self, x: Tensor, expected: Tensor) -> Recording | None:
        try:
            recording = self._record(self._function, x)
            recording.given.copy_(x)
            recording.play()
        except RuntimeError:
            return None
        difference = float((recording.found.float() - expected.float()).abs().max())
        return recording if difference <= _TOLERANCE * float(expected.float().abs().max()) else None


_made: weakref.WeakSet[Recorded] = weakref.WeakSet()


def forget_recordings() -> None:
    """Give back what recordings hold of a GPU's memory, which its cache cannot."""
    for each in list(_made):
        each.forget()


def record_cuda(function: Callable[[Tensor], Tensor], x: Tensor) -> Recording:
    """A CUDA graph of a function; other threads may use the GPU meanwhile.

    Raises
    ------
    RuntimeError
        The function does something that cannot be recorded, or there is no memory for it.
    """
    given = x.clone()
    aside = torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream(x.device))
    with torch.cuda.device(x.device), torch.cuda.stream(aside):
        function(given)  # whatever is set up on a first call must not become part of it
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
            found = function(given)
    torch.cuda.current_stream(x.device).wait_stream(aside)
    return Recording(given, found, graph.replay)
