"""What an earlier session left of an image: read on a thread, shown to the user, taken up or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_simmat._annotator.log import Log
from napari_simmat._annotator.objects import ObjectBook
from napari_simmat.errors import AdapterError, ProjectError
from napari_simmat.images import MultiChannelImage
from napari_simmat.journal import Journal, Project, Story, row_of
from napari_simmat.models import Adapter


@dataclass(frozen=True, eq=False)
class Kept:
    """An adapter of an earlier session, and what the journal tells of it."""

    adapter: Adapter
    told: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Found:
    """An image's objects, history and adapters as they were left.

    Attributes
    ----------
    book : ObjectBook
    story : Story
    adapters : tuple of Kept
    is_earlier : bool
        Whether it was read from the journal, and is not at work in this session already.
    """

    book: ObjectBook
    story: Story = field(default_factory=Story)
    adapters: tuple[Kept, ...] = ()
    is_earlier: bool = False

    @property
    def is_worth_asking(self) -> bool:
        """Whether there is anything to resume, here: what may not be changed is shown without a question."""
        return self.is_earlier and not self.story.is_empty and not self.book.log.refusal


def open_book(
    image: MultiChannelImage, journal: Journal | None, *, on_problem: Callable[[str], None]
) -> Found:
    """Read what the journal knows of an image; slow, for any thread."""
    if journal is None:
        return Found(ObjectBook(image, Story(), log=Log(row_of(image), Story(), None), on_problem=on_problem))
    project, problem = journal.project(image), ""
    try:
        story = journal.read(image)
    except (ProjectError, OSError) as error:
        story, problem = Story(), str(error)
    adapters, missing = _adapters(project, story)
    book = ObjectBook(image, story, log=Log(row_of(image), story, project), on_problem=on_problem)
    book.former = story.former
    book.tell_later(*filter(None, (problem, *missing)))
    return Found(book, story, adapters, is_earlier=True)


def _adapters(project: Project, story: Story) -> tuple[tuple[Kept, ...], list[str]]:
    found, problems = [], []
    for told in story.versions:
        path = project.adapter_path(str(told["fingerprint"]))
        try:
            if path.exists():
                adapter = Adapter.load(path)
                if adapter.fingerprint != told["fingerprint"]:
                    raise AdapterError(f"{path.name} does not hold what was written there.")
                found.append(Kept(adapter, told))
            else:
                raise AdapterError(f"its file {path.name} is not there.")
        except AdapterError as error:
            problems.append(f"The adapter {told['name']!r} did not come back: {error}")
    return tuple(found), problems
