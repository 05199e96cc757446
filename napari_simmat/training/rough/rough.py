"""`adapt_from_rough`: look, check that the prompts belong to the images, adapt, keep or roll back."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from napari_simmat.errors import TrainingError
from napari_simmat.inference import device_choice
from napari_simmat.inference.frozen import freeze
from napari_simmat.inference.regions import refuse_large
from napari_simmat.models import Adapter, BaseModel, load_base_model
from napari_simmat.training.recipes import Recipe, recipe_for
from napari_simmat.training.report import Run, TrainingReport
from napari_simmat.training.rough.adapt import Adapted, adapt_from
from napari_simmat.training.rough.belonging import Fit, better, fit_of, places_of
from napari_simmat.training.rough.channels import with_likely
from napari_simmat.training.rough.labels import RoughLabels
from napari_simmat.training.rough.settings import RoughSettings
from napari_simmat.training.rough.survey import survey
from napari_simmat.training.rough.views import View, make_views
from napari_simmat.training.rough.windows import RoughScenes
from napari_simmat.training.settings import Settings
from napari_simmat.training.watch import OnStep, Watch

__all__ = ["adapt_from_rough"]


def adapt_from_rough(
    labels: Sequence[RoughLabels],
    *,
    start: Adapter | None = None,
    mode: Literal["quick", "deep"] = "quick",
    strategy: str = "lora",
    settings: RoughSettings | None = None,
    steps: int | None = None,
    seed: int | None = None,
    on_step: OnStep | None = None,
    cancel: threading.Event | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
) -> tuple[Adapter, TrainingReport]:
    """Adapt to images of which only rough labels are known: points, boxes, scribbles, coarse outlines.

    Parameters
    ----------
    labels : sequence of RoughLabels
        Images and what was shown of objects in them. Masks cannot be given.
    start : Adapter, optional
        What to go on from, which is also the anchor; by default the untrained one.
    mode : {"quick", "deep"}
        quick: the late part, on cached early features. deep: the transfer layer and the whole encoder.
    strategy : str
        What is trained, a key of `napari_simmat.models.strategies.STRATEGIES`.
    settings : RoughSettings, optional
        How to learn; steps and seed given beside it go before its own.
    steps, seed, on_step, cancel, base, device
        As for `napari_simmat.training.quick`.

    Returns
    -------
    adapter : Adapter
        The new version, or `start` if its masks keep less to what was said than before.
    report : TrainingReport
        `anchor_iou` is the drift: how much the masks for the prompts have in common with those of the anchor.

    Raises
    ------
    TrainingError
        There is nothing to learn from, or the prompts do not belong to the images.
    AdapterError, Cancelled
    ImageError
        An image is too large to be seen as a whole.
    """
    began = time.perf_counter()
    chosen = settings or RoughSettings()
    chosen = replace(
        chosen, steps=chosen.steps if steps is None else steps, seed=chosen.seed if seed is None else seed
    )
    watch = Watch(on_step, cancel)
    ready = prepare(
        labels,
        start=start,
        mode=mode,
        strategy=strategy,
        settings=chosen,
        watch=watch,
        base=base,
        device=device,
    )
    return adapt(ready, chosen, watch=watch, began=began)


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that does not depend on how it is learnt: the images in their views, as the anchor sees them.

    Attributes
    ----------
    start : Adapter
        The anchor.
    recipe : Recipe
    windows : list of list of View
    fit : Fit
        How well the prompts fit their images.
    images, objects : int
        How many there are.
    base : BaseModel
    device : str
    """

    start: Adapter
    recipe: Recipe
    windows: list[list[View]]
    fit: Fit
    images: int
    objects: int
    base: BaseModel
    device: str


def prepare(
    labels: Sequence[RoughLabels],
    *,
    settings: RoughSettings,
    watch: Watch,
    start: Adapter | None = None,
    mode: Literal["quick", "deep"] = "quick",
    strategy: str = "lora",
    base: BaseModel | None = None,
    device: str | None = None,
) -> Prepared:
    """Look at the images, refuse prompts that are not theirs; parameters and errors as `adapt_from_rough`."""
    Settings(steps=settings.steps, learning_rate=settings.learning_rate, seed=settings.seed).check()
    if not all(isinstance(each, RoughLabels) for each in labels) or not any(map(len, labels)):
        raise TrainingError(
            "There are no rough labels to learn from; show objects with points, boxes, scribbles or outlines first."
        )
    given = [each for each in labels if len(each)]
    for each in given:
        refuse_large(each.image)
    base = load_base_model() if base is None else base
    where = torch.device(device or device_choice())
    if start is None:
        start = Adapter.untrained([each.image for each in given], base=base)
    for each in given:
        start.fits(each.image)
    recipe = recipe_for(mode, strategy)
    anchor = start.build_merged(base.on(where))
    freeze(anchor)
    encoder = base.sam.encoder
    scenes = RoughScenes(given, start.profile, side=encoder.side, flexible=encoder.flexible)
    seen = survey(anchor, scenes, watch=watch, device=where)
    places = [places_of(each) for each in given]
    fit = better(fit_of(seen.looks, places), fit_of(seen.plain, places))
    if settings.check and fit.is_refused:
        raise TrainingError(_refusal(fit, len(given)))
    scenes.sizes = seen.sizes
    objects = len(scenes.objects)
    most = min(settings.windows, settings.steps or steps_for(objects))
    rng = np.random.default_rng(settings.seed)
    windows = make_views(anchor, scenes, most, rng, is_quick=recipe.late_only, watch=watch, device=where)
    windows = with_likely(windows, seed=settings.seed, watch=watch, device=where)
    return Prepared(start, recipe, windows, fit, len(given), objects, base, str(where))


def adapt(
    ready: Prepared, settings: RoughSettings, *, watch: Watch, began: float
) -> tuple[Adapter, TrainingReport]:
    """Learn from what was prepared; it began at `began`, by `time.perf_counter`. Results as `adapt_from_rough`."""
    watch.total = settings.steps or steps_for(ready.objects)
    done = adapt_from(
        ready.start,
        ready.recipe,
        ready.windows,
        settings,
        steps=watch.total,
        watch=watch,
        base=ready.base,
        device=ready.device,
    )
    run = Run(done.adapter, done.losses, done.seconds, done.parameters, best_step=done.best_step)
    kept = done.respected[1] >= done.respected[0] or not settings.judge
    through = {} if ready.recipe.late_only else {"through": "everything"}
    report = TrainingReport(
        **run.facts(began=began, device=ready.device),
        mode="rough",
        strategy=str(ready.recipe.strategy),
        options=settings.told() | through,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
        images=ready.images,
        objects=ready.objects,
        held_out=0,
        held_out_before=None,
        held_out_after=None,
        prompts_fit=None if ready.fit.chance is None else ready.fit.likeness,
        prompts_kept_before=done.respected[0],
        prompts_kept_after=done.respected[1],
        anchor_iou=done.kept,
        kept=kept,
        reason=_verdict(kept, done, ready.fit),
    )
    return (run.version(report) if kept else ready.start), report


def steps_for(objects: int) -> int:
    """How many steps: from 30 for a few objects to 60 for many."""
    return int(np.clip(20 + objects // 2, 30, 60))


def _refusal(fit: Fit, images: int) -> str:
    others = "those of the other images" if images > 1 else "points anywhere in it"
    return (
        f"The prompts do not belong to {'these images' if images > 1 else 'this image'}: they fit no better than "
        f"{others} would (likeness {fit.likeness:.2f}, chance is 0.50); check that each image has its own prompts, as "
        "row and column."
    )


def _verdict(kept: bool, done: Adapted, fit: Fit) -> str:
    before, after = (f"{100 * share:.0f} %" for share in done.respected)
    told = (
        f"masks of {before} of the objects kept to all prompts before, of {after} after; they overlap those before by "
        f"{done.kept:.2f} (IoU)"
    )
    if not kept:
        return f"Rolled back: {told}."
    notes = [f"Kept: {told}."]
    if done.drifted:
        notes.append("Training ended early, since masks began to leave those of the model it came from.")
    if fit.chance is None:
        notes.append("There were too few objects to check that the prompts belong to the images.")
    return " ".join(notes)
