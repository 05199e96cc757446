"""One annotator at work: click, accept, erase, train, undo. Window, command line and tests all drive this.

What is slow is handed out as `Job`s to the executor; by default each is run on the spot. A window passes an
executor that runs the slow half of a job on another thread and the fast half back on its own, so nothing here
blocks it. All methods belong to one thread, whichever that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_simmat._annotator.clicking import Answer
from napari_simmat._annotator.found import Found
from napari_simmat._annotator.jobs import Executor, Job, Progress, run_now
from napari_simmat._annotator.learning import Learning
from napari_simmat._annotator.notes import Note, class_of
from napari_simmat._annotator.proposing import Proposed
from napari_simmat._annotator.reviewing import Review
from napari_simmat._annotator.targets import ArrayTarget, LabelTarget
from napari_simmat._annotator.titles import title_of
from napari_simmat._annotator.versions import Version
from napari_simmat.errors import AdapterError, PromptError, SimmatError
from napari_simmat.exporters import export
from napari_simmat.images import MultiChannelImage
from napari_simmat.inference import Prompt
from napari_simmat.inference.memory import give_memory_back
from napari_simmat.journal import Journal, Step
from napari_simmat.models import Adapter

__all__ = [
    "Annotator",
    "Answer",
    "ArrayTarget",
    "Found",
    "Job",
    "LabelTarget",
    "Note",
    "Progress",
    "Proposed",
    "Review",
    "Step",
    "Version",
    "run_now",
    "title_of",
]


class Annotator(Learning):
    """An annotator at work on one image after the other.

    Corrections, labels and adapter versions of earlier images are kept when the image is switched.

    Parameters
    ----------
    image : MultiChannelImage, optional
        The first image; `set_image` does the same later.
    adapter : Adapter, optional
        What to start from; by default the untrained adapter of the image's modality.
    journal : Journal, optional
        Where accepted objects are kept from crashes, and come back from; none by default.
    auto_quick : bool
        Train quickly by itself after an object was accepted, once there are three.
    executor : callable
        Runs the slow jobs; by default on the spot.
    device : str, optional
        "cuda", "mps" or "cpu"; the best there is by default.

    Attributes
    ----------
    auto_quick_steps : int or None
        How long such a training is; None: as long as `quick` thinks best.
    auto_quick_settings : Settings or None
        How it learns, as far as quick training can learn so; else as it does by default.
    reports : list of TrainingReport
        One for each training that was finished, also those that were rolled back.

    Examples
    --------
    >>> annotator = Annotator(open_image("scene.tif"))  # doctest: +SKIP
    >>> annotator.click(120, 88)  # doctest: +SKIP
    >>> annotator.accept()  # doctest: +SKIP
    1
    >>> annotator.deep().reason  # doctest: +SKIP
    """

    def __init__(
        self,
        image: MultiChannelImage | None = None,
        *,
        adapter: Adapter | None = None,
        journal: Journal | None = None,
        auto_quick: bool = False,
        executor: Executor = run_now,
        device: str | None = None,
    ) -> None:
        super().__init__(adapter=adapter, journal=journal, executor=executor, device=device)
        self.auto_quick = auto_quick
        self._label_once_answered: tuple[int | None] | None = None
        if image is not None:
            self.set_image(image)

    # ---------------------------------------------------------------- objects

    @property
    def labels(self) -> NDArray[np.int32]:
        """Label image (Y, X) of what was accepted so far, 0 is background; not to be written to."""
        return self._need_book().known

    @property
    def objects(self) -> dict[int, Note]:
        """What is known of each accepted object of this image, by label."""
        return self.book.in_order() if self.book is not None else {}

    def attach(self, target: LabelTarget) -> None:
        """Write objects of this image into another target; what only the target holds counts as corrections.

        Raises
        ------
        SimmatError
            If the target's labels are not of the image's shape; nothing was changed.
        """
        if self._need_book().attach(target):
            self._did(objects=True)

    def let_go(self, target: LabelTarget) -> None:
        """Write objects into a target no more that is not shown any more; they stay what they are."""
        for book in self._books.values():
            if book.target is target:
                with self.problem.blocked():  # what was done to it at the last moment may be of another shape
                    self.sync_labels(book)
                book.let_go()

    def accept(self, label: int | None = None) -> int | None:
        """Turn the shown mask into an object and start the next one.

        Parameters
        ----------
        label : int, optional
            The object that gets this mask; a new one by default.

        Returns
        -------
        int or None
            The object's label. None if the answer to the last click is still on its way: the object is
            accepted when it comes.

        Raises
        ------
        PromptError
            If there is no mask, or other objects hold all of it.
        """
        book, answer = self._need_book(), self.answer
        if answer is None or not self.is_answered:
            if self.prompt.is_empty or not {"answer", "encode"} & set(self._jobs):
                raise PromptError("There is no mask to accept yet; click on an object first.")
            self._label_once_answered = (label,)
            return None
        fingerprint = self.segmenter.adapter.fingerprint if self.segmenter is not None else ""
        prompt = answer.prompt
        self._write_version(book)
        number = book.accept(
            answer.mask, label=label, prompt=prompt, adapter=fingerprint, before=self.prompt.to_dict()
        )
        self._take_prompt(Prompt())
        self._did(objects=True)
        if self._works_ahead:
            self._run(Job("tidy", "Tidying up", lambda _: give_memory_back(), lambda _: None))
        self._train_if_wanted()
        self._go_on_by_text(prompt, number)
        return number

    def erase(self, label: int) -> None:
        """Take an accepted object out again; it is no longer learnt from.

        Raises
        ------
        PromptError
            If there is no such object.
        """
        self._need_book().erase(label)
        self._did(objects=True)

    def merge(self, labels: Sequence[int]) -> int:
        """Make one object of several; it keeps the number of the first.

        Returns
        -------
        int
            Its label.

        Raises
        ------
        PromptError
            If there are not two of them, or one is not there.
        """
        label = self._need_book().merge(labels)
        self._did(objects=True)
        return label

    def name_objects(self, labels: Sequence[int], class_name: str | None) -> None:
        """Say what objects are, such as "weed"; None takes their class away.

        Raises
        ------
        PromptError
            If there is no such object, or the name is none.
        """
        self.name_each(dict.fromkeys(labels, class_name))

    def name_each(self, names: Mapping[int, str | None]) -> None:
        """Give each object a class of its own, in one gesture; see `name_objects`."""
        if self._need_book().name({label: class_of(name) for label, name in names.items()}):
            self._did(objects=True)

    def clear(self) -> None:
        """Drop the prompt and its mask; accepted objects stay."""
        self._label_once_answered = None
        prompt = self.prompt
        super().clear()
        self._go_on_by_text(prompt, None)

    def _leave_prompt(self) -> None:
        self._label_once_answered = None
        super()._leave_prompt()

    # ---------------------------------------------------------------- history

    @property
    def history(self) -> tuple[list[Step], list[Step]]:
        """What can be undone and what can be redone, each newest last."""
        log = self.book.log if self.book is not None else None
        return (list(log.done), list(log.undone)) if log is not None else ([], [])

    def undo(self) -> Step | None:
        """Take back the last gesture: click, accepted object, brush stroke, erased object, training, ...

        Returns
        -------
        Step or None
            What was undone; None if there is nothing.

        Raises
        ------
        SimmatError
            It cannot be undone now; nothing was changed.
        """
        return self._go("undo")

    def redo(self) -> Step | None:
        """Bring back what was undone last; None if there is nothing."""
        return self._go("redo")

    def _go(self, kind: Literal["undo", "redo"]) -> Step | None:
        self.resume()
        book = self.book
        if book is None:
            return None
        self._label_once_answered = None
        self.sync_labels(book)
        step = book.log.next_back(kind)
        if step is None:
            return None
        version = None
        if step.version is not None and step.version.after is not None:
            version = self.versions.known(str(step.version.after["fingerprint"]))
            if version is None:
                raise AdapterError(
                    f"The adapter {step.version.after['name']!r} is not there any more, so this cannot be taken back; "
                    "choose another version under Model."
                )
        book.take_back(step)
        if step.prompt is not None:
            told = step.prompt.after
            self._take_prompt(Prompt() if told is None else Prompt.from_dict(told))
        if version is not None:
            self.versions.use(version)
            self._adapter_changed()
        self._did(objects=bool(step.changes))
        return step

    def export(self, path: str | Path, format: str) -> int:
        """Write the labels of this image to a file; see `napari_simmat.exporters.export`."""
        self.sync_labels()
        classes = {n: note.class_name for n, note in self.objects.items() if note.class_name is not None}
        count = export(self.labels, self._need_image(), format, path, classes=classes, colours=self.classes)
        details = {"path": str(path), "format": format, "objects": count}
        self._write(Step("export", details=details))
        return count

    def _nothing_answers(self) -> None:
        self._label_once_answered = None

    def _show(self, answer: Answer | None) -> None:
        super()._show(answer)
        waiting, self._label_once_answered = self._label_once_answered, None
        if waiting is None or answer is None:
            return
        try:
            self.accept(waiting[0])
        except SimmatError as error:  # nobody waits for this call to return
            self.problem.emit(str(error))
