"""Doubts about accepted objects: which of them to look at again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_simmat._annotator.advising import Advising, stop_if
from napari_simmat._annotator.jobs import Job, Progress
from napari_simmat.errors import PromptError
from napari_simmat.inference import Segmenter
from napari_simmat.inference.doubt import Doubt, Doubter, doubt_map

if TYPE_CHECKING:
    from napari_simmat._annotator.versions import Version
    from napari_simmat.images import MultiChannelImage

__all__ = ["Review", "Reviewing"]


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


class Reviewing(Advising):
    """Says which objects to look at again."""

    reviewed = Signal(object)  # the Review, None when it is not true any more

    review: Review | None = None
    _review_of: tuple[Any, ...] | None = None

    def ask_review(self) -> Review | None:
        """Find how uncertain each object of the image is; `reviewed` brings it.

        Raises
        ------
        SimmatError
            There is no object yet, or the image is not encoded.
        """
        book, segmenter = self._need_book(), self._need_segmenter()
        self.sync_labels(book)
        labels = list(book.in_order())
        objects = [(note.window, note.crop) for note in book.in_order().values()]
        known = book.known != 0
        if not objects:
            raise PromptError("There is no object to look at yet; accept one first.")

        def work(job: Job, progress: Progress) -> Review:
            doubter, found = Doubter(segmenter, known), list[Doubt]()
            for done, (window, crop) in enumerate(objects, 1):
                stop_if(job)
                found.append(doubter.about_crop(window, crop))
                progress(done, len(objects), 0.0)
            values = [doubt.value for doubt in found]
            ranked = sorted(zip(labels, values, strict=True), key=lambda each: -each[1])
            return Review(tuple(ranked), doubt_map(found, segmenter.image.shape))

        def take(review: Review) -> None:
            self.review, self._review_of = review, self._what_is_reviewed()
            self.reviewed.emit(review)

        self._long("Looking for uncertain objects", work, take)
        return self.review

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
        self._drop_old_review()

    def _drop_old_review(self) -> None:
        if self.review is not None and not self._is_reviewed():
            self.review = None
            self.reviewed.emit(None)

    def set_image(self, image: MultiChannelImage | None) -> None:
        """Work on this image from now on; what was found about the present one is dropped."""
        if self.review is not None:
            self.review = None
            self.reviewed.emit(None)
        super().set_image(image)

    def _encoded(self, version: Version | None, segmenter: Segmenter) -> None:
        super()._encoded(version, segmenter)
        self._drop_old_review()
