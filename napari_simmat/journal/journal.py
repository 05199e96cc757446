"""An append-only diary of each image: one line an object, on disk before accepting it returns.

The one invariant: a line that was written is never changed. What an image holds is found by reading its lines
in order, so a crash, a full disk or two windows on one image cost at most the line that was being written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_simmat.folders import data_folder
from napari_simmat.journal.rle import decode_mask

Source = Literal["clicks", "brush", "dataset"]


class Entry(BaseModel):
    """One line of the diary: an object that was accepted, changed or erased."""

    # A later version may write more fields; what this version knows must still come back.
    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal[1] = 1
    event: Literal["object", "erased"] = Field(description="`object`: the label has this mask from now on")
    image: str = Field(description="Content key of the image: hash of its pixels, shape and dtype")
    label: int = Field(gt=0, description="Number of the object in the label image")
    time: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    image_name: str = Field(default="", description="For people: what the image was called")
    image_path: str = Field(default="", description="For people: where the image lay")
    source: Source = Field(default="clicks", description="How the mask came about")
    rle: dict[str, Any] | None = Field(
        default=None, description="COCO run-lengths of the mask; none if erased"
    )
    prompt: dict[str, Any] | None = Field(
        default=None, description="The clicks, as `Prompt.to_dict` writes them"
    )
    adapter: str = Field(default="", description="Fingerprint of the adapter that answered")


@dataclass(frozen=True)
class Record:
    """An object as the journal remembers it."""

    label: int
    rle: dict[str, Any]
    source: Source
    prompt: dict[str, Any] | None

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Mask (Y, X), decoded anew each time: the masks of all objects at once may not fit into memory."""
        return decode_mask(self.rle)


@dataclass(frozen=True)
class Story:
    """What the journal knows of one image.

    Attributes
    ----------
    records : tuple of Record
        The objects that stood at the end, by label.
    highest_label : int
        The highest label ever given, so that none is given twice.
    problems : tuple of str
        One sentence for what could not be read.
    """

    records: tuple[Record, ...] = ()
    highest_label: int = 0
    problems: tuple[str, ...] = field(default=())


class Journal:
    """The diaries of all images, one JSON-lines file each.

    Parameters
    ----------
    folder : Path, optional
        Where the files lie; by default the user's data folder (`NAPARI_SIMMAT_HOME` overrides it).
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder if folder is not None else data_folder("journal")

    def path(self, key: str) -> Path:
        """File of the image with this content key."""
        return self.folder / f"{key}.jsonl"

    def write(self, *entries: Entry) -> None:
        """Append a line for each entry, all of one image, and return when the disk has them.

        Raises
        ------
        OSError
            The disk did not take them all; lines written before are untouched.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        (key,) = {entry.image for entry in entries}
        path = self.path(key)
        is_new = not path.exists()
        line = b"".join(entry.model_dump_json().encode() + b"\n" for entry in entries)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            if _is_torn(descriptor):
                line = b"\n" + line  # a crash cut the last line short: do not write into it
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if is_new:
            _sync_folder(self.folder)

    def read(self, key: str) -> Story:
        """What stands in the diary of one image; lines that cannot be read are left out and reported."""
        try:
            lines = self.path(key).read_bytes().split(b"\n")
        except FileNotFoundError:
            return Story()
        except OSError as error:
            return Story(problems=(f"The journal {self.path(key)} cannot be read ({error.strerror}).",))
        last: dict[int, Entry] = {}
        highest, damaged = 0, 0
        for line in filter(None, lines):
            try:
                entry = Entry.model_validate_json(line)
            except ValidationError:
                damaged += 1
                continue
            highest = max(highest, entry.label)
            last[entry.label] = entry
        records = []
        for label, entry in sorted(last.items()):
            if entry.event == "erased" or entry.rle is None:
                continue
            try:
                decode_mask(entry.rle)
            except (KeyError, TypeError, ValueError):
                damaged += 1
                continue
            records.append(Record(label=label, rle=entry.rle, source=entry.source, prompt=entry.prompt))
        return Story(tuple(records), highest, _problems(damaged, self.path(key)))


def _problems(damaged: int, path: Path) -> tuple[str, ...]:
    if not damaged:
        return ()
    lines = "1 line" if damaged == 1 else f"{damaged} lines"
    return (f"{lines} of the journal {path.name} could not be read and was left out; all others are back.",)


def _is_torn(descriptor: int) -> bool:
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size == 0:
        return False
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1) != b"\n"


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file last, where the system can do that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
