"""Which channels the model finds the accepted objects by: asked for, and dropped where it goes stale."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_simmat._annotator.clicking import Clicking
from napari_simmat._annotator.jobs import Job, Progress
from napari_simmat._annotator.session import sentence_for
from napari_simmat.errors import ImageError, PromptError, TrainingError
from napari_simmat.evaluation import Attribution, attribute_channels, attribute_object
from napari_simmat.evaluation.protocol import SMALLEST

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_simmat._annotator.versions import Version
    from napari_simmat.images import MultiChannelImage
    from napari_simmat.inference import Segmenter

GROUPS = 12
"""Of more channels, so many runs of neighbouring ones are left out: each is an embedding, and people wait."""


class Attributing(Clicking):
    """Leaves channels out and sees what becomes of the accepted objects."""

    attribution_started = Signal(object)  # the label that was asked for, None: all objects
    attribution_step = Signal(int, int)  # embeddings done, of how many that are known to be needed
    attribution_ready = Signal(object)  # the Attribution
    attribution_stopped = Signal(str)  # why there is none; "" if it was cancelled

    _attributed_to: Version | None = None

    def ask_attribution(self, label: int | None = None) -> Attribution | None:
        """Find what each channel is worth to the adapter in use, and which channels would suffice.

        Parameters
        ----------
        label : int, optional
            The object to look at, with the clicks that made it. By default all objects of the image, with one click in
            the middle of each.

        Returns
        -------
        Attribution or None
            Where it is there when this returns, which needs `run_now`; `attribution_ready` brings it in any case.

        Raises
        ------
        SimmatError
            There is no such object, the image is not encoded yet, or a training is under way.
        """
        book, segmenter, version = self._need_book(), self.segmenter, self.versions.current
        self.sync_labels(book)
        notes = dict(book.notes)
        if not notes:
            raise PromptError("There is no object to look at yet; accept one first.")
        if label is not None and label not in notes:
            raise PromptError(
                f"There is no object {label} in {book.image.name!r}; choose one that was accepted."
            )
        if label is None and all(note.area < SMALLEST for note in notes.values()):
            raise PromptError(
                f"All objects are smaller than {SMALLEST} pixels, too small to judge channels by."
            )
        if segmenter is None or version is None:
            raise ImageError("The image is not encoded yet; try again in a moment.")
        if "train" in self._jobs:
            raise TrainingError("A training is under way; cancel it or wait for the version that it makes.")
        ask: Callable[..., Attribution]
        if label is None:
            ask = partial(attribute_channels, [(segmenter.image, book.known.copy())])
        else:
            ask = partial(attribute_object, segmenter.image, book.known == label, prompt=notes[label].prompt)
        return self._attribute(label, ask, segmenter, version)

    def cancel_attribution(self) -> bool:
        """Stop leaving out channels before the next embedding; False if that is not under way."""
        is_under_way = "attribution" in self._jobs
        if is_under_way:
            self._cancel("attribution")
            self.attribution_stopped.emit("")
        return is_under_way

    def _attribute(
        self, label: int | None, ask: Callable[..., Attribution], segmenter: Segmenter, version: Version
    ) -> Attribution | None:
        found: list[Attribution] = []

        def work(progress: Progress) -> Attribution:
            return ask(
                adapter=segmenter.adapter,
                groups=GROUPS,
                on_step=lambda done, total, what: progress(done, total, 0.0),
                cancel=job.cancel,
                device=self._device,
            )

        def take(attribution: Attribution) -> None:
            found.append(attribution)
            self.attribution_ready.emit(attribution)

        which = "all objects" if label is None else f"object {label}"
        job = Job(
            "attribution",
            f"Leaving out channels for {which}",
            work,
            take,
            progress=lambda done, total, _: self.attribution_step.emit(done, total),
        )
        self.cancel_attribution()
        self._attributed_to = version
        self.attribution_started.emit(label)
        self._run(job)
        return found[-1] if found else None

    def set_image(self, image: MultiChannelImage | None) -> None:
        """Work on this image from now on; what is asked about the present one is dropped."""
        self.cancel_attribution()
        super().set_image(image)

    def _adapter_changed(self) -> bool:
        self._drop_if_stale()
        return super()._adapter_changed()

    def _encoded(self, version: Version | None, segmenter: Segmenter) -> None:
        super()._encoded(version, segmenter)
        self._drop_if_stale()

    def _drop_if_stale(self) -> None:
        if "attribution" in self._jobs and self.versions.current is not self._attributed_to:
            self.cancel_attribution()

    def _job_failed(self, job: Job, error: Exception) -> None:
        super()._job_failed(job, error)
        if job.kind == "attribution":
            self.attribution_stopped.emit(sentence_for(job, error))
