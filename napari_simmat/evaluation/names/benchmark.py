"""Whether names carry over: a tiny teacher, generated scenes, combinations of words that nobody has shown.

For each seed a dual encoder is trained for real on captioned pictures, and a head on the embedding of the real model is
taught by it on scenes. Everything that is judged is of combinations that neither of them has seen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import Cancelled, SimmatError
from napari_simmat.evaluation.names.dual_encoder import SENTENCES, train_dual_encoder
from napari_simmat.evaluation.names.judging import (
    Pictured,
    by_text,
    clicked,
    named,
    named_by_teacher,
    pictured,
    segmenter_of,
    transplanted,
    untaught,
)
from napari_simmat.evaluation.names.scenes import Combination, Vocabulary, draw_scene
from napari_simmat.images import MultiChannelImage, open_dataset
from napari_simmat.images.samples import sample_path
from napari_simmat.models import Adapter
from napari_simmat.models.name_head import NameConfig
from napari_simmat.training.naming import Schedule, teach, with_names

__all__ = ["Found", "Plan", "Trial", "measure", "summary"]

SHARES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
REAL = ("camouflage-test", "glass-test", "metamers-test", "parts-test", "seedlings-test", "warm-test")
"""Bundled scenes on which one click is to give what it gave before; nothing of them is learnt from."""


@dataclass(frozen=True)
class Plan:
    """How much of everything; the defaults take a few minutes for each seed."""

    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    teacher_steps: int = 250
    teacher_pictures: int = 25
    teacher_side: int = 32
    teacher_width: int = 16
    scenes: int = 24
    """To learn from."""
    judged: int = 12
    """To be judged on."""
    things: int = 6
    """On each scene to be judged on; on those to learn from a half more."""
    head: int = 200
    rate: float = 2e-3
    encoder: int = 80
    late_rate: float = 5e-3
    slower: float = 0.2
    """Rate of the late LoRA over that of the head."""
    width: int = 128
    side: int = 448
    real: int = 1
    """Images of each bundled set."""

    @property
    def schedule(self) -> Schedule:
        """Of the head alone."""
        return Schedule(head=self.head, rate=self.rate, sizes=0, side=self.side)

    def with_encoder(self, keep: float) -> Schedule:
        """Of head and encoder, going on from the head."""
        return Schedule(
            head=0,
            encoder=self.encoder,
            sizes=0,
            side=self.side,
            keep=keep,
            late_rate=self.late_rate,
            slower=self.slower,
        )


class Found(BaseModel):
    """What one way came to on the things of one seed, object by object."""

    named: list[bool] = Field(default=[], description="Whether each mask got its name.")
    map_alone: list[float] = Field(default=[], description="IoU of each thing by the text map.")
    composed: list[float] = Field(default=[], description="IoU by map and decoder.")
    clicked: list[float] = Field(default=[], description="IoU after one click, of the scenes' things.")
    clicked_real: list[float] = Field(default=[], description="The same of bundled scenes' objects.")


class Trial(BaseModel):
    """One seed."""

    seed: int
    names: int = Field(description="How many names there are to choose from.")
    share: float = Field(description="Threshold of the map alone, chosen on scenes of learnt combinations.")
    composed_share: float = Field(description="The same where it is composed with the decoder.")
    teacher: list[bool] = Field(description="Whether the teacher itself names each object, cut out.")
    untaught: Found
    head: Found = Field(description="The head alone was taught.")
    kept: Found = Field(description="The encoder, too, with self-distillation.")
    forgot: Found = Field(description="The encoder, too, without.")
    seconds: float


Report = Callable[[int, int | None, str], None]


def measure(
    seed: int,
    plan: Plan | None = None,
    *,
    report: Report = lambda done, total, what: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> Trial:
    """Do everything for one seed."""
    began, plan = time.perf_counter(), plan or Plan()

    def tell(done: int, what: str) -> None:
        if is_cancelled():
            raise Cancelled("Cancelled; seeds that are done are kept.")
        report(done, 6, f"seed {seed}: {what}")

    tell(0, "teacher")
    words, rng = plan.vocabulary, np.random.default_rng([seed, 7])
    teacher = train_dual_encoder(
        words,
        seed,
        steps=plan.teacher_steps,
        each=plan.teacher_pictures,
        side=plan.teacher_side,
        width=plan.teacher_width,
    )
    learnt, judged, tuned = (
        _scenes(things, count, plan, rng, each)
        for things, count, each in (
            (words.learnt, plan.scenes, plan.things * 3 // 2),
            (words.held_out, plan.judged, plan.things),
            (words.learnt, max(2, plan.judged // 4), plan.things),
        )
    )
    pupils = [(scene.image, scene.masks) for scene in learnt]
    held_out = [each.name for each in words.held_out]
    tell(1, "head")
    start = Adapter.untrained(learnt[0].image)
    config = NameConfig(text=2, width=plan.width)
    head, _ = teach(
        pupils,
        teacher,
        held_out,
        start=start,
        schedule=plan.schedule,
        config=config,
        templates=SENTENCES,
        seed=seed,
    )
    tell(2, "head and encoder")
    with_encoder = {
        keep: teach(
            pupils,
            teacher,
            held_out,
            start=head,
            schedule=plan.with_encoder(keep),
            templates=SENTENCES,
            seed=seed,
        )[0]
        for keep in (10.0, 0.0)
    }
    tell(3, "naming")
    share, composed_share = _best_shares(tuned, head, teacher)
    tell(4, "by text and by clicks")
    found = {
        name: _judged(
            judged, adapter, share, composed_share, by_texts=name in ("head", "kept"), real=plan.real
        )
        for name, adapter in {
            "untaught": untaught(start, head, seed),
            "head": head,
            "kept": with_encoder[10.0],
            "forgot": with_encoder[0.0],
        }.items()
    }
    tell(6, "done")
    return Trial(
        seed=seed,
        names=len(held_out),
        share=share,
        composed_share=composed_share,
        teacher=named_by_teacher(judged, teacher, words.held_out),
        seconds=time.perf_counter() - began,
        **found,
    )


def _scenes(
    things: Sequence[Combination], count: int, plan: Plan, rng: np.random.Generator, each: int
) -> list[Pictured]:
    """Scenes with different things, which all occur about as often."""
    order: list[int] = []
    drawn = []
    for _ in range(count):
        if len(order) < each:
            order += [int(k) for k in rng.permutation(len(things)) if int(k) not in order]
        chosen, order = order[:each], order[each:]
        drawn.append(draw_scene([things[k] for k in chosen], rng, side=plan.side))
    return pictured(drawn)


def _best_shares(scenes: Sequence[Pictured], adapter: Adapter, teacher: object) -> tuple[float, float]:
    """The thresholds that are best on scenes of learnt combinations, for the map alone and composed."""
    names = sorted({thing.name for scene in scenes for thing in scene.things})
    knowing = with_names(adapter, teacher, names, SENTENCES)  # type: ignore[arg-type]
    found = [by_text(scenes, knowing, share=share, composed_share=share) for share in SHARES]
    best = [int(np.argmax([np.mean(each[k]) for each in found])) for k in (0, 1)]
    return SHARES[best[0]], SHARES[best[1]]


def _judged(
    scenes: Sequence[Pictured],
    adapter: Adapter,
    share: float,
    composed_share: float,
    *,
    by_texts: bool,
    real: int,
) -> Found:
    alone, composed = (
        by_text(scenes, adapter, share=share, composed_share=composed_share) if by_texts else ([], [])
    )
    clicks = [each for scene in scenes for each in clicked(segmenter_of(scene.image, adapter), scene.masks)]
    others: list[float] = []
    for image, masks in _bundled(real):
        others += clicked(segmenter_of(image, transplanted(adapter, image)), masks)
    return Found(
        named=named(scenes, adapter),
        map_alone=alone,
        composed=composed,
        clicked=clicks,
        clicked_real=others,
    )


def _bundled(count: int) -> list[tuple[MultiChannelImage, list[NDArray[np.bool_]]]]:
    found = []
    for name in REAL:
        for item in open_dataset(sample_path(name), limit=count) if count else ():
            image, labels = item.load()
            found.append((image, [labels == n for n in np.unique(labels) if n > 0]))
    return found


def kept_trial(folder: Path, seed: int) -> Trial | None:
    """A trial that was done before, if it is there and whole."""
    path = folder / f"names-seed-{seed}.json"
    try:
        return Trial.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def keep_trial(folder: Path, trial: Trial) -> None:
    """Keep it for the next call."""
    write_atomically(
        folder / f"names-seed-{trial.seed}.json", trial.model_dump_json().encode(), error=SimmatError
    )


def summary(trials: Sequence[Trial], *, draws: int = 2000) -> dict[str, object]:
    """Means over seeds, differences with their 95 % interval (paired bootstrap over objects of all seeds).

    Raises
    ------
    SimmatError
        There are no trials.
    """
    if not trials:
        raise SimmatError("There are no trials to sum up; measure one seed at least.")
    rng = np.random.default_rng(0)

    def all_of(way: str, what: str) -> NDArray[np.float64]:
        return np.concatenate([np.asarray(getattr(getattr(t, way), what), float) for t in trials])

    def difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> list[float]:
        gaps = one - other
        if not len(gaps):
            return [0.0, 0.0, 0.0]
        means = gaps[rng.integers(len(gaps), size=(draws, len(gaps)))].mean(1)
        return [float(gaps.mean()), *(float(v) for v in np.percentile(means, (2.5, 97.5)))]

    ways = ("untaught", "head", "kept", "forgot")
    chance = float(np.mean([1 / t.names for t in trials]))
    teacher = np.concatenate([np.asarray(t.teacher, float) for t in trials])
    clicks = {way: np.concatenate([all_of(way, "clicked"), all_of(way, "clicked_real")]) for way in ways}
    return {
        "seeds": [t.seed for t in trials],
        "objects": len(teacher),
        "chance": chance,
        "named": {way: float(all_of(way, "named").mean()) for way in ways}
        | {"teacher": float(teacher.mean())},
        "named_by_seed": {way: [float(np.mean(getattr(t, way).named)) for t in trials] for way in ways},
        "named_more_than_untaught": difference(all_of("head", "named"), all_of("untaught", "named")),
        "map_alone": float(all_of("head", "map_alone").mean()),
        "composed": float(all_of("head", "composed").mean()),
        "composed_more_than_map": difference(all_of("head", "composed"), all_of("head", "map_alone")),
        "clicked": {way: float(clicks[way].mean()) for way in ways},
        "clicked_kept": difference(clicks["kept"], clicks["head"]),
        "clicked_forgot": difference(clicks["forgot"], clicks["head"]),
        "clicked_kept_more_than_forgot": difference(clicks["kept"], clicks["forgot"]),
        "clicked_by_seed": {
            way: [float(np.mean([*getattr(t, way).clicked, *getattr(t, way).clicked_real])) for t in trials]
            for way in ways
        },
        "seconds": [t.seconds for t in trials],
    }


def write_summary(folder: Path, found: dict[str, object]) -> None:
    """Beside the trials."""
    write_atomically(folder / "names.json", json.dumps(found, indent=2).encode(), error=SimmatError)
