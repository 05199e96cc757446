"""Learning from corrections: `quick`, `deep`, and `finetune` for whole data sets."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_simmat.images import ModalityProfile, MultiChannelImage
from napari_simmat.inference.regions import refuse_large
from napari_simmat.models import Adapter, BaseModel
from napari_simmat.training.corrections import Correction, Corrections
from napari_simmat.training.memory import peak_rss_mb
from napari_simmat.training.report import TrainingReport
from napari_simmat.training.rounds import learn
from napari_simmat.training.settings import Settings
from napari_simmat.training.watch import OnStep, Watch

__all__ = ["TrainingReport", "deep", "finetune", "peak_rss_mb", "quick"]


def quick(
    corrections: Corrections | Sequence[Correction],
    *,
    start: Adapter | None = None,
    steps: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
    cancel: threading.Event | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
) -> tuple[Adapter, TrainingReport]:
    """Late LoRA on cached early features: seconds.

    Parameters
    ----------
    corrections : Corrections
        Objects that the user accepted or fixed.
    start : Adapter, optional
        What to go on from; by default the untrained one.
    steps : int, optional
        Optimiser steps; by default from the number of objects.
    learning_rate : float, optional
    seed : int, optional
        Of everything random; by default 0.
    settings : Settings, optional
        How to learn otherwise than by default; steps, learning rate and seed given beside it go before its own.
    on_step : callable (step, of how many, loss), optional
        Called from the thread that trains.
    cancel : threading.Event, optional
        Set it to stop within one step.
    base : BaseModel, optional
        By default the embedded one.
    device : str, optional

    Returns
    -------
    adapter : Adapter
        The new version, or `start` if it did worse on held-out corrections.
    report : TrainingReport
        What was done; `kept` and `reason` are the verdict.

    Raises
    ------
    TrainingError
        There is nothing to learn from, or steps, learning rate or seed make no sense.
    Cancelled
    """
    chosen = (settings or Settings()).with_(steps=steps, learning_rate=learning_rate, seed=seed)
    return learn("quick", corrections, start, chosen, Watch(on_step, cancel), base, device)


def deep(
    corrections: Corrections | Sequence[Correction],
    *,
    start: Adapter | None = None,
    steps: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
    cancel: threading.Event | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
) -> tuple[Adapter, TrainingReport]:
    """MAT and LoRA through the whole encoder, on windows around the objects: a minute or two.

    Parameters, results and errors are those of `quick`.
    """
    chosen = (settings or Settings()).with_(steps=steps, learning_rate=learning_rate, seed=seed)
    return learn("deep", corrections, start, chosen, Watch(on_step, cancel), base, device)


def finetune(
    dataset: Sequence[tuple[MultiChannelImage, NDArray[np.integer]]],
    *,
    replay: Sequence[tuple[MultiChannelImage, NDArray[np.integer]]] = (),
    mode: Literal["quick", "deep"] = "deep",
    steps: int | None = None,
    seed: int | None = None,
    learning_rate: float | None = None,
    start: Adapter | None = None,
    mat: str = "mat",
    profile: ModalityProfile | None = None,
    gate: bool = True,
    settings: Settings | None = None,
    on_step: OnStep | None = None,
    cancel: threading.Event | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
) -> Adapter:
    """Train an adapter on images with instance labels.

    Parameters
    ----------
    dataset : sequence of (MultiChannelImage, label image)
        Label images are (Y, X) integers, 0 is background.
    replay : sequence of (MultiChannelImage, label image)
        Images of earlier rounds: their objects are learnt from and judged by beside the new ones, so that what `start`
        has learnt from them is not lost.
    mode : {"deep", "quick"}
    mat : str
        Without `start`: which transfer layer to begin with, a key of `napari_simmat.models.TRANSFERS`.
    profile : ModalityProfile, optional
        Without `start`: how the images become model input, by default the built-in profile of the first one.
    gate : bool
        Hold objects out, and keep the adapter as it was if it does worse on them. Without it all objects are learnt
        from and the result is kept, to be judged on images of one's own.
    steps, seed, learning_rate, start, settings, on_step, cancel, base, device
        As for `quick`.

    Returns
    -------
    Adapter
        The report is the last entry of ``adapter.card.history``, also where the gate kept the adapter as it was.

    Raises
    ------
    TrainingError, AdapterError, Cancelled
    ImageError
        An image is too large to be seen as a whole.
    """
    everything = [*dataset, *replay]
    for image, _ in everything:
        refuse_large(image)
    corrections = Corrections(
        c for image, labels in everything for c in Corrections.from_labels(image, labels)
    )
    if start is None and (mat != "mat" or profile is not None) and len(corrections):
        start = Adapter.untrained([image for image, _ in everything], profile=profile, mat=mat, base=base)
    chosen = (settings or Settings()).with_(steps=steps, learning_rate=learning_rate, seed=seed)
    watch = Watch(on_step, cancel)
    adapter, report = learn(mode, corrections, start, chosen, watch, base, device, gate=gate)
    if not report.kept:
        adapter = adapter.with_card(history=(*adapter.card.history, report))
    return adapter
