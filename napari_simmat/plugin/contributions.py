"""What the manifest names: the reader and the samples."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from napari_simmat.errors import ImageError, SeparateImagesError
from napari_simmat.folders import PROJECT_SUFFIX
from napari_simmat.images import open_dataset, sample_path
from napari_simmat.images.files.contents import SUFFIXES, is_zarr, kind_of
from napari_simmat.images.opened import open_file
from napari_simmat.plugin.pictures import opened_layer, read_layer

LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | list[str]) -> Callable[..., list[LayerData]] | None:
    """Reader of multi-channel images for napari: each image becomes one layer for all its channels.

    None for folders that are no image, and for files whose name says nothing and whose content is not ours, so that
    napari asks its other readers. A damaged file of ours is not handed on: its error says what to do.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return _read if paths and all(_may_be_ours(Path(each)) for each in paths) else None


def motorcycle_sample() -> list[LayerData]:
    """A motorcycle in red, green, blue and disparity."""
    return [read_layer(sample_path("motorcycle"))]


def simulated_sample() -> list[LayerData]:
    """A simulated scene whose objects only the channels beyond red, green and blue tell apart."""
    return _first_of("camouflage-train")


def glass_sample() -> list[LayerData]:
    """Clear glass under a polarization camera, as the camera's raw frame."""
    return _first_of("glass-train")


def metamers_sample() -> list[LayerData]:
    """A painting whose retouches have the colours of the old paint, as a hyperspectral cube."""
    return _first_of("metamers-train")


def warm_sample() -> list[LayerData]:
    """Animals in a cold meadow, by a thermal camera."""
    return _first_of("warm-train")


def parts_sample() -> list[LayerData]:
    """Machine parts on a tilted bench, by a depth camera."""
    return _first_of("parts-train")


def seedlings_sample() -> list[LayerData]:
    """Seedlings on littered soil in red and near infrared."""
    return _first_of("seedlings-train")


def _first_of(dataset: str) -> list[LayerData]:
    return [read_layer(open_dataset(sample_path(dataset))[0].image_path)]


def _may_be_ours(path: Path) -> bool:
    if not path.name:
        return True
    if path.is_dir():
        return path.suffix.lower() in (".zarr", PROJECT_SUFFIX) or is_zarr(path) or _is_image_folder(path)
    if path.name.lower().endswith(SUFFIXES):
        return True
    try:
        kind_of(path)
    except ImageError:
        return False
    return True


def _is_image_folder(path: Path) -> bool:
    """Whether the files in a folder belong together; what does not fit or is damaged is said when it is opened."""
    try:
        files = [Path(entry.path) for entry in os.scandir(path) if entry.is_file()]
    except OSError:
        return False
    if not any(each.name.lower().endswith(SUFFIXES) for each in files):
        return False
    try:
        open_file(path)
    except SeparateImagesError:
        return False
    except ImageError:
        return True
    return True


def _read(path: str | list[str], **_: Any) -> list[LayerData]:
    paths = [Path(each) for each in ([path] if isinstance(path, str) else path)]
    layers, problems = read_files(paths)
    if problems and not layers:
        raise ImageError(" ".join(problems))
    for sentence in problems:
        from napari.utils.notifications import show_warning  # only where somebody is there to read it

        show_warning(sentence)
    return layers


def read_files(paths: Sequence[Path]) -> tuple[list[LayerData], list[str]]:
    """One layer for files that make up one image, else one for each, and a sentence for each that cannot be opened.

    Also where files belong together but do not fit they are opened one by one, and it is said why.
    """
    layers: list[LayerData] = []
    problems: list[str] = []
    if len(paths) > 1:
        try:
            return [opened_layer(open_file(paths))], []
        except SeparateImagesError:
            pass
        except ImageError as error:
            problems.append(str(error))
    for each in paths:
        try:
            layers.append(read_layer(each))
        except ImageError as error:
            problems.append(str(error))
    return layers, list(dict.fromkeys(problems))
