"""Which of the model's own masks are believed.

The model answers each prompt four times over: with its single mask and with three for an ambiguous prompt. The single one
is taken unless it breaks what the user said: an answer that covers another object's click, or leaves its own, is not
believed, however sure the model is of it. Then it is one of the others, the likeliest, or none.

Where the channels say what an object is like (`channels`), they are a second witness: of the four that answer is taken
that has most in common with the object's likely mask, and cell by cell it is put to the vote with the answer in the
other view and the likely mask. An object of which no answer has half in common with its likely mask is one that the
model does not see as such; then the likely mask is believed. Where the channels say no more of an object than the user
did, the model is the only witness.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LEAST_AGREEMENT = 0.5


@dataclass(frozen=True, eq=False)
class Believed:
    """Pseudo-labels of the objects in a window.

    Attributes
    ----------
    masks : Tensor of bool, (N, h, w)
        With what the user said written over them.
    cells : Tensor of bool, (N, h, w)
        Where they count: not where two objects claim the same cell.
    objects : Tensor of bool, (N,)
        Which of them are believed.
    agreement : Tensor, (N,)
        Mean IoU with the other views, or the IoU with the likely mask where there is one.
    answered : Tensor of bool, (N,)
        Of which objects an answer of the model is believed.
    own : Tensor of bool, (N, h, w)
        The model's answer that is nearest to what is believed, as it is.
    """

    masks: Tensor
    cells: Tensor
    objects: Tensor
    agreement: Tensor
    answered: Tensor
    own: Tensor


def believe(
    answers: Tensor,
    scores: Tensor,
    known: Tensor,
    others: list[Tensor],
    valid: Tensor,
    *,
    gate: bool,
    choose: bool,
    likely: Tensor | None = None,
) -> Believed:
    """What to learn from answers.

    Parameters
    ----------
    answers : Tensor of bool, (N, 4, h, w)
        The single mask first.
    scores : Tensor, (N, 4)
        Their predicted IoU.
    known : Tensor of int8, (N, h, w)
        What the user said: 1, 0 or -1 (unknown).
    others : list of Tensor of bool, (N, 4, h, w)
        Answers in other views of the same place, turned as these are.
    valid : Tensor of bool, (h, w)
        Cells that show the image.
    gate : bool
        Whether objects on which views disagree, or that break what the user said, are left out (where the channels say
        something: believed as these say).
    choose : bool
        Whether one of the four is chosen and what the user said is written over it; else the single mask as it is.
    likely : Tensor of bool, (N, h, w), optional
        What the channels say the objects are.
    """
    answers = answers & valid
    others = [other & valid for other in others]
    found = _by_the_model(answers, scores, known, others, gate=gate, choose=choose)
    if not choose:
        single, believed, agreed, answered = found
        return Believed(single, valid.expand_as(single), believed, agreed, answered, single)
    own = found[0]
    if likely is not None:
        likely = likely & valid
        told = (likely & (known != 1)).flatten(1).any(1)  # else the channels say no more than the user did
        twice = _by_two_witnesses(answers, scores, known, others, likely, gate=gate)
        own = torch.where(told[:, None, None], twice[-1], own)
        found = tuple(
            torch.where(told.view(-1, *[1] * (new.ndim - 1)), new, old)
            for new, old in zip(twice[:-1], found, strict=True)
        )
    masks, believed, agreed, answered = found
    contested = (masks & believed[:, None, None]).sum(0) > 1
    cells = valid & ~(contested & masks)
    cells, masks = cells | (known >= 0), torch.where(known >= 0, known == 1, masks)
    return Believed(masks, cells & valid, believed, agreed, answered, own)


def _by_the_model(
    answers: Tensor, scores: Tensor, known: Tensor, others: list[Tensor], *, gate: bool, choose: bool
) -> tuple[Tensor, ...]:
    """Masks, which are believed, how far views agree, and which are the model's: all that are believed."""
    agreement = answers.new_ones(answers.shape[:2], dtype=torch.float32)
    if others:
        agreement = torch.stack([overlap(answers, other) for other in others]).mean(0)
    if not choose:
        some = answers[:, 0].flatten(1).any(1)
        return answers[:, 0], some, agreement[:, 0], some
    broken = violation(answers, known)
    best = _best(answers, scores, agreement, broken)
    rows = torch.arange(len(answers), device=answers.device)
    masks, agreed, broke = answers[rows, best], agreement[rows, best], broken[rows, best]
    believed = masks.flatten(1).any(1)
    if gate:
        believed = believed & (agreed >= LEAST_AGREEMENT) & (broke == 0)
    return masks, believed, agreed, believed


def _by_two_witnesses(
    answers: Tensor, scores: Tensor, known: Tensor, others: list[Tensor], likely: Tensor, *, gate: bool
) -> tuple[Tensor, ...]:
    """The same where the channels say something, and at the end the model's own answer to this view."""
    rows = torch.arange(len(answers), device=answers.device)
    witnesses, alike, kept = [], [], []
    for found in (answers, *others):
        common, unbroken = overlap(found, likely[:, None]), violation(found, known) == 0
        best = (common * (scores.clamp(0.01, 1) if found is answers else 1) + 10 * unbroken).argmax(1)
        witnesses.append(found[rows, best])
        alike.append(common[rows, best])
        kept.append(unbroken[rows, best])
    voted = witnesses[0]
    if others:
        votes = torch.stack([*witnesses, likely]).sum(0)
        voted = 2 * votes > len(witnesses) + 1
    agreed = torch.where(torch.stack(kept), torch.stack(alike), torch.zeros_like(alike[0])).amax(0)
    answered = agreed >= LEAST_AGREEMENT if gate else torch.ones_like(kept[0])
    masks = torch.where(answered[:, None, None], voted, likely)
    believed = masks.flatten(1).any(1)
    return masks, believed, agreed, answered & believed, witnesses[0]


def _best(answers: Tensor, scores: Tensor, agreement: Tensor, broken: Tensor) -> Tensor:
    """The single mask where it keeps to what was said; else the one of the others that does and is likeliest.

    Without a reason against it the single mask is the best one off SAM's own domain (`docs/benchmarks.md`).
    """
    likely = agreement * scores.clamp(0.01, 1) * (broken == 0) * answers.flatten(2).any(2)
    single = (broken[:, 0] == 0) & answers[:, 0].flatten(1).any(1)
    return torch.where(single, torch.zeros_like(likely.argmax(1)), likely.argmax(1))


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """IoU of masks (.., h, w); 0 where both are empty."""
    common, either = (a & b).sum((-2, -1)), (a | b).sum((-2, -1))
    return common / either.clamp_min(1)


def violation(answers: Tensor, known: Tensor) -> Tensor:
    """How far answers (N, K, h, w) break what is known (N, h, w), from 0 to 1.

    The share of what is known not to be the object that is covered, or of what is known to be the object that is not,
    whichever is larger; less than half of a disc is passed over, as the cells are coarse.
    """
    shares = []
    for value in (0, 1):
        cells = (known == value)[:, None]
        wrong = (answers if value == 0 else ~answers) & cells
        count = cells.sum((-2, -1))
        share = wrong.sum((-2, -1)) / count.clamp_min(1)
        # A click's disc has nine cells: up to four of all those of the other objects may be covered by a coarse mask.
        slack = wrong.sum((-2, -1)) <= 4 if value == 0 else share <= 0.5
        shares.append(torch.where(slack, torch.zeros_like(share), share))
    return torch.maximum(*shares)
