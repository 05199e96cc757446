"""What a file states about its own numbers in JSON, in the one form that TIFF descriptions and PNG texts share.

For example ``{"modality": "thermal", "sample_format": "centikelvin"}``. The keys are those of `Stated`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from napari_simmat.images.camera import Camera
from napari_simmat.images.image import Channel
from napari_simmat.images.modalities import MODALITIES
from napari_simmat.images.physics.sample_formats import SAMPLE_FORMATS
from napari_simmat.images.raw import Raw

__all__ = ["Stated", "parsed", "stated"]

MAX_TEXT = 1 << 20


class StatedCamera(BaseModel):
    """The fields of `Camera`."""

    focal_length_px: tuple[float, float] = Field(
        description="Focal length along rows and columns, in pixels."
    )
    principal_point: tuple[float, float] | None = Field(default=None, description="Its row and column.")
    baseline_m: float | None = Field(
        default=None, description="Between the cameras of a stereo pair, in metres."
    )
    disparity_offset_px: float = Field(default=0.0, description="To be added to a disparity.")


class Stated(BaseModel):
    """What a file may say; other keys in the same JSON belong to other programs."""

    model_config = ConfigDict(extra="ignore")

    modality: str = Field(default="", description="What kind of image it is.")
    sample_format: str = Field(default="", description="What the stored numbers mean.")
    channel_names: list[str] | None = Field(default=None, description="One for each channel.")
    wavelengths_nm: list[float] | None = Field(default=None, description="One for each channel.")
    unit: str | list[str | None] | None = Field(
        default=None, description="Of the numbers: one for all channels, or a list with one for each."
    )
    camera: StatedCamera | None = Field(default=None, description="The geometry that it was taken with.")


def parsed(text: str) -> Mapping[str, Any]:
    """The JSON object in a text, empty where it is none."""
    if not text.lstrip().startswith("{") or len(text) > MAX_TEXT:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def stated(raw: Raw, said: Mapping[str, Any]) -> Raw:
    """Add what a file states about itself; what cannot be understood adds nothing but a sentence that says so.

    Parameters
    ----------
    raw : Raw
        Pixels of that file.
    said : mapping
        A JSON object.
    """
    try:
        found = Stated.model_validate(said)
        camera = Camera(**found.camera.model_dump()) if found.camera is not None else raw.camera
    except (ValidationError, ValueError) as error:
        first = str(error).splitlines()[0][:80]
        return replace(
            raw, assumptions=(*raw.assumptions, f"The file's description was not understood ({first}).")
        )
    raw = replace(raw, camera=camera)
    for name, value, known in (
        ("modality", found.modality, MODALITIES),
        ("sample_format", found.sample_format, SAMPLE_FORMATS),
    ):
        if value in known:
            raw = replace(raw, **{name: value})  # type: ignore[arg-type]
        elif value:
            unknown = f"The file states the {name.replace('_', ' ')} {value[:40]!r}, which is not known here."
            raw = replace(raw, assumptions=(*raw.assumptions, unknown))
    return _with_channels(raw, found)


def _with_channels(raw: Raw, found: Stated) -> Raw:
    count = int(raw.array.shape[raw.axes.index("C")]) if "C" in raw.axes else 1
    channels = raw.channels if len(raw.channels) == count else ()
    if not channels and found.channel_names is not None and len(found.channel_names) == count:
        channels = tuple(Channel(name) for name in found.channel_names)
    waves = found.wavelengths_nm
    if waves is not None and len(waves) == count and all(0 < wave < float("inf") for wave in waves):
        named = channels or tuple(Channel(f"{wave:g} nm") for wave in waves)
        channels = tuple(
            replace(channel, wavelength_nm=wave) if channel.wavelength_nm is None else channel
            for channel, wave in zip(named, waves, strict=True)
        )
    units = [found.unit] * count if isinstance(found.unit, str) else found.unit
    if units is not None and len(units) == count and any(units):
        named = channels or tuple(Channel(f"channel {i}") for i in range(count))
        channels = tuple(
            replace(channel, unit=channel.unit or (unit or "")[:40])
            for channel, unit in zip(named, units, strict=True)
        )
    return replace(raw, channels=channels) if channels else raw
