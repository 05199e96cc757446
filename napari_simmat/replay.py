"""A journal done once more, headlessly: the same clicks, the same trainings, and whether the same labels come of it.

The model answers every click anew and learns anew. What people made by hand (brush strokes, erased objects) is taken from
the journal. Where something else comes out than is written, it is told, and the journal's own is taken to go on with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from torch import get_num_threads

from napari_simmat._annotator.rough import told_again
from napari_simmat.annotator import Annotator, Job, run_now, title_of
from napari_simmat.errors import AmbiguousAxesError, ProjectError, SimmatError
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.opened import Opened, open_file
from napari_simmat.inference import Prompt
from napari_simmat.inference.compute import compute_as, for_a_while, how_computed
from napari_simmat.journal import ImageRow, Step
from napari_simmat.journal.project import JOURNAL, Project
from napari_simmat.journal.store import Store
from napari_simmat.journal.story import tell
from napari_simmat.models import Adapter
from napari_simmat.training import Settings

__all__ = ["Replayed", "replay"]

_BY_HAND = ("edit", "erase", "merge", "import")
_MOST_SLICES = 10_000


class Replayed(BaseModel):
    """What came of doing the gestures on one image once more."""

    image: str = Field(description="Name of the image, slice or region.")
    gestures: int
    accepted: int = Field(description="Masks that were found anew from their clicks.")
    trainings: int = Field(description="Trainings that were done anew.")
    objects: int
    same: bool = Field(description="Whether the labels are those of the journal, bit for bit.")
    differences: list[str] = Field(description="A sentence for each thing that came out otherwise.")
    not_repeated: list[str] = Field(
        default=[],
        description="A sentence for each training that was not done anew, since the project does not hold all that it "
        "learnt from; what came of it was taken from there.",
    )


def replay(
    folder: Path,
    *,
    image: Path | None = None,
    progress: Callable[[int, int | None, str], None] = lambda done, total, what: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> list[Replayed]:
    """Do all gestures of a project once more; nothing in it is changed.

    Parameters
    ----------
    folder : Path
        The project folder.
    image : Path, optional
        The image file, where it lies elsewhere now.
    progress : callable (done, total, remark), optional
    is_cancelled : callable
        Asked before each gesture.

    Raises
    ------
    ProjectError
        There is no project, or its image is not there any more or has changed.
    """
    if not (folder / JOURNAL).is_file():
        raise ProjectError(f"There is no project in {folder}; expected a folder NAME.simmat.")
    with closing(Store(folder / JOURNAL, read_only=True)) as store:
        readings = [(row, store.read(row.identity)) for row in store.images()]
    total = sum(len(reading.steps) for _, reading in readings)
    done, found = 0, list[Replayed]()
    with for_a_while():
        for row, reading in readings:
            one = _Replay(folder, row, reading.steps, image)
            for step in reading.steps:
                if is_cancelled():
                    return found
                one.do(step)
                done += 1
                progress(done, total, row.name)
            expected = np.zeros(row.shape, np.int32)
            classes = dict[int, str | None]()
            for state in tell(reading).states:
                expected[state.slices][state.crop] = state.label
                classes[state.label] = state.class_name
            found.append(one.report(expected, classes))
    return found


class _Held:
    """Runs jobs on the spot, but keeps what came of a training until it was taken in the journal."""

    is_on_the_spot = True

    def __init__(self) -> None:
        self.training: tuple[Job, Any] | None = None

    def __call__(self, job: Job) -> None:
        if job.kind == "train":
            self.training = job, job.work(job.progress)
        else:
            run_now(job)

    def take(self) -> None:
        """Let the annotator have the training's result."""
        training, self.training = self.training, None
        if training is not None:
            training[0].take(training[1])


class _Replay:
    """One image, its annotator, and the trainings that began but are not over."""

    def __init__(self, folder: Path, row: ImageRow, steps: list[Step], path: Path | None) -> None:
        self._project, self._row = Project(folder), row
        first = next((step.version.after for step in steps if step.version is not None), None)
        self._image = _find(row, path or Path(row.path), first)
        self._held = _Held()
        self._annotator = Annotator(executor=self._held)
        self._begun = {step.details.get("after"): step for step in steps if step.what == "train"}
        self._differences: list[str] = []
        self._not_repeated: list[str] = []
        self._gestures = self._accepted = self._trainings = 0
        if first is not None:
            self._use(first, is_gesture=False)
        self._annotator.set_image(self._image)
        self._begin_after(0)  # from other images, before any gesture on this one

    def report(self, expected: NDArray[np.int32], classes: dict[int, str | None]) -> Replayed:
        """What came of it."""
        labels = self._annotator.labels
        named = {label: note.class_name for label, note in self._annotator.objects.items()}
        if named != classes:
            self._differences.append("Objects have other classes than in the journal.")
        return Replayed(
            image=self._row.name,
            gestures=self._gestures,
            accepted=self._accepted,
            trainings=self._trainings,
            objects=len(self._annotator.objects),
            same=np.array_equal(labels, expected) and not self._differences,
            differences=self._differences,
            not_repeated=self._not_repeated,
        )

    def do(self, step: Step) -> None:
        """Do one gesture as it was done, and compute as it was computed."""
        told = step.details.get("computed")
        if step.kind != "train" and told is not None and compute_as(told):
            self._annotator.see_again()
        self._gestures += not step.details.get("by itself")
        try:
            self._do(step)
        except SimmatError as error:
            self._tell(step, str(error))
            self._correct(step)
        self._begin_after(step.number)

    def _do(self, step: Step) -> None:
        annotator = self._annotator
        if step.kind in ("undo", "redo"):
            (annotator.undo if step.kind == "undo" else annotator.redo)()
            self._compare(step)
        elif step.kind == "candidate" and step.prompt is not None and step.prompt.after is not None:
            annotator.choose_candidate(step.prompt.after["candidate"])
        elif step.kind in ("prompt", "reject"):
            told = step.prompt.after if step.prompt is not None else None
            if told is None:
                annotator.clear()
            else:
                annotator.set_prompt(Prompt.from_dict(told))
        elif step.kind == "accept" and "proposed" in step.details:
            states = [change.after for change in step.changes if change.after is not None]
            prompts = [Prompt.from_dict(state.prompt or {}) for state in states]
            annotator.accept_prompts(prompts, tidied=bool(step.details["proposed"].get("tidied")))
            self._accepted += len(prompts)
            self._compare(step)
        elif step.kind == "accept":
            annotator.accept(step.details.get("label"))
            self._accepted += 1
            self._compare(step)
        elif step.kind == "name":
            annotator.name_each({c.label: c.after.class_name for c in step.changes if c.after is not None})
            self._compare(step)
        elif step.kind in ("refuse", "complete", "classes"):
            annotator.repeat_facts(step)
        elif step.kind == "set aside":
            annotator.start_empty()
        elif step.kind in _BY_HAND:
            self._correct(step)
            if step.details.get("all") and annotator.book is not None:
                annotator.book.write_all()
        elif step.kind == "train":
            self._end(step)
        elif step.kind == "adapter" and step.version is not None and step.version.after is not None:
            self._use(step.version.after, is_gesture=not step.details.get("by itself"))

    def _compare(self, step: Step) -> None:
        """See whether the objects are what the journal says; if not, tell and take those."""
        notes = self._annotator.objects
        for change in step.changes:
            note, after = notes.get(change.label), change.after
            is_same = (note is None) == (after is None) and (
                note is None
                or after is None
                or (
                    note.window == after.slices
                    and np.array_equal(note.crop, after.crop)
                    and note.class_name == after.class_name
                    and (step.kind != "accept" or note.adapter == after.adapter)
                )
            )
            if not is_same:
                self._tell(step, f"object {change.label} is another one")
                self._correct(step)
                return

    def _correct(self, step: Step) -> None:
        """Make the objects what the journal says, as a brush would."""
        book = self._annotator.book
        if book is None:
            return
        data = book.target.data
        for change in step.changes:
            data[data == change.label] = 0
        for change in step.changes:
            if change.after is not None:
                data[change.after.slices][change.after.crop] = change.label
        self._annotator.sync_labels()
        states = [change.after for change in step.changes if change.after is not None]
        names = {state.label: state.class_name for state in states if state.label in book.notes}
        book.name(names, by_itself=True)  # no gesture of its own, so undo takes back what it did

    def _begin_after(self, number: int) -> None:
        """Begin the training that was begun when so many gestures had been done, if any."""
        begun = self._begun.get(number)
        if begun is not None:
            self._begin(begun)

    def _begin(self, step: Step) -> None:
        """Train as it was trained, from what there was when it began."""
        told = step.details
        others = set(told.get("images", ())) - {self._row.identity}
        if others:
            self._not_repeated.append(
                f"Gesture {step.number} ({title_of(step)}) was not repeated: it learnt from {len(others)} other "
                "image(s), too; what came of it, if anything, is taken from the project."
            )
            return
        if told.get("mode") == "names":
            self._not_repeated.append(
                f"Gesture {step.number} ({title_of(step)}) was not repeated: it learnt names from a teacher that the "
                "project does not hold; what came of it is taken from the project."
            )
            return
        present = how_computed(get_num_threads())
        compute_as(told.get("computed") or {})
        try:
            self._train(told)
        except SimmatError as error:
            self._tell(step, str(error))
        finally:
            compute_as(present)

    def _train(self, told: Mapping[str, Any]) -> None:
        if told.get("mode") == "rough":
            self._annotator.adapt_from_rough(**told_again(told))
            return
        settings = told.get("settings")
        train = self._annotator.quick if told.get("mode") == "quick" else self._annotator.deep
        train(
            steps=told.get("steps"),
            learning_rate=told.get("learning_rate"),
            seed=told.get("seed"),
            settings=None if settings is None else Settings(**settings),
        )

    def _end(self, step: Step) -> None:
        was_begun = self._held.training is not None
        self._held.take()
        wanted = None if step.version is None else step.version.after
        if wanted is None:
            return
        current = self._annotator.versions.current
        if was_begun:
            self._trainings += 1
            if current is None or current.adapter.fingerprint != wanted["fingerprint"]:
                self._tell(step, "another adapter came of it")
        self._use(wanted)

    def _use(self, told: Any, *, is_gesture: bool = True) -> None:
        """Answer with an adapter of the project."""
        versions = self._annotator.versions
        version = versions.known(str(told["fingerprint"]))
        if version is None:
            adapter = Adapter.load(self._project.adapter_path(str(told["fingerprint"])))
            version = versions.bring_back(adapter, told)
        if is_gesture and self._annotator.image is not None:
            self._annotator.use_version(version)  # also if it is in use: undo takes that back
        elif version is not versions.current:
            versions.use(version)
            self._annotator.see_again()

    def _tell(self, step: Step, what: str) -> None:
        self._differences.append(f"Gesture {step.number} ({title_of(step)}): {what}.")


def _find(row: ImageRow, path: Path, version: Any) -> MultiChannelImage:
    """The image, slice or region that a project speaks of, in its file.

    Raises
    ------
    ProjectError
        It is not there, or is another one now.
    """
    if not path.exists():
        raise ProjectError(f"The image of this project, {path}, is not there; say where it is with --image.")
    key = None if version is None else version.get("image_key")
    modality = None if version is None else version.get("modality")
    for image in _images(open_file(path), row, modality):
        if image.identity == row.identity and key in (None, image.content_key()):
            return image
    raise ProjectError(
        f"{path} is not what it was when {row.name!r} was worked on; give the old file with --image."
    )


def _images(opened: Opened, row: ImageRow, modality: str | None) -> Iterator[MultiChannelImage]:
    """All ways to take a file, the likeliest first."""
    axes: tuple[int | None, ...] = (None,)
    try:
        opened.image()
    except AmbiguousAxesError as error:
        axes = tuple(error.candidates)
    for axis in (*axes, *(() if None not in axes else (0, opened.raw.array.ndim - 1))):
        for format_ in (None, *_attempt(lambda: opened.sample_formats(axis))):  # noqa: B023
            for index in _places(opened, axis):
                image = _attempt(
                    lambda: [
                        opened.image(modality=modality, channel_axis=axis, sample_format=format_, index=index)  # noqa: B023
                    ]
                )
                for each in image:
                    yield each if each.shape == row.shape else _window(each, row)


def _window(image: MultiChannelImage, row: ImageRow) -> MultiChannelImage:
    """The region of a large image."""
    try:
        top, left = (int(part) for part in row.place[1 : row.place.index(")")].split(","))
        return image.window(top, left, top + row.shape[0], left + row.shape[1])
    except (ValueError, SimmatError):
        return image


def _places(opened: Opened, axis: int | None) -> Iterator[tuple[int, ...] | None]:
    sizes = list(_attempt(lambda: list(opened.stack(axis).values())))
    if not sizes:
        yield None
        return
    for number, index in enumerate(np.ndindex(*sizes)):
        if number == _MOST_SLICES:
            return
        yield index


def _attempt(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except SimmatError:
        return []
