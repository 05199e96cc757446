"""Names for masks: taught by a CLIP, or the nearest of the names that the user gave; and segmenting by text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal
from torch import get_num_threads

from napari_simmat._annotator.attributing import Attributing
from napari_simmat._annotator.jobs import Job, Progress
from napari_simmat.errors import AdapterError, ImageError, PromptError, TrainingError
from napari_simmat.inference import Prompt, Segmenter, is_at_hand
from napari_simmat.inference.by_text import prompts_by_text
from napari_simmat.inference.compute import how_computed
from napari_simmat.inference.memory import give_memory_back
from napari_simmat.inference.naming import (
    BY_OWN,
    BY_TEXT,
    LEARN_FIRST,
    Naming,
    Ranked,
    nearest_of_own,
    own_feature,
)
from napari_simmat.models.name_head import NAMES, names_of
from napari_simmat.training.naming import (
    Schedule,
    Teacher,
    automatic_masks,
    load_teacher,
    teach,
    view_of,
    with_names,
)

if TYPE_CHECKING:
    from napari_simmat._annotator.objects import ObjectBook
    from napari_simmat._annotator.versions import Version
    from napari_simmat.images import MultiChannelImage
    from napari_simmat.models import Adapter
    from napari_simmat.training import TrainingReport

_FEW = 4
"""An image with fewer objects is learnt from by the model's own masks, too."""

_MOST_OWN = 200
"""So many named objects of one class are looked at."""

Masks = dict[int, NDArray[np.bool_]]


class NamingMasks(Attributing):
    """Says what objects may be called, and finds objects by what they are called."""

    names_ranked = Signal(object)  # tuple of Ranked
    text_went_on = Signal()  # another proposal is shown, or there is none left

    ranked: tuple[Ranked, ...] = ()
    ranked_how: str = ""
    """`BY_TEXT` or `BY_OWN`: the latter knows no text."""
    text: str = ""
    """What is segmented by text at present."""
    _text_left: tuple[Prompt, ...] = ()

    # --------------------------------------------------------------- teaching

    def teacher_sees(self) -> str:
        """What a teacher would see of the image at hand, in words."""
        return view_of(self._need_image())

    @property
    def known_names(self) -> tuple[str, ...]:
        """The names that the adapter in use keeps the text of."""
        adapter = self.versions.current.adapter if self.versions.current is not None else None
        head = adapter.heads.get(NAMES) if adapter is not None else None
        return tuple(map(str, head.config.get("classes", ()))) if head is not None else ()

    @property
    def taught_by(self) -> str:
        """The teacher of the adapter in use; "" if it was taught no names."""
        adapter = self.versions.current.adapter if self.versions.current is not None else None
        head = adapter.heads.get(NAMES) if adapter is not None else None
        return str(head.config.get("teacher", "")) if head is not None else ""

    def teach_names(
        self,
        clip: Path | str | Teacher,
        names: Sequence[str],
        *,
        encoder: bool = False,
        schedule: Schedule | None = None,
        seed: int = 0,
    ) -> TrainingReport | None:
        """Learn names from a CLIP on all images of this session that the adapter fits, by their objects.

        Where an image has fewer than four objects, what the model segments by itself is learnt from, too. An adapter that
        this teacher has taught already only gets other names, which takes a moment.

        Parameters
        ----------
        clip : path or Teacher
            A folder or a checkpoint of OpenCLIP.
        names : sequence of str
            What objects may be called.
        encoder : bool
            Whether the late part of the encoder learns, too, while masks are kept as they are as far as possible.
        schedule : Schedule, optional
        seed : int

        Returns
        -------
        TrainingReport or None
            Where it is over when this returns, which needs `run_now`; None if only the names are others.

        Raises
        ------
        SimmatError
            A training is under way, or the image is still being opened.
        """
        if "train" in self._jobs:
            raise TrainingError("A training is under way; cancel it or wait until it is done.")
        start = self.versions.current
        if start is None or self._need_book() is None:
            raise ImageError("The image is not encoded yet; try again in a moment.")
        images = [
            (
                book.image,
                {label: note.state.mask(book.image.shape) for label, note in book.in_order().items()},
            )
            for book in self._books.values()
            if start.suits(book.image) and (book.notes or book is self.book)
        ]
        device = self._device
        plan = schedule or Schedule.usual(len(images), encoder=100 if encoder else 0)
        details: dict[str, Any] = {"mode": "names", "names": list(names), "seed": seed}

        def work(progress: Progress) -> tuple[Adapter, TrainingReport | None]:
            details["computed"] = how_computed(get_num_threads())
            teacher = load_teacher(Path(clip)) if isinstance(clip, str | Path) else clip
            details["teacher"] = teacher.name
            known = names_of(start.adapter.heads)
            if known is not None and known.config.teacher == teacher.name[:200] and not encoder:
                is_another = {name.strip() for name in names if name.strip()} != set(known.config.classes)
                if is_another:  # else it goes on learning
                    return with_names(start.adapter, teacher, names), None
            pupils = [(image, _regions(image, start.adapter, masks, device)) for image, masks in images]
            try:
                return teach(
                    pupils,
                    teacher,
                    names,
                    start=start.adapter,
                    schedule=plan,
                    seed=seed,
                    on_step=progress,
                    cancel=job.cancel,
                    device=device,
                )
            finally:
                give_memory_back()

        job = Job(
            "train",
            "Learning names",
            work=work,
            take=partial(self._taught, start, details),
            progress=self._tell_training,
        )
        before = self.versions.current
        self._begin_training("names")
        self._run(job)
        current = self.versions.current
        return current.report if current is not None and current is not before else None

    def _begin_training(self, mode: str) -> None:
        """Tell that a training begins."""

    def _tell_training(self, step: int, total: int, loss: float) -> None:
        """Tell how a training goes."""

    def _trained(self, start: Version, details: dict[str, Any], result: Any) -> None:
        """Take a training's adapter."""

    def _taught(
        self, start: Version, details: dict[str, Any], result: tuple[Adapter, TrainingReport | None]
    ) -> None:
        adapter, report = result
        if report is not None:
            self._trained(start, details, (adapter, report))
        elif self.versions.current is start:
            self.use_adapter(adapter, self.versions.training_name("names"))
            self._end_training()

    def _end_training(self) -> None:
        """Tell that nothing is learnt any more."""

    # ----------------------------------------------------------------- naming

    def rank_names(self, names: Sequence[str] = ()) -> tuple[Ranked, ...] | None:
        """Find what the objects of this image may be called: `names_ranked` brings it.

        With an adapter that was taught names, each object is compared with the text of these. Without, each object
        that has no class is compared with those that have one: these are the nearest of the user's own names.

        Parameters
        ----------
        names : sequence of str
            Only these; by default all that the adapter knows.

        Returns
        -------
        tuple of Ranked or None
            Where it is there when this returns, which needs `run_now`.

        Raises
        ------
        SimmatError
            The image is not encoded yet, or there is nothing to name or to choose from.
        """
        segmenter, book = self._need_segmenter(), self._need_book()
        masks = _masks(book)
        if not masks:
            raise PromptError("There is no object to name yet; accept one first.")
        if NAMES in segmenter.adapter.heads:
            wanted = [name.strip() for name in names if name.strip()]
            return self._rank(BY_TEXT, lambda: Naming(segmenter).rank(masks, wanted))
        own = self._own_named(segmenter)
        if not any(own.values()):
            raise PromptError(LEARN_FIRST)
        nameless = {label: mask for label, mask in masks.items() if book.notes[label].class_name is None}
        if not nameless:
            raise PromptError("All objects have a class already; take one away to see what else it may be.")

        def nearest() -> list[Ranked]:
            features = {
                name: [own_feature(where, mask) for make, mask in listed for where in (make(),)]
                for name, listed in own.items()
            }
            return nearest_of_own(segmenter, nameless, features)

        return self._rank(BY_OWN, nearest)

    def _rank(self, how: str, find: Any) -> tuple[Ranked, ...] | None:
        done: list[tuple[Ranked, ...]] = []
        image = self.image

        def take(found: Sequence[Ranked]) -> None:
            if self.image is image:
                self.ranked, self.ranked_how = tuple(found), how
                done.append(self.ranked)
                self.names_ranked.emit(self.ranked)

        self._run(Job("names", "Looking for names", lambda _: find(), take))
        return done[-1] if done else None

    def _own_named(self, segmenter: Segmenter) -> Mapping[str, list[tuple[Any, NDArray[np.bool_]]]]:
        """The user's named masks by class, each with what makes its segmenter; of images whose embedding is at hand."""
        found: dict[str, list[tuple[Any, NDArray[np.bool_]]]] = {}
        for book in self._books.values():
            is_here = book is self.book
            if not is_here and not is_at_hand(book.image, segmenter.adapter, device=self._device):
                continue
            make = partial(_one_segmenter, book.image, segmenter, self._device, is_here)
            for note in book.in_order().values():
                if note.class_name is not None and len(found.get(note.class_name, ())) < _MOST_OWN:
                    found.setdefault(note.class_name, []).append((make, note.state.mask(book.image.shape)))
        return found

    def take_names(self, labels: Sequence[int] | None = None) -> int:
        """Call objects what they were found to be most like, in one gesture; how many.

        Raises
        ------
        PromptError
            Nothing was found yet.
        """
        there = self._need_book().notes
        wanted = set(there if labels is None else labels)
        names = {
            each.label: each.name for each in self.ranked if each.label in wanted and each.label in there
        }
        if not names:
            raise PromptError("There are no names to take over yet; look for them first.")
        self.name_each(names)
        return len(names)

    def name_each(self, names: Mapping[int, str | None]) -> None:
        """Give each object a class."""

    # ---------------------------------------------------------------- by text

    @property
    def text_left(self) -> int:
        """How many proposals come after the one that is shown."""
        return len(self._text_left)

    def segment_by_text(self, name: str) -> int | None:
        """Propose masks for everything on the image that a name fits: the likeliest is shown as after a click.

        Accepting it gives it the name as class and shows the next; rejecting shows the next, too.

        Returns
        -------
        int or None
            How many there are, where that is known when this returns, which needs `run_now`.

        Raises
        ------
        SimmatError
            The image is not encoded yet, or the adapter does not know the name.
        """
        segmenter, wanted = self._need_segmenter(), name.strip()
        if not wanted:
            raise PromptError("There is no text to look for; type one of the names that the adapter knows.")
        if NAMES not in segmenter.adapter.heads:
            raise AdapterError(
                "Segmenting by text needs an adapter that was taught names; teach it some with a CLIP first."
            )
        done: list[int] = []
        image = self.image

        def take(found: list[Prompt]) -> None:
            if self.image is image:
                done.append(len(found))
                self.text, self._text_left = wanted, tuple(found)
                self._next_by_text()

        self._run(
            Job(
                "names",
                f"Looking for {wanted}",
                lambda _: prompts_by_text(Naming(segmenter), wanted),
                take,
            )
        )
        return done[-1] if done else None

    def _next_by_text(self) -> None:
        """Show the next proposal, if there is one."""
        if self._text_left:
            first, *rest = self._text_left
            self._text_left = tuple(rest)
            self.set_prompt(first)
        else:
            self.text = ""
        self.text_went_on.emit()

    def _go_on_by_text(self, prompt: Prompt, label: int | None) -> None:
        """What this prompt proposed was accepted as an object, or rejected (None)."""
        if not self.text or prompt.mask is None:  # or it was something else that somebody clicked on
            return
        if label is not None:
            self.name_each({label: self.text})
        self._next_by_text()

    def _stop_by_text(self) -> None:
        if self.text:
            self.text, self._text_left = "", ()
            self.text_went_on.emit()

    def set_image(self, image: MultiChannelImage | None) -> None:
        """Work on this image from now on; names that were found on the present one are dropped."""
        self._cancel("names")
        self._stop_by_text()
        if self.ranked:
            self.ranked, self.ranked_how = (), ""
            self.names_ranked.emit(())
        super().set_image(image)


def _masks(book: ObjectBook) -> Masks:
    return {label: note.state.mask(book.image.shape) for label, note in book.in_order().items()}


def _one_segmenter(
    image: MultiChannelImage, segmenter: Segmenter, device: str | None, is_here: bool
) -> Segmenter:
    return segmenter if is_here else Segmenter(image, adapter=segmenter.adapter, device=device)


def _regions(
    image: MultiChannelImage, adapter: Adapter, masks: Masks, device: str | None
) -> list[NDArray[np.bool_]]:
    """The user's masks, and where they are few the model's own."""
    own = list(masks.values())
    if len(own) >= _FEW:
        return own
    taken = np.any(own, axis=0) if own else None
    segmenter = Segmenter(image, adapter=adapter, device=device)
    return own + automatic_masks(segmenter, taken=taken)
