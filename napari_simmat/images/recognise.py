"""What a file means though it does not say so in so many words: from units, names and the pixels' own physics.

Only what can be known is taken; each decision is a sentence for the user, who may choose otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_simmat.images.dask_later import is_lazy
from napari_simmat.images.files.calibration import calibration_beside
from napari_simmat.images.image import Channel
from napari_simmat.images.physics.angles import angle_named, are_angles
from napari_simmat.images.physics.degree_formats import degree_format_of
from napari_simmat.images.physics.measured_formats import DISPARITY, METRES, MILLIMETRES
from napari_simmat.images.physics.mosaic import find_polarization_mosaic
from napari_simmat.images.physics.polarization_formats import (
    ANGLES_BY_NAME,
    COLOUR_MOSAIC,
    MOSAIC,
    STOKES_FORMAT,
)
from napari_simmat.images.physics.thermal import scale_named
from napari_simmat.images.raw import Raw
from napari_simmat.images.roles import STOKES, named_roles

__all__ = ["COUNTS", "recognised", "words_of"]

COUNTS = (
    "The numbers are counts of the thermal camera, whose scale the file does not tell; if they are temperatures, "
    "choose the sample format centikelvin, decikelvin or another of them."
)

SENSOR = re.compile(r"IMX(?:250|253|264)(MZR|MYR)", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words_of(stem: str) -> list[str]:
    """Words of a file name in small letters, numbers apart.

    >>> words_of("Scene3_depthMap-01")
    ['scene', '3', 'depth', 'map', '01']
    """
    return [word.lower() for word in _WORD.findall(stem)]


def recognised(raw: Raw, path: Path) -> Raw:
    """The same, with modality, sample format, roles and camera where these can be known.

    Parameters
    ----------
    raw : Raw
        As the reader of the format returns it; left as it is where the file itself says what it is.
    path : Path
        Where it was read from.
    """
    if raw.sample_format or raw.modality or raw.array.dtype.kind not in "uif":
        return raw
    steps: tuple[Callable[[Raw, Path], Raw], ...] = (_temperatures, _angles, _distances, _disparity, _mosaic)
    for step in steps:
        known = step(raw, path)
        if known is not raw:
            return known
    return raw


def _is_plain(raw: Raw) -> bool:
    """Whether it is one channel of rows and columns."""
    shape = raw.array.shape
    return len(shape) >= 2 and sum(length > 1 for length in shape) <= 2 and len(raw.channels) <= 1


def _plane_shape(raw: Raw) -> tuple[int, int]:
    shape = raw.array.shape
    if "Y" in raw.axes and "X" in raw.axes:
        return int(shape[raw.axes.index("Y")]), int(shape[raw.axes.index("X")])
    return int(shape[-2]), int(shape[-1])


def _said(raw: Raw, sentence: str, key: str, **changes: object) -> Raw:
    known = replace(raw, sample_format=key, assumptions=(*raw.assumptions, *([sentence] if sentence else [])))
    return replace(known, **changes)  # type: ignore[arg-type]


def _temperatures(raw: Raw, path: Path) -> Raw:
    """A unit of temperature is the file's own word."""
    scales = {scale for channel in raw.channels if (scale := scale_named(channel.unit))}
    if len(scales) != 1:
        return raw
    (scale,) = scales
    channels = tuple(
        replace(channel, role=channel.role or "thermal") if scale_named(channel.unit) else channel
        for channel in raw.channels
    )
    return _said(raw, "", scale, channels=channels)


def _angles(raw: Raw, path: Path) -> Raw:
    """Channels named S0, S1, S2, as degree and angle of polarization, or by the angles of a polarizer."""
    names = [channel.name.strip().casefold() for channel in raw.channels]
    if names[:3] == list(STOKES) and names[3:] in ([], ["s3"]) and raw.array.dtype.kind in "if":
        return _said(raw, "", STOKES_FORMAT)
    axis = raw.axes.find("C")
    if axis >= 0 and raw.array.ndim > 2 and raw.array.shape[axis] == len(names):
        planes = raw.array.transpose(axis, *(i for i in range(raw.array.ndim) if i != axis))
        degree = degree_format_of(planes, raw.channels)
        if degree:
            said = "The channels' names were taken as degree and angle of linear polarization."
            return _said(raw, said, degree)
    found = [named for name in names if (named := angle_named(name)) is not None]
    if len(found) == len(names) and are_angles(
        [named.degrees for named in found], [(named.before, named.after) for named in found]
    ):
        return _said(
            raw, "The channels' names were taken as angles of a polarizer in degrees.", ANGLES_BY_NAME
        )
    return raw


def _distances(raw: Raw, path: Path) -> Raw:
    """Depth by the name of a channel or of the file."""
    stated = named_roles([channel.name for channel in raw.channels])
    roles = [channel.role or role for channel, role in zip(raw.channels, stated, strict=True)]
    units = {channel.unit for channel, role in zip(raw.channels, roles, strict=True) if role == "depth"}
    plain = _is_plain(raw) and {"depth", "depths", "depthmap"} & set(words_of(path.stem))
    if roles.count("depth") != 1 and not plain:
        return raw
    kind, bits = raw.array.dtype.kind, raw.array.dtype.itemsize * 8
    key = {"u": MILLIMETRES, "i": MILLIMETRES, "f": METRES}[kind]
    told = {"m": METRES, "mm": MILLIMETRES}.get(next(iter(units), ""), "")
    if bits < 16 or (units - {""} and told != key):
        return raw
    camera, said = calibration_beside(path, _plane_shape(raw))
    why = "" if told else f"The {'channel' if 'depth' in roles else 'file'} is called depth."
    return _said(raw, " ".join(filter(None, (why, said))), key, camera=raw.camera or camera)


def _disparity(raw: Raw, path: Path) -> Raw:
    """Disparity by the name of the file, made depth if the calibration lies beside it."""
    if not _is_plain(raw) or not {"disp", "disparity"} & set(words_of(path.stem)):
        return raw
    camera, said = calibration_beside(path, _plane_shape(raw))
    camera = raw.camera or camera
    if camera is not None and camera.baseline_m is not None:
        return _said(raw, f"The file is called disparity. {said}".strip(), DISPARITY, camera=camera)
    hint = said or "Without a calib.txt beside it, it stays disparity."
    return replace(
        raw,
        channels=(Channel("disparity", "px", role="disparity"),),
        assumptions=(*raw.assumptions, f"The file is called disparity. {hint}"),
    )


def _mosaic(raw: Raw, path: Path) -> Raw:
    """The raw frame of a polarization camera, by its pixels."""
    if not _is_plain(raw) or raw.channels or raw.levels:
        return raw
    array = raw.array.squeeze()
    if array.ndim != 2:
        return raw
    # No such sensor has as many pixels as an image that is read lazily, and windows of that may take long to read.
    found = "" if is_lazy(array) else find_polarization_mosaic(array)
    named = SENSOR.search(path.name)
    if named is None and not found:
        return raw
    if named is not None and (array.dtype.kind != "u" or array.dtype.itemsize > 2 or min(array.shape) < 4):
        return raw
    is_colour = named[1].upper() == "MYR" if named else found == "colour"
    key = COLOUR_MOSAIC if is_colour else MOSAIC
    known = [
        "by the pattern of its pixels" * bool(found),
        "by its name" * (named is not None),
    ]
    sentence = (
        f"It is the raw frame of a polarization camera {' and '.join(filter(None, known))}. Nothing tells which pixel "
        "has which polarizer; the layout of Sony's sensors is the default. Choose another sample format if it has "
        "another, or 'as stored' if it is no such frame."
    )
    facts = dict(raw.facts)
    if named is not None:
        facts.setdefault("sensor", f"Sony {named[0].upper()}")
    facts["saturated pixels"] = _saturated(array)
    return _said(raw, sentence, key, facts=facts)


def _saturated(array: Any) -> str:
    """Share of pixels at the sensor's highest value: their polarization is wrong."""
    sample = np.asarray(array[:: max(1, array.shape[0] // 2048)])
    top = int(sample.max(initial=0))
    full = next(2**bits - 1 for bits in (8, 10, 12, 14, 16) if top < 2**bits)
    # Cameras of 10 or 12 bits often write them into the upper bits of 16.
    limits = {full, *(full - full % step for step in (2**4, 2**6) if array.dtype.itemsize == 2)}
    return f"{np.isin(sample, list(limits)).mean():.2%}"
