"""A function of tensors, recorded on a GPU for shapes that come again and played back with a single launch.

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

Tensors = tuple[Tensor, ...]

_MOST_SHAPES = 6
"""Whole frames, drafts and a few sizes of close-ups; each recording keeps its activations."""

_TOLERANCE = 0.02
"""Largest difference, as a share of the largest value: kernels may be chosen otherwise, in bfloat16."""


@dataclass(frozen=True, eq=False)
class Recording:
    """What was recorded for one shape.

    Attributes
    ----------
    given, found : tuple of Tensor
        Where the inputs are put and the outputs lie.
    play : callable
        Computes `found` from `given`.
    """

    given: Tensors
    found: Tensors
    play: Callable[[], None]


class Recorded:
    """Calls a function, by a recording where its inputs have had these shapes before.

    Parameters
    ----------
    function : callable
        Of tensors, gives a tuple of them; always the same operations on the same weights for inputs of the same shapes,
        which it does not change.
    record : callable
        Makes a `Recording` of it for inputs like the given ones; a `RuntimeError` says that this cannot be done.
    lasting : int
        So many of the first inputs are written to by nobody: where one is the same tensor as the last time, it is there
        already.
    most : int
        Recordings that are kept, each with its activations.
    """

    def __init__(
        self,
        function: Callable[..., Tensors],
        record: Callable[[Callable[..., Tensors], Tensors], Recording],
        *,
        lasting: int = 0,
        most: int = _MOST_SHAPES,
    ) -> None:
        self._function, self._record = function, record
        self._lasting, self._most = lasting, most
        self._seen: set[object] = set()
        self._recordings: dict[object, Recording | None] = {}
        self._put: dict[tuple[object, int], weakref.ref[Tensor]] = {}
        self._lock = threading.Lock()
        with _making:
            _made.add(self)

    def forget(self) -> None:
        """Give back the memory of all recordings; they are made anew when their shapes come again."""
        with self._lock:
            self._recordings.clear()
            self._put.clear()

    def __call__(self, *inputs: Tensor) -> Tensors:
        """What the function says of the inputs."""
        if torch.is_grad_enabled():
            return self._function(*inputs)
        key = tuple((x.shape, x.dtype, x.stride(), x.device) for x in inputs)
        with self._lock:
            recording = self._recordings.get(key)
            if recording is not None:
                self._play(key, recording, inputs)
                return tuple(x.clone() for x in recording.found)
            found = self._function(*inputs)
            if key in self._seen and key not in self._recordings and len(self._recordings) < self._most:
                self._recordings[key] = self._checked(key, inputs, found)
            self._seen.add(key)
            return found

    def _play(self, key: object, recording: Recording, inputs: Tensors) -> None:
        for k, (place, x) in enumerate(zip(recording.given, inputs, strict=True)):
            if k < self._lasting:
                known = self._put.get((key, k))
                if known is not None and known() is x:
                    continue
                self._put[key, k] = weakref.ref(x)
            place.copy_(x)
        recording.play()

    def _checked(self, key: object, inputs: Tensors, expected: Tensors) -> Recording | None:
        try:
            recording = self._record(self._function, inputs)
            self._play(key, recording, inputs)
        except RuntimeError:
            return None
        return recording if all(map(_is_near, recording.found, expected)) else None


def _is_near(found: Tensor, expected: Tensor) -> bool:
    difference = float((found.float() - expected.float()).abs().max())
    return difference <= _TOLERANCE * float(expected.float().abs().max())


_made: weakref.WeakSet[Recorded] = weakref.WeakSet()
_making = threading.Lock()


def forget_recordings() -> None:
    """Give back what recordings hold of a GPU's memory, which its cache cannot."""
    with _making:
        made = list(_made)
    for each in made:
        each.forget()


def record_cuda(function: Callable[..., Tensors], inputs: Tensors) -> Recording:
    """A CUDA graph of a function; other threads may use the GPU meanwhile.

    Raises
    ------
    RuntimeError
        The function does something that cannot be recorded, or there is no memory for it.
    """
    given, device = tuple(x.clone() for x in inputs), inputs[0].device
    aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
    aside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.device(device), torch.cuda.stream(aside):
        function(*given)  # whatever is set up on a first call must not become part of it
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=aside, capture_error_mode="thread_local"):
            found = function(*given)
    torch.cuda.current_stream(device).wait_stream(aside)
    return Recording(given, found, graph.replay)
