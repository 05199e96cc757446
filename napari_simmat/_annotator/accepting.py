"""Objects made of many prompts at once, each as if it had been clicked and accepted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import get_num_threads

from napari_simmat._annotator.advising import stop_if
from napari_simmat._annotator.jobs import Job, Progress
from napari_simmat._annotator.reviewing import Reviewing
from napari_simmat.errors import SimmatError
from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.inference.compute import how_computed, threads
from napari_simmat.inference.everything import tidied

if TYPE_CHECKING:
    from napari_simmat.inference.proposing import Proposal

__all__ = ["Accepting"]


class Accepting(Reviewing):
    """Accepts what is proposed."""

    def accept_prompts(self, prompts: Sequence[Prompt], *, tidied: bool = False) -> list[int] | None:
        """Make objects of prompts, as one gesture.

        Parameters
        ----------
        prompts : sequence of Prompt
        tidied : bool
            Without their small holes and islands, as automatic masks are.

        Returns
        -------
        list of int or None
            Labels of the objects, where they are there when this returns. Fewer than prompts where masks overlap.

        Raises
        ------
        SimmatError
            The image is not encoded.
        """
        return self._accept_prompts([(prompt, None) for prompt in prompts], tidied)

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
                stop_if(job)
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
