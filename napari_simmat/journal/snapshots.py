"""All objects of an image at one moment in a file of its own, for the day on which the steps are damaged."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_simmat.atomic import write_atomically
from napari_simmat.errors import ProjectError
from napari_simmat.journal.steps import ObjectState

KEPT = 3
"""So many are kept of each image."""

SUFFIX = ".snapshot"
_MAGIC = b"napari-simmat snapshot 1 "
_MOST_BYTES = 1 << 30  # unpacked: more than any image has objects for


@dataclass(frozen=True)
class Snapshot:
    """The objects of an image after a step.

    Attributes
    ----------
    image : str
        Identity of the image.
    number : int
        Of the newest step that it holds.
    states : tuple of ObjectState
    highest : int
        The highest label ever given.
    prompt, version : dict or None
        The clicks and the adapter in use.
    time : float
        Seconds since 1970.
    """

    image: str
    number: int
    states: tuple[ObjectState, ...]
    highest: int
    prompt: Mapping[str, Any] | None
    version: Mapping[str, Any] | None
    time: float

    def write(self, folder: Path) -> Path:
        """Write it, whole or not at all, and let the oldest ones of the image go.

        Raises
        ------
        ProjectError
            It cannot be written; earlier ones are still there.
        """
        told = {
            "image": self.image,
            "number": self.number,
            "highest": self.highest,
            "prompt": self.prompt,
            "version": self.version,
            "time": self.time,
            "states": [_plain(state) for state in self.states],
        }
        content = zlib.compress(json.dumps(told).encode(), 1)
        path = folder / f"{self.image[:12]}-{self.number:09d}{SUFFIX}"
        head = _MAGIC + hashlib.blake2b(content, digest_size=16).hexdigest().encode() + b"\n"
        write_atomically(path, head + content, error=ProjectError)
        for old in snapshots_of(folder, self.image)[KEPT:]:
            with suppress(OSError):
                old.unlink()
        return path

    @classmethod
    def read(cls, path: Path) -> Snapshot:
        """Read one.

        Raises
        ------
        ProjectError
            It is damaged, or is none.
        """
        try:
            head, _, content = path.read_bytes().partition(b"\n")
            digest = hashlib.blake2b(content, digest_size=16).hexdigest().encode()
            if head != _MAGIC + digest:
                raise ValueError("its checksum is another one")
            unpacker = zlib.decompressobj()
            told = json.loads(unpacker.decompress(content, _MOST_BYTES))
            states = tuple(ObjectState.from_row(_row(values)) for values in told["states"])
            return cls(
                told["image"],
                told["number"],
                states,
                told["highest"],
                told["prompt"],
                told["version"],
                told["time"],
            )
        except (OSError, ValueError, KeyError, TypeError, zlib.error) as error:
            raise ProjectError(f"The snapshot {path.name} is damaged ({error}) and is not used.") from error


def snapshots_of(folder: Path, image: str) -> list[Path]:
    """The snapshots of an image, newest first."""
    return sorted(folder.glob(f"{image[:12]}-*{SUFFIX}"), reverse=True)


def newest_intact(paths: Iterable[Path]) -> tuple[Snapshot | None, list[str]]:
    """The first that can be read, and what was wrong with those before it."""
    problems = list[str]()
    for path in paths:
        try:
            return Snapshot.read(path), problems
        except ProjectError as error:
            problems.append(str(error))
    return None, problems


def _plain(state: ObjectState) -> list[Any]:
    return [base64.b64encode(v).decode() if isinstance(v, bytes) else v for v in state.to_row()]


def _row(values: list[Any]) -> tuple[Any, ...]:
    row = list(values)
    row[5] = base64.b64decode(row[5], validate=True)
    return tuple(row)
