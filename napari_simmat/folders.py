"""Where the user's own files live: journals and converted weights."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

PROJECT_SUFFIX = ".simmat"
"""Of the folder beside an image that holds the work on it."""

HOME_VARIABLE = "NAPARI_SIMMAT_HOME"


def data_folder(*parts: str) -> Path:
    """Folder for what must not be lost; made if missing. `NAPARI_SIMMAT_HOME` overrides its place."""
    return _folder(platformdirs.user_data_dir("napari-simmat"), "data", *parts)


def cache_folder(*parts: str) -> Path:
    """Folder for what can be made again; made if missing. `NAPARI_SIMMAT_HOME` overrides its place."""
    return _folder(platformdirs.user_cache_dir("napari-simmat"), "cache", *parts)


def _folder(default: str, kind: str, *parts: str) -> Path:
    home = os.environ.get(HOME_VARIABLE)
    folder = (Path(home) / kind if home else Path(default)).joinpath(*parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
