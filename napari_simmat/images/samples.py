"""The sample data that comes with the package."""

from __future__ import annotations

from pathlib import Path

from napari_simmat.errors import ImageError

__all__ = ["SAMPLES", "sample_folders", "sample_path"]

SAMPLES: dict[str, str] = {
    "motorcycle": "motorcycle.tif",
    "camouflage-train": "camouflage-train",
    "camouflage-test": "camouflage-test",
    "glass-train": "glass-train",
    "glass-test": "glass-test",
    "metamers-train": "metamers-train",
    "metamers-test": "metamers-test",
    "warm-train": "warm-train",
    "warm-test": "warm-test",
    "parts-train": "parts-train",
    "parts-test": "parts-test",
    "seedlings-train": "seedlings-train",
    "seedlings-test": "seedlings-test",
}
"""Name of each sample and where it lies in the folder of samples; a name without suffix is a dataset."""


def sample_path(name: str) -> Path:
    """Where a sample lies, in a checkout as in an installed wheel.

    Parameters
    ----------
    name : str
        A key of `SAMPLES`.

    Raises
    ------
    ImageError
        If there is no such sample or its file is missing.
    """
    if name not in SAMPLES:
        raise ImageError(f"There is no sample {name!r}; choose one of {', '.join(SAMPLES)}.")
    for folder in sample_folders():
        path = folder / SAMPLES[name]
        if path.exists():
            return path
    raise ImageError(f"The sample {name!r} is missing from this installation; install napari-simmat again.")


def sample_folders() -> tuple[Path, Path]:
    """Where samples may lie: in an installed wheel, and in a checkout."""
    package = Path(__file__).parents[1]
    return package / "sample_data", package.parent / "sample_data"
