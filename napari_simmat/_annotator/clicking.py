"""From clicks to a mask: the prompt of the object at hand and the model's answer to it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from torch import get_num_threads

from napari_simmat._annotator.jobs import Executor, Job, Progress, run_now
from napari_simmat._annotator.keeping import Keeping
from napari_simmat.errors import PromptError, SimmatError
from napari_simmat.inference import Prompt, Segmenter
from napari_simmat.inference.compute import how_computed, threads
from napari_simmat.journal import Step, Was
from napari_simmat.journal.steps import Kind

if TYPE_CHECKING:
    from napari_simmat._annotator.versions import Version
    from napari_simmat.images import MultiChannelImage
    from napari_simmat.journal import Journal
    from napari_simmat.models import Adapter


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model says to a prompt.

    Attributes
    ----------
    prompt : Prompt
    masks : tuple of (Y, X) bool arrays
        The three candidates at the size of the image.
    scores : tuple of float
        How good the model believes each to be, 0 to 1.
    shown : int
        The candidate that stands for the object: the product's choice until the user takes another one.
    is_draft : bool
        Whether it is a first look, which another answer to the same prompt will replace.
    """

    prompt: Prompt
    masks: tuple[NDArray[np.bool_], ...]
    scores: tuple[float, ...]
    shown: int
    is_draft: bool = False

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Mask (Y, X) of the shown candidate."""
        return self.masks[self.shown]


class Clicking(Keeping):
    """A session that asks the model about points and a box; the newest click wins."""

    prompt_changed = Signal(object)
    answered = Signal(object)  # an Answer, or None when there is no mask to show
    previewed = Signal(
        object
    )  # the Answer to a click that was not done, or None when it is not to be shown any more

    def __init__(
        self,
        *,
        adapter: Adapter | None = None,
        journal: Journal | None = None,
        executor: Executor = run_now,
        device: str | None = None,
    ) -> None:
        super().__init__(adapter=adapter, journal=journal, executor=executor, device=device)
        self.answer: Answer | None = None
        self._prompt = Prompt()

    def set_image(self, image: MultiChannelImage | None) -> None:
        """Work on this image from now on; None puts the present one away. The clicks on each stay its own."""
        self._leave_prompt()
        super().set_image(image)

    @property
    def prompt(self) -> Prompt:
        """The clicks and the box for the object at hand."""
        return self._prompt

    @property
    def is_answered(self) -> bool:
        """Whether `answer` belongs to the present prompt, and is no draft."""
        return self.answer is not None and self.answer.prompt is self.prompt and not self.answer.is_draft

    def click(self, y: float, x: float, label: int = 1) -> None:
        """Add a point, in image pixels: label 1 on the object, 0 on what is not part of it.

        Raises
        ------
        PromptError
            If the point is outside of the image.
        """
        self.resume()  # whoever clicks without answering goes on with what there was
        height, width = self._need_image().shape
        if not (-0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5):
            raise PromptError(
                f"The click at row {y:.0f}, column {x:.0f} is outside of the image, which has {height} rows "
                f"and {width} columns; click on the image."
            )
        self._push(self.prompt.with_point(y, x, label))

    def set_box(self, y0: float, x0: float, y1: float, x1: float) -> None:
        """Put a box around the object, in image pixels; what lies outside of the image is cut off.

        Raises
        ------
        PromptError
            If no pixel of the image is inside of the box.
        """
        self.resume()
        height, width = self._need_image().shape
        if not np.isfinite((y0, x0, y1, x1)).all():
            raise PromptError(f"The box {(y0, x0, y1, x1)} is not made of numbers; drag it over the object.")
        # To the outer edges of the outermost pixels, as `Segmenter` cuts a box.
        y0, y1 = (float(np.clip(y, -0.5, height - 0.5)) for y in sorted((y0, y1)))
        x0, x1 = (float(np.clip(x, -0.5, width - 0.5)) for x in sorted((x0, x1)))
        if y1 - y0 < 1 or x1 - x0 < 1:
            raise PromptError("The box holds no pixel of the image; drag it over the object.")
        self._push(self.prompt.with_box(y0, x0, y1, x1))

    def set_prompt(self, prompt: Prompt) -> None:
        """Ask with all the clicks of another prompt at once, for example one from the journal."""
        self.resume()
        self._push(prompt)

    def preview(self, y: float, x: float) -> bool:
        """Have found what a click there would give, while there is no prompt; `previewed` brings it.

        Returns
        -------
        bool
            False if nothing can be previewed there now.
        """
        segmenter, image = self.segmenter, self.image
        if segmenter is None or image is None or not self.prompt.is_empty:
            return False
        height, width = image.shape
        if not (-0.5 <= y < height - 0.5 and -0.5 <= x < width - 0.5):
            return False
        prompt = Prompt().with_point(y, x)
        self._run(
            Job("preview", "Looking under the mouse", partial(_answer, segmenter, prompt), self._show_preview)
        )
        return True

    @property
    def is_previewing(self) -> bool:
        """Whether a preview is on its way."""
        return "preview" in self._jobs

    def end_preview(self) -> None:
        """Show no preview any more."""
        self._cancel("preview")
        self.previewed.emit(None)

    def _show_preview(self, answer: Answer) -> None:
        if self.prompt.is_empty:
            self.previewed.emit(answer)

    def cycle_candidate(self, step: int = 1) -> None:
        """Show the next of the three candidates instead."""
        if self.answer is not None:
            self.choose_candidate((self.answer.shown + step) % len(self.answer.masks))

    def choose_candidate(self, index: int) -> None:
        """Show this candidate instead, 0 to 2; nothing happens while an answer is on its way."""
        if self.answer is None or not self.is_answered or index == self.answer.shown:
            return
        chosen = replace(self.prompt, candidate=index)
        self._write_prompt("candidate", chosen)
        self._prompt = chosen
        self._show(replace(self.answer, prompt=self.prompt, shown=index))

    def clear(self) -> None:
        """Drop the prompt and its mask; accepted objects stay."""
        if not self.prompt.is_empty:
            self._write_prompt("reject", Prompt())
        self._take_prompt(Prompt())

    def leave(self) -> None:
        """Show nothing of the prompt any more, which stays what it was: `come_back` shows it again."""
        self._leave_prompt()

    def come_back(self) -> None:
        """Show the prompt of the image at hand again."""
        if self.book is not None and self.prompt.is_empty:
            self._bring_prompt()

    def ask_again(self) -> None:
        """Answer the present prompt anew; encode the image first if that was cancelled."""
        if self.segmenter is None and self._need_book() and not self.is_encoding:
            self._encode()
        else:
            self._ask()

    def _push(self, prompt: Prompt) -> None:
        self._write_prompt("prompt", prompt)
        self._take_prompt(prompt)

    def _write_prompt(self, kind: Kind, prompt: Prompt) -> None:
        """Write that the clicks are going to be others."""
        # The answer's last bits depend on these, and replay is to get the same.
        count = threads() if self._works_ahead else get_num_threads()
        details = {"computed": how_computed(count)}
        self._write(Step(kind, prompt=Was(_told(self.prompt), _told(prompt)), details=details))

    def _take_prompt(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self.prompt_changed.emit(prompt)
        self._ask()

    def _leave_prompt(self) -> None:
        self._take_prompt(Prompt())

    def _bring_prompt(self) -> None:
        """Have the clicks of an earlier session back."""
        told = self.book.log.prompt if self.book is not None else None
        if told is None:
            return
        try:
            self._take_prompt(Prompt.from_dict(told))
        except SimmatError as error:
            self.problem.emit(f"The clicks on the object at hand did not come back: {error}")

    def resume(self) -> None:
        """Go on with the work of an earlier session; nothing happens where none is waiting."""
        if self.waiting is not None:
            super().resume()
            if self.prompt.is_empty:  # else somebody has clicked while the image was being opened
                self._bring_prompt()

    def start_empty(self) -> None:
        """Begin anew where work of an earlier session is waiting; that stays in the project, and undo brings it back."""
        super().start_empty()
        self._take_prompt(Prompt())

    def _ask(self) -> None:
        """Have the present prompt answered; without one there is no mask."""
        for kind in ("answer", "look ahead", "preview"):
            self._cancel(kind)
        segmenter, prompt = self.segmenter or self.draft, self.prompt
        if prompt.is_empty:
            self._show(None)
        elif segmenter is not None and not (segmenter.is_draft and prompt.mask is not None):
            self._run(Job("answer", "Segmenting", partial(_answer, segmenter, prompt), self._show))

    def _show(self, answer: Answer | None) -> None:
        self.answer = answer
        self.answered.emit(answer)
        segmenter = self.segmenter
        if segmenter is not None:
            self._tell_note(segmenter)
        if self._works_ahead and answer is not None and self.is_answered and segmenter is not None:
            self._run(
                Job("look ahead", "Looking closer", partial(_look_ahead, segmenter, answer.prompt), _done)
            )

    def _answer_at_once(self, draft: Segmenter) -> Answer | None:
        prompt = self.prompt
        if prompt.is_empty or prompt.mask is not None:
            return None
        try:
            return _answer(draft, prompt)
        except SimmatError:
            return None  # whoever asks again is told why

    def _draft_came(self, answer: Answer | None) -> None:
        if answer is not None and answer.prompt is self.prompt:
            self._show(answer)
        else:
            self._ask()

    def _encoded(self, version: Version | None, segmenter: Segmenter) -> None:
        super()._encoded(version, segmenter)
        self._ask()

    def _job_failed(self, job: Job, error: Exception) -> None:
        if job.kind in ("look ahead", "preview"):
            return  # the click that needs it will tell
        if job.kind == "answer":
            self._show(None)  # a mask of an earlier click must not stand for this one
        super()._job_failed(job, error)


def _told(prompt: Prompt) -> dict[str, Any] | None:
    return None if prompt.is_empty else prompt.to_dict()


def _look_ahead(segmenter: Segmenter, prompt: Prompt, progress: Progress) -> None:
    segmenter.look_ahead(prompt)


def _done(result: None) -> None:
    """Nothing is to be changed by it."""


def _answer(segmenter: Segmenter, prompt: Prompt, progress: Progress | None = None) -> Answer:
    candidates = segmenter.answer(prompt)
    masks = tuple(candidates.mask(i) for i in range(len(candidates.scores)))
    scores = tuple(float(s) for s in candidates.scores)
    return Answer(prompt, masks, scores, int(candidates.shown), segmenter.is_draft)
