"""Learning from corrections: `quick`, `deep`, and `finetune` for whole data sets."""

from __future__ import annotations

import datetime
import sys
import threading
import time
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from napari_simmat import __version__
from napari_simmat.errors import TrainingError
from napari_simmat.images import ModalityProfile, MultiChannelImage
from napari_simmat.inference import describe_device, device_choice
from napari_simmat.inference.regions import refuse_large
from napari_simmat.models import Adapter, BaseModel, TrainingRun, load_base_model
from napari_simmat.training.corrections import Correction, Corrections
from napari_simmat.training.gate import Split, one_click_iou, splits
from napari_simmat.training.recipes import RECIPES, Mode, Recipe
from napari_simmat.training.scenes import TOO_SMALL, learnable
from napari_simmat.training.settings import Settings
from napari_simmat.training.trainer import OnStep, Watch, train

TrainingReport = TrainingRun


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
    return _learn("quick", corrections, start, chosen, Watch(on_step, cancel), base, device)


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
    return _learn("deep", corrections, start, chosen, Watch(on_step, cancel), base, device)


def finetune(
    dataset: Sequence[tuple[MultiChannelImage, NDArray[np.integer]]],
    *,
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
    for image, _ in dataset:
        refuse_large(image)
    corrections = Corrections(c for image, labels in dataset for c in Corrections.from_labels(image, labels))
    if start is None and (mat != "mat" or profile is not None) and len(corrections):
        start = Adapter.untrained([image for image, _ in dataset], profile=profile, mat=mat, base=base)
    chosen = (settings or Settings()).with_(steps=steps, learning_rate=learning_rate, seed=seed)
    watch = Watch(on_step, cancel)
    adapter, report = _learn(mode, corrections, start, chosen, watch, base, device, gate=gate)
    if not report.kept:
        adapter = adapter.with_card(history=(*adapter.card.history, report))
    return adapter


def _learn(
    mode: Mode,
    given: Corrections | Sequence[Correction],
    start: Adapter | None,
    settings: Settings,
    watch: Watch,
    base: BaseModel | None,
    device: str | None,
    *,
    gate: bool = True,
) -> tuple[Adapter, TrainingReport]:
    """Split, train, judge, keep or roll back."""
    began = time.perf_counter()
    recipe = RECIPES[mode]
    base = load_base_model() if base is None else base
    accepted = list(given)
    corrections = Corrections(c for c in accepted if learnable(c, base.sam.side))
    _check(len(accepted), len(corrections), settings)
    where = device or device_choice()
    if start is None:
        start = Adapter.untrained([group[0].image for group in corrections.by_image()], base=base)
    for group in corrections.by_image():
        start.fits(group[0].image)
    folds = splits(corrections, most_images=recipe.judges[0], most_objects=recipe.judges[1]) if gate else []
    everything = list(corrections)
    few = len(folds) > 1 or not folds
    learnt_from = everything if few else folds[0].learn
    count = recipe.steps(len(learnt_from)) if settings.steps is None else settings.steps
    rate = recipe.learning_rate if settings.learning_rate is None else settings.learning_rate
    settings = settings.with_(steps=count, learning_rate=rate)
    watch.total = count * (len(folds) + 1 if few and folds else 1)

    before: float | None = None
    after: float | None = None
    if few:
        judged = [_judge_fold(recipe, start, fold, settings, watch, base, where) for fold in folds]
        if judged:
            before, after = (float(np.mean(column)) for column in zip(*judged, strict=True))
    run = _train(recipe, start, learnt_from, settings, watch, base, where)
    if not few:
        before = one_click_iou(start, folds[0].judge, base=base, device=where, watch=watch)
        after = one_click_iou(run.adapter, folds[0].judge, base=base, device=where, watch=watch)
    kept = before is None or after is None or after >= before
    held_out = sum(len(fold.judge) for fold in folds)
    report = TrainingReport(
        mode=mode,
        steps=count,
        learning_rate=rate,
        seed=settings.seed,
        seconds=time.perf_counter() - began,
        seconds_per_step=run.seconds / count,
        trainable_parameters=run.parameters,
        loss_first=_mean(run.losses[: max(1, count // 10)]),
        loss_last=_mean(run.losses[-max(1, count // 10) :]),
        losses=tuple(round(v, 5) for v in run.losses),
        peak_rss_mb=peak_rss_mb(),
        device=describe_device(torch.device(where)),
        images=len(Corrections(learnt_from).by_image()),
        objects=len(learnt_from),
        held_out=held_out,
        held_out_before=before,
        held_out_after=after,
        kept=kept,
        reason=_verdict(kept, before, after, held_out, leave_one_out=few) if gate else NO_GATE,
    )
    if not kept:
        return start, report
    card = start.card.model_copy(
        update={
            "name": f"{start.profile.modality} {mode} {len(start.card.history) + 1}",
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "software": f"napari-simmat {__version__}",
            "history": (*start.card.history, report),
        }
    )
    return Adapter(run.adapter.profile, card, run.adapter.tensors), report


NO_GATE = "Kept without a check, as was asked for: no object was held out."


class _Run:
    """One training: what came out and what it took."""

    def __init__(self, adapter: Adapter, losses: list[float], seconds: float, parameters: int) -> None:
        self.adapter = adapter
        self.losses = losses
        self.seconds = seconds
        self.parameters = parameters


def _train(
    recipe: Recipe,
    start: Adapter,
    corrections: Sequence[Correction],
    settings: Settings,
    watch: Watch,
    base: BaseModel,
    device: str,
) -> _Run:
    """One training on some corrections; steps and learning rate are settled."""
    assert settings.steps is not None
    assert settings.learning_rate is not None
    rng = np.random.default_rng(settings.seed)
    model = recipe.build(start, base.on(device), settings.seed)
    parameters = recipe.unfreeze(model)
    draw = recipe.sampler(model, start, corrections, rng)
    began = time.perf_counter()
    losses = train(
        model,
        parameters,
        draw,
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        prompts=recipe.prompts,
        rng=rng,
        watch=watch,
    )
    seconds = time.perf_counter() - began
    adapter = start.replaced(model=model, card=start.card)
    return _Run(adapter, losses, seconds, sum(p.numel() for p in parameters))


def _judge_fold(
    recipe: Recipe,
    start: Adapter,
    fold: Split,
    settings: Settings,
    watch: Watch,
    base: BaseModel,
    device: str,
) -> tuple[float, float]:
    """IoU on one fold's held-out object before and after a training without it."""
    run = _train(recipe, start, fold.learn, settings, watch, base, device)
    return (
        one_click_iou(start, fold.judge, base=base, device=device, watch=watch),
        one_click_iou(run.adapter, fold.judge, base=base, device=device, watch=watch),
    )


def _check(accepted: int, large: int, settings: Settings) -> None:
    if not accepted:
        raise TrainingError("There are no objects to learn from; accept an object first.")
    if not large:
        raise TrainingError(TOO_SMALL)
    settings.check()


def _verdict(
    kept: bool, before: float | None, after: float | None, held_out: int, *, leave_one_out: bool
) -> str:
    if before is None or after is None:
        return "Kept without a check: with a single object nothing can be held out; accept another one."
    objects = f"{held_out} object{'s' if held_out != 1 else ''}"
    what = f"each of {objects} left out in turn" if leave_one_out else f"{objects} held out"
    numbers = f"one-click IoU {before:.3f} before, {after:.3f} after ({what})"
    return f"Kept: {numbers}." if kept else f"Rolled back: {numbers}."


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    if sys.platform == "win32":
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10
