"""How cost grows with the size of an image, its channels, the objects in it and the corrections learnt from."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation.speed.child import run_child
from napari_simmat.evaluation.speed.learning import deep_seconds_per_step
from napari_simmat.evaluation.speed.report import GrowthRow, Times
from napari_simmat.evaluation.speed.synthetic import disc_image, discs, write_picture
from napari_simmat.evaluation.speed.timing import Course, clock, gpu_peak_mb, median, own_peak_mb, quartiles
from napari_simmat.images import MultiChannelImage, open_image
from napari_simmat.inference import Prompt, Segmenter, device_choice, region_around
from napari_simmat.inference.cache import forget
from napari_simmat.inference.regions import Region
from napari_simmat.models import BaseModel
from napari_simmat.training import Correction, Corrections, deep, quick

__all__ = ["GROWTH", "GROWTH_MODULE", "Kind", "grow", "measure"]

GROWTH: dict[str, tuple[int, ...]] = {
    "size": (256, 512, 1024, 2048, 4096, 8192, 16384),
    "channels": (1, 3, 10, 30, 100, 300),
    "corrections": (1, 8, 50, 500),
    "deep": (8,),
}
"""What is measured here, at which values; the front door of the product measures objects in a layer."""

Measured = dict[str, list[float]]
Kind = Callable[[int, BaseModel, torch.device, int], Measured]
"""Given the value, the model, the device and the number of repetitions: what each repetition of each thing took."""

GROWTH_MODULE = "napari_simmat.evaluation.speed"
"""What measures a row of these when it is run."""

_SIDE = 1024
_ACROSS = 7  # discs of a training image, so 49 objects
_DEEP_STEPS, _QUICK_STEPS = 4, 10


def grow(
    what: str,
    values: Sequence[int],
    *,
    runs: int = 3,
    module: str = GROWTH_MODULE,
    checkpoint: Path | None = None,
    environment: Mapping[str, str] | None = None,
    cancel: threading.Event | None = None,
    done: Callable[[str], None] = lambda remark: None,
) -> list[GrowthRow]:
    """Measure at each value in a process of its own; where that fails the row says why.

    Raises
    ------
    Cancelled
    """
    rows = []
    for value in values:
        arguments = [what, str(value), str(runs), *([str(checkpoint)] if checkpoint is not None else [])]
        try:
            told = run_child(module, arguments, cancel=cancel, environment=environment)
            rows.append(GrowthRow.model_validate(told))
        except Cancelled:
            raise
        except SimmatError as error:
            rows.append(GrowthRow(what=what, value=value, remark=str(error)))
        done(f"{what} {value:,}")
    return rows


def measure(what: str, value: int, runs: int, base: BaseModel, kind: Kind | None = None) -> GrowthRow:
    """Measure one row in this process."""
    device = torch.device(device_choice())
    found = (kind or _KINDS[what])(value, base, device, runs)
    return GrowthRow(
        what=what,
        value=value,
        times=[
            Times(name=name, median=median(each), quartiles=quartiles(each), runs=len(each))
            for name, each in found.items()
        ],
        peak_rss_mb=own_peak_mb(),
        peak_gpu_mb=gpu_peak_mb(device),
    )


def _size(value: int, base: BaseModel, device: torch.device, runs: int) -> Measured:
    """From a file to the first mask; of a large image to that of the region around the click."""
    found: Measured = {"open_ms": [], "encode_ms": [], "click_ms": []}
    place = value / 2 - min(value / 4, 60)  # on a disc in the middle, of a small picture anywhere
    with tempfile.TemporaryDirectory(prefix="napari-simmat-speed-") as folder:
        path = Path(folder) / "picture.tif"
        write_picture(path, value)
        for _ in range(runs):
            forget()
            image, opening = clock(partial(open_image, path), device)
            region = region_around(image, [(place, place)])
            segmenter, encoding = clock(partial(_encoded, image, region, base, device), device)
            top, left = (0, 0) if region is None else region[:2]
            _, click = clock(
                partial(_first_mask, segmenter, Prompt().with_point(place - top, place - left)), device
            )
            for name, ms in zip(found, (opening, encoding, click), strict=True):
                found[name].append(ms)
    return found


def _encoded(
    image: MultiChannelImage, region: Region | None, base: BaseModel, device: torch.device
) -> Segmenter:
    """What answers on an image, or on a region of a large one."""
    window = image if region is None else image.window(*region)
    return Segmenter(window, model=base, device=str(device))


def _first_mask(segmenter: Segmenter, prompt: Prompt) -> NDArray[np.bool_]:
    return segmenter.answer(prompt).mask()


def _channels(value: int, base: BaseModel, device: torch.device, runs: int) -> Measured:
    """From an image in memory to the first mask."""
    found: Measured = {"encode_ms": []}
    labels = discs(_SIDE, _ACROSS)
    for k in range(runs):
        forget()
        image = disc_image(labels, value, seed=k)
        _, ms = clock(partial(_encoded, image, None, base, device), device)
        found["encode_ms"].append(ms)
    return found


def _corrections(value: int, base: BaseModel, device: torch.device, runs: int) -> Measured:
    """Steps of short trainings, and a whole quick one of few steps with its gate."""
    found: Measured = {"quick_s": [], "quick_s_per_step": [], "deep_s_per_step": []}
    course = Course(0)
    for k in range(runs):
        corrections = _disc_corrections(value, k)
        forget()
        work = partial(quick, corrections, steps=_QUICK_STEPS, base=base, device=str(device))
        (_, report), ms = clock(work, device)
        found["quick_s"].append(ms / 1000)
        found["quick_s_per_step"].append(report.seconds_per_step)
        forget()
        found["deep_s_per_step"].append(deep_seconds_per_step(corrections, base, device, _DEEP_STEPS, course))
    return found


def _deep(value: int, base: BaseModel, device: torch.device, runs: int) -> Measured:
    """One whole deep training with as many steps as it thinks best, gate included."""
    corrections = _disc_corrections(value, 0)
    (_, report), ms = clock(partial(deep, corrections, base=base, device=str(device)), device)
    return {"deep_s": [ms / 1000], "deep_s_per_step": [report.seconds_per_step]}


def _disc_corrections(count: int, seed: int) -> Corrections:
    found: list[Correction] = []
    number = 0
    while len(found) < count:
        labels = discs(_SIDE // 2, _ACROSS)
        image = disc_image(labels, 5, seed=100 * seed + number)
        wanted = range(1, min(_ACROSS**2, count - len(found)) + 1)
        found += [Correction.of(image, labels == n, label=n, source="dataset") for n in wanted]
        number += 1
    return Corrections(found)


_KINDS: dict[str, Kind] = {
    "size": _size,
    "channels": _channels,
    "corrections": _corrections,
    "deep": _deep,
}
