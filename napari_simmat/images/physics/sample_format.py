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
        Whether an array (C, Y, X) with these channels could be stored so: what is offered and tried.
    read : callable
        Array (C, Y, X), channels and camera to array and channels. Lazy arrays stay lazy where that is possible.
    takes : callable, optional
        Whether it can be read so at the user's word, who knows better than the channels' names what they are; as
        `fits` where not given.
    """

    key: str
    modality: str
    text: str
    fits: Callable[[Any, Channels], bool]
    read: Callable[[Any, Channels, Camera | None], tuple[Any, Channels]]
    takes: Callable[[Any, Channels], bool] | None = None

    def can_read(self, array: Any, channels: Channels) -> bool:
        """Whether an array (C, Y, X) with these channels can be taken so at the user's word."""
        return self.fits(array, channels) or (self.takes is not None and self.takes(array, channels))
