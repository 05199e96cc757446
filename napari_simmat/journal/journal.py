"""Where the work on an image is kept: in a project beside its file, or in the user's own folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from contextlib import suppress
from pathlib import Path

from napari_simmat.folders import PROJECT_SUFFIX, data_folder
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.samples import sample_folders
from napari_simmat.inference.kept import kept_embeddings
from napari_simmat.journal.claim import LOCK
from napari_simmat.journal.legacy import read_diary
from napari_simmat.journal.project import Project
from napari_simmat.journal.space import RESERVE
from napari_simmat.journal.store import ImageRow
from napari_simmat.journal.story import Story


class Journal:
    """All projects that one annotator has open.

    Parameters
    ----------
    folder : Path, optional
        Where all projects lie; by default each lies beside its file, ``NAME.simmat``, or where nothing can be written
        there in the user's data folder (`NAPARI_SIMMAT_HOME` overrides that one's place).
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        self._projects: dict[Path, Project] = {}

    def project(self, image: MultiChannelImage) -> Project:
        """The project of an image; nothing is written yet."""
        folder = self.place_of(image)
        if self.folder is not None:
            with suppress(OSError):  # told with the first step
                self.folder.mkdir(parents=True, exist_ok=True)
        if folder not in self._projects:
            self._projects[folder] = Project(folder, make_room=_make_room)
        return self._projects[folder]

    def place_of(self, image: MultiChannelImage) -> Path:
        """The project folder of an image."""
        if self.folder is not None:
            return self.folder / f"{image.identity}{PROJECT_SUFFIX}"
        if image.source is None:
            return data_folder("projects") / f"{image.identity}{PROJECT_SUFFIX}"
        source = Path(os.path.abspath(image.source))
        beside = source.with_name(source.name + PROJECT_SUFFIX)
        if _is_ours(source) or not os.access(beside if beside.exists() else source.parent, os.W_OK):
            digest = hashlib.blake2b(os.fsencode(source), digest_size=4).hexdigest()
            ours = data_folder("projects") / f"{source.name}-{digest}{PROJECT_SUFFIX}"
            if beside.is_dir() and not ours.exists():
                _copy(beside, ours)
            return ours
        return beside

    def read(self, image: MultiChannelImage) -> Story:
        """What is known of an image; slow, for any thread.

        Raises
        ------
        ProjectError
            The project cannot be read.
        """
        story = self.project(image).restore(row_of(image))
        if story.number == 0 and not story.states:
            diary = self.folder if self.folder is not None else data_folder("journal")
            earlier = read_diary(diary / f"{image.identity}.jsonl")
            if earlier is not None:
                return earlier
        return story

    def close(self, patience: float = 4.0) -> list[str]:
        """Give all projects free; a sentence for each that could not be written anywhere within so many seconds."""
        for project in self._projects.values():
            project.begin_closing()
        end = time.monotonic() + patience
        told = [project.end_closing(max(0.1, end - time.monotonic())) for project in self._projects.values()]
        self._projects.clear()
        return [sentence for sentence in told if sentence]

    @property
    def projects(self) -> list[Project]:
        """All that are open."""
        return list(self._projects.values())


def row_of(image: MultiChannelImage) -> ImageRow:
    """What a project notes of an image."""
    place = f"{image.origin} {image.facts.get('slice', '')} {image.facts.get('part', '')}"
    name, path = (_as_text(each) for each in (image.name, str(image.source or "")))
    return ImageRow(image.identity, _as_text(place), name, path, image.shape)


def _as_text(name: str) -> str:
    """A name that every database takes: those of files may hold bytes that are no text."""
    return os.fsencode(name).decode("utf-8", "replace")


def _is_ours(source: Path) -> bool:
    """Whether it is a bundled example: what was installed is nobody's place to work in."""
    parents = source.resolve().parents
    return any(folder.resolve() in parents for folder in sample_folders())


def _make_room(folder: Path) -> None:
    """Remove all kept embeddings, if they lie on the disk in question."""
    kept = kept_embeddings()
    with suppress(OSError):
        if kept is not None and kept.folder.stat().st_dev == folder.stat().st_dev:
            kept.clear()


def _copy(theirs: Path, ours: Path) -> None:
    """Begin a project with all that a read-only one holds; all of it, or nothing.

    Raises
    ------
    OSError
        It cannot be copied.
    """
    partial = ours.with_name(f".{ours.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    left_out = shutil.ignore_patterns(LOCK, RESERVE, "*-shm")
    shutil.copytree(theirs, partial, ignore=left_out, copy_function=shutil.copyfile)
    partial.chmod(0o755)
    os.replace(partial, ours)
