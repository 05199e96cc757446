"""What a sample format is; `sample_formats` lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_simmat.images.camera import Camera
from napari_simmat.images.image import Channel

__all__ = ["Channels", "SampleFormat"]

Channels = tuple[Channel, ...]


@dataclass(frozen=True)
class SampleFormat:
    """One way to understand stored numbers.

    Attributes
    ----------
    key : str
        Its name, such as "centikelvin".
    modality : str
        The modality that it makes of the image, "" where it leaves that open.
    text : str
        One line for people.
    fits : callable
        Whether an array (C, Y, X) with these channels could be stored so.
    read : callable
        Array (C, Y, X), channels and camera to array and channels. Lazy arrays stay lazy where that is possible.
    """

    key: str
    modality: str
    text: str
    fits: Callable[[Any, Channels], bool]
    read: Callable[[Any, Channels, Camera | None], tuple[Any, Channels]]
