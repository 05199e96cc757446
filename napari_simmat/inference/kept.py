"""Embeddings kept on disk, so that an image that was opened before needs no encoding.

One file each, named by the hash of all that it depends on, complete or not there. What is there is used by everybody;
only those write who will come back to the image: the window, `segment` and `embed`. When the folder is full, what was
not used for longest goes. All of it can be made again, so whatever goes wrong here costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from napari_simmat.errors import SimmatError
from napari_simmat.folders import cache_folder

__all__ = ["SIZE_VARIABLE", "KeptEmbeddings", "kept_embeddings", "remove"]

SIZE_VARIABLE = "NAPARI_SIMMAT_EMBEDDINGS_MB"
"""Most megabytes to keep; 0 keeps nothing."""

_USUAL_MB = 2048
_SUFFIX = ".safetensors"


class KeptEmbeddings:
    """A folder of embeddings. Safe to use from several threads and processes.

    Parameters
    ----------
    folder : Path
        Made when the first is kept.
    max_bytes : int
        What was not used for longest is removed beyond that.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self._lock = threading.Lock()

    def __contains__(self, key: tuple[object, ...]) -> bool:
        """Whether there is an embedding under a key."""
        return self._path(key).is_file()

    def read(self, key: tuple[object, ...]) -> Tensor | None:
        """The embedding under a key, float32, or None; a damaged file is removed."""
        path = self._path(key)
        try:
            embedding = load(path.read_bytes())["embedding"].float()
        except OSError:
            return None
        except (SafetensorError, KeyError, ValueError):
            embedding = torch.empty(0)
        if embedding.ndim != 4 or not torch.isfinite(embedding).all():
            remove(path)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return embedding

    def write(self, key: tuple[object, ...], embedding: Tensor) -> bool:
        """Keep an embedding, in bfloat16 where that loses nothing; False if it could not be written."""
        if key in self:
            return True
        half = embedding.to(torch.bfloat16)
        content = save(
            {"embedding": (half if half.float().equal(embedding) else embedding).cpu().contiguous()}
        )
        if len(content) > self.max_bytes:
            return False
        temporary = ""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(content))
            # No fsync: after a power cut a file that is not whole is no more than one that is not there.
            handle, temporary = tempfile.mkstemp(suffix=".part", dir=self.folder)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.replace(temporary, self._path(key))
        except OSError:
            if temporary:
                remove(Path(temporary))
            return False
        return True

    def clear(self) -> int:
        """Remove all; the number of bytes that are free now."""
        with self._lock:
            return sum(size for path, size, _ in self._files() if remove(path))

    def size(self) -> tuple[int, int]:
        """Number of embeddings, and bytes of all of them."""
        sizes = [size for path, size, _ in self._files() if path.suffix == _SUFFIX]
        return len(sizes), sum(sizes)

    def _path(self, key: tuple[object, ...]) -> Path:
        return self.folder / (hashlib.sha256(repr(key).encode()).hexdigest()[:40] + _SUFFIX)

    def _make_room(self, needed: int) -> None:
        with self._lock:
            files = sorted(self._files(), key=lambda file: file[2])
            total = sum(size for _, size, _ in files)
            for path, size, _ in files:
                if total + needed <= self.max_bytes:
                    break
                if remove(path):
                    total -= size

    def _files(self) -> list[tuple[Path, int, int]]:
        """Path, size and time of last use of each file, those that were cut short, too."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith((_SUFFIX, ".part")):
                    with contextlib.suppress(OSError):  # another process may have removed it
                        stat = entry.stat()
                        found.append((Path(entry.path), stat.st_size, stat.st_mtime_ns))
        return found


def kept_embeddings() -> KeptEmbeddings | None:
    """The user's own folder; None where nothing is to be kept, or the folder cannot be made.

    Raises
    ------
    SimmatError
        The variable that says how much to keep is no number.
    """
    told = os.environ.get(SIZE_VARIABLE, str(_USUAL_MB))
    try:
        megabytes = float(told)
    except ValueError:
        megabytes = -1.0
    if not 0 <= megabytes < 1e9:
        raise SimmatError(
            f"{SIZE_VARIABLE} is {told!r}, expected a number of megabytes, 0 to keep no embeddings."
        )
    if megabytes == 0:
        return None
    try:
        folder = cache_folder("embeddings")
    except OSError:
        return None
    return KeptEmbeddings(folder, int(megabytes * 2**20))


def remove(path: Path) -> bool:
    """Remove a file that can be made again; False if that could not be done."""
    try:
        path.unlink()
    except OSError:
        return False
    return True
