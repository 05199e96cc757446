"""Adapting from rough labels: a student learns from its own answers to another view, held to a frozen anchor.

After WeSAM (arXiv 2312.03502): student and teacher are the same adapter, the teacher sees a weakly augmented view
(mirrors, as the physics allows) and the student the same one degraded; the anchor is the adapter that training starts
from. What differs from its released code: images are prepared as for answering; the user's prompts are what they are
and never drawn from a mask; they are also hard constraints, and the teacher is told of the nearest other objects, which
are not this one; of the teacher's four answers one is believed, or none (`pseudo`); the teacher has no gradients of its
own, which the shared weights get from the student; and no mask decides when to stop.

What comes before the early features is left as it is ("quick"), so that each view goes through the early half of the
encoder once; or everything is trained ("deep").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from napari_simmat.inference import autocast, products
from napari_simmat.models import AdaptedSam, Adapter, BaseModel
from napari_simmat.models.decoder import PromptDecoder
from napari_simmat.training.interactive import Interactive
from napari_simmat.training.recipes import Recipe
from napari_simmat.training.rough import losses
from napari_simmat.training.rough.drift import Drift
from napari_simmat.training.rough.pseudo import believe, overlap, violation
from napari_simmat.training.rough.settings import RoughSettings
from napari_simmat.training.rough.views import View, answer, known_of, turned, valid_of
from napari_simmat.training.rough.windows import Shown
from napari_simmat.training.samples import Sample
from napari_simmat.training.teacher import unexplained
from napari_simmat.training.trainer import Turn, train
from napari_simmat.training.watch import Watch

FOCAL, CLICKS, BOX, ROBUST = 20.0, 1.0, 1.0, 1.0
_MOST_OBJECTS = 8  # that are asked for in one step


@dataclass(eq=False)
class _RoughSample(Sample):
    views: list[View]
    latest: list[Tensor]
    chosen: int


class Rough(Interactive):
    """The optimiser of the default, the losses of rough labels.

    Parameters
    ----------
    settings : RoughSettings
    features : callable
        Early features of a view as it is kept, with gradients where they are trained.
    drift : Drift
        Is told how far the teacher is from the anchor.
    """

    def __init__(
        self, settings: RoughSettings, features: Callable[[AdaptedSam, Tensor], Tensor], drift: Drift
    ) -> None:
        self._settings, self._features, self._drift = settings, features, drift

    def loss(
        self, model: AdaptedSam, sample: Sample, prompts: int, rng: np.random.Generator, device: torch.device
    ) -> Tensor:
        """Self-training, predicted IoU, anchor, prototypes and clicks."""
        assert isinstance(sample, _RoughSample)
        settings, view = self._settings, sample.views[sample.chosen]
        objects, window = view.window.objects, view.window
        chosen = sorted(int(k) for k in rng.permutation(len(objects))[:_MOST_OBJECTS])
        shown = [_as_shown(objects[k], rng) for k in chosen]
        known = known_of(shown, device)
        valid = valid_of(window, known.shape[1:], device)
        decoder = PromptDecoder(model.sam, products(device))
        with torch.no_grad():
            with autocast(device):
                weak = model.late(self._features(model, view.weak))
            told = [objects[k].as_taught if settings.clicks else objects[k] for k in chosen]
            answers, sure = answer(decoder, weak, told, window.offset, device)
            sample.latest[sample.chosen][chosen] = answers > 0
        others = [k for k in range(len(sample.views)) if k != sample.chosen]
        elsewhere = [turned(sample.latest[k], sample.views[k], view)[chosen] for k in others]
        with autocast(device):
            embedding = model.late(self._features(model, view.strong))
        logits, scores = answer(decoder, embedding, shown, window.offset, device)
        shown_logits, score = logits[:, 0], scores[:, 0]
        likely = view.likely[chosen] if settings.channels and view.likely is not None else None
        believing = partial(believe, gate=settings.gate, choose=settings.clicks, likely=likely)
        use = believing(answers > 0, sure, known, elsewhere, valid)
        first, firstly = (each[chosen] for each in view.anchor(is_taught=settings.clicks))
        # Without channels the anchor is believed by itself, as it always was.
        fixed = (
            [] if likely is None else [turned(sample.views[k].taught, sample.views[k], view) for k in others]
        )
        anchor = believing(first, firstly, known, [each[chosen] for each in fixed], valid)
        self._drift.note(overlap(use.own & valid, anchor.own & valid)[anchor.answered])

        cells, targets = use.cells.float(), use.masks.float()
        trusted = use.objects.float()
        per_object = FOCAL * losses.focal(shown_logits, targets, cells) + losses.dice(
            shown_logits, targets, cells
        )
        per_object = per_object + losses.iou_error(score, shown_logits, targets, cells)
        loss = (per_object * trusted).sum() / max(1, len(chosen))
        if settings.anchor:
            held = losses.dice(shown_logits, anchor.masks.float(), anchor.cells.float())
            loss = loss + (held * anchor.answered).sum() / max(1, len(chosen))
        if settings.prototypes and bool(anchor.answered.any()):
            masks = anchor.masks[anchor.answered] & valid
            own = losses.prototypes(embedding[0], masks, valid)
            theirs = losses.prototypes(view.embedding, masks, valid)
            loss = loss + losses.contrast(own, theirs)
        if settings.clicks:
            loss = loss + CLICKS * losses.click_error(shown_logits, known).mean()
            for k, each in enumerate(shown):
                if each.box is not None:
                    box = [(v + 0.5) / 4 - 0.5 for v in each.box]
                    error = losses.box_error(shown_logits[k], (box[0], box[1], box[2], box[3]))
                    loss = loss + BOX * error / len(shown)
        if settings.robust:
            loss = loss + ROBUST * unexplained(embedding.float(), weak.float())
        return loss


@dataclass(frozen=True, eq=False)
class Adapted:
    """What came of it, before anybody judged."""

    adapter: Adapter
    losses: list[float]
    seconds: float
    parameters: int
    drifted: bool
    best_step: int | None
    respected: tuple[float, float]
    """Share of objects whose shown mask keeps to all that was said, before and after."""
    kept: float
    """Mean IoU of the shown masks with those of the anchor."""


def adapt_from(
    start: Adapter,
    recipe: Recipe,
    windows: Sequence[list[View]],
    settings: RoughSettings,
    *,
    steps: int,
    watch: Watch,
    base: BaseModel,
    device: str,
) -> Adapted:
    """Train on rough labels; see `napari_simmat.training.rough.adapt_from_rough`."""
    where = torch.device(device)
    rng = np.random.default_rng((settings.seed, 1))
    model = recipe.build(start, base.on(where), settings.seed)
    parameters = recipe.unfreeze(model)
    latest = [[view.anchor(is_taught=settings.clicks)[0].clone() for view in views] for views in windows]
    drift = Drift(parameters)
    if recipe.late_only:
        features: Callable[[AdaptedSam, Tensor], Tensor] = lambda model, kept: kept  # noqa: E731
    else:
        features = lambda model, kept: model.early(kept)  # noqa: E731

    def draw(rng: np.random.Generator) -> Sample:
        place = int(rng.integers(len(windows)))
        views = windows[place]
        chosen = int(rng.integers(len(views)))
        nothing = np.zeros((0, 0, 0), bool)
        return _RoughSample(
            lambda: views[chosen].strong, nothing, (0, 0), views=views, latest=latest[place], chosen=chosen
        )

    began = time.perf_counter()
    values = train(
        model,
        [Turn(parameters, draw)],
        Rough(settings, features, drift),
        steps=steps,
        rates=[(parameters, settings.learning_rate)],
        prompts=0,
        rng=rng,
        watch=watch,
        stopping=drift,
    )
    seconds = time.perf_counter() - began
    before, after, kept = _compared(model, [views[0] for views in windows], features, where, watch)
    return Adapted(
        start.replaced(model=model, card=recipe.card(start.card)),
        values,
        seconds,
        sum(p.numel() for p in parameters),
        drift.went_too_far,
        drift.best_step if drift.went_too_far else None,
        (before, after),
        kept,
    )


def _as_shown(each: Shown, rng: np.random.Generator) -> Shown:
    """As people ask: now and then with less than all that was said, never with more."""
    if rng.random() < 0.5:
        return each
    first = [k for k, sign in enumerate(each.signs) if sign][:1]
    if first and (each.box is None or rng.random() < 0.5):
        return replace(each, points=(each.points[first[0]],), signs=(1,), box=None)
    return each if each.box is None else replace(each, points=(), signs=())


@torch.no_grad()
def _compared(
    model: AdaptedSam,
    views: Sequence[View],
    features: Callable[[AdaptedSam, Tensor], Tensor],
    device: torch.device,
    watch: Watch,
) -> tuple[float, float, float]:
    """Share of objects that keep to what was said, before and after, and the mean IoU of both masks."""
    decoder = PromptDecoder(model.sam, products(device))
    before, after, kept = [], [], []
    for view in views:
        watch.check()
        with autocast(device):
            embedding = model.late(features(model, view.weak))
        answers = answer(decoder, embedding, view.window.objects, view.window.offset, device)[0][:, :1] > 0
        known = known_of(view.window.objects, device)
        valid = valid_of(view.window, known.shape[1:], device)
        old = view.plain[:, :1]
        before += (violation(old & valid, known)[:, 0] == 0).tolist()
        after += (violation(answers & valid, known)[:, 0] == 0).tolist()
        kept += overlap(answers & valid, old & valid)[:, 0].tolist()
    return float(np.mean(before)), float(np.mean(after)), float(np.mean(kept))
