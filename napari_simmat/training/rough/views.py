"""Views: a window in two sets of mirrors, as teacher and student see it, and what the anchor answers there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_simmat.inference import autocast, products
from napari_simmat.models import AdaptedSam
from napari_simmat.models.decoder import PromptDecoder
from napari_simmat.training.rough.augment import degraded, directions
from napari_simmat.training.rough.windows import RoughScenes, RoughWindow, Shown, in_mirror
from napari_simmat.training.watch import Watch

_VIEWS = 2  # of each window: two sets of mirrors


@dataclass(frozen=True, eq=False)
class View:
    """A window in one set of mirrors: what the teacher and the student see of it.

    Attributes
    ----------
    window : RoughWindow
    weak, strong : Tensor, (1, ..)
        Early features ("quick") or model input ("deep").
    embedding : Tensor, (256, h, w)
        The anchor's.
    plain, taught : Tensor of bool, (N, 4, h, w)
        The anchor's four answers to the user's prompts alone, and to those of the teacher.
    plain_scores, taught_scores : Tensor, (N, 4)
        Their predicted IoU.
    likely : Tensor of bool, (N, h, w), optional
        Masks by what the channels say (`napari_simmat.training.rough.channels`), where they say something.
    """

    window: RoughWindow
    weak: Tensor
    strong: Tensor
    embedding: Tensor
    plain: Tensor
    taught: Tensor
    plain_scores: Tensor
    taught_scores: Tensor
    likely: Tensor | None = None

    def anchor(self, *, is_taught: bool) -> tuple[Tensor, Tensor]:
        """The anchor's answers to one kind of prompts, and their predicted IoU."""
        return (self.taught, self.taught_scores) if is_taught else (self.plain, self.plain_scores)


def make_views(
    anchor: AdaptedSam,
    scenes: RoughScenes,
    most: int,
    rng: np.random.Generator,
    *,
    is_quick: bool,
    watch: Watch,
    device: torch.device,
) -> list[list[View]]:
    """At most so many windows in all their views, seen by the anchor."""
    directed = directions(scenes.profile)
    found = []
    decoder = PromptDecoder(anchor.sam, products(device))
    for scene, place in scenes.chosen(most, rng):
        views = []
        for number in range(_VIEWS):
            watch.check()
            window = scenes.window(scene, place, rng, mirror=number > 0)
            inputs = [window.x, degraded(window.x, directed, rng)]
            seen = [x[None].to(device, memory_format=torch.channels_last) for x in inputs]
            with torch.no_grad(), autocast(device):
                early = [anchor.early(x) for x in seen] if is_quick else [anchor.early(seen[0])]
                embedding = anchor.late(early[0])
                plain, scores = answer(decoder, embedding, window.objects, window.offset, device)
                told = [each.as_taught for each in window.objects]
                taught, sure = answer(decoder, embedding, told, window.offset, device)
            weak, strong = early if is_quick else seen
            views.append(
                View(window, weak, strong, embedding[0].float(), plain > 0, taught > 0, scores, sure)
            )
        found.append(views)
    return found


def answer(
    decoder: PromptDecoder,
    embedding: Tensor,
    objects: Sequence[Shown],
    offset: tuple[int, int],
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """Four masks (N, 4, h, w) as logits and their predicted IoU (N, 4), one prompt for each object."""
    ground = decoder.ground(embedding, offset)
    row, column = (16 * v for v in offset)
    kinds: dict[tuple[int, bool], list[int]] = {}
    for k, each in enumerate(objects):
        kinds.setdefault((len(each.points), each.box is not None), []).append(k)
    logits: list[Tensor] = []
    scores: list[Tensor] = []
    order: list[int] = []
    for (count, boxed), members in kinds.items():
        points = labels = boxes = None
        if count:
            places = [[(x + column, y + row) for y, x in objects[k].points] for k in members]
            points = torch.tensor(places, device=device).float()
            labels = torch.tensor([objects[k].signs for k in members], device=device).float()
        if boxed:
            corners = [objects[k].box for k in members]
            moved = [(b[1] + column, b[0] + row, b[3] + column, b[2] + row) for b in corners if b is not None]
            boxes = torch.tensor(moved, device=device).float()
        found, judged = decoder.answer(ground, points=points, labels=labels, boxes=boxes)
        logits.append(found)
        scores.append(judged)
        order += members
    back = torch.tensor(np.argsort(order), device=device)
    return torch.cat(logits)[back], torch.cat(scores)[back]


def known_of(shown: Sequence[Shown], device: torch.device) -> Tensor:
    """What the user said of objects, (N, h, w)."""
    return torch.from_numpy(np.stack([each.known for each in shown])).to(device)


def valid_of(window: RoughWindow, shape: Sequence[int], device: torch.device) -> Tensor:
    """Cells (h, w) that show the image."""
    valid = torch.zeros(*shape, dtype=torch.bool, device=device)
    height, width = window.cells
    valid[:height, :width] = True
    return valid


def turned(answers: Tensor, other: View, view: View) -> Tensor:
    """Answers (N, 4, h, w) in another view of the same window, as they look in this one."""
    height, width = other.window.cells
    return _mirrored(other.window.place.back(answers[..., :height, :width]), view)


def in_view_of(masks: Tensor, view: View) -> Tensor:
    """Masks (.., h, w) of a window without mirrors, as they look in this view of it."""
    height, width = view.window.cells
    if view.window.place.mirrors.count("both") % 2:
        height, width = width, height
    return _mirrored(masks[..., :height, :width], view)


def _mirrored(plain: Tensor, view: View) -> Tensor:
    for axis in view.window.place.mirrors:
        plain = in_mirror(plain, axis)
    found = plain.new_zeros(*plain.shape[:-2], *view.plain.shape[-2:])
    height, width = view.window.cells
    found[..., :height, :width] = plain
    return found
