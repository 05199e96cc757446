"""The ground an annotator stands on: images opened and encoded, adapters in use, jobs under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_simmat._annotator.found import Found
from napari_simmat._annotator.jobs import Executor, Job, Kind, Progress, run_now
from napari_simmat._annotator.objects import ObjectBook
from napari_simmat._annotator.versions import Version, Versions
from napari_simmat.errors import AdapterError, Cancelled, ImageError, SimmatError
from napari_simmat.images import ModalityProfile, MultiChannelImage
from napari_simmat.inference import Segmenter, is_at_hand, warm_up
from napari_simmat.inference.compute import take_threads
from napari_simmat.inference.memory import give_memory_back
from napari_simmat.journal import Journal, Step, Was
from napari_simmat.models import Adapter, load_base_model
from napari_simmat.models.transfer import canonical_name

if TYPE_CHECKING:
    from napari_simmat._annotator.clicking import Answer


class Session:
    """Opens and encodes one image after the other with the adapter in use.

    Books and adapter versions of earlier images are kept when the image is switched.
    """

    image_changed = Signal(object)
    opened = Signal(int)  # number of objects that came back from the journal
    encoded = Signal(object)  # the Segmenter that answers from now on
    objects_changed = Signal()
    versions_changed = Signal()
    model_view_ready = Signal(object)  # what the model sees: (h, w, 3) uint8
    problem = Signal(str)  # one sentence for people

    def __init__(
        self,
        *,
        adapter: Adapter | None = None,
        journal: Journal | None = None,
        executor: Executor = run_now,
        device: str | None = None,
    ) -> None:
        self.image: MultiChannelImage | None = None
        self.book: ObjectBook | None = None
        self.segmenter: Segmenter | None = None
        self.draft: Segmenter | None = None  # answers until the segmenter is there
        self.versions = Versions()
        self._books: dict[str, ObjectBook] = {}
        self.asks_to_resume = False
        """Whether work of an earlier session waits for `resume`; else it comes back by itself."""
        self.waiting: Found | None = None
        self.trouble = ""
        self._journal = journal
        self._execute = executor
        self._device = device
        self._jobs: dict[Kind, Job] = {}
        self._queued: dict[
            str, list[Step]
        ] = {}  # gestures on images that are still being opened, by identity
        self._untrained: Callable[[], Adapter] = lambda: Adapter.untrained(self._need_image())
        # Whoever has jobs done on the spot waits for each of them, also for what may never be needed.
        self._works_ahead = not getattr(executor, "is_on_the_spot", executor is run_now)
        if adapter is not None:
            self.versions.use(self.versions.add(adapter, adapter.card.name))

    def set_image(self, image: MultiChannelImage | None) -> None:
        """Work on this image from now on; None puts the present one away."""
        if self.book is not None:
            self.book.close()
            if self.book.log.project is not None:
                self.book.log.project.rest()
            if self.book.is_blank:  # of a stack or a large image many are looked at and few worked on
                self._books.pop(self.book.image.identity, None)
        for kind in ("open", "draft", "encode", "answer", "ahead"):
            self._cancel(kind)
        self.image, self.book, self.segmenter, self.draft = image, None, None, None
        self.waiting = None
        if image is not None:
            self._untrained = cache(lambda: Adapter.untrained(image))  # by draft and encoding alike
        self.image_changed.emit(image)
        if image is not None:
            self._open(image)

    @property
    def is_busy(self) -> bool:
        """Whether any job is under way."""
        return bool(self._jobs)

    @property
    def is_encoding(self) -> bool:
        """Whether an embedding of the image is on its way."""
        return "encode" in self._jobs

    @property
    def is_drafting(self) -> bool:
        """Whether a draft of it is on its way."""
        return "draft" in self._jobs

    def cancel_encoding(self) -> bool:
        """Do without the embedding that is on its way; False if there is none."""
        was_encoding = self.is_encoding
        self._cancel("draft")
        self._cancel("encode")
        self.draft = None
        self._nothing_answers()
        return was_encoding

    def _nothing_answers(self) -> None:
        """What waits for an answer waits in vain."""

    # -------------------------------------------------------------- adapters

    def use_version(self, version: Version) -> None:
        """Answer with another adapter of this session.

        Raises
        ------
        AdapterError
            If it does not fit the image.
        """
        if self.image is not None:
            version.adapter.fits(self.image)
        self._write(Step("adapter", version=self._switch_to(version)))
        self.versions.use(version)
        self._adapter_changed()

    def _switch_to(self, version: Version) -> Was:
        current = self.versions.current
        return Was(None if current is None else current.to_dict(), version.to_dict())

    @property
    def profile(self) -> ModalityProfile | None:
        """How the image becomes model input: the profile of the adapter in use."""
        return self.versions.current.adapter.profile if self.versions.current is not None else None

    def use_profile(self, profile: ModalityProfile) -> None:
        """Answer with a new untrained adapter that has this profile, and the transfer layer of the one in use.

        Raises
        ------
        AdapterError
            If it does not fit the image.
        """
        count = sum("own profile" in version.name for version in self.versions.all) + 1
        self._start_anew(profile, self.transfer, f"untrained, own profile {count}")

    @property
    def transfer(self) -> str:
        """Name of the transfer layer of the adapter in use, see `napari_simmat.models.TRANSFERS`."""
        return self.versions.current.adapter.card.mat if self.versions.current is not None else "mat"

    def use_transfer(self, mat: str) -> None:
        """Answer with a new untrained adapter that has this transfer layer, and the profile of the one in use.

        Parameters
        ----------
        mat : str
            A key of `napari_simmat.models.TRANSFERS`.

        Raises
        ------
        AdapterError
            There is none of this name.
        """
        name = canonical_name(mat)
        self._start_anew(self.profile, name, f"untrained, {name}")

    def _start_anew(self, profile: ModalityProfile | None, mat: str, name: str) -> None:
        image, device = self._need_image(), self._device
        if profile is not None:
            profile.check(image)

        def work(progress: Progress) -> Segmenter:
            adapter = Adapter.untrained(image, profile=profile, mat=mat)
            return Segmenter(image, adapter=adapter, device=device, keep=True)

        def take(segmenter: Segmenter) -> None:
            version = self.versions.add(segmenter.adapter, name, untrained_for=image)
            self._write(Step("adapter", version=self._switch_to(version)))
            self.versions.use(version)
            self._encoded(version, segmenter)

        self._cancel("encode")
        self._run(Job("encode", f"Encoding {image.name}", work, take))

    def ask_model_view(self) -> None:
        """Have drawn what the model sees; `model_view_ready` brings the picture.

        Raises
        ------
        ImageError
            If no image is encoded yet.
        """
        segmenter = self.segmenter
        if segmenter is None:
            raise ImageError("The image is not encoded yet; try again in a moment.")
        view = segmenter.model_view
        self._run(Job("view", "Drawing what the model sees", lambda _: view(), self.model_view_ready.emit))

    def undo_training(self) -> bool:
        """Go back to the adapter that the one in use was trained from; False if there is none."""
        return self._step_version(self.versions.undo)

    def redo_training(self) -> bool:
        """Take an undone training up again; False if there is none."""
        return self._step_version(self.versions.redo)

    def _step_version(self, go: Callable[[], bool]) -> bool:
        before = self.versions.current
        if not go() or before is None or self.versions.current is None:
            return False
        # Nothing was shown yet: the window hears of it below.
        self._write(Step("adapter", version=Was(before.to_dict(), self.versions.current.to_dict())))
        return self._adapter_changed()

    def load_adapter(self, path: str | Path) -> Version:
        """Read an adapter file and use it.

        Raises
        ------
        AdapterError
            If the file is no adapter, or one for other channels; the one in use stays.
        """
        adapter = Adapter.load(path)
        adapter.belongs_to(load_base_model())
        if self.image is not None:
            adapter.fits(self.image)
        version = self.versions.add(adapter, Path(path).stem)
        self.use_version(version)
        return version

    def use_adapter(self, adapter: Adapter, name: str) -> Version:
        """Answer with an adapter made of the one in use, such as one that got a head; undo goes back to that one.

        Raises
        ------
        AdapterError
            It does not fit the image.
        """
        known = self.versions.known(adapter.fingerprint)
        version = known or self.versions.add(adapter, name, parent=self.versions.current)
        self.use_version(version)
        return version

    def save_adapter(self, path: str | Path) -> None:
        """Write the adapter in use to a file.

        Raises
        ------
        AdapterError
            If it cannot be written; an existing file stays as it was.
        """
        if self.versions.current is None:
            raise AdapterError("There is no adapter to save yet; open an image first.")
        self.versions.current.adapter.save(path)

    def _adapter_changed(self) -> bool:
        self.versions_changed.emit()
        if self.image is not None and self.book is not None:
            self._encode()
        return True

    # ------------------------------------------------------ opening, encoding

    def _open(self, image: MultiChannelImage) -> None:
        """Find what is known of an image, and have it encoded."""

    def _write(self, step: Step) -> None:
        """Write what is about to be done with the image at hand."""

    def warm_up(self) -> None:
        """Get the model ready for the first image."""
        device = self._device
        if self._works_ahead:
            self._run(Job("ahead", "Getting ready", lambda _: warm_up(device), lambda _: None))

    def see_again(self) -> None:
        """Have the model see the image again, after it was decided to compute on another device or otherwise."""
        if self.image is not None and self.book is not None:
            self._encode()

    def encode_ahead(self, images: Sequence[Callable[[], MultiChannelImage]]) -> None:
        """Encode images that may be opened next, one after the other, unless something else comes.

        Parameters
        ----------
        images : sequence of callable
            Each gives an image; called on another thread.
        """
        device = self._device
        if not images or not self._works_ahead:
            return

        def work(progress: Progress) -> None:
            for open_one in images:
                if job.cancel.is_set():
                    return
                image = open_one()
                version = self.versions.fitting(image)
                adapter = version.adapter if version is not None else Adapter.untrained(image)
                if not job.cancel.is_set() and not is_at_hand(image, adapter, device=device):
                    Segmenter(image, adapter=adapter, device=device, keep=True)

        job = Job("ahead", "Encoding what may come next", work, lambda _: None)
        self._run(job)

    def _sketch(self, image: MultiChannelImage) -> None:
        """Have a draft made, which needs nothing of what the journal knows."""
        device, untrained = self._device, self._untrained

        def work(progress: Progress) -> tuple[Segmenter, Answer | None] | None:
            version = self.versions.fitting(image)  # hashes the pixels of images in memory
            adapter = untrained() if version is None else version.adapter
            if not load_base_model().sam.encoder.flexible or is_at_hand(image, adapter, device=device):
                return None
            draft = Segmenter(image, adapter=adapter, device=device, draft=True)
            return draft, self._answer_at_once(draft)

        self._run(Job("draft", f"Looking at {image.name}", work, self._drafted))

    def _encode(self, *, is_drafted: bool = False) -> None:
        """Have the image encoded; with a draft by the present adapter before that, unless there is one already."""
        image, device, untrained = self._need_image(), self._device, self._untrained
        for kind in ("encode", "ahead"):
            self._cancel(kind)
        if not is_drafted:
            self._cancel("draft")
            self.draft = None
            if self._works_ahead and self.segmenter is None:
                self._sketch(image)
        version = self.versions.fitting(image)
        nobody_waits = (
            self._works_ahead and self.segmenter is not None
        )  # it answers until the new one is there

        def work(progress: Progress) -> Segmenter:
            if nobody_waits:
                take_threads(spare=1)
            adapter = untrained() if version is None else version.adapter
            segmenter = Segmenter(image, adapter=adapter, device=device, keep=True, may_shrink=True)
            give_memory_back()
            return segmenter

        self._run(Job("encode", f"Encoding {image.name}", work, partial(self._encoded, version)))

    def _answer_at_once(self, draft: Segmenter) -> Answer | None:
        """What a draft answers to the newest prompt, if it can; called on the thread that made it."""
        return None

    def _drafted(self, found: tuple[Segmenter, Answer | None] | None) -> None:
        if self.segmenter is None and found is not None:
            self.draft, answer = found
            self._draft_came(answer)

    def _draft_came(self, answer: Answer | None) -> None:
        """What waits for an answer gets one."""

    def _encoded(self, version: Version | None, segmenter: Segmenter) -> None:
        self.segmenter, self.draft = segmenter, None
        self._cancel("draft")
        if version is None:
            image = segmenter.image
            more = f" ({image.name}, {image.modality})" if self.versions.all else ""
            version = self.versions.add(segmenter.adapter, f"untrained{more}", untrained_for=image)
        if version is not self.versions.current:
            self.versions.use(version)
        self.versions_changed.emit()
        self.encoded.emit(segmenter)
        self._tell_note(segmenter)

    def _tell_note(self, segmenter: Segmenter) -> None:
        """Say once what the model had to do otherwise."""
        if segmenter.note:
            self.problem.emit(segmenter.note)
            segmenter.note = ""

    # ------------------------------------------------------------------ jobs

    def _run(self, job: Job) -> None:
        """Hand a job out; of each kind only the newest one counts."""
        self._jobs[job.kind] = job
        taken = job.take

        def take(result: object) -> None:
            if job.cancel.is_set():  # it was done before it could stop
                failed(Cancelled(f"{job.title} was cancelled."))
            elif self._jobs.get(job.kind) is job:
                del self._jobs[job.kind]
                taken(result)

        def failed(error: Exception) -> None:
            if self._jobs.get(job.kind) is job:
                del self._jobs[job.kind]
                self._job_failed(job, error)

        self._execute(replace(job, take=take, failed=failed))

    def _cancel(self, kind: Kind) -> None:
        job = self._jobs.pop(kind, None)
        if job is not None:
            job.cancel.set()

    def _job_failed(self, job: Job, error: Exception) -> None:
        if job.kind in ("draft", "ahead"):
            return  # whoever needs the image will be told
        if job.kind in ("encode", "answer"):
            self.draft = None
            self._nothing_answers()
        if isinstance(error, Cancelled):
            return
        self.problem.emit(sentence_for(job, error))

    def _need_image(self) -> MultiChannelImage:
        if self.image is None:
            raise ImageError("No image is open yet; open one first.")
        return self.image


def sentence_for(job: Job, error: Exception) -> str:
    """What to tell people about an error: its own sentence if it has one."""
    if isinstance(error, SimmatError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{job.title} failed: there is not enough memory; close other programs or images, or work on a part of it."
    return f"{job.title} failed: {type(error).__name__}: {error}"
