"""A file as it was opened: images are made of it, again and again as the user decides otherwise."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from napari_simmat.errors import ImageError
from napari_simmat.folders import PROJECT_SUFFIX
from napari_simmat.images.axes import STACKS, Layout, layout_of
from napari_simmat.images.dask_later import is_lazy
from napari_simmat.images.files.formats import read
from napari_simmat.images.image import Channel, MultiChannelImage, loaded, real_array, stem_of
from napari_simmat.images.lazy import IN_MEMORY_BYTES
from napari_simmat.images.missing import as_measured, missing_in, said_of_missing, with_gaps
from napari_simmat.images.modalities import require_modality
from napari_simmat.images.physics.measured_formats import in_eight_bits
from napari_simmat.images.physics.sample_formats import (
    AS_STORED,
    REFLECTANCE,
    SampleFormat,
    fitting_formats,
    require_sample_format,
)
from napari_simmat.images.raw import Raw
from napari_simmat.images.recognise import COUNTS, recognised
from napari_simmat.images.roles import COLOURS, modality_of, named_roles, roles_for

__all__ = ["Opened", "open_file"]

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Opened:
    """What a file, a folder or an array holds, before and after the user has decided how to take it.

    Parameters
    ----------
    raw : Raw
        Pixels as stored, not yet read where they are many.
    label : str
        What to call it in errors.
    name : str
        Name of the images made of it.
    source : Path, optional
        Where it was read from.
    """

    raw: Raw
    label: str
    name: str
    source: Path | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the arrays or series in the file, where it holds several."""
        return self.raw.parts

    def stack(self, channel_axis: int | None = None) -> dict[str, int]:
        """Length of each axis over which there are several images: "T" time, "Z" depth."""
        layout = layout_of(self._plain(channel_axis), self.label, channel_axis)
        return {letter: int(self.raw.array.shape[axis]) for letter, axis in layout.stack}

    def sample_formats(self, channel_axis: int | None = None) -> list[str]:
        """The sample formats that the numbers could be stored in, "as stored" first."""
        raw = self._plain(channel_axis)
        layout = layout_of(raw, self.label, channel_axis)
        array = layout.image(raw.array, (0,) * len(layout.stack))
        return self._fitting(raw, array, self._channels(raw, layout, len(array)))

    def image(
        self,
        *,
        modality: str | None = None,
        channel_axis: int | None = None,
        sample_format: str | None = None,
        index: Sequence[int] | None = None,
    ) -> MultiChannelImage:
        """Make an image of it.

        Parameters
        ----------
        modality : str, optional
            One of `MODALITIES`; by default what the file or its channels say.
        channel_axis : int, optional
            The axis of the stored array that holds the channels; by default what the file says. It also keeps an
            opacity channel, which is left out otherwise.
        sample_format : str, optional
            What the numbers mean, one of `SAMPLE_FORMATS`; by default what the file says.
        index : sequence of int, optional
            Which slice of a stack, a position for each axis of `stack`; the first by default.

        Raises
        ------
        AmbiguousAxesError
            If the file does not say which axis holds the channels; ask again with one of its `candidates`.
        ImageError
            If it cannot be taken so, with the reason and what to do.
        """
        if modality is not None:
            require_modality(modality)
        if sample_format is not None and channel_axis is None:
            channel_axis = self._axis_with_opacity(require_sample_format(sample_format), index)
        raw = self._plain(channel_axis)
        layout = layout_of(raw, self.label, channel_axis)
        assumptions = [*raw.assumptions, *([layout.assumption] if layout.assumption else [])]
        place, said = self._place(layout, index)
        assumptions += said
        array = layout.image(raw.array, place)
        if array.dtype.kind == "f":  # here NaN is as good as stored
            array, is_missing = as_measured(array, raw.missing)
            assumptions += [said_of_missing(raw.missing)] if is_missing else []
        stored, gaps = array, missing_in(array, raw.missing) if array.dtype.kind != "f" else None
        channels = self._channels(raw, layout, len(array))
        format_ = require_sample_format(sample_format or self._format(raw, modality, array, channels))
        fitting = self._fitting(raw, array, channels)
        if sample_format is None and raw.sample_format not in ("", *fitting):
            found = f"{len(array)} channel{'s' if len(array) != 1 else ''} of {array.dtype}"
            assumptions.append(f"It states the sample format {raw.sample_format!r}, which {found} cannot be.")
        if sample_format is not None and format_.key not in fitting and not format_.can_read(array, channels):
            raise ImageError(
                f"{self.label} with {len(array)} channels of {array.dtype} cannot be {format_.key!r} "
                f"({format_.text}); choose one of {', '.join(fitting)}."
            )
        if format_.key == REFLECTANCE and raw.reflectance is not None:
            array, channels = raw.reflectance(array, channels)
            assumptions.append(f'{raw.reflectance.said}; take the sample format "as stored" to keep them.')
        else:
            array, channels = format_.read(array, channels, raw.camera)
        if gaps is not None:
            array, is_missing = _with_gaps(array, stored, gaps, raw.missing, format_)
            assumptions += [said_of_missing(raw.missing)] if is_missing else []
            if array.dtype.kind == "f" and stored.dtype == np.uint8 and format_.key == AS_STORED:
                channels = in_eight_bits(channels)
        stored = None if array is stored else stored
        if is_lazy(array) and array.nbytes <= IN_MEMORY_BYTES:
            array = loaded(array)
        same_grid = array.shape[1:] == (raw.array.shape[layout.rows], raw.array.shape[layout.columns])
        if format_.key not in (AS_STORED, REFLECTANCE):
            assumptions.append(f"The numbers were taken as {format_.key}: {format_.text}.")
        if modality is None:
            modality = (None if _is_colour(channels) else format_.modality) or raw.modality or None
        facts = dict(raw.facts)
        if format_.key != AS_STORED:
            facts["sample format"] = format_.key
        said_place = ", ".join(f"{letter}={i}" for (letter, _), i in zip(layout.stack, place, strict=True))
        if said_place:
            facts["slice"] = said_place
        if raw.part:
            facts["part"] = raw.part
        image = MultiChannelImage(
            array if is_lazy(array) else np.ascontiguousarray(array),
            channels,
            pixel_size=raw.pixel_size,
            pixel_unit=raw.pixel_unit,
            source=self.source,
            name=self.name
            + "".join(f" {letter}{i}" for (letter, _), i in zip(layout.stack, place, strict=True)),
            assumptions=tuple(assumptions),
            georeference=raw.georeference,
            camera=raw.camera,
            facts=facts,
            levels=self._levels(raw, layout, place, array) if format_.key == AS_STORED and same_grid else (),
            stored=stored,
        )
        image = with_meaning(image, modality)
        return replace(image, assumptions=(*image.assumptions, COUNTS)) if _has_counts(image) else image

    @staticmethod
    def _fitting(raw: Raw, array: Any, channels: tuple[Channel, ...]) -> list[str]:
        """Names of the sample formats that it could be stored in."""
        return fitting_formats(array, channels) + [REFLECTANCE] * (raw.reflectance is not None)

    @staticmethod
    def _format(raw: Raw, modality: str | None, array: Any, channels: tuple[Channel, ...]) -> str:
        """The file's own sample format; if the user takes the file for something else, the usual one of that.

        The usual one is the first that fits, but for temperatures: their scales differ, so nothing is assumed.
        """
        stated = require_sample_format(raw.sample_format or AS_STORED)
        if not stated.fits(array, channels) and stated.key != REFLECTANCE:
            stated = require_sample_format(AS_STORED)
        modality = modality.split("-")[0] if modality is not None else None  # variants share their formats
        is_meant = modality in (None, "rgb+x") or stated.modality in ("", modality)
        if is_meant and (stated.key != AS_STORED or modality in (None, "thermal")):
            return stated.key
        fitting = (require_sample_format(key) for key in fitting_formats(array, channels))
        return next(
            (each.key for each in fitting if each.modality == modality and modality != "thermal"), AS_STORED
        )

    def _place(self, layout: Layout, index: Sequence[int] | None) -> tuple[tuple[int, ...], list[str]]:
        lengths = [int(self.raw.array.shape[axis]) for _, axis in layout.stack]
        if index is None:
            said = " and ".join(
                f"{length} slices over {STACKS[letter]}"
                for (letter, _), length in zip(layout.stack, lengths, strict=True)
            )
            hint = ""
            if len(lengths) == 1 and not layout.channels:
                hint = f" If that axis holds the channels, give channel axis {layout.stack[0][1]}."
            told = f"{self.label} is a stack of {said}; the first one was opened.{hint}"
            return (0,) * len(lengths), [told] if said else []
        place = tuple(int(i) for i in index)
        if len(place) != len(lengths) or not all(0 <= i < n for i, n in zip(place, lengths, strict=True)):
            shape = ", ".join(f"{letter}={n}" for (letter, _), n in zip(layout.stack, lengths, strict=True))
            raise ImageError(
                f"{self.label} has no slice {place}: it is {f'a stack with {shape}' if shape else 'no stack'}; "
                "positions begin with 0."
            )
        return place, []

    def _axis_with_opacity(self, format_: SampleFormat, index: Sequence[int] | None) -> int | None:
        """The channel axis, where a format needs what some writers call opacity as a channel; else None."""
        if self._real.opacity is None:
            return None
        axis = self._real.opacity[0]
        for kept in (None, axis):
            raw = self._plain(kept)
            layout = layout_of(raw, self.label, kept)
            array = layout.image(raw.array, self._place(layout, index)[0])
            if format_.can_read(array, self._channels(raw, layout, len(array))):
                return kept
        return None

    def _plain(self, channel_axis: int | None) -> Raw:
        """The raw pixels without opacity, unless the user wants it among the channels."""
        raw = self._real
        if channel_axis is None:
            return raw.without_opacity()
        return raw if raw.opacity is None else replace(raw, assumptions=raw.assumptions[:-1])

    @cached_property
    def _real(self) -> Raw:
        return replace(self.raw, array=real_array(self.raw.array, self.label))

    @staticmethod
    def _channels(raw: Raw, layout: Layout, count: int) -> tuple[Channel, ...]:
        if len(raw.channels) == count:
            return raw.channels
        if layout.is_colour:
            return tuple(Channel(colour) for colour in COLOURS)
        return tuple(Channel(f"channel {i}") for i in range(count))

    @staticmethod
    def _levels(raw: Raw, layout: Layout, place: tuple[int, ...], array: Any) -> tuple[Any, ...]:
        levels = [layout.image(real_array(level, "a level"), place) for level in raw.levels]
        gaps = [missing_in(level, raw.missing) for level in levels]
        return tuple(
            level if gap is None or array.dtype.kind != "f" else with_gaps(level, gap)
            for level, gap in zip(levels, gaps, strict=True)
        )


def open_file(path: PathLike | Sequence[PathLike], *, part: str | None = None) -> Opened:
    """Open a file, a folder or several files that make up one image, without reading many pixels.

    Parameters
    ----------
    path : path or sequence of paths
        Of a file the content tells the format, not the suffix.
    part : str, optional
        Which of the arrays or series in it, one of `Opened.parts`; by default the largest or first.

    Raises
    ------
    ImageError
        If it cannot be opened, with the reason and what to do.
    """
    if not isinstance(path, str | os.PathLike):
        paths = [Path(each) for each in path]
        if len(paths) != 1:
            if not paths:
                raise ImageError("No file was given; give at least one.")
            from napari_simmat.images.files.gather import gather  # with all its readers: not for every import

            raw = _read(lambda: gather(paths, f"The selection of {len(paths)} files", part), paths[0].name)
            return Opened(raw, f"The image of {len(paths)} files", _common_name(paths), paths[0])
        path = paths[0]
    path = _image_of(Path(path))
    raw = _read(lambda: read(path, part=part), path.name)
    if not path.is_dir():
        raw = _read(lambda: recognised(raw, path), path.name)
    return Opened(raw, path.name, stem_of(path), path)


def _image_of(path: Path) -> Path:
    """The image that a project folder belongs to; any other path as it is."""
    if path.suffix != PROJECT_SUFFIX or not path.is_dir():
        return path
    image = path.with_suffix("")
    if not image.exists():
        raise ImageError(
            f"{path.name} holds the work on an image, and there is no {image.name} beside it; open the image itself."
        )
    return image


def _is_colour(channels: Sequence[Channel]) -> bool:
    """Whether a colour picture is among the channels; whatever else there is then comes beside it."""
    return set(COLOURS) <= {channel.role or channel.name for channel in channels}


def _with_gaps(
    array: Any, stored: Any, gaps: Any, missing: float | None, format_: SampleFormat
) -> tuple[Any, bool]:
    """What became of integers, with NaN where these were not measured, and whether that was anywhere."""
    if array is stored:
        return as_measured(stored, missing)
    if array.shape[1:] != gaps.shape[1:] or not (is_lazy(gaps) or gaps.any()):
        return array, False
    if len(array) != len(gaps) or format_.modality == "polarization":  # every channel is of all
        gaps = gaps.any(axis=0, keepdims=True)
    return with_gaps(array, gaps), True


def _has_counts(image: MultiChannelImage) -> bool:
    """Whether temperatures may hide behind numbers without a unit."""
    return image.data.dtype.itemsize == 2 and any(
        channel.role == "thermal" and not channel.unit for channel in image.channels
    )


def with_meaning(image: MultiChannelImage, modality: str | None) -> MultiChannelImage:
    """Give each channel its role and the image its modality."""
    known = named_roles([channel.name for channel in image.channels])
    roles = tuple(channel.role or role for channel, role in zip(image.channels, known, strict=True))
    if modality is None:
        modality = modality_of(roles, [channel.wavelength_nm for channel in image.channels])
    roles = roles_for(roles, modality, repr(image.name))
    channels = tuple(replace(channel, role=role) for channel, role in zip(image.channels, roles, strict=True))
    return replace(image, channels=channels, modality=modality)


def _read(reader: Any, name: str) -> Raw:
    try:
        raw: Raw = reader()
    except MemoryError:
        raise ImageError(f"{name} does not fit into memory; crop it or save one slice of it.") from None
    return raw


def _common_name(paths: Sequence[Path]) -> str:
    letters = zip(*(path.stem for path in paths), strict=False)
    common = "".join(each[0] for each in takewhile(lambda each: len(set(each)) == 1, letters)).rstrip("_- .")
    return common or paths[0].parent.name or paths[0].stem
