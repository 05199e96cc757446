"""A file, or a napari layer, together with how the user wants it taken; changed without opening it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_simmat.errors import ImageError
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.axes import layout_of
from napari_simmat.images.dask_later import da
from napari_simmat.images.image import Channel
from napari_simmat.images.opened import Opened, open_file
from napari_simmat.images.physics.sample_formats import require_sample_format
from napari_simmat.images.raw import Raw
from napari_simmat.images.roles import COLOURS

__all__ = ["Taken", "choices_of", "range_text", "taken_from_layer"]

RANGE_SIDE = 256
"""Rows and columns from which the range of a sample format is estimated."""

RANGED = ("thermal", "depth")
"""Modalities whose sample formats are told apart by the values that they give."""


@dataclass(frozen=True)
class Taken:
    """What was opened and the user's answers; None stands for what the file says.

    Attributes
    ----------
    opened : Opened
    channel_axis, modality, sample_format
        As `Opened.image` takes them.
    """

    opened: Opened
    channel_axis: int | None = None
    modality: str | None = None
    sample_format: str | None = None

    @property
    def stack(self) -> dict[str, int]:
        """Length of each axis over which there are several images."""
        return self.opened.stack(self.channel_axis)

    def image(self, index: Sequence[int] | None = None) -> MultiChannelImage:
        """The image, or one slice of a stack."""
        return self.opened.image(
            modality=self.modality,
            channel_axis=self.channel_axis,
            sample_format=self.sample_format,
            index=index or None,
        )

    def with_channel_axis(self, axis: int | None) -> Taken:
        """The same with other channels; the sample format was chosen for the former ones."""
        return replace(self, channel_axis=axis, sample_format=None)

    def with_sample_format(self, key: str) -> Taken:
        """The same numbers meaning something else; most formats are of one modality."""
        found = require_sample_format(key)
        return replace(self, sample_format=key, modality=found.modality or self.modality)

    def with_modality(self, modality: str) -> Taken:
        """The same as another modality; a sample format of the former one is dropped."""
        given = require_sample_format(self.sample_format) if self.sample_format else None
        kept = self.sample_format if given is not None and given.modality in ("", modality) else None
        return replace(self, modality=modality, sample_format=kept)

    def with_part(self, part: str) -> Taken:
        """Another array of the same file, as that one says it is; reads the file."""
        source = self.opened.source
        if source is None:
            raise ImageError("This image comes from no file, so there is no other part to take.")
        return Taken(open_file(source, part=part))


def choices_of(taken: Taken) -> list[tuple[str, int | None]]:
    """The axes that could hold the channels, each with a text; empty where there is no choice."""
    raw = taken.opened.raw
    shape, axes = tuple(raw.array.shape), raw.axes
    if len(shape) < 3 or "S" in axes:
        return []
    found: list[tuple[str, int | None]] = []
    try:
        layout = layout_of(raw.without_opacity(), taken.opened.label)
    except ImageError:
        pass  # the file does not say it
    else:
        if len(layout.channels) == 1:
            axis = layout.channels[0]
            found.append((f"{_place(axis, shape)}, as the file says", None))
        else:
            found.append(("none: one channel" if not layout.channels else "as the file says", None))
    said = {layout.channels[0]} if found and len(layout.channels) == 1 else set()
    for axis, length in enumerate(shape):
        if axis not in said and length > 1 and not (axes and axes[axis] in "YX"):
            letter = {"T": "time, ", "Z": "depth, "}.get(axes[axis], "") if axes else ""
            found.append((f"{_place(axis, shape)} ({letter}{length})", axis))
    return found if len(found) > 1 else []


def _place(axis: int, shape: tuple[int, ...]) -> str:
    return {0: "first axis", len(shape) - 1: "last axis"}.get(axis, f"axis {axis}")


def range_text(taken: Taken, key: str, index: Sequence[int] | None = None) -> str:
    """The values that a sample format gives, such as "12.3 to 38.1 °C", from a sample; empty where that tells nothing.

    Slow where the file has to be read.
    """
    if require_sample_format(key).modality not in RANGED:
        return ""
    raw = taken.opened.raw.without_opacity()
    layout = layout_of(raw, taken.opened.label, taken.channel_axis)
    cut = [slice(None)] * raw.array.ndim
    for axis in (layout.rows, layout.columns):
        cut[axis] = slice(None, None, max(1, -(-raw.array.shape[axis] // RANGE_SIDE)))
    small = replace(raw, array=raw.array[tuple(cut)], levels=(), opacity=None)
    try:
        image = replace(taken, opened=replace(taken.opened, raw=small)).with_sample_format(key).image(index)
        plane = image.plane(0)
    except ImageError:
        return ""
    values = plane[np.isfinite(plane)] if plane.dtype.kind == "f" else plane.ravel()
    if not values.size:
        return ""
    low, high = np.percentile(values, (0.5, 99.5))
    unit = image.channels[0].unit
    return f"{low:.4g} to {high:.4g}{f' {unit}' if unit else ''}"


def taken_from_layer(layer: Any) -> Taken:
    """What a napari image layer of any origin holds, as if it was a file without axis names.

    What is needed of the layer is taken at once, so the result may be used on any thread.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    scale = tuple(float(each) for each in np.asarray(layer.scale)[-2:])
    axes = ""
    channels: tuple[Channel, ...] = ()
    array = data if isinstance(data, np.ndarray | da.Array) else _dask(data)
    if layer.rgb:
        array = array[..., :3]  # what is transparent is no channel
        axes = "".join("TZ"[-(array.ndim - 3) :] if array.ndim > 3 else "") + "YXS"
        channels = tuple(Channel(colour) for colour in COLOURS)
    raw = Raw(
        array, axes=axes, channels=channels, pixel_size=(scale[0], scale[1]) if scale != (1.0, 1.0) else None
    )
    return Taken(Opened(raw, f"The array {layer.name!r}", layer.name))


def _dask(data: Any) -> Any:
    """Arrays of other libraries (Zarr, HDF5) without reading them."""
    return da.from_array(data) if hasattr(data, "shape") else np.asarray(data)  # type: ignore[no-untyped-call]
