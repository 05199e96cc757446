"""What is kept of the work on an image, and comes back: steps are written before anything is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from psygnal import Signal

from napari_simmat._annotator.found import Found, Kept, open_book
from napari_simmat._annotator.jobs import Job, Progress
from napari_simmat._annotator.objects import ObjectBook
from napari_simmat._annotator.session import Session
from napari_simmat._annotator.versions import Version
from napari_simmat.errors import ImageError, ProjectError
from napari_simmat.images import MultiChannelImage
from napari_simmat.inference import Segmenter
from napari_simmat.journal import Step, Story, Was


class Keeping(Session):
    """A session whose gestures are written to projects, and whose earlier work is resumed or set aside."""

    found = Signal(object)  # Found: work of an earlier session that waits for `resume` or `start_empty`
    brought = Signal(int)  # number of objects of a former content of the file that were taken over
    history_changed = Signal()  # what can be undone and redone is something else
    trouble_changed = Signal(str)  # what keeps gestures from being written, or soon will; "" when all is well

    def _open(self, image: MultiChannelImage) -> None:
        journal, books = self._journal, dict(self._books)

        def work(progress: Progress) -> Found:
            book = books.get(image.identity)
            if book is not None and book.log.is_as_left():
                return Found(book)
            return open_book(image, journal, on_problem=self.problem.emit)

        self._run(Job("open", f"Opening {image.name}", work, partial(self._opened, image)))
        if self._works_ahead:
            self._sketch(image)

    def _opened(self, image: MultiChannelImage, found: Found) -> None:
        found.book.image = image  # the same pixels may have been given another modality
        self.waiting = found
        if self.asks_to_resume and found.is_worth_asking:
            self.found.emit(found)
            self._encode(is_drafted=True)
        else:
            self.resume()

    def resume(self) -> None:
        """Go on with the work of an earlier session; nothing happens where none is waiting."""
        found, self.waiting = self.waiting, None
        if found is None:
            return
        book = found.book
        self.book = self._books[book.image.identity] = book
        for sentence in book.problems_found():
            self.problem.emit(sentence)
        self._bring_back(found.adapters, book.log.version)
        if found.story.is_foreign or found.story.bridges:
            with suppress(ProjectError):  # another window works on it: it knows as much
                book.write_all(bridges=found.story.bridges)
        for step in self._queued.pop(book.image.identity, []):
            if step.prompt is not None:  # made when it was not known yet what was there
                step = replace(step, prompt=Was(book.log.prompt, step.prompt.after))
            self._write(step)
        self._tell_trouble()
        self.opened.emit(book.restored)
        self.objects_changed.emit()
        self.history_changed.emit()
        if self.segmenter is None and not self.is_encoding:
            self._encode(is_drafted=True)

    def start_empty(self) -> None:
        """Begin anew where work of an earlier session is waiting; that stays in the project, and undo brings it back.

        Raises
        ------
        ProjectError
            Another window works on this image.
        """
        self.resume()
        if self.book is not None:
            self.book.set_aside()
            self._did(objects=True)

    def bring_former(self) -> None:
        """Take over the objects that the image had before its file was changed; `brought` says how many came.

        Raises
        ------
        ProjectError
            There are none, the image has another size now, or another window works on it.
        """
        book = self._need_book()
        former, project = book.former, book.log.project
        if former is None or project is None:
            raise ProjectError(f"No work on an earlier content of {book.image.name!r} is known.")
        project.refuse_if_read_only()
        if former.shape != book.image.shape:
            raise ProjectError(
                f"{book.image.name!r} was {former.shape} pixels when its objects were made and is {book.image.shape} "
                "now; they stay in the project, export them from a copy of the old file."
            )
        identity = former.identity

        def take(story: Story) -> None:
            if self.book is book:
                count = book.bring(story.states)
                book.former = None
                self._did(objects=True)
                self.brought.emit(count)

        title = f"Reading former objects of {book.image.name}"
        self._run(Job("open", title, lambda _: project.objects_of(identity), take))

    def _bring_back(self, adapters: Sequence[Kept], current: Mapping[str, Any] | None) -> None:
        """Have the adapters of an earlier session back, and use what was in use unless one was trained meanwhile."""
        for kept in adapters:
            self.versions.bring_back(kept.adapter, kept.told)
        before = self.versions.current
        queued = self._queued.get(self._need_image().identity, [])
        is_chosen = any(step.version is not None for step in queued)
        is_better = is_chosen or (
            before is not None and before.adapter.is_trained and before.suits(self._need_image())
        )
        wanted = None if current is None else self.versions.known(str(current["fingerprint"]))
        if wanted is not None and not is_better and wanted is not before:
            self.versions.use(wanted)
            self._cancel("draft")
            self._cancel("encode")
            self.segmenter = self.draft = None
        if adapters:
            self.versions_changed.emit()

    # ------------------------------------------------------------- the journal

    @property
    def project_folder(self) -> Path | None:
        """Where the work on the image at hand is kept; None where nothing is, or while that is looked for."""
        return None if self.book is None or self.book.log.project is None else self.book.log.project.folder

    @property
    def refusal(self) -> str:
        """Why nothing can be changed in the image at hand, in one sentence; "" if it can."""
        return "" if self.book is None else self.book.log.refusal

    def try_writing_again(self) -> bool:
        """Write what could not be written so far; True if all is on disk then."""
        projects = self._journal.projects if self._journal is not None else []
        for project in projects:
            if project.unwritten or project.trouble:
                project.try_again()
            elif project.shortage:
                project.fill_reserve()
        self._tell_trouble()
        return not any(project.trouble for project in projects)

    def close(self) -> list[str]:
        """Write everything that is left and give the projects free; nothing is to be done after this.

        Returns
        -------
        list of str
            A sentence for each project of which something could not be written anywhere.
        """
        for job in list(self._jobs.values()):
            job.cancel.set()
        self._jobs.clear()
        for book in self._books.values():
            book.close()
        return self._journal.close() if self._journal is not None else []

    def _write(self, step: Step) -> None:
        """Write what is about to be done with the image at hand, as soon as it is open.

        What the user may do although nothing may be written (clicks, trainings, other adapters) is not kept then.
        """
        book = self.book
        if book is None:
            if self.image is not None:
                self._queued.setdefault(self.image.identity, []).append(step)
            return
        with suppress(ProjectError):
            self._write_version(book, step)
            book.log.add(step)
        self._tell_trouble()
        self.history_changed.emit()

    def _write_version(self, book: ObjectBook, step: Step | None = None) -> None:
        """Note the adapter in use before what is done with it, if it came to that without being asked for."""
        current, project = self.versions.current, book.log.project
        if current is None or project is None or project.refusal:
            return
        told = current.to_dict()
        for version in {current, *self._named(step)}:
            project.keep(version.adapter.fingerprint, version.adapter.to_bytes)
        known = book.log.version
        before = step.version.before if step is not None and step.version is not None else told
        if before is not None and (known is None or known["fingerprint"] != before["fingerprint"]):
            book.log.add(Step("adapter", version=Was(known, before), details={"by itself": True}))

    def _named(self, step: Step | None) -> set[Version]:
        if step is None or step.version is None:
            return set()
        refs = [ref for ref in (step.version.before, step.version.after) if ref is not None]
        return {v for ref in refs if (v := self.versions.known(str(ref["fingerprint"]))) is not None}

    def sync_labels(self, *books: ObjectBook) -> bool:
        """Take over what a brush or an undo changed in the targets of these images, or of all; True if anything was."""
        changed = [book.sync() != ([], []) for book in books or self._books.values()]
        if any(changed):
            self._did(objects=True)
        return any(changed)

    def _need_segmenter(self) -> Segmenter:
        if self.segmenter is None:
            self._need_image()
            raise ImageError("The image is not encoded yet; try again in a moment.")
        return self.segmenter

    def _did(self, *, objects: bool = False) -> None:
        """Tell what is another one now."""
        self._tell_trouble()
        if objects:
            self.objects_changed.emit()
        self.history_changed.emit()

    def _tell_trouble(self) -> None:
        projects = self._journal.projects if self._journal is not None else []
        for project in projects:
            if project.take_removal():
                self.problem.emit(
                    f"The project {project.folder} was removed while it was in use; all that is known is written anew."
                )
                for book in self._books.values():
                    if book.log.project is project:
                        with suppress(ProjectError):
                            book.write_all()
        told = [project.trouble for project in projects] + [project.shortage for project in projects]
        trouble = next(filter(None, told), "")
        if trouble != self.trouble:
            self.trouble = trouble
            self.trouble_changed.emit(trouble)

    def _need_book(self) -> ObjectBook:
        if self.waiting is not None:
            self.resume()  # whoever works on without answering goes on with what there was
        if self.book is None:
            self._need_image()
            raise ImageError("The image is still being opened; try again in a moment.")
        return self.book
