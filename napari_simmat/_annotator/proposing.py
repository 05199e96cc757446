"""What to click next: objects that may be there, proposed to be accepted or rejected."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_simmat._annotator.accepting import Accepting
from napari_simmat._annotator.advising import stop_if
from napari_simmat._annotator.jobs import Job, Progress
from napari_simmat.errors import PromptError, TrainingError
from napari_simmat.inference import Segmenter
from napari_simmat.inference.everything import GRID, everything
from napari_simmat.inference.proposing import Proposal, propose, seen_by
from napari_simmat.journal import Step
from napari_simmat.journal.facts import change_of
from napari_simmat.training.proposals import Lesson, learn_to_propose

if TYPE_CHECKING:
    from napari_simmat._annotator.objects import ObjectBook
    from napari_simmat._annotator.versions import Version
    from napari_simmat.images import MultiChannelImage
    from napari_simmat.models import Adapter

COMPLETE = "complete"
_REJECTED = "rejected "
_FAINTER = 1 / 3
"""Proposals down to this share of the threshold are there to be seen, if somebody wants to see fainter ones."""
MOST_IMAGES = 16
"""So many images are learnt from at most, 17 MB each: the one at hand and those with the most objects."""

_SAME_PLACE = 3.0

Objects = list[tuple[tuple[slice, slice], NDArray[np.bool_]]]


@dataclass(frozen=True)
class Proposed:
    """What was proposed for an image.

    Attributes
    ----------
    all : tuple of Proposal
        The surest first, also those too faint to be shown, accepted or rejected meanwhile.
    threshold : float
        Score from which they are worth a look.
    how : str
        "like objects" or "everything".
    learnt_from : int
        Number of objects.
    """

    all: tuple[Proposal, ...]
    threshold: float
    how: str
    learnt_from: int = 0


class Proposing(Accepting):
    """Proposes objects, and learns from what is made of that."""

    proposals_changed = Signal()

    proposed: Proposed | None = None

    @property
    def proposals(self) -> list[Proposal]:
        """What is proposed and was neither accepted nor rejected, the surest first; also what is below the threshold."""
        book = self.book
        if self.proposed is None or book is None:
            return []
        rejected = _rejected(book)
        return [
            each
            for each in self.proposed.all
            if not _is_rejected(each, rejected) and not _is_taken(each, book.known)
        ]

    @property
    def is_complete(self) -> bool:
        """Whether all objects of the image at hand are said to be accepted: then nothing else is one."""
        return self.book is not None and bool(self.book.log.facts.get(COMPLETE))

    def set_complete(self, value: bool = True) -> None:
        """Say that all objects of the image are accepted, or that they are not."""
        book = self._need_book()
        details = change_of(book.log.facts, {COMPLETE: True if value else None})
        if details:
            self._write(Step("complete", details=details))
            self._did()

    def propose(self, *, steps: int | None = None, seed: int = 0) -> list[Proposal] | None:
        """Learn where objects like the accepted ones are, and propose those of this image.

        Parameters
        ----------
        steps : int, optional
            Of the training; see `napari_simmat.training.proposals.learn_to_propose`.
        seed : int

        Returns
        -------
        list of Proposal or None
            Where they are there when this returns, which needs `run_now`; `proposals_changed` tells of them in any case.

        Raises
        ------
        SimmatError
            There are fewer than two objects, or the image is not encoded yet.
        """
        book, segmenter = self._need_book(), self._need_segmenter()
        self.sync_labels()
        lessons = [
            (each.image, _objects(each), _rejected(each), bool(each.log.facts.get(COMPLETE)))
            for each in self._to_learn_from(book)
            if each.notes or _rejected(each)
        ]
        count = sum(len(objects) for _, objects, _, _ in lessons)
        if count < 2:
            raise TrainingError(
                f"Found {count} accepted object{'' if count == 1 else 's'}, expected at least 2 to learn from what to "
                "propose; accept one more, or ask for everything."
            )
        taken, device = book.known != 0, self._device

        def work(job: Job, progress: Progress) -> Proposed:
            learnt = learn_to_propose(
                [_lesson(segmenter, device, *lesson) for lesson in lessons],
                steps=steps,
                seed=seed,
                on_step=lambda done, total, _: progress(done, total, 0.0),
                cancel=job.cancel,
            )
            found = propose(
                segmenter,
                learnt,
                lowest=learnt.threshold * _FAINTER,
                taken=taken,
                on_step=lambda *_: stop_if(job),
            )
            return Proposed(tuple(found), learnt.threshold, "like objects", learnt.objects)

        return self._have_proposed(f"Learning from {count} objects what to propose", work)

    def propose_everything(self, *, grid: int = GRID) -> list[Proposal] | None:
        """Propose whatever looks like an object, by a grid of clicks; as `propose` otherwise."""
        book, segmenter = self._need_book(), self._need_segmenter()
        self.sync_labels(book)
        taken = book.known != 0

        def work(job: Job, progress: Progress) -> Proposed:
            def step(done: int, total: int) -> None:
                stop_if(job)
                progress(done, total, 0.0)

            found = everything(segmenter, grid=grid, taken=taken, on_step=step)
            return Proposed(tuple(found), 0.0, "everything")

        return self._have_proposed("Looking for everything", work)

    def drop_proposals(self) -> None:
        """Propose nothing any more."""
        if self.proposed is not None:
            self.proposed = None
            self.proposals_changed.emit()

    def accept_proposals(self, proposals: Sequence[Proposal]) -> list[int] | None:
        """Make objects of proposals, as one gesture: each as if it had been clicked and accepted.

        Returns
        -------
        list of int or None
            Labels of the objects, where they are there when this returns. Fewer than proposals where masks overlap.

        Raises
        ------
        SimmatError
            There is none, or the image is not encoded.
        """
        if not proposals:
            raise PromptError("There is no proposal to accept; have some proposed first.")
        is_tidied = self.proposed is not None and self.proposed.how == "everything"
        return self._accept_prompts([(each.prompt, each) for each in proposals], is_tidied)

    def accept_above(self, score: float) -> list[int] | None:
        """Accept all proposals of at least this score."""
        return self.accept_proposals([each for each in self.proposals if each.score >= score])

    def reject_proposals(self, proposals: Sequence[Proposal]) -> None:
        """Say that there is no object (to be had) there; the next training learns from it.

        Raises
        ------
        PromptError
            There is none.
        """
        if not proposals:
            raise PromptError("There is no proposal to reject; have some proposed first.")
        book = self._need_book()
        wanted = {_name_of(each): list(each.point) for each in proposals}
        details = change_of(book.log.facts, wanted)
        if details:
            self._write(Step("refuse", details=details))
            self._did()

    def repeat_facts(self, step: Step) -> None:
        """Do a gesture once more that changed nothing but facts about the image, as the journal has it."""
        self._write(Step(step.kind, details=step.details))
        self._did()

    # ------------------------------------------------------------------- inside

    def _have_proposed(self, title: str, work: Callable[[Job, Progress], Proposed]) -> list[Proposal] | None:
        def take(proposed: Proposed) -> None:
            self.proposed = proposed
            self.proposals_changed.emit()

        before = self.proposed
        self._long(title, work, take)
        return self.proposals if self.proposed is not before else None

    def _to_learn_from(self, book: ObjectBook) -> list[ObjectBook]:
        """The image at hand, and of the others that the adapter fits those with the most objects."""
        others = [each for each in self._books.values() if each is not book and self._suits(each)]
        others.sort(key=lambda each: -len(each.notes))
        return [book, *others[: MOST_IMAGES - 1]]

    def _suits(self, book: ObjectBook) -> bool:
        current = self.versions.current
        return current is None or current.suits(book.image)

    def _did(self, *, objects: bool = False) -> None:
        super()._did(objects=objects)
        if self.proposed is not None:
            self.proposals_changed.emit()

    def set_image(self, image: MultiChannelImage | None) -> None:
        """Work on this image from now on; what is proposed for the present one is dropped."""
        self.drop_proposals()
        super().set_image(image)

    def _encoded(self, version: Version | None, segmenter: Segmenter) -> None:
        super()._encoded(version, segmenter)
        if self.proposed is not None and self.proposed.how == "everything":
            self.drop_proposals()  # the masks of another adapter


def _objects(book: ObjectBook) -> Objects:
    return [(note.window, note.crop) for note in book.in_order().values()]


def _name_of(proposal: Proposal) -> str:
    return f"{_REJECTED}{proposal.point[0]:g},{proposal.point[1]:g}"


def _rejected(book: ObjectBook) -> list[tuple[float, float]]:
    """Where proposals of an image were rejected, (y, x)."""
    facts = book.log.facts
    return [(float(at[0]), float(at[1])) for name, at in facts.items() if name.startswith(_REJECTED)]


def _is_rejected(proposal: Proposal, rejected: list[tuple[float, float]]) -> bool:
    """Whether it is where one was rejected, nearly: another training may have its peaks a little elsewhere."""
    y, x = proposal.point
    return any(math.hypot(y - there[0], x - there[1]) <= _SAME_PLACE for there in rejected)


def _is_taken(proposal: Proposal, known: NDArray[np.int32]) -> bool:
    """Whether there is an object already where it would be."""
    y, x = (round(v) for v in proposal.point)
    if known[y, x]:
        return True
    return 2 * int(np.count_nonzero(known[proposal.window][proposal.crop])) > proposal.area


def _lesson(
    segmenter: Segmenter,
    device: str | None,
    image: MultiChannelImage,
    objects: Objects,
    rejected: list[tuple[float, float]],
    is_complete: bool,
) -> Lesson:
    adapter: Adapter = segmenter.adapter
    other = segmenter
    if image.identity != segmenter.image.identity:
        other = Segmenter(image, adapter=adapter, device=device, keep=True)
    return Lesson(seen_by(other), objects, rejected, is_complete)
