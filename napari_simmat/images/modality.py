"""How an image becomes model input: a profile, which is data, and the built-in ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, model_validator

from napari_simmat.errors import AdapterError
from napari_simmat.images.image import MultiChannelImage
from napari_simmat.images.statistics import filled, percentile_limits, sample, unit_scale

__all__ = ["ModalityProfile", "Normalisation"]

# Mean and standard deviation of ImageNet, which SAM subtracts and divides by.
COLOUR_MOMENTS = {"red": (0.485, 0.229), "green": (0.456, 0.224), "blue": (0.406, 0.225)}
OTHER_MOMENTS = (0.449, 0.226)  # their means, for a channel of fixed range that is no colour

# A few bright pixels in an empty channel hardly deviate from it; dividing by less than this would make them
# thousands.
LEAST_STD = 0.02


class Normalisation(BaseModel):
    """How the values of one channel become numbers between 0 and 1.

    Values outside of the two limits are clipped.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["percentile", "range"] = Field(
        description="'percentile': the limits are percentiles of the image at hand, which makes images of "
        "different exposure alike; 'range': the limits are values, which keeps absolute differences between "
        "images."
    )
    low: float = Field(description="What becomes 0: a percentile in % or a value in the unit of the channel.")
    high: float = Field(
        description="What becomes 1: a percentile in % or a value in the unit of the channel."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Normalisation:
        if not (np.isfinite(self.low) and np.isfinite(self.high) and self.low < self.high):
            raise ValueError(f"low = {self.low:g} must be below high = {self.high:g}")
        if self.method == "percentile" and not (self.low >= 0 and self.high <= 100):
            raise ValueError(f"percentiles {self.low:g} and {self.high:g} must lie between 0 and 100")
        return self


class ModalityProfile(BaseModel):
    """How an image of one kind becomes what the model sees.

    A profile travels inside an adapter, so that a later image is treated as the images were on which it was
    trained. It reads and writes JSON with `model_validate_json` and `model_dump_json`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    modality: str = Field(description="Name of the modality, such as 'rgb+x'.")
    channels: tuple[str, ...] = Field(
        min_length=1, description="Names of the channels the model sees, in order."
    )
    normalisation: tuple[Normalisation, ...] = Field(
        description="How each channel is scaled, one per channel."
    )
    roles: tuple[str, ...] = Field(
        description="What each channel measures ('red', 'nir', 'depth', ...) or ''."
    )
    pseudo_rgb: tuple[int, int, int] | None = Field(
        default=None,
        description="Channels that stand for red, green and blue in the untrained model; "
        "none: principal components.",
    )
    display: tuple[int, ...] = Field(description="One or three channels that are shown on screen at first.")

    @model_validator(mode="after")
    def _consistent(self) -> ModalityProfile:
        count = len(self.channels)
        for name in ("normalisation", "roles"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name} has {len(getattr(self, name))} entries for {count} channels")
        if len(self.display) not in (1, 3):
            raise ValueError(f"display names {len(self.display)} channels, expected 1 or 3")
        for index in (*self.display, *(self.pseudo_rgb or ())):
            if not 0 <= index < count:
                raise ValueError(f"channel index {index} is outside of the {count} channels")
        return self

    @property
    def n_channels(self) -> int:
        """Number of channels that the model sees."""
        return len(self.channels)

    def check(self, image: MultiChannelImage) -> None:
        """Refuse an image that does not have the channels of this profile.

        Names count only where both sides have a real one: "channel 0", "channel 1", ... fit any.

        Raises
        ------
        AdapterError
            With both lists of channels.
        """
        names = tuple(channel.name for channel in image.channels)
        if len(names) == len(self.channels) and all(map(_same_name, self.channels, names)):
            return
        raise AdapterError(
            f"The model was made for {describe_channels(self.channels)}, but {image.name!r} has "
            f"{describe_channels(names)}; choose an adapter for these channels or start a new one."
        )

    def model_input(
        self, image: MultiChannelImage, shape: tuple[int, int] | None = None
    ) -> NDArray[np.float32]:
        """What the model sees of an image.

        Each channel: missing values (NaN, infinite) become the channel's median; values become u in [0, 1] by
        its `Normalisation`; the channel is resized; and z = (u - m) / s. A red, green or blue channel of
        fixed range takes SAM's own m and s, so that an 8-bit colour picture becomes exactly SAM's input; any
        other channel of fixed range 0.449 and 0.226; a percentile channel the mean and standard deviation of
        its own u, the latter at least 0.02. All limits and moments come from the whole image at its own size,
        so they do not depend on `shape`. Clipping goes before resizing, so that a hot pixel does not bleed
        into its surroundings.

        Parameters
        ----------
        image : MultiChannelImage
            Must pass `check`.
        shape : tuple of int, optional
            Rows and columns of the result, by antialiased bilinear interpolation; the image's own where not
            given.

        Returns
        -------
        ndarray, shape (C, Y, X), float32
            Finite. A constant percentile channel is zero.

        Raises
        ------
        AdapterError
            If the image does not have the channels of this profile.
        """
        self.check(image)
        target = image.shape if shape is None else shape
        out = np.empty((self.n_channels, *target), np.float32)
        for channel, how, role, result in zip(image.data, self.normalisation, self.roles, out, strict=True):
            _channel_input(channel, how, role, result)
        return out


def _channel_input(channel: NDArray[Any], how: Normalisation, role: str, out: NDArray[np.float32]) -> None:
    """Write the normalised, resized and z-scored channel (Y, X) into `out` (H, W)."""
    fixed = how.method == "range"
    if fixed and channel.dtype == np.uint8 and (how.low, how.high) == (0, 255):
        # Resized as bytes, like SAM's own pre-processing, rounding included.
        out[...] = _resized(channel, out.shape)
        out /= 255.0
        mean, std = COLOUR_MOMENTS.get(role, OTHER_MOMENTS)
    else:
        values = sample(channel) if not fixed or channel.dtype.kind == "f" else np.empty(0)
        channel = filled(channel, float(np.median(values)) if values.size else 0.0)
        low, high = (how.low, how.high) if fixed else percentile_limits(channel, values, how.low, how.high)
        if fixed:
            mean, std = COLOUR_MOMENTS.get(role, OTHER_MOMENTS)
        else:
            unit = unit_scale(values, low, high)
            mean, std = (float(unit.mean()), max(float(unit.std()), LEAST_STD)) if unit.size else (0.0, 1.0)
        out[...] = _resized(unit_scale(channel, low, high), out.shape)
    out -= np.float32(mean)
    out /= np.float32(std)


def _resized(channel: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Antialiased bilinear resize of a uint8 or float32 channel (Y, X)."""
    if channel.shape == shape:
        return channel
    picture = Image.fromarray(np.ascontiguousarray(channel))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def _same_name(left: str, right: str) -> bool:
    generic = re.compile(r"channel \d+")
    return left.casefold() == right.casefold() or any(generic.fullmatch(name) for name in (left, right))


def describe_channels(names: Sequence[str]) -> str:
    """A list of channels in words, shortened in the middle where it is long.

    >>> describe_channels(["red", "nir"])
    '2 channels (red, nir)'
    """
    listed = list(names) if len(names) <= 8 else [*names[:4], "...", *names[-2:]]
    return f"{len(names)} channel{'s' if len(names) != 1 else ''} ({', '.join(listed)})"
