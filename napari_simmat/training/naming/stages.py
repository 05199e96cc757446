"""The three stages in which names are learnt (SAM-CLIP, arXiv 2310.15308), on few images instead of millions.

1. The head alone, on embeddings that are made once. 2. If wanted, head and the late LoRA of the encoder together, at a
tenth of the head's rate, while random clicks are to be answered as before. 3. The head alone at several sizes of the
image, so that it can name what a draft shows, too; an encoder that takes one size only has no need of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from napari_simmat.errors import TrainingError
from napari_simmat.images import ModalityProfile
from napari_simmat.inference.compute import autocast, products
from napari_simmat.inference.naming import shown_part
from napari_simmat.models import AdaptedSam
from napari_simmat.models.decoder import PromptDecoder
from napari_simmat.models.name_head import NameHead
from napari_simmat.training.naming.keeping_masks import answers, random_points, soft_mask_loss
from napari_simmat.training.naming.lessons import Lesson, Seen, look, similarity_loss
from napari_simmat.training.watch import Watch

__all__ = ["Schedule", "head_alone", "head_and_encoder", "lesson_loss"]

_MOST_STEPS = 400
_BATCH = 4  # images of a step of the head alone
_WHOLE = 0.2  # of the loss
_THINNED = 0.5  # share of regions of which only some cells are looked at


@dataclass(frozen=True)
class Schedule:
    """How long and how fast.

    Attributes
    ----------
    head, encoder, sizes : int
        Steps of the three stages; 0 leaves one out.
    rate : float
        Peak learning rate of the head alone; the paper's 8e-4 is for a hundred thousand times as many images.
    late_rate : float
        The head's where the encoder learns, too; that of the encoder is `slower` times as large.
    slower : float
    keep : float
        Weight of answering clicks as before.
    clicks : int
        Random clicks of a step.
    side : int
        Longest side of images in the frame, 0: the encoder's own.
    other_sides : tuple of int
        Of the third stage.
    """

    head: int = 200
    encoder: int = 0
    sizes: int = 40
    rate: float = 2e-3
    late_rate: float = 1e-3
    slower: float = 0.1
    keep: float = 10.0
    clicks: int = 8
    side: int = 0
    other_sides: tuple[int, ...] = (448, 672)

    @classmethod
    def usual(
        cls, images: int, *, steps: int | None = None, encoder: int = 0, keep: float = 10.0
    ) -> Schedule:
        """As long as so many images ask for, or so many steps of the head alone."""
        head = min(_MOST_STEPS, 100 + 20 * images) if steps is None else steps
        return cls(head=head, encoder=encoder, sizes=max(1, head // 5), keep=keep)


def lesson_loss(
    head: NameHead, lesson: Lesson, part: Tensor, cover: Tensor, rng: np.random.Generator
) -> Tensor:
    """How far the head is from the teacher: a fifth for the whole image, the rest for all its regions alike."""
    cells = head.cells(part)
    whole = similarity_loss(head.whole(cells), lesson.whole[None].to(part.device))
    if not len(cover):
        return whole
    regions = similarity_loss(head.regions(cells[0], thinned(cover, rng)), lesson.regions.to(part.device))
    return _WHOLE * whole + (1 - _WHOLE) * regions


def thinned(cover: Tensor, rng: np.random.Generator) -> Tensor:
    """Of every second region only some cells, at least one: a part of a thing has its name, too, and so has each cell."""
    chosen = rng.random(len(cover)) < _THINNED
    keep = torch.from_numpy(rng.random(cover.shape) < rng.uniform(0, 0.7, (len(cover), 1, 1))).to(
        cover.device
    )
    kept = torch.where(keep, cover, cover.new_zeros(()))
    some = kept.amax((1, 2)) >= 0.5 * cover.amax((1, 2))
    few = torch.from_numpy(chosen).to(cover.device) & some
    return torch.where(few[:, None, None], kept, cover)


def head_alone(
    head: NameHead,
    lessons: Sequence[Lesson],
    *,
    sides: Sequence[int],
    steps: int,
    rate: float,
    rng: np.random.Generator,
    watch: Watch,
) -> list[float]:
    """Train the head on embeddings of these sides; the loss of each step."""
    if not steps:
        return []
    head.requires_grad_(True).train()
    optimiser = AdamW(head.parameters(), lr=rate, weight_decay=0.01)
    schedule = OneCycleLR(optimiser, rate, total_steps=max(2, steps), pct_start=0.1)
    losses: list[float] = []
    order = list[int]()
    for _ in range(steps):
        watch.check()
        total = 0.0
        count = min(_BATCH, len(lessons))
        optimiser.zero_grad(set_to_none=True)
        for _ in range(count):
            order = order or list(map(int, rng.permutation(len(lessons))))
            lesson = lessons[order.pop()]
            seen = lesson.seen[int(rng.choice(np.asarray(sides)))]
            loss = lesson_loss(head, lesson, seen.part, seen.cover, rng) / count
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        _step(head.parameters(), optimiser, schedule, total)
        losses.append(total)
        watch.step(total)
    head.requires_grad_(False).eval()
    return losses


def head_and_encoder(
    head: NameHead,
    model: AdaptedSam,
    trained: Sequence[nn.Parameter],
    lessons: Sequence[Lesson],
    *,
    side: int,
    plan: Schedule,
    rng: np.random.Generator,
    watch: Watch,
) -> list[float]:
    """Train the head and the encoder's late LoRA together, from early features; the loss of each step.

    What the model answered before is what the embeddings of the lessons give: they are not changed.
    """
    if not plan.encoder:
        return []
    device = next(model.parameters()).device
    head.requires_grad_(True).train()
    for parameter in trained:
        parameter.requires_grad_(True)
    rates = [plan.late_rate, plan.late_rate * plan.slower]
    groups = [list(head.parameters()), list(trained)]
    optimiser = AdamW(
        [{"params": g, "lr": rate} for g, rate in zip(groups, rates, strict=True)], weight_decay=0.0
    )
    schedule = OneCycleLR(optimiser, rates, total_steps=max(2, plan.encoder), pct_start=0.1)
    decoder = PromptDecoder(model.sam, products(device))  # frozen, so once
    losses: list[float] = []
    for _ in range(plan.encoder):
        watch.check()
        lesson = lessons[int(rng.integers(len(lessons)))]
        seen = lesson.seen[side]
        assert seen.early is not None
        with autocast(device):
            embedding = model.late(seen.early)
        embedding = embedding.float()
        loss = lesson_loss(head, lesson, shown_part(embedding, seen.frame), seen.cover, rng)
        value = float(loss.detach())
        if plan.keep:
            points = random_points(seen.frame, plan.clicks, rng).to(device)
            with torch.no_grad():
                before = answers(decoder, seen.embedding, points)
            loss = loss + plan.keep * soft_mask_loss(answers(decoder, embedding, points), before)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        _step([*head.parameters(), *trained], optimiser, schedule, value)
        losses.append(value)
        watch.step(value)
    head.requires_grad_(False).eval()
    for parameter in trained:
        parameter.requires_grad_(False)
    return losses


def _step(
    parameters: Sequence[nn.Parameter] | object, optimiser: AdamW, schedule: OneCycleLR, loss: float
) -> None:
    norm = nn.utils.clip_grad_norm_(parameters, 1.0)  # type: ignore[arg-type]
    if not np.isfinite(loss) or not torch.isfinite(norm):
        raise TrainingError(
            "Learning names left the range of numbers (the loss is not finite); lower the learning rate and try again."
        )
    optimiser.step()
    schedule.step()


def seen_at(
    lessons: Sequence[Lesson],
    model: AdaptedSam,
    profile: ModalityProfile,
    sides: Sequence[int],
    watch: Watch,
    *,
    keep_early: bool = False,
) -> None:
    """Have all images of the lessons seen at these sizes; what was seen at others is forgotten."""
    for lesson in lessons:
        seen: dict[int, Seen] = {}
        for side in sides:
            watch.check()
            seen[side] = look(lesson, model, profile, side, keep_early=keep_early)
        lesson.seen = seen
