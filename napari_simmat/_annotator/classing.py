"""Classes of objects: their names and colours, learnt for every pixel, painted over an image and taken as objects."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_simmat._annotator.jobs import Job, Progress
from napari_simmat._annotator.notes import class_of
from napari_simmat._annotator.proposing import COMPLETE
from napari_simmat._annotator.ranking import Ranking
from napari_simmat.errors import AdapterError, PromptError, TrainingError
from napari_simmat.images.class_names import colour_of
from napari_simmat.inference import Segmenter
from napari_simmat.inference.painting import HEAD, ClassMap, paint, parts_of
from napari_simmat.inference.proposing import seen_by
from napari_simmat.journal import ObjectState
from napari_simmat.journal.facts import change_of
from napari_simmat.models.class_head import class_names_of
from napari_simmat.models.heads import Head
from napari_simmat.training.classes import ClassLesson, class_lesson, learn_classes

if TYPE_CHECKING:
    from napari_simmat._annotator.objects import ObjectBook
    from napari_simmat._annotator.versions import Version
    from napari_simmat.images import MultiChannelImage
    from napari_simmat.journal import Step

_CLASS = "class "
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_PLUS = " + classes"
SMALLEST_PART = 50
"""Painted parts with fewer pixels become no objects."""


class Classing(Ranking):
    """Keeps a table of classes in the journal, learns them and paints them."""

    painted = Signal(object)  # the ClassMap, None when it is not true any more
    class_map: ClassMap | None = None

    # -------------------------------------------------------------- the table

    @property
    def class_names(self) -> list[str]:
        """All classes by name: of objects of this session, of the image's table, and learnt ones."""
        notes = [note for book in self._books.values() for note in book.notes.values()]
        used = {note.class_name for note in notes if note.class_name is not None}
        facts = {} if self.book is None else self.book.log.facts
        listed = {name.removeprefix(_CLASS) for name in facts if name.startswith(_CLASS)}
        return sorted(used | listed | set(self._learnt()))

    @property
    def classes(self) -> dict[str, str]:
        """Colour of each class by name, as "#rrggbb": as it was chosen, else as it was learnt, else one of its own."""
        facts = {} if self.book is None else self.book.log.facts
        learnt = self._learnt()
        found = {}
        for name in self.class_names:
            told = facts.get(f"{_CLASS}{name}")
            colour = told.get("colour") if isinstance(told, dict) else None
            is_right = isinstance(colour, str) and _COLOUR.fullmatch(colour)
            found[name] = str(colour) if is_right else learnt.get(name, colour_of(name))
        return found

    def add_class(self, name: str) -> None:
        """Have a class in the table before any object is one."""
        known = class_of(name)
        if known is None:
            raise PromptError("The class has no name; type one, such as weed.")
        self._change_table({f"{_CLASS}{known}": {"colour": self.classes.get(known, colour_of(known))}})

    def recolour_class(self, name: str, colour: str) -> None:
        """Show a class in another colour, "#rrggbb".

        Raises
        ------
        PromptError
            There is no such class, or it is no colour.
        """
        if name not in self.class_names:
            raise PromptError(f"There is no class {name!r}; the classes are {', '.join(self.class_names)}.")
        if not _COLOUR.fullmatch(colour.lower()):
            raise PromptError(f"Got the colour {colour!r}, expected one such as #2ecc71.")
        self._change_table({f"{_CLASS}{name}": {"colour": colour.lower()}})

    def rename_class(self, name: str, wanted: str) -> None:
        """Call a class, and all objects of it in this image, otherwise, as one gesture.

        Raises
        ------
        PromptError
            There is no such class, or no new name.
        """
        new = class_of(wanted)
        if name not in self.class_names or new is None:
            raise PromptError(
                f"Cannot call the class {name!r} {wanted!r}; choose a class and type its new name."
            )
        if new == name:
            return
        table = {f"{_CLASS}{name}": None, f"{_CLASS}{new}": {"colour": self.classes[name]}}
        notes = self._need_book().notes
        self._change_table(table, {k: new for k, note in notes.items() if note.class_name == name})

    def repeat_facts(self, step: Step) -> None:
        """Do a gesture once more that changed facts or what objects are called, as the journal has it."""
        names = {c.label: c.after.class_name for c in step.changes if c.after is not None}
        if step.kind != "classes":
            super().repeat_facts(step)
        elif self._need_book().name(names, kind="classes", details=step.details):
            self._did(objects=bool(names))

    def _change_table(self, facts: dict[str, Any], names: dict[int, str | None] | None = None) -> None:
        book = self._need_book()
        details = change_of(book.log.facts, facts)
        if (details or names) and book.name(names or {}, kind="classes", details=details):
            self._did(objects=bool(names))

    def _learnt(self) -> dict[str, str]:
        """Classes of the adapter in use, with their colours."""
        current = self.versions.current
        head = None if current is None else current.adapter.heads.get(HEAD)
        if head is None:
            return {}
        try:
            return dict(zip(*class_names_of(head), strict=True))
        except AdapterError:
            return {}

    # --------------------------------------------------------------- painting

    @property
    def can_paint(self) -> bool:
        """Whether the adapter in use has learnt classes."""
        return bool(self._learnt())

    def learn_classes(self, *, steps: int | None = None, seed: int = 0) -> None:
        """Learn the classes of all objects of this session; the adapter in use gets them as a new version.

        Raises
        ------
        SimmatError
            No object has a class, or the image is not encoded yet.
        """
        book, segmenter, start = self._need_book(), self._need_segmenter(), self.versions.current
        self.sync_labels()
        books = self._to_learn_from(book)
        notes = [note for each in books for note in each.notes.values()]
        names = sorted({note.class_name for note in notes if note.class_name is not None})
        if not names or start is None:
            raise TrainingError(
                "No object has a class yet; choose an object and type its class under Accept."
            )
        colours = [self.classes[name] for name in names]
        told = [_told(each, names) for each in books if each.notes]
        device = self._device

        def work(job: Job, progress: Progress) -> Head:
            return learn_classes(
                [_lesson(segmenter, device, *each) for each in told],
                names,
                colours,
                steps=steps,
                seed=seed,
                on_step=lambda done, total, _: progress(done, total, 0.0),
                cancel=job.cancel,
            )

        def take(head: Head) -> None:
            current = self.versions.current
            if current is start:  # else the user went elsewhere meanwhile
                name = f"{start.name.removesuffix(_PLUS)}{_PLUS}"
                self.use_adapter(start.adapter.with_head(HEAD, head), name)

        self._long(f"Learning {len(names)} class{'' if len(names) == 1 else 'es'}", work, take)

    def paint_classes(self) -> ClassMap | None:
        """Say for each pixel of the image which of the learnt classes it is; `painted` brings it.

        Raises
        ------
        SimmatError
            The adapter in use has learnt none, or the image is not encoded yet.
        """
        segmenter = self._need_segmenter()
        if not self.can_paint:
            raise AdapterError("No classes were learnt yet; give objects classes and press Learn classes.")

        def take(found: ClassMap) -> None:
            self.class_map = found
            self.painted.emit(found)

        self._long("Painting classes", lambda job, progress: paint(segmenter), take)
        return self.class_map

    def drop_class_map(self) -> None:
        """Show no painted classes any more."""
        if self.class_map is not None:
            self.class_map = None
            self.painted.emit(None)

    def accept_painted(self, *, smallest: int = SMALLEST_PART) -> int:
        """Make an object of each connected part of the painted classes, as one gesture; known objects keep their pixels.

        Returns
        -------
        int
            How many objects were made.

        Raises
        ------
        PromptError
            Nothing is painted.
        """
        book = self._need_book()
        if self.class_map is None:
            raise PromptError("No classes are painted yet; press Paint first.")
        self.sync_labels(book)
        parts = parts_of(self.class_map, smallest=smallest, free=book.known == 0)
        first = book.next_label
        states = [
            ObjectState.of(
                first + k, part.window, part.crop, source="brush", prompt=None, class_name=part.name
            )
            for k, part in enumerate(parts)
        ]
        count = book.bring(states)
        self._did(objects=True)
        return count

    def _encoded(self, version: Version | None, segmenter: Segmenter) -> None:
        super()._encoded(version, segmenter)
        self.drop_class_map()

    def set_image(self, image: MultiChannelImage | None) -> None:
        """Work on this image from now on; what is painted over the present one is dropped."""
        self.drop_class_map()
        super().set_image(image)


_Told = tuple[Any, list[tuple[Any, Any, int]], bool]


def _told(book: ObjectBook, names: Sequence[str]) -> _Told:
    """What an image teaches: its objects with the numbers of their classes, and whether these are all."""
    numbers = {name: number for number, name in enumerate(names, 1)}
    objects = [
        (note.window, note.crop, numbers[note.class_name] if note.class_name is not None else 0)
        for note in book.in_order().values()
    ]
    return book.image, objects, bool(book.log.facts.get(COMPLETE))


def _lesson(
    segmenter: Segmenter,
    device: str | None,
    image: MultiChannelImage,
    objects: list[tuple[Any, Any, int]],
    is_complete: bool,
) -> ClassLesson:
    other = segmenter
    if image.identity != segmenter.image.identity:
        other = Segmenter(image, adapter=segmenter.adapter, device=device, keep=True)
    return class_lesson(seen_by(other), objects, is_complete=is_complete)
