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
    return [layer_data(open_image(open_dataset(sample_path(dataset))[0].image_path))]


def _read(path: str | list[str]) -> list[LayerData]:
    paths = [path] if isinstance(path, str) else path
    return [read_layer(Path(each)) for each in paths]
