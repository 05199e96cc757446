"""What the manifest names: the reader and the samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_simmat.images import open_dataset, open_image, sample_path
from napari_simmat.plugin.pictures import layer_data, read_layer

LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]]:
    """Reader of multi-channel images for napari: each file becomes one layer for all its channels."""
    return _read


def motorcycle_sample() -> list[LayerData]:
    """A motorcycle in red, green, blue and disparity."""
    return [layer_data(open_image(sample_path("motorcycle")))]


def simulated_sample() -> list[LayerData]:
    """A simulated scene whose objects only the channels beyond red, green and blue tell apart."""
    image, _ = open_dataset(sample_path("camouflage-train"))[0].load()
    return [layer_data(image)]


def _read(path: str | list[str]) -> list[LayerData]:
    paths = [path] if isinstance(path, str) else path
    return [read_layer(Path(each)) for each in paths]
