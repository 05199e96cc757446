"""Learning without labels, where colours are registered with the other channels (the idea of MM-SAM, arXiv 2408.09085).

SAM knows what is in red, green and blue. Where an image has these beside other channels, its embedding of the colours
is a target for the embedding of the others, and no mask is needed: the teacher is frozen SAM on red, green and blue, the
student the transfer layer and LoRA on the same window. What is minimised is the distance of the two embeddings.

What the student sees: where the profile has the colours among its channels, they are dropped (all three set to their
mean) in three of four steps, in which the other channels must speak for them, and shown in the fourth, in which the
student begins as the teacher and should stay so. A profile that does not see the colours has a student without them in
every step, for images that will come without.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_simmat.errors import TrainingError
from napari_simmat.images import ModalityProfile, MultiChannelImage
from napari_simmat.inference import autocast, device_choice
from napari_simmat.models import AdaptedSam, Adapter, BaseModel, load_base_model
from napari_simmat.training.gate import drawn
from napari_simmat.training.inputs import Inputs, mirrored
from napari_simmat.training.interactive import Interactive
from napari_simmat.training.recipes import recipe_for
from napari_simmat.training.report import Run, TrainingReport
from napari_simmat.training.samples import Draw, Sample
from napari_simmat.training.scenes import WINDOW
from napari_simmat.training.settings import Settings
from napari_simmat.training.teacher import (
    colour_profile,
    colours_seen,
    distance,
    teacher_of,
    unexplained,
    without,
)
from napari_simmat.training.trainer import Turn, train
from napari_simmat.training.watch import OnStep, Watch

__all__ = ["align", "distance"]

STRATEGY = "lora:decoder=no"
"""What is trained beside the transfer layer; the decoder has no part in an embedding."""

_RATE = 1e-3
_WITHOUT_COLOURS = 0.75  # share of steps in which the colours are dropped
_SHARE = 0.2
_MOST_JUDGES = 4


def align(
    images: Sequence[MultiChannelImage],
    *,
    start: Adapter | None = None,
    profile: ModalityProfile | None = None,
    mat: str = "mat",
    strategy: str = STRATEGY,
    steps: int | None = None,
    learning_rate: float | None = None,
    seed: int | None = None,
    on_step: OnStep | None = None,
    cancel: threading.Event | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
) -> tuple[Adapter, TrainingReport]:
    """Teach the channels beside red, green and blue what SAM sees in these, without labels.

    Parameters
    ----------
    images : sequence of MultiChannelImage
        With channels whose roles are red, green and blue, and others.
    start : Adapter, optional
        What to go on from; by default the untrained one.
    profile : ModalityProfile, optional
        Without `start`: how the images become model input, by default the built-in profile of the first one.
    mat : str
        Without `start`: the transfer layer to begin with.
    strategy : str
        What is trained, a key of `napari_simmat.models.strategies.STRATEGIES`.
    steps : int, optional
        By default from 60 for a few images to 200 for many.
    learning_rate : float, optional
        By default 1e-3.
    seed : int, optional
        Of everything random; by default 0.
    on_step, cancel, base, device
        As for `quick`.

    Returns
    -------
    adapter : Adapter
        The new version, or `start` if it did worse on held-out images.
    report : TrainingReport
        `distance_before` and `distance_after` tell how far the embedding without colours is from the teacher's (see
        `distance`) on images that were held out: a fifth of them, none of a single one.

    Raises
    ------
    TrainingError
        There are no images, or one has no red, green and blue, or nothing else.
    AdapterError, Cancelled
    """
    began = time.perf_counter()
    base = load_base_model() if base is None else base
    where = device or device_choice()
    settings = Settings().with_(steps=steps, learning_rate=learning_rate, seed=seed)
    settings.check()
    if not images:
        raise TrainingError(
            "There are no images to align; give some with red, green, blue and other channels."
        )
    colours = [colour_profile(image) for image in images]
    if start is None:
        start = Adapter.untrained(list(images), profile=profile, mat=mat, base=base)
    for image in images:
        start.fits(image)
    order = sorted(images, key=lambda image: drawn(image.content_key()))
    count = min(_MOST_JUDGES, max(1, round(_SHARE * len(images)))) if len(images) > 1 else 0
    judges, learnt = order[:count], order[count:]
    settings = Settings(steps=int(np.clip(40 + 10 * len(learnt), 60, 200)), learning_rate=_RATE).with_(
        steps=steps, learning_rate=learning_rate, seed=seed
    )
    run = _train(start, learnt, colours[0], strategy, settings, Watch(on_step, cancel), base, where)
    before, after = (
        [distance(adapter, image, base=base, device=where) for image in judges]
        for adapter in (start, run.adapter)
    )
    kept = not judges or float(np.mean(after)) <= float(np.mean(before))
    report = TrainingReport(
        **run.facts(began=began, device=where),
        mode="align",
        strategy=strategy,
        learning_rate=settings.learning_rate,
        seed=settings.seed,
        images=len(learnt),
        objects=0,
        held_out=0,
        held_out_before=None,
        held_out_after=None,
        distance_before=float(np.mean(before)) if judges else None,
        distance_after=float(np.mean(after)) if judges else None,
        kept=kept,
        reason=_verdict(kept, before, after),
    )
    return (run.version(report) if kept else start), report


@dataclass(eq=False)
class _Pair(Sample):
    """A window as the student sees it, and what the teacher sees in its colours."""

    teacher: Tensor


class _Aligning(Interactive):
    """The optimiser of the default, another loss."""

    def loss(
        self, model: AdaptedSam, sample: Sample, prompts: int, rng: np.random.Generator, device: torch.device
    ) -> Tensor:
        """Distance of the two embeddings."""
        assert isinstance(sample, _Pair)
        with autocast(device):
            student = sample.embed()
        return unexplained(student.float(), sample.teacher)


def _train(
    start: Adapter,
    images: Sequence[MultiChannelImage],
    colours: ModalityProfile,
    strategy: str,
    settings: Settings,
    watch: Watch,
    base: BaseModel,
    device: str,
) -> Run:
    assert settings.steps is not None
    assert settings.learning_rate is not None
    recipe = recipe_for("deep", strategy)
    model = recipe.build(start, base.on(device), settings.seed)
    parameters = recipe.unfreeze(model)
    draw = _sampler(model, teacher_of(base.on(device)), images, start.profile, colours)
    watch.total = settings.steps
    began = time.perf_counter()
    losses = train(
        model,
        [Turn(parameters, draw)],
        _Aligning(),
        steps=settings.steps,
        rates=[(parameters, settings.learning_rate)],
        prompts=0,
        rng=np.random.default_rng(settings.seed),
        watch=watch,
    )
    seconds = time.perf_counter() - began
    adapter = start.replaced(model=model, card=recipe.card(start.card))
    return Run(adapter, losses, seconds, sum(p.numel() for p in parameters))


def _sampler(
    model: AdaptedSam,
    teacher: AdaptedSam,
    images: Sequence[MultiChannelImage],
    profile: ModalityProfile,
    colours: ModalityProfile,
) -> Draw:
    """Windows anywhere in the images, mirrored as the physics allows, for both of them."""
    encoder = model.sam.encoder
    device = next(model.parameters()).device
    window = min(WINDOW, encoder.side) if encoder.flexible else encoder.side
    seen, shown = (Inputs(images, p, side=encoder.side) for p in (profile, colours))
    dropped = colours_seen(profile)

    def draw(rng: np.random.Generator) -> Sample:
        index = int(rng.integers(len(images)))
        x, rgb = seen[index], shown[index]
        rows, columns = (_cut(length, window, rng) for length in x.shape[1:])
        x, rgb = x[:, rows, columns].float(), rgb[:, rows, columns].float()
        for axis, effect in seen.mirrors((x.shape[1], x.shape[2]), rng):
            x, rgb = mirrored(x, axis, effect), mirrored(rgb, axis, ([0, 1, 2], [1.0, 1.0, 1.0]))
        if dropped and rng.random() < _WITHOUT_COLOURS:
            x = without(x, dropped)
        x, rgb = (t[None].to(device, memory_format=torch.channels_last) for t in (x, rgb))
        with torch.no_grad(), autocast(device):
            target = teacher.late(teacher.early(rgb)).float()
        return _Pair(lambda: model.late(model.early(x)), np.zeros((0, 0, 0), bool), (0, 0), target)

    return draw


def _cut(length: int, window: int, rng: np.random.Generator) -> slice:
    start = int(rng.integers(length - window + 1)) if length > window else 0
    return slice(start, start + window)


def _verdict(kept: bool, before: Sequence[float], after: Sequence[float]) -> str:
    if not before:
        return "Kept without a check: with a single image none can be held out; give another one."
    images = f"{len(before)} image{'s' if len(before) != 1 else ''} held out"
    numbers = (
        f"without colours {np.mean(before):.3f} of the variance of SAM's embedding was unexplained before, "
        f"{np.mean(after):.3f} after ({images})"
    )
    return f"Kept: {numbers}." if kept else f"Rolled back: {numbers}."
