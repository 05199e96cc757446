"""What this installation is, and whether what it keeps is whole: for reports of problems, and for peace of mind.

Nothing of the user's is changed, unless repairs are asked for: then what can be made again and is damaged is removed, and
what is damaged in a project is put aside.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from pydantic import BaseModel, Field

from napari_simmat.errors import SimmatError
from napari_simmat.folders import cache_folder, data_folder
from napari_simmat.inference import describe_device, device_choice
from napari_simmat.inference.compute import devices
from napari_simmat.inference.kept import kept_embeddings, remove
from napari_simmat.journal.checkup import Checkup, check_project, known_projects
from napari_simmat.models import load_base_model
from napari_simmat.models.header import HeaderError, check_header

__all__ = ["Examination", "Folder", "examine"]

_PACKAGES = (
    "napari-simmat", "torch", "timm", "segment-anything", "safetensors", "numpy", "napari", "PyQt6", "PySide6",
    "PyQt5", "npe2", "tifffile", "zarr", "h5py", "spectral",
)  # fmt: skip
_SIDE = 1024  # of the matrices whose product is timed
_RUNS = 3
_LONG_MS = 500.0


class Folder(BaseModel):
    """A folder of the product's own."""

    what: str
    path: str
    files: int
    megabytes: float
    is_writable: bool
    most_megabytes: float | None = Field(
        default=None, description="What it may grow to, where there is a limit."
    )


class Examination(BaseModel):
    """All that was found."""

    versions: dict[str, str] = Field(description="Of Python, the system and the libraries that matter.")
    devices: list[str] = Field(description="At hand, the best first.")
    device: str = Field(description="What is computed with: device, threads, precision.")
    products_ms: dict[str, float] = Field(
        description=f"Median time of a product of two matrices of {_SIDE} x {_SIDE} numbers, in each precision."
    )
    model: str = Field(description="The embedded model, with the beginning of its hash.")
    folders: list[Folder]
    projects: list[Checkup] = Field(description="What was done to which image, and whether it is whole.")
    removed: list[str] = Field(
        description="Damaged files that can be made again, removed because it was asked for."
    )
    problems: list[str] = Field(description="A sentence each.")


def examine(
    *,
    projects: Sequence[Path] = (),
    repair: bool = False,
    progress: Callable[[int, int | None, str], None] = lambda done, total, what: None,
) -> Examination:
    """Look at versions, devices, folders and everything that is kept.

    Parameters
    ----------
    projects : sequence of Path
        The project folders to look at; by default all that this user's windows have made.
    repair : bool
        Remove damaged files that can be made again (embeddings, converted checkpoints), and put what is damaged in
        projects aside, with a new journal of all that is whole.
    progress : callable (done, total, remark), optional
    """
    problems: list[str] = []
    model = _model(problems)
    checkups = _projects(projects, repair, progress)
    problems += [problem for each in checkups for problem in each.problems]
    damaged = _damaged(progress)
    removed = []
    for path, why in damaged:
        if repair and remove(path):
            removed.append(str(path))
        else:
            problems.append(
                f"{path} {why}; it can be made again: run napari-simmat doctor --repair to remove it."
            )
    folders = _folders()
    problems += [
        f"Nothing can be written to {folder.path} ({folder.what}); make it writable, or set NAPARI_SIMMAT_HOME."
        for folder in folders
        if not folder.is_writable
    ]
    device = torch.device(device_choice())
    return Examination(
        versions=_versions(),
        devices=devices(),
        device=describe_device(device),
        products_ms=_products(device),
        model=model,
        folders=folders,
        projects=checkups,
        removed=removed,
        problems=problems,
    )


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _model(problems: list[str]) -> str:
    try:
        base = load_base_model()
    except SimmatError as error:
        problems.append(str(error))
        return "damaged"
    return f"{base.name} ({base.sha256[:12]})"


def _products(device: torch.device) -> dict[str, float]:
    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a = torch.ones(_SIDE, _SIDE, dtype=dtype, device=device)
        times = []
        for _ in range(_RUNS + 1):
            began = time.perf_counter()
            float((a @ a)[0, 0])  # a number, so that a GPU has to be done with it
            times.append(1000 * (time.perf_counter() - began))
            if len(times) > 1 and times[-1] > _LONG_MS:  # emulated precisions take seconds
                break
        found[name] = statistics.median(times[1:])
    return found


def _projects(
    wanted: Sequence[Path], repair: bool, progress: Callable[[int, int | None, str], None]
) -> list[Checkup]:
    folders = list(wanted) or known_projects()
    found = []
    for number, folder in enumerate(folders, 1):
        found.append(check_project(folder, repair=repair))
        progress(number, len(folders), "projects")
    return found


def _damaged(progress: Callable[[int, int | None, str], None]) -> list[tuple[Path, str]]:
    """Files that can be made again and are not whole, with what is wrong."""
    kept = kept_embeddings()
    places = [cache_folder("weights"), *([] if kept is None else [kept.folder])]
    paths = [path for place in places for path in sorted(place.glob("*.safetensors"))]
    found = []
    for number, path in enumerate(paths, 1):
        try:
            check_header(path)
        except (HeaderError, OSError) as error:
            found.append((path, str(error)))
        progress(number, len(paths), "cached files")
    return found


def _folders() -> list[Folder]:
    kept = kept_embeddings()
    places: list[tuple[str, Path, float | None]] = [
        ("projects of images that have none beside them", data_folder("projects"), None),
        ("gestures that could not be written yet", data_folder("unwritten"), None),
        ("downloaded and converted checkpoints", cache_folder("weights"), None),
    ]
    if kept is not None:
        places.append(("embeddings", kept.folder, kept.max_bytes / 2**20))
    return [_folder(*place) for place in places]


def _folder(what: str, path: Path, most: float | None) -> Folder:
    sizes = []
    for file in path.rglob("*"):
        if not file.is_file():
            continue
        try:
            sizes.append(file.stat().st_size)
        except OSError:  # another process may have removed it
            continue
    return Folder(
        what=what,
        path=str(path),
        files=len(sizes),
        megabytes=sum(sizes) / 2**20,
        is_writable=os.access(path, os.W_OK),
        most_megabytes=most,
    )
