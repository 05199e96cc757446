"""Doubts about whole images: on which of those that were worked on to look again first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_simmat._annotator.advising import stop_if
from napari_simmat._annotator.jobs import Job, Progress
from napari_simmat._annotator.proposing import Proposing
from napari_simmat.errors import PromptError
from napari_simmat.inference import Segmenter
from napari_simmat.inference.doubt import Doubter

if TYPE_CHECKING:
    from napari_simmat._annotator.objects import ObjectBook
    from napari_simmat.images import MultiChannelImage

__all__ = ["ImageDoubt", "Ranking"]


@dataclass(frozen=True)
class ImageDoubt:
    """How uncertain an image is.

    Attributes
    ----------
    name, identity : str
        Of the image; the name of a region says where it begins.
    objects : int
    doubt : float
        Mean doubt of its objects; 0 is certain, 1 is not.
    """

    name: str
    identity: str
    objects: int
    doubt: float


class Ranking(Proposing):
    """Ranks the images of the session. A ranking is of when it was asked for: a list to work through, not a state."""

    images_ranked = Signal(object)  # tuple of ImageDoubt, the most uncertain image first
    ranking: tuple[ImageDoubt, ...] = ()

    @property
    def can_rank_images(self) -> bool:
        """Whether there is an object to rank an image by, on this image or on others that the adapter fits."""
        return bool(self._to_rank())

    def rank_images(self) -> None:
        """Find how uncertain each image is that objects were accepted in; `images_ranked` brings it.

        Images that are not encoded any more are encoded again, so it may take seconds for each.

        Raises
        ------
        SimmatError
            There is no object yet, or the image at hand is not encoded.
        """
        segmenter, device = self._need_segmenter(), self._device
        self.sync_labels()
        lists = []
        for book in self._to_rank():
            version = self.versions.fitting(book.image)
            adapter = None if version is None else version.adapter  # None: the untrained one of that image
            objects = [(note.window, note.crop) for note in book.in_order().values()]
            lists.append((book.image, adapter, objects, book.known != 0))
        total = sum(len(objects) for _, _, objects, _ in lists)
        if not total:
            raise PromptError("There is no object to look at yet; accept one first.")

        def work(job: Job, progress: Progress) -> tuple[ImageDoubt, ...]:
            found, done = [], 0
            for image, adapter, objects, known in lists:
                stop_if(job)
                other = segmenter
                if image.identity != segmenter.image.identity:
                    other = Segmenter(image, adapter=adapter, device=device, keep=True)
                doubter, doubts = Doubter(other, known), []
                for window, crop in objects:
                    stop_if(job)
                    doubts.append(doubter.about_crop(window, crop).value)
                    done += 1
                    progress(done, total, 0.0)
                found.append(ImageDoubt(_name(image), image.identity, len(doubts), float(np.mean(doubts))))
            return tuple(sorted(found, key=lambda each: -each.doubt))

        def take(ranking: tuple[ImageDoubt, ...]) -> None:
            self.ranking = ranking
            self.images_ranked.emit(ranking)

        self._long("Ranking images", work, take, of_all_images=True)

    def _to_rank(self) -> list[ObjectBook]:
        return [
            book for book in self._books.values() if book.notes and (book is self.book or self._suits(book))
        ]


def _name(image: MultiChannelImage) -> str:
    return image.name if image.origin == (0, 0) else f"{image.name} from {image.origin[0]}, {image.origin[1]}"
