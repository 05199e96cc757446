"""Files that hold several named arrays: which of them is the image, and which describe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_simmat.errors import ImageError
from napari_simmat.images.files.wavelengths import band_names, in_nanometres
from napari_simmat.images.image import Channel
from napari_simmat.images.raw import Raw

__all__ = ["Description", "choose", "described", "holds_image", "holds_names", "holds_wavelengths"]

MAX_CHANNELS = 1 << 16


@dataclass(frozen=True)
class Description:
    """What the neighbours of an array say about one of its axes.

    Parameters
    ----------
    wavelengths : sequence of float
        Empty where there are none.
    unit : str
        Their unit as the file gives it, "" where it does not.
    names : sequence of str
        Names of channels, empty where there are none.
    axes : str
        Letters of the axes, empty where the file does not say.
    assumed_axes : str
        Letters that the format usually means, taken where nothing else says so.
    """

    wavelengths: Sequence[float] = ()
    unit: str = ""
    names: Sequence[str] = ()
    axes: str = ""
    assumed_axes: str = ""


def holds_image(shape: Sequence[int], dtype: np.dtype[Any]) -> bool:
    """Whether an array can be an image: real numbers with rows and columns."""
    long = sum(length > 1 for length in shape)
    return dtype.kind in "buif" and len(shape) <= 6 and long >= 2 and min(shape) > 0


def holds_wavelengths(name: str) -> bool:
    """Whether an array of this name holds wavelengths."""
    plain = name.rpartition("/")[2].casefold().replace("_", "").replace(" ", "")
    return plain.rstrip("s") in (
        "wavelength",
        "lambda",
        "wl",
        "wavelengthnm",
        "wavelengthum",
        "bandcenter",
        "wave",
    )


def holds_names(name: str) -> bool:
    """Whether an array of this name holds names of channels."""
    plain = name.rpartition("/")[2].casefold().replace("_", "").replace(" ", "")
    return plain.rstrip("s") in ("name", "channelname", "bandname", "band", "channel", "label")


def choose(path: Path, shapes: Mapping[str, Sequence[int]], part: str | None) -> tuple[str, str]:
    """Which array of a file is opened, and a sentence about that where there were several.

    Parameters
    ----------
    path : Path
        The file.
    shapes : mapping
        Shape of each array that can be an image.
    part : str, optional
        What the user asked for; the largest where not given.

    Raises
    ------
    ImageError
        If there is none, or not that one.
    """
    names = list(shapes)
    listed = ", ".join(f"{name} {tuple(shapes[name])}" for name in names[:8]) + (
        " ..." if len(names) > 8 else ""
    )
    if part is not None:
        for name in names:
            if name.strip("/") == part.strip("/"):
                return name, ""
        raise ImageError(
            f"{path.name} has no array {part!r} that is an image; choose one of {listed or 'none: there is none'}."
        )
    if not names:
        raise ImageError(
            f"{path.name} holds no array of numbers with rows and columns, expected an image; open another file."
        )
    largest = max(names, key=lambda name: int(np.prod([int(n) for n in shapes[name]], dtype=object)))
    if len(names) == 1:
        return largest, ""
    return largest, (
        f"The file holds {len(names)} arrays ({listed}); the largest, {largest}, was opened; choose another part "
        "if it is not the image."
    )


def described(raw: Raw, what: Description) -> Raw:
    """Find the channel axis and its names from what lies beside the array.

    Parameters
    ----------
    raw : Raw
        With the axes unknown.
    what : Description
        Wavelengths or names count where exactly one axis has as many entries as they.
    """
    shape = raw.array.shape
    said: list[str] = []
    axes, count = what.axes if len(what.axes) == len(shape) else "", 0
    for values in (what.wavelengths, what.names):
        matching = [i for i, length in enumerate(shape) if length == len(values)]
        if not len(values) or not 0 < len(values) <= MAX_CHANNELS:
            continue
        if axes:
            count = count or (len(values) if "C" in axes and shape[axes.index("C")] == len(values) else 0)
        elif len(shape) == 3 and matching:
            axis = _channel_axis(matching, what.assumed_axes)
            if axis is not None:
                axes, count = "".join("C" if i == axis else "?" for i in range(3)), len(values)
                axes = axes.replace("?", "Y", 1).replace("?", "X", 1)
                said.append(
                    f"Axis {axis} holds the channels: as many names or wavelengths lie beside the array."
                )
    if not axes and len(what.assumed_axes) == len(shape) == 3 and min(shape) > 1:
        axes = what.assumed_axes
        said.append(
            f"The axes were taken as {_in_words(axes)}, as files of this kind usually have them; give the channel axis "
            "if they are not."
        )
    raw = replace(raw, axes=axes)
    if count:
        channels, sentence = _channels(what, count)
        said += [sentence] if sentence else []
        raw = replace(raw, channels=channels)
        if len(channels) > 3 and all(channel.wavelength_nm for channel in channels):
            raw = replace(raw, modality=raw.modality or "hyperspectral")
    return replace(raw, assumptions=(*raw.assumptions, *said))


def _channel_axis(matching: list[int], assumed: str) -> int | None:
    """Of the axes that are as long as the list, the only one, or the one that the format means."""
    if len(matching) == 1:
        return matching[0]
    usual = assumed.find("C")
    return usual if usual in matching else None


def _channels(what: Description, count: int) -> tuple[tuple[Channel, ...], str]:
    wavelengths: list[float] | None = None
    sentence = ""
    if len(what.wavelengths) == count:
        wavelengths, sentence = in_nanometres([float(value) for value in what.wavelengths], what.unit)
    names = [str(name).strip() for name in what.names] if len(what.names) == count else []
    if len(set(names)) != count or not all(names):
        names = band_names(wavelengths) if wavelengths else [f"channel {i}" for i in range(count)]
    lengths: list[float | None] = list(wavelengths) if wavelengths else [None] * count
    return tuple(Channel(n, wavelength_nm=w) for n, w in zip(names, lengths, strict=True)), sentence


def _in_words(axes: str) -> str:
    words = {"Y": "rows", "X": "columns", "C": "channels"}
    return " x ".join(words[letter] for letter in axes)
