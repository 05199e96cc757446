"""Objects that nobody has clicked on yet: a click for each, the mask that it would give, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_simmat.inference.candidates import Candidates, arrange
from napari_simmat.inference.frame import Frame
from napari_simmat.inference.prompts import Prompt
from napari_simmat.inference.segmenter import Segmenter
from napari_simmat.models.encoders import STRIDE
from napari_simmat.models.heat import CELL, HeatHead

__all__ = ["Proposal", "Proposer", "Seen", "answers", "peaks", "propose", "seen_by", "without_doubles"]

Window = tuple[slice, slice]
OnStep = Callable[[int, int], None]

BATCH = 16
"""Prompts that are answered at once: each takes some 10 MB while it is."""

SMALLEST = 30
"""Masks with fewer pixels are not proposed."""

ALIKE = 0.6
"""Two masks are the same object from this IoU on, or if so much of the smaller one lies in the other."""

_FAINTEST = 0.01
_MOST = 300
"""So many peaks of a heatmap are looked at."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """An object that may be there.

    Attributes
    ----------
    prompt : Prompt
        What to ask to get it: a click, and the candidate to take.
    score : float
        How sure it is, 0 to 1: the heat where the click is, or the predicted IoU of automatic masks.
    window : (slice, slice)
        Bounding box of its mask in the image.
    crop : ndarray of bool, (h, w)
        Its mask in there.
    """

    prompt: Prompt
    score: float
    window: Window
    crop: NDArray[np.bool_]

    @property
    def point(self) -> tuple[float, float]:
        """The click, (y, x) in image pixels."""
        return self.prompt.points[0]

    @property
    def area(self) -> int:
        """Size of the mask in pixels."""
        return int(np.count_nonzero(self.crop))


@dataclass(frozen=True, eq=False)
class Proposer:
    """What was learnt about where objects are.

    Attributes
    ----------
    head : HeatHead
    threshold : float
        Heat from which a peak is proposed: chosen by objects that were not learnt from.
    radius : float
        Objects lie at least so far apart, in pixels of the encoder's frame.
    blur : float
        Standard deviation of the Gaussian that joins the peaks on one object, in pixels of the frame.
    objects : int
        How many objects it learnt from.
    """

    head: HeatHead
    threshold: float
    radius: float
    blur: float
    objects: int


@dataclass(frozen=True, eq=False)
class Seen:
    """What the model saw of an image, without the empty part of the frame.

    Attributes
    ----------
    embedding : Tensor, (256, h, w)
    picture : Tensor, (C, 16 h, 16 w)
        What the transfer layer made, padded with zeros on the right and below.
    frame : Frame
    """

    embedding: Tensor
    picture: Tensor
    frame: Frame

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the heatmap that lie on the image."""
        height, width = self.frame.shape
        return -(-height // CELL), -(-width // CELL)

    def to_image(self, row: float, column: float) -> tuple[float, float]:
        """(y, x) in image pixels of a place in the heatmap, cell centres at integers."""
        return self.frame.to_image((row + 0.5) * CELL, (column + 0.5) * CELL)

    def to_cells(self, y: float, x: float) -> tuple[float, float]:
        """The place in the heatmap of a pixel of the image."""
        in_frame = self.frame.to_frame(y, x)
        return (in_frame[1] + 0.5) / CELL - 0.5, (in_frame[0] + 0.5) / CELL - 0.5


def seen_by(segmenter: Segmenter) -> Seen:
    """What a segmenter's model saw."""
    picture, embedding = segmenter.picture()[0].float(), segmenter.embedding[0]
    rows, columns = (-(-n // STRIDE) for n in picture.shape[1:])
    padding = (0, columns * STRIDE - picture.shape[2], 0, rows * STRIDE - picture.shape[1])
    padded = torch.nn.functional.pad(picture, padding)
    # Copies: tensors of inference mode cannot be learnt from.
    return Seen(embedding[:, :rows, :columns].float().cpu().clone(), padded.cpu().clone(), segmenter.frame)


def heat_of(head: HeatHead, seen: Seen, blur: float) -> NDArray[np.float32]:
    """The heatmap of an image, (rows, columns) of its cells, 0 to 1, blurred by so many pixels of the frame."""
    with torch.no_grad():
        logits = head.eval()(seen.embedding[None], seen.picture[None])[0]
    rows, columns = seen.cells
    heat = logits.sigmoid()[:rows, :columns].numpy()
    return ndimage.gaussian_filter(heat, blur / CELL, mode="nearest")  # type: ignore[no-any-return]


def peaks(heat: NDArray[np.float32], radius: float) -> list[tuple[float, int, int]]:
    """Cells that are the hottest within a radius in cells: (heat, row, column), the hottest first."""
    reach = max(1, int(radius))
    disc = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) <= max(1.0, radius)
    is_peak = (heat == ndimage.maximum_filter(heat, footprint=disc)) & (heat > _FAINTEST)
    rows, columns = np.nonzero(is_peak)
    order = np.argsort(-heat[rows, columns], kind="stable")[:_MOST]
    return [(float(heat[r, c]), int(r), int(c)) for r, c in zip(rows[order], columns[order], strict=True)]


def propose(
    segmenter: Segmenter,
    proposer: Proposer,
    *,
    lowest: float | None = None,
    taken: NDArray[np.bool_] | None = None,
    on_step: OnStep = lambda done, total: None,
) -> list[Proposal]:
    """Clicks where objects like those that were learnt from may be, the surest first, each object once.

    Parameters
    ----------
    segmenter : Segmenter
        Of the image.
    proposer : Proposer
    lowest : float, optional
        Heat from which to propose; by default what the proposer found best.
    taken : ndarray of bool, (Y, X), optional
        Pixels of objects that are known.
    on_step : callable
        Told how many clicks of how many are answered; may raise to stop.
    """
    seen = seen_by(segmenter)
    heat = heat_of(proposer.head, seen, proposer.blur)
    bound = proposer.threshold if lowest is None else lowest
    found = [each for each in peaks(heat, proposer.radius / CELL) if each[0] >= bound]
    height, width = segmenter.image.shape
    scores, prompts = [], []
    for score, row, column in found:
        y, x = seen.to_image(row, column)
        y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
        if taken is None or not taken[round(y), round(x)]:
            scores.append(score)
            prompts.append(Prompt().with_point(round(y, 1), round(x, 1)))
    made = []
    for done, (prompt, candidates) in enumerate(answers(segmenter, prompts), 1):
        on_step(done, len(prompts))
        proposal = _proposal(prompt, scores[done - 1], candidates.mask())
        if proposal is not None:
            made.append(proposal)
    return without_doubles(made, taken)


def answers(segmenter: Segmenter, prompts: Sequence[Prompt]) -> Iterator[tuple[Prompt, Candidates]]:
    """The candidates for each of many alike prompts, answered in batches on the whole frame."""
    for k in range(0, len(prompts), BATCH):
        batch = prompts[k : k + BATCH]
        logits, scores = segmenter.decode_many(batch)
        for prompt, four, theirs in zip(batch, logits, scores, strict=True):
            yield prompt, arrange(four, theirs, segmenter.frame)


def _proposal(prompt: Prompt, score: float, mask: NDArray[np.bool_]) -> Proposal | None:
    if np.count_nonzero(mask) < SMALLEST:
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    window = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return Proposal(prompt, score, window, mask[window].copy())


def without_doubles(
    proposals: Iterable[Proposal], taken: NDArray[np.bool_] | None = None, *, alike: float = ALIKE
) -> list[Proposal]:
    """The surest of each group of proposals whose masks are the same object, without those that are taken already.

    Parameters
    ----------
    proposals : iterable of Proposal
    taken : ndarray of bool, (Y, X), optional
        Pixels of objects that are known.
    alike : float
        IoU from which two masks are the same object; the same share of the smaller one in the larger one is enough.
    """
    kept: list[Proposal] = []
    for proposal in sorted(proposals, key=lambda each: -each.score):
        if (
            taken is not None
            and np.count_nonzero(proposal.crop & taken[proposal.window]) > alike * proposal.area
        ):
            continue
        if not any(_is_same(proposal, other, alike) for other in kept):
            kept.append(proposal)
    return kept


def _is_same(one: Proposal, other: Proposal, alike: float) -> bool:
    common = _common(one, other)
    return common > alike * min(one.area, other.area)


def _common(one: Proposal, other: Proposal) -> int:
    """Number of pixels that two masks share."""
    (a, b), (c, d) = one.window, other.window
    top, bottom = max(a.start, c.start), min(a.stop, c.stop)
    left, right = max(b.start, d.start), min(b.stop, d.stop)
    if top >= bottom or left >= right:
        return 0
    first = one.crop[top - a.start : bottom - a.start, left - b.start : right - b.start]
    second = other.crop[top - c.start : bottom - c.start, left - d.start : right - d.start]
    return int(np.count_nonzero(first & second))
