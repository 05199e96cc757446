"""Teach an adapter names: a head on the embedding that follows a CLIP, and the text embeddings of some names."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from napari_simmat.errors import AdapterError, TrainingError
from napari_simmat.images import MultiChannelImage
from napari_simmat.inference.compute import device_choice
from napari_simmat.models import Adapter, BaseModel, load_base_model
from napari_simmat.models.name_head import NAMES, NameConfig, NameHead, Names, names_of, names_to_head
from napari_simmat.models.seeding import seeded
from napari_simmat.models.strategies import Strategy
from napari_simmat.training.naming.lessons import Lesson, lesson_of
from napari_simmat.training.naming.stages import Schedule, head_alone, head_and_encoder, seen_at
from napari_simmat.training.naming.teachers import BACKGROUND, TEMPLATES, Teacher, checked_names, texts_of
from napari_simmat.training.naming.views import view_of
from napari_simmat.training.report import Run, TrainingReport
from napari_simmat.training.watch import OnStep, Watch

__all__ = ["Pupil", "teach", "with_names"]

Pupil = tuple[MultiChannelImage, Sequence[NDArray[np.bool_]]]
"""An image to learn from and its regions, masks (Y, X)."""

STRATEGY = "lora:decoder=no,stages=late"
"""What of the encoder is trained, where it is."""


def teach(
    pupils: Sequence[Pupil],
    teacher: Teacher,
    names: Sequence[str],
    *,
    start: Adapter | None = None,
    schedule: Schedule | None = None,
    config: NameConfig | None = None,
    templates: Sequence[str] = TEMPLATES,
    seed: int = 0,
    on_step: OnStep | None = None,
    cancel: threading.Event | None = None,
    base: BaseModel | None = None,
    device: str | None = None,
) -> tuple[Adapter, TrainingReport]:
    """Teach names from a teacher that sees the images as people do.

    Parameters
    ----------
    pupils : sequence of (MultiChannelImage, masks)
        Masks may be few or none, then only whole images are learnt from; regions teach much more.
    teacher : Teacher
    names : sequence of str
        Whose text embeddings the adapter keeps; others can be added later with the same teacher, see `with_names`.
    start : Adapter, optional
        By default the untrained one of the images.
    schedule : Schedule, optional
        By default as long as the number of images asks for, without the encoder.
    config : NameConfig, optional
        Sizes of the head; text dimension, teacher and names in it are filled in.
    templates : sequence of str
        Sentences around a name.
    seed : int
    on_step : callable (step, of how many, loss), optional
    cancel : threading.Event, optional
    base : BaseModel, optional
    device : str, optional

    Returns
    -------
    adapter : Adapter
        With the head; its masks are those of `start`, unless the encoder was trained, too.
    report : TrainingReport

    Raises
    ------
    TrainingError
        There is nothing to learn from, or the names are none.
    AdapterError, Cancelled
    """
    began = time.perf_counter()
    if not pupils:
        raise TrainingError("There are no images to learn names from; open or give some.")
    known = checked_names(names)
    base = load_base_model() if base is None else base
    where = device or device_choice()
    if start is None:
        start = Adapter.untrained([image for image, _ in pupils], base=base)
    for image, _ in pupils:
        start.fits(image)
    plan = schedule or Schedule.usual(len(pupils))
    watch = Watch(on_step, cancel)
    lessons: list[Lesson] = []
    for image, masks in pupils:
        watch.check()
        lessons.append(lesson_of(image, masks, teacher))
    texts, background = texts_of(teacher, known, templates), texts_of(teacher, [BACKGROUND], templates)[0]
    config = (config or NameConfig(text=2)).model_copy(
        update={
            "text": int(texts.shape[1]),
            "classes": known,
            "templates": len(templates),
            "teacher": teacher.name[:200],
            "view": view_of(pupils[0][0])[:200],
        }
    )
    before = names_of(start.heads)
    is_new = before is None or before.config.teacher != config.teacher
    if before is not None and not is_new:  # go on from there
        sizes = {key: getattr(before.config, key) for key in ("width", "layers", "heads")}
        config = config.model_copy(update=sizes)
    with seeded(seed):
        head = NameHead(config)
    if before is not None and not is_new:
        head.load_state_dict(before.head.state_dict())
    rng = np.random.default_rng(seed)
    run = _stages(head.to(where), lessons, start, base.on(where), plan, rng, watch, seed, is_new)
    head = head.cpu()
    adapter = run.adapter.with_head(NAMES, names_to_head(Names(config, head, texts, background)))
    regions = sum(lesson.things for lesson in lessons)
    report = TrainingReport(
        **run.facts(began=began, device=where),
        mode="names",
        strategy=STRATEGY if plan.encoder else "names",
        options={"teacher": config.teacher, "view": config.view, "keep": plan.keep},
        learning_rate=plan.rate,
        seed=seed,
        images=len(lessons),
        objects=regions,
        held_out=0,
        held_out_before=None,
        held_out_after=None,
        kept=True,
        reason=_verdict(config, run.losses, len(lessons), regions, bool(plan.encoder)),
    )
    return replace(run, adapter=adapter).version(report), report


def _stages(
    head: NameHead,
    lessons: list[Lesson],
    start: Adapter,
    base: BaseModel,
    plan: Schedule,
    rng: np.random.Generator,
    watch: Watch,
    seed: int,
    is_new: bool,
) -> Run:
    side = plan.side or base.sam.side
    strategy = Strategy.parse(STRATEGY).plan(base.sam.encoder, late_only=True)
    model = start.build(base, plan=strategy if plan.encoder else None, seed=seed)
    sides = [side, *(s for s in plan.other_sides if s < side)] if base.sam.encoder.flexible else [side]
    sizes = plan.sizes if len(sides) > 1 else 0
    watch.total = plan.head + plan.encoder + sizes
    seen_at(lessons, model, start.profile, [side], watch, keep_early=bool(plan.encoder))
    if is_new:
        head.standardise([lesson.seen[side].part for lesson in lessons])
    began = time.perf_counter()
    losses = head_alone(head, lessons, sides=[side], steps=plan.head, rate=plan.rate, rng=rng, watch=watch)
    trained: list[nn.Parameter] = strategy.parameters(model) if plan.encoder else []
    losses += head_and_encoder(head, model, trained, lessons, side=side, plan=plan, rng=rng, watch=watch)
    adapter = start.replaced(model=model, card=start.card) if plan.encoder else start
    if sizes:
        final = adapter.build(base) if plan.encoder else model
        seen_at(lessons, final, start.profile, sides, watch)
        losses += head_alone(head, lessons, sides=sides, steps=sizes, rate=plan.rate, rng=rng, watch=watch)
    count = sum(p.numel() for p in [*head.parameters(), *trained])
    return Run(adapter, losses, time.perf_counter() - began, count)


def with_names(
    adapter: Adapter, teacher: Teacher, names: Sequence[str], templates: Sequence[str] = TEMPLATES
) -> Adapter:
    """The same adapter that knows other names, by the teacher that it learnt from; nothing is trained.

    Raises
    ------
    AdapterError
        It was taught by another one, or by none.
    TrainingError
        The names are none.
    """
    known = checked_names(names)
    found = names_of(adapter.heads)
    if found is None or found.config.teacher != teacher.name[:200]:
        taught = "by nobody" if found is None else f"by {found.config.teacher}"
        raise AdapterError(
            f"The adapter {adapter.card.name!r} was taught {taught}, not by {teacher.name}; teach it with this one."
        )
    config = found.config.model_copy(update={"classes": known, "templates": len(templates)})
    texts = texts_of(teacher, known, templates)
    return adapter.with_head(NAMES, names_to_head(Names(config, found.head, texts, found.background)))


def _verdict(config: NameConfig, losses: Sequence[float], images: int, regions: int, encoder: bool) -> str:
    tenth = max(1, len(losses) // 10)
    close = 1 - float(np.mean(losses[-tenth:]))
    also = " Masks may differ a little: the encoder learnt, too." if encoder else " Masks are as they were."
    return (
        f"Knows {len(config.classes)} names from {config.teacher}: its directions agree by {close:.2f} (cosine) with "
        f"the teacher's on the {images} images and {regions} regions that it learnt from.{also}"
    )
