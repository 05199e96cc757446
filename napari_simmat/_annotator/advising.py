"""Jobs that say what to look at next: people start them and go on clicking; there is one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_simmat._annotator.grouping import Grouping
from napari_simmat._annotator.jobs import Job, Progress
from napari_simmat._annotator.session import sentence_for
from napari_simmat.errors import Cancelled
from napari_simmat.inference.memory import give_memory_back

if TYPE_CHECKING:
    from napari_simmat.images import MultiChannelImage

__all__ = ["Advising", "stop_if"]


class Advising(Grouping):
    """Does one thing at a time of those that say what to look at next: proposals, doubts, rankings, classes."""

    proposing_started = Signal(str)  # what is done, for people
    proposing_step = Signal(int, int)  # so much of how much is done
    proposing_stopped = Signal(str)  # why nothing came of it; "" if it was cancelled

    _is_of_all_images = False

    @property
    def is_proposing(self) -> bool:
        """Whether something that advises is under way."""
        return "propose" in self._jobs

    def cancel_proposing(self) -> bool:
        """Stop what advises; False if nothing is under way."""
        is_under_way = "propose" in self._jobs
        if is_under_way:
            self._cancel("propose")
            self.proposing_stopped.emit("")
        return is_under_way

    def set_image(self, image: MultiChannelImage | None) -> None:
        """Work on this image from now on; what is under way about the present one alone is stopped."""
        if not self._is_of_all_images:
            self.cancel_proposing()
        super().set_image(image)

    def _long(
        self,
        title: str,
        work: Callable[[Job, Progress], Any],
        take: Callable[[Any], None],
        *,
        of_all_images: bool = False,
    ) -> None:
        def tidied(progress: Progress) -> Any:
            try:
                return work(job, progress)
            finally:
                give_memory_back()  # a grid of clicks leaves some hundred MB in pools

        job = Job(
            "propose",
            title,
            tidied,
            take,
            progress=lambda done, total, _: self.proposing_step.emit(done, total),
        )
        self.cancel_proposing()
        self._is_of_all_images = of_all_images
        self._jobs[job.kind] = job  # who hears that it started sees that it is under way
        self.proposing_started.emit(title)
        self._run(job)

    def _job_failed(self, job: Job, error: Exception) -> None:
        super()._job_failed(job, error)
        if job.kind == "propose":
            self.proposing_stopped.emit("" if isinstance(error, Cancelled) else sentence_for(job, error))


def stop_if(job: Job) -> None:
    """End a job that was cancelled."""
    if job.cancel.is_set():
        raise Cancelled(f"{job.title} was cancelled.")
