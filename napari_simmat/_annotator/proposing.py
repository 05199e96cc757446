"""What to click next: objects that may be there, proposed to be accepted or rejected, and doubts about those accepted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from torch import get_num_threads

from napari_simmat._annotator.grouping import Grouping
from napari_simmat._annotator.jobs import Job, Progress
from napari_simmat._annotator.session import sentence_for
from napari_simmat.errors import Cancelled, ImageError, PromptError, SimmatError, TrainingError
from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.inference.compute import how_computed, threads
from napari_simmat.inference.doubt import Doubt, doubt_about, doubt_map
from napari_simmat.inference.everything import GRID, everything, tidied
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


@dataclass(frozen=True, eq=False)
class Review:
    """How uncertain the objects of an image are.

    Attributes
    ----------
    doubts : tuple of (int, float)
        Label and doubt of each object, the most uncertain first; 0 is certain, 1 is not.
    layer : ndarray of float32, (Y, X)
        Where the masks of an object depend on how it is asked for: 0 to 1.
    """

    doubts: tuple[tuple[int, float], ...]
    layer: NDArray[np.float32]

    @property
    def mean(self) -> float:
        """Mean doubt, by which images are ranked."""
        return float(np.mean([doubt for _, doubt in self.doubts]))


class Proposing(Grouping):
    """Proposes objects, learns from what is made of that, and says which objects to look at again."""

    proposing_started = Signal(str)  # what is done, for people
    proposing_step = Signal(int, int)  # so much of how much is done
    proposing_stopped = Signal(str)  # why nothing came of it; "" if it was cancelled
    proposals_changed = Signal()
    reviewed = Signal(object)  # the Review, None when it is not true any more

    proposed: Proposed | None = None
    review: Review | None = None
    _review_of: tuple[Any, ...] | None = None

    # ---------------------------------------------------------------- proposals

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
        self._sync_first(book)
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
                on_step=lambda *_: _stop_if(job),
            )
            return Proposed(tuple(found), learnt.threshold, "like objects", learnt.objects)

        return self._have_proposed(f"Learning from {count} objects what to propose", work)

    def propose_everything(self, *, grid: int = GRID) -> list[Proposal] | None:
        """Propose whatever looks like an object, by a grid of clicks; as `propose` otherwise."""
        book, segmenter = self._need_book(), self._need_segmenter()
        self._sync_first(book)
        taken = book.known != 0

        def work(job: Job, progress: Progress) -> Proposed:
            def step(done: int, total: int) -> None:
                _stop_if(job)
                progress(done, total, 0.0)

            found = everything(segmenter, grid=grid, taken=taken, on_step=step)
            return Proposed(tuple(found), 0.0, "everything")

        return self._have_proposed("Looking for everything", work)

    def drop_proposals(self) -> None:
        """Propose nothing any more."""
        if self.proposed is not None:
            self.proposed = None
            self.proposals_changed.emit()

    @property
    def is_proposing(self) -> bool:
        """Whether proposals or doubts are on their way."""
        return "propose" in self._jobs

    def cancel_proposing(self) -> bool:
        """Stop learning, proposing or reviewing; False if that is not under way."""
        is_under_way = "propose" in self._jobs
        if is_under_way:
            self._cancel("propose")
            self.proposing_stopped.emit("")
        return is_under_way

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

    def accept_prompts(self, prompts: Sequence[Prompt], *, tidied: bool = False) -> list[int] | None:
        """The same by the clicks alone, as the journal has them."""
        return self._accept_prompts([(prompt, None) for prompt in prompts], tidied)

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

    # ------------------------------------------------------------------- doubts

    def ask_review(self) -> Review | None:
        """Find how uncertain each object of the image is; `reviewed` brings it.

        Raises
        ------
        SimmatError
            There is no object yet, or the image is not encoded.
        """
        book, segmenter = self._need_book(), self._need_segmenter()
        self._sync_first(book)
        objects = [(label, note.window, note.crop) for label, note in book.in_order().items()]
        if not objects:
            raise PromptError("There is no object to look at yet; accept one first.")

        def work(job: Job, progress: Progress) -> Review:
            found: list[tuple[int, Doubt]] = []
            for done, (label, window, crop) in enumerate(objects, 1):
                _stop_if(job)
                mask = np.zeros(segmenter.image.shape, bool)
                mask[window] = crop
                found.append((label, doubt_about(segmenter, mask)))
                progress(done, len(objects), 0.0)
            ranked = sorted(found, key=lambda each: -each[1].value)
            return Review(
                tuple((label, doubt.value) for label, doubt in ranked),
                doubt_map([doubt for _, doubt in found], segmenter.image.shape),
            )

        def take(review: Review) -> None:
            self.review, self._review_of = review, self._what_is_reviewed()
            self.reviewed.emit(review)

        self._long("Looking for uncertain objects", work, take)
        return self.review

    # ------------------------------------------------------------------- inside

    def _have_proposed(self, title: str, work: Callable[[Job, Progress], Proposed]) -> list[Proposal] | None:
        def take(proposed: Proposed) -> None:
            self.proposed = proposed
            self.proposals_changed.emit()

        before = self.proposed
        self._long(title, work, take)
        return self.proposals if self.proposed is not before else None

    def _long(self, title: str, work: Callable[[Job, Progress], Any], take: Callable[[Any], None]) -> None:
        job = Job(
            "propose",
            title,
            lambda progress: work(job, progress),
            take,
            progress=lambda done, total, _: self.proposing_step.emit(done, total),
        )
        self.cancel_proposing()
        self.proposing_started.emit(title)
        self._run(job)

    def _accept_prompts(
        self, wanted: Sequence[tuple[Prompt, Proposal | None]], is_tidied: bool
    ) -> list[int] | None:
        book, segmenter = self._need_book(), self._need_segmenter()
        made: list[int] = []
        details = {
            "proposed": {"tidied": is_tidied},
            "computed": how_computed(threads() if self._works_ahead else get_num_threads()),
        }

        def work(progress: Progress) -> list[tuple[Any, NDArray[np.bool_], Prompt]]:
            found = []
            for done, (prompt, proposal) in enumerate(wanted, 1):
                _stop_if(job)
                answered = _answered(segmenter, prompt, proposal, is_tidied)
                if answered is not None:
                    found.append(answered)
                progress(done, len(wanted), 0.0)
            return found

        def take(found: list[tuple[Any, NDArray[np.bool_], Prompt]]) -> None:
            if self.book is not book:
                return
            self._write_version(book)
            try:
                made.extend(book.accept_many(found, adapter=segmenter.adapter.fingerprint, details=details))
            except SimmatError as error:  # nobody waits for this call to return
                self.problem.emit(str(error))
                return
            if not made:
                self.problem.emit(
                    "These masks lie on accepted objects, so nothing was accepted; erase those first."
                )
                return
            self._did(objects=True)
            self._accepted()

        title = f"Accepting {len(wanted)} proposal{'' if len(wanted) == 1 else 's'}"
        job = Job("take over", title, work, take)
        self._run(job)
        return made or None

    def _accepted(self) -> None:
        """More objects are there to learn from."""

    def _to_learn_from(self, book: ObjectBook) -> list[ObjectBook]:
        """The image at hand, and of the others that the adapter fits those with the most objects."""
        others = [each for each in self._books.values() if each is not book and self._suits(each)]
        others.sort(key=lambda each: -len(each.notes))
        return [book, *others[: MOST_IMAGES - 1]]

    def _suits(self, book: ObjectBook) -> bool:
        current = self.versions.current
        return current is None or current.suits(book.image)

    def _need_segmenter(self) -> Segmenter:
        if self.segmenter is None:
            self._need_image()
            raise ImageError("The image is not encoded yet; try again in a moment.")
        return self.segmenter

    def _sync_first(self, book: ObjectBook) -> None:
        if book.sync() != ([], []):
            self._did(objects=True)

    def _what_is_reviewed(self) -> tuple[Any, ...]:
        """The adapter and the masks, whatever the objects are called."""
        notes = {} if self.book is None else self.book.in_order()
        return self.versions.current, [(label, note.crop) for label, note in notes.items()]

    def _is_reviewed(self) -> bool:
        """Whether the review is still of what there is."""
        (version, masks), (now, present) = self._review_of or (None, []), self._what_is_reviewed()
        return (
            version is now
            and len(masks) == len(present)
            and all(a == b and one is two for (a, one), (b, two) in zip(masks, present, strict=True))
        )

    def _did(self, *, objects: bool = False) -> None:
        super()._did(objects=objects)
        if self.proposed is not None:
            self.proposals_changed.emit()
        self._drop_old_review()

    def _drop_old_review(self) -> None:
        if self.review is not None and not self._is_reviewed():
            self.review = None
            self.reviewed.emit(None)

    def set_image(self, image: MultiChannelImage | None) -> None:
        """Work on this image from now on; what is proposed for the present one is dropped."""
        self.cancel_proposing()
        self.drop_proposals()
        if self.review is not None:
            self.review = None
            self.reviewed.emit(None)
        super().set_image(image)

    def _encoded(self, version: Version | None, segmenter: Segmenter) -> None:
        super()._encoded(version, segmenter)
        self._drop_old_review()
        if self.proposed is not None and self.proposed.how == "everything":
            self.drop_proposals()  # the masks of another adapter

    def _job_failed(self, job: Job, error: Exception) -> None:
        super()._job_failed(job, error)
        if job.kind == "propose":
            self.proposing_stopped.emit("" if isinstance(error, Cancelled) else sentence_for(job, error))


def _stop_if(job: Job) -> None:
    if job.cancel.is_set():
        raise Cancelled(f"{job.title} was cancelled.")


def _objects(book: ObjectBook) -> Objects:
    return [(note.window, note.crop) for note in book.notes.values()]


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


def _answered(
    segmenter: Segmenter, prompt: Prompt, proposal: Proposal | None, is_tidied: bool
) -> tuple[tuple[slice, slice], NDArray[np.bool_], Prompt] | None:
    """What an ordinary click gives, in its bounding box: what is accepted can be found again by the clicks alone."""
    candidates = segmenter.answer(prompt)
    if prompt.candidate is not None and proposal is not None:
        # Answers to many prompts at once may stand in another order.
        likest = max(range(len(candidates.scores)), key=lambda k: _likeness(candidates.mask(k), proposal))
        prompt = replace(prompt, candidate=likest)
        candidates = replace(candidates, shown=likest)
    mask = candidates.mask()
    mask = tidied(mask) if is_tidied and mask.any() else mask
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    window = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return window, mask[window].copy(), prompt


def _likeness(mask: NDArray[np.bool_], proposal: Proposal) -> float:
    common = int(np.count_nonzero(mask[proposal.window] & proposal.crop))
    return common / max(1, int(np.count_nonzero(mask)) + proposal.area - common)
