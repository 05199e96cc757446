"""The ways to show an image that make sense for its sensor: true colour, colour infrared, polarization as hue, ..."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.image import MultiChannelImage
from napari_simmat.images.looks import painters
from napari_simmat.images.looks.painters import Legend, Painter
from napari_simmat.images.physics.derived import FORMULAS
from napari_simmat.images.physics.surface import normals
from napari_simmat.images.profiles import TRUE_COLOUR_NM, nearest_bands, profile_for
from napari_simmat.images.roles import COLOURS, stokes_sets
from napari_simmat.images.statistics import unit_scale

__all__ = ["PRINCIPAL_COMPONENTS", "Preset", "painter_for", "presets_for"]

PRINCIPAL_COMPONENTS = "principal components"

INFRARED_NM = (850.0, 650.0, 550.0)
"""Near infrared, red and green, shown as red, green and blue: vegetation is red, as on infrared film."""

LEAST_DEGREE = 0.02
"""Degree of polarization at which the wheel's colours are full, at least: noise is not colour."""

FALSE_COLOUR = "false colour"

FEW = 12
"""Of so many channels, the ones that are shown last make a false colour picture; of more, they are hardly different."""

Spec = Sequence[int] | str
Make = Callable[[MultiChannelImage, tuple[float, float]], Painter]


@dataclass(frozen=True)
class Preset:
    """A way to show an image.

    Attributes
    ----------
    name : str
        What profiles and scripts call it.
    text : str
        What people choose.
    channels : tuple of int
        One or three channels of the image where it is made of nothing else.
    """

    name: str
    text: str
    channels: tuple[int, ...] = ()

    @property
    def spec(self) -> tuple[int, ...] | str:
        """As `screen_rgb` takes it."""
        return self.channels or self.name


def presets_for(image: MultiChannelImage) -> list[Preset]:
    """The ways to show an image, the one to begin with first; single channels are not among them.

    Parameters
    ----------
    image : MultiChannelImage
        Roles and wavelengths of its channels decide; its pixels are not looked at.

    Returns
    -------
    list of Preset
        At least one, each with another name.
    """
    found = [*_polarized(image), *_coloured(image), *_measured(image)]
    known = {preset.spec for preset in found}
    display = profile_for(image).display
    composites = [("as the model starts", display)] if not isinstance(display, str) else []
    if 3 < image.n_channels <= FEW and composites and not stokes_sets(image.roles):
        unseen = [i for i in reversed(range(image.n_channels)) if i not in display]
        composites.append((FALSE_COLOUR, tuple([*unseen, *display][:3])))
    for name, channels in composites:
        if len(channels) == 3 and tuple(channels) not in known:
            listed = ", ".join(image.channels[i].name for i in channels)
            found.append(
                Preset(name, f"{name} ({listed})" if name == FALSE_COLOUR else listed, tuple(channels))
            )
            known.add(tuple(channels))
    if image.n_channels > 3:
        found.append(Preset(PRINCIPAL_COMPONENTS, "principal components"))
    if isinstance(display, str):
        found.sort(key=lambda preset: preset.name != display)
    elif len(display) == 3:
        found.sort(key=lambda preset: preset.spec != tuple(display))
    if not found:
        first = display[0] if not isinstance(display, str) else 0
        found.append(Preset("first channel", image.channels[first].name, (first,)))
    return found


def painter_for(
    image: MultiChannelImage, spec: Spec | None = None, *, percentiles: tuple[float, float] = (0.5, 99.5)
) -> Painter:
    """What paints an image, or any part of it, in the way that is asked for.

    Parameters
    ----------
    image : MultiChannelImage
        Of a lazy one only a coarse grid of the channels at hand is read.
    spec : str, or one or three int, optional
        Name of one of the `presets_for` the image, or channels; the first channels where not given.
    percentiles : (float, float)
        What becomes black and what becomes white where no fixed range is meant.

    Raises
    ------
    ImageError
        If there is no such preset or channel.
    """
    if spec is None:
        spec = (0, 1, 2) if image.n_channels >= 3 else (0,)
    if isinstance(spec, str):
        if spec in _PAINTERS and _PAINTERS[spec][0](image):
            return _PAINTERS[spec][1](image, percentiles)
        channels = {preset.name: preset.channels for preset in presets_for(image)}.get(spec, ())
        if not channels:
            raise ImageError(_cannot(image, spec))
    else:
        count = image.n_channels
        if len(spec) not in (1, 3) or not all(0 <= i < count for i in spec):
            raise ImageError(_cannot(image, spec))
        channels = tuple(int(i) for i in spec)
    if [image.channels[i].role for i in channels] == list(COLOURS):
        return painters.colour_picture(image, channels, percentiles)
    if len(channels) == 1:
        return painters.grey(image, channels[0], percentiles)
    return painters.composite(image, channels, percentiles)


def _polarized(image: MultiChannelImage) -> list[Preset]:
    sets = stokes_sets(image.roles)
    if not sets:
        return []
    found = [Preset("hsv", "HSV = AoLP, DoLP, S0")]
    if len(sets) == 3:
        found.append(Preset("s0 colour", "S0 in colour"))
    else:
        found.append(Preset("s0", "S0, intensity", (sets[0][0],)))
    return [
        *found,
        Preset("dolp", "DoLP, degree of polarization"),
        Preset("aolp", "AoLP, angle of polarization"),
    ]


def _coloured(image: MultiChannelImage) -> list[Preset]:
    """Composites that the wavelengths or roles of the channels make possible."""
    index = {role: i for i, role in reversed(list(enumerate(image.roles)))}
    found = []
    if set(COLOURS) <= index.keys():
        red, green, blue = (index[colour] for colour in COLOURS)
        found.append(Preset("colour", "colour picture", (red, green, blue)))
        if "nir" in index:
            found.append(
                Preset("colour infrared", "colour infrared (NIR, red, green)", (index["nir"], red, green))
            )
        return found
    for name, targets in (("true colour", TRUE_COLOUR_NM), ("colour infrared", INFRARED_NM)):
        bands = nearest_bands(image, targets)
        if bands is not None:
            waves = [image.channels[i].wavelength_nm or 0.0 for i in bands]
            text = f"{name} ({', '.join(f'{wave:.0f}' for wave in waves)} nm)"
            found.append(Preset(name, text, bands))
    if "nir" in index and {"red", "green"} <= index.keys() and not found:
        channels = (index["nir"], index["red"], index["green"])
        found.append(Preset("colour infrared", "colour infrared (NIR, red, green)", channels))
    return found


def _measured(image: MultiChannelImage) -> list[Preset]:
    """Channels whose values have a meaning of their own, in colours with a scale."""
    found = []
    if _has_role(image, "thermal"):
        unit = image.channels[image.roles.index("thermal")].unit or "counts"
        found.append(Preset("temperature", f"temperature in {unit}"))
    if _has_role(image, "depth"):
        unit = image.channels[image.roles.index("depth")].unit or "counts"
        found.append(Preset("depth", f"depth in {unit}"))
        if _has_normals(image):
            found += [Preset("relief", "relief, nearer than around it"), Preset("normals", "surface normals")]
    if _has_role(image, "disparity"):
        found.append(Preset("disparity", "disparity"))
    return found


def _has_role(image: MultiChannelImage, role: str) -> bool:
    return role in image.roles


def _having(role: str) -> Callable[[MultiChannelImage], bool]:
    return lambda image: _has_role(image, role)


def _has_normals(image: MultiChannelImage) -> bool:
    # A part of a lazy image does not know where in the camera's view it lies.
    return _has_role(image, "depth") and not image.is_lazy and min(image.shape) > 1


def _is_polarized(image: MultiChannelImage) -> bool:
    return bool(stokes_sets(image.roles))


def _total(sets: list[tuple[int, int, int]], planes: Iterable[NDArray[Any]]) -> list[NDArray[np.float32]]:
    """S0, S1 and S2 over all colours, from planes in the order S0 of all colours, S1 of all, S2 of all."""
    total: list[NDArray[np.float32]] = []
    for k, plane in enumerate(planes):
        if k % len(sets) == 0:
            total.append(plane.astype(np.float32))
        else:
            total[-1] += plane
    return total


def _needs(sets: list[tuple[int, int, int]]) -> tuple[int, ...]:
    return tuple(each[k] for k in range(3) for each in sets)


def _hsv(image: MultiChannelImage, percentiles: tuple[float, float]) -> Painter:
    """Hue from the angle, saturation from the degree and value from the intensity."""
    sets = stokes_sets(image.roles)
    needs = _needs(sets)
    s0, s1, s2 = _total(sets, (painters.coarse(image, i) for i in needs))
    dark, bright = painters.limits_of(s0, percentiles)
    degree = FORMULAS["dolp"]((s0, s1, s2))
    full = max(painters.limits_of(degree, percentiles)[1], LEAST_DEGREE)

    def paint(planes: Iterable[NDArray[Any]]) -> NDArray[np.uint8]:
        s0, s1, s2 = _total(sets, planes)
        missing = ~np.isfinite(s0)
        value = unit_scale(np.where(missing, dark, s0), dark, bright)
        value[missing] = np.nan
        saturation = np.minimum(FORMULAS["dolp"]((s0, s1, s2)) / np.float32(full), 1)
        return painters.hsv(FORMULAS["aolp"]((s1, s2)), saturation, value)

    return Painter(needs, paint, Legend("wheel", "AoLP", 0.0, full))


def _dolp(image: MultiChannelImage, percentiles: tuple[float, float]) -> Painter:
    sets = stokes_sets(image.roles)
    needs = _needs(sets)
    degree = FORMULAS["dolp"](_total(sets, (painters.coarse(image, i) for i in needs)))
    # Its zero is a zero; where the scale ends is written beside it.
    high = max(painters.limits_of(degree, percentiles)[1], LEAST_DEGREE)

    def paint(planes: Iterable[NDArray[Any]]) -> NDArray[np.uint8]:
        return painters.stretched(FORMULAS["dolp"](_total(sets, planes)), 0.0, high)

    return Painter(needs, paint, Legend("bar", "DoLP", 0.0, high))


def _aolp(image: MultiChannelImage, percentiles: tuple[float, float]) -> Painter:
    sets = stokes_sets(image.roles)
    needs = tuple(each[k] for k in (1, 2) for each in sets)

    def paint(planes: Iterable[NDArray[Any]]) -> NDArray[np.uint8]:
        return painters.hue(FORMULAS["aolp"](_total(sets, planes)))

    return Painter(needs, paint, Legend("wheel", "AoLP", 0.0, 0.0))


def _colour_s0(image: MultiChannelImage, percentiles: tuple[float, float]) -> Painter:
    return painters.colour_picture(image, [s0 for s0, _, _ in stokes_sets(image.roles)], percentiles)


def _scale(role: str, ramp: str, image: MultiChannelImage, percentiles: tuple[float, float]) -> Painter:
    return painters.grey(
        image, image.roles.index(role), percentiles, ramp=ramp, title=role, positive=ramp == "distance"
    )


def _relief(image: MultiChannelImage, percentiles: tuple[float, float]) -> Painter:
    """How much nearer than its surroundings; the colours of heat, so that black stays for what was not measured."""
    index = image.roles.index("depth")
    low, high = painters.limits_of(FORMULAS["relief"]((image.plane(index),)), percentiles)
    colours = painters.ramp_colours("heat")

    def paint(planes: Iterable[NDArray[Any]]) -> NDArray[np.uint8]:
        relief = FORMULAS["relief"](tuple(planes))
        painted = colours[painters.stretched(relief, low, high)]
        painted[~np.isfinite(relief)] = 0
        return painted

    return Painter((index,), paint, Legend("bar", "relief", low, high, FORMULAS["relief"].unit, "heat"))


def _normals(image: MultiChannelImage, percentiles: tuple[float, float]) -> Painter:
    """The surface normal to the right, up and towards the camera from -1 to 1 as red, green and blue.

    Black where there is no depth. A surface that faces the camera is light blue, as in computer graphics.
    """

    def paint(planes: Iterable[NDArray[Any]]) -> NDArray[np.uint8]:
        (depth,) = planes
        right, down, near = normals(depth, image.camera)
        missing = ~np.isfinite(near)
        axes = [np.where(missing, -1, axis).astype(np.float32) for axis in (right, -down, near)]
        picture = np.stack([painters.stretched(axis, -1.0, 1.0) for axis in axes], axis=-1)
        picture[missing] = 0
        return picture

    return Painter((image.roles.index("depth"),), paint)


def _cannot(image: MultiChannelImage, spec: Spec) -> str:
    names = ", ".join(repr(preset.name) for preset in presets_for(image) if not preset.channels)
    return (
        f"Cannot show channels {spec!r} of {image.name!r}: give one or three numbers from 0 to "
        f"{image.n_channels - 1}{f', or {names}' if names else ''}."
    )


_PAINTERS: dict[str, tuple[Callable[[MultiChannelImage], bool], Make]] = {
    PRINCIPAL_COMPONENTS: (lambda image: True, painters.components),
    "hsv": (_is_polarized, _hsv),
    "dolp": (_is_polarized, _dolp),
    "aolp": (_is_polarized, _aolp),
    "s0 colour": (lambda image: len(stokes_sets(image.roles)) == 3, _colour_s0),
    "temperature": (_having("thermal"), partial(_scale, "thermal", "heat")),
    "depth": (_having("depth"), partial(_scale, "depth", "distance")),
    "disparity": (_having("disparity"), partial(_scale, "disparity", "heat")),
    "relief": (_has_normals, _relief),
    "normals": (_has_normals, _normals),
}
"""Presets that are more than channels: whether an image has what they need, and how they are painted."""
