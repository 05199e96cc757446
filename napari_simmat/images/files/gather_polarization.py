"""Images of one scene behind a polarizer at several angles, each in a file of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_simmat.errors import ImageError
from napari_simmat.images.files.file_planes import Skeleton, groups_by_number, image_files, stacked
from napari_simmat.images.image import Channel
from napari_simmat.images.physics.angles import are_angles
from napari_simmat.images.physics.polarization_formats import ANGLES_BY_NAME, STOKES_FORMAT
from napari_simmat.images.raw import Raw
from napari_simmat.images.recognise import words_of

__all__ = ["gather_crossed_polarizers", "gather_polarization"]

PAIR = ("ppl", "xpl")


def gather_polarization(paths: Sequence[Path], part: str | None = None) -> Raw | None:
    """Images at 0, 45, 90 and 135 degrees, at any three or more angles, or of S0, S1 and S2, told by their names.

    The names differ in one number only: scene_0.png, scene_45.png, ...; I0.tif, I45.tif, ...; 000.png, 045.png, ...

    Parameters
    ----------
    paths : sequence of Path
        All files of the folder or selection, in the order of their names.
    part : str, optional
        Which set, by what its names have in common, if there are several; the first where not given.

    Returns
    -------
    Raw or None
        None if there is no such set.

    Raises
    ------
    ImageError
        If they are such a set, but differ in size or kind.
    """
    files = image_files(paths)
    groups = groups_by_number(files)
    read = _angles
    sets = [group for group in groups if are_angles(group[1], [group[0]])]
    if not sets:
        read = _stokes
        sets = [group for group in groups if _are_stokes(*group)]
    if not sets:
        return None
    named = _named(sets)
    if part is not None and part not in named:
        raise ImageError(f"There is no set {part!r}; choose one of {', '.join(list(named)[:10])}.")
    name = next(iter(named)) if part is None else part
    said = []
    if len(named) > 1 and part is None:
        said.append(f"The files hold {len(named)} sets of images; the first of these, {name}, was opened.")
    left = len(set(files) - {path for numbered in named.values() for path in numbered.values()})
    if left:
        said.append(f"{left} other file{'s were' if left > 1 else ' was'} left out.")
    raw = read(named[name])
    raw = replace(raw, assumptions=(*raw.assumptions, *said))
    return replace(raw, parts=tuple(named), part=name) if len(named) > 1 else raw


def _named(sets: Sequence[tuple[Skeleton, dict[float, Path]]]) -> dict[str, dict[float, Path]]:
    """Each set by what its files' names have in common, as far as that tells it from the others."""
    named: dict[str, dict[float, Path]] = {}
    for (before, after), numbered in sets:
        short = before.strip(" _-.") or "".join(after.split(".")[:-1]).strip(" _-°")
        name = short if short and short not in named else f"{before}*{after}"
        named[name] = numbered
    return named


def _angles(numbered: dict[float, Path]) -> Raw:
    angles = sorted(numbered)
    listed = ", ".join(f"{angle:g}" for angle in angles)
    said = f"The numbers in the files' names were taken as angles of a polarizer: {listed} degrees."
    raw = stacked([numbered[angle] for angle in angles], [f"{angle:g}°" for angle in angles])
    plain = tuple(replace(channel, role="") for channel in raw.channels)  # red at 45 degrees is not yet red
    return _told(raw, said, ANGLES_BY_NAME, channels=plain)


def _are_stokes(skeleton: Skeleton, numbered: dict[float, Path]) -> bool:
    return (
        set(numbered) in ({0, 1, 2}, {0, 1, 2, 3})
        and re.search(r"(?:^|[^a-z])s$", skeleton[0], re.I) is not None
    )


def _stokes(numbered: dict[float, Path]) -> Raw:
    order = sorted(numbered)
    raw = stacked([numbered[i] for i in order], [f"S{i:g}" for i in order])
    if raw.axes != "CYX" or len(raw.channels) != len(order) or raw.array.dtype.kind == "u":
        raise ImageError(
            f"The files {numbered[0].name} to {numbered[order[-1]].name} hold {len(raw.channels)} channels of "
            f"{raw.array.dtype}, expected one signed channel for each Stokes parameter; open one of them or the images "
            "behind the polarizers."
        )
    return _told(raw, "The files were taken as Stokes parameters by their names.", STOKES_FORMAT)


def gather_crossed_polarizers(paths: Sequence[Path], part: str | None = None) -> Raw | None:
    """One microscope field in plane-polarized and in crossed-polarized light: rock_PPL.jpg and rock_XPL.jpg.

    Parameters
    ----------
    paths, part
        As in `gather_polarization`.

    Returns
    -------
    Raw or None
        The colours or the grey value of the first, then of the second. None if there is not one of each.
    """
    files = image_files(paths)
    found = {name: [path for path in files if name in words_of(path.stem)] for name in PAIR}
    if any(len(each) != 1 for each in found.values()) or len(files) != 2:
        return None
    raw = stacked([found[name][0] for name in PAIR], ["PPL", "XPL"])
    half = len(raw.channels) // 2
    # The colours of plane-polarized light are those of the object: they are what a colour picture would show.
    channels = tuple(
        Channel(channel.name if half == 1 else f"{'PPL' if i < half else 'XPL'} {channel.name.split()[0]}",
                role=(channel.role if half == 3 and i < half else PAIR[i >= half]))
        for i, channel in enumerate(raw.channels)
    )  # fmt: skip
    said = "The files were taken as plane-polarized (PPL) and crossed-polarized (XPL) light by their names."
    return _told(raw, said, "", channels=channels, modality="rgb+x" if half == 3 else "generic")


def _told(raw: Raw, said: str, key: str, **changes: Any) -> Raw:
    return Raw(
        raw.array,
        raw.axes,
        changes.get("channels", raw.channels),
        pixel_size=raw.pixel_size,
        pixel_unit=raw.pixel_unit,
        assumptions=(*raw.assumptions, said),
        modality=changes.get("modality", ""),
        sample_format=key,
        facts=raw.facts,
    )
