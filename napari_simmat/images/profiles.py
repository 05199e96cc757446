"""The built-in profile of each modality, made concrete for the image at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from napari_simmat.images.image import MultiChannelImage
from napari_simmat.images.modalities import require_modality
from napari_simmat.images.modality import ModalityProfile, ModelChannel, Normalisation
from napari_simmat.images.roles import BAD_BAND, COLOURS, EIGHT_BITS, roles_for, stokes_sets

__all__ = ["profile_for"]

BYTES = Normalisation(method="range", low=0, high=255)
# A colour picture of more bits has no known white; a thousandth on either side cuts glints and dead pixels
# only.
COLOUR_PERCENTILES = Normalisation(method="percentile", low=0.1, high=99.9)
# Other sensors have heavier tails (hot pixels, specular glints, dust): half a percent on either side. A
# channel with less than that of signal keeps its whole range where the percentiles coincide, and saturates
# where they do not.
PERCENTILES = Normalisation(method="percentile", low=0.5, high=99.5)
# Degrees of polarization above a half are rare outside of the laboratory.
POLARIZATION = Normalisation(method="range", low=-0.5, high=0.5)
# From a cold sky to hot water, with rooms, people, plants and buildings in the middle; hotter things saturate.
CELSIUS = Normalisation(method="range", low=-40.0, high=80.0)
UNIT = Normalisation(method="range", low=0.0, high=1.0)
SIGNED_UNIT = Normalisation(method="range", low=-1.0, high=1.0)

TRUE_COLOUR_NM = (650.0, 550.0, 450.0)
TRUE_COLOUR_TOLERANCE_NM = 40.0


def profile_for(image: MultiChannelImage, modality: str | None = None) -> ModalityProfile:
    """The built-in profile for an image.

    Parameters
    ----------
    image : MultiChannelImage
        Its channels, roles, units, wavelengths and type make the profile concrete; its pixels are not looked at.
    modality : str, optional
        Taken instead of the image's own.

    Returns
    -------
    ModalityProfile
        All channels of the image in their order, and what the model sees of them.

    Raises
    ------
    ImageError
        If the modality is unknown or the image has too few channels for it.
    """
    modality = image.modality if modality is None else modality
    require_modality(modality)
    roles = roles_for(image.roles, modality, image.name)
    sees = tuple(_sees(image, modality, roles))
    pseudo_rgb = _pseudo_rgb(image, modality, roles, sees)
    return ModalityProfile(
        modality=modality,
        channels=tuple(channel.name for channel in image.channels),
        roles=roles,
        units=tuple(channel.unit for channel in image.channels),
        sees=sees,
        pseudo_rgb=pseudo_rgb,
        display=_display(image, modality, sees, pseudo_rgb),
    )


def _sees(image: MultiChannelImage, modality: str, roles: tuple[str, ...]) -> Iterator[ModelChannel]:
    """What the model sees: of each channel what it measures, in a form that means the same in every image."""
    if modality == "generic":
        yield from (_value(image, i, PERCENTILES) for i in range(image.n_channels))
        return
    usable = [i for i, role in enumerate(roles) if role != BAD_BAND]
    taken = {i: triple for triple in stokes_sets(roles) for i in triple}
    for i in usable or range(image.n_channels):
        if i in taken:
            if i == taken[i][0]:
                yield from _polarization(image, modality, taken[i])
        elif roles[i] in COLOURS and modality in ("rgb", "rgb+x"):
            is_bytes = image.data.dtype == np.uint8 or image.channels[i].unit == EIGHT_BITS
            yield _value(image, i, BYTES if is_bytes else COLOUR_PERCENTILES)
        elif roles[i] == "thermal" and image.channels[i].unit == "°C":
            yield _value(image, i, PERCENTILES)
            yield _value(image, i, CELSIUS, suffix=" (absolute)")
        elif roles[i] == "depth":
            yield from _depth(image, modality, i)
        else:
            yield _value(image, i, PERCENTILES)


def _value(image: MultiChannelImage, i: int, how: Normalisation, suffix: str = "") -> ModelChannel:
    name = image.channels[i].name or f"channel {i}"
    return ModelChannel(name=name + suffix, of=(i,), normalisation=how)


def _polarization(
    image: MultiChannelImage, modality: str, triple: tuple[int, int, int]
) -> Iterator[ModelChannel]:
    s0, s1, s2 = triple
    name = image.channels[s0].name
    colour = name[: -len("S0")] if name.upper().endswith("S0") else ""
    yield ModelChannel(name=name, of=(s0,), normalisation=PERCENTILES)
    yield ModelChannel(name=f"{colour}DoLP", formula="dolp", of=triple, normalisation=PERCENTILES)
    if modality == "polarization-angle":
        for formula in ("cos 2aolp", "sin 2aolp"):
            label = formula.replace("aolp", "AoLP")
            yield ModelChannel(
                name=f"{colour}{label}", formula=formula, of=(s1, s2), normalisation=SIGNED_UNIT
            )
    else:
        yield ModelChannel(name=f"{colour}S1/S0", formula="s1/s0", of=(s1, s0), normalisation=POLARIZATION)
        yield ModelChannel(name=f"{colour}S2/S0", formula="s2/s0", of=(s2, s0), normalisation=POLARIZATION)


def _depth(image: MultiChannelImage, modality: str, i: int) -> Iterator[ModelChannel]:
    name = image.channels[i].name
    yield ModelChannel(name=f"1/{name}", formula="inverse depth", of=(i,), normalisation=PERCENTILES)
    if modality == "depth-hha":
        yield ModelChannel(name="height", formula="height", normalisation=PERCENTILES, of=(i,))
        angle = Normalisation(method="range", low=0.0, high=np.pi)
        yield ModelChannel(
            name="angle with gravity", formula="angle with gravity", of=(i,), normalisation=angle
        )
    else:
        yield ModelChannel(name="relief", formula="relief", of=(i,), normalisation=PERCENTILES)
        yield ModelChannel(name="normal x", formula="normal x", normalisation=SIGNED_UNIT, of=(i,))
        yield ModelChannel(name="normal y", formula="normal y", normalisation=SIGNED_UNIT, of=(i,))
    yield ModelChannel(name="measured", formula="measured", of=(i,), normalisation=UNIT)


def _pseudo_rgb(
    image: MultiChannelImage, modality: str, roles: tuple[str, ...], sees: tuple[ModelChannel, ...]
) -> tuple[int, int, int] | None:
    """Which of the channels that the model sees stand for red, green and blue before any training."""
    count = len(sees)
    formulas = {seen.formula: k for k, seen in reversed(list(enumerate(sees)))}
    place = {seen.of[0]: k for k, seen in reversed(list(enumerate(sees))) if seen.formula == "value"}
    by_role = {role: place[i] for i, role in reversed(list(enumerate(roles))) if role and i in place}
    if set(COLOURS) <= by_role.keys():
        return by_role["red"], by_role["green"], by_role["blue"]
    if modality == "nir":
        nir = by_role["nir"]
        if "red" in by_role:
            red = by_role["red"]
            # With green too this is the colour-infrared composite of remote sensing.
            return (nir, red, by_role["green"]) if "green" in by_role else (red, nir, nir)
        return nir, nir, nir
    if modality in ("polarization", "polarization-angle"):
        return by_role["s0"], formulas["dolp"], formulas["dolp"]
    if modality == "thermal":
        return by_role["thermal"], by_role["thermal"], by_role["thermal"]
    if modality == "depth":
        # Noise of the normals would look like texture to a model that knows photographs.
        nearness, relief = formulas["inverse depth"], formulas["relief"]
        return nearness, relief, relief
    if modality == "depth-hha":
        first = formulas["inverse depth"]
        return first, first + 1, first + 2
    if count <= 3:
        return ((0, 0, 0), (0, 1, 1), (0, 1, 2))[count - 1]
    colours = nearest_bands(image)
    if colours is None or not set(colours) <= place.keys():
        return None
    return place[colours[0]], place[colours[1]], place[colours[2]]


def nearest_bands(
    image: MultiChannelImage, targets: Sequence[float] = TRUE_COLOUR_NM
) -> tuple[int, int, int] | None:
    """Three different bands near these wavelengths in nm, bad ones aside, where the image has them.

    By default those of red, green and blue.
    """
    known = [
        (i, channel.wavelength_nm)
        for i, channel in enumerate(image.channels)
        if channel.wavelength_nm is not None and channel.role != BAD_BAND
    ]
    bands = []
    for target in targets:
        near = min(known, key=lambda item: abs(item[1] - target), default=None)
        if near is None or abs(near[1] - target) > TRUE_COLOUR_TOLERANCE_NM:
            return None
        bands.append(near[0])
    return (bands[0], bands[1], bands[2]) if len(set(bands)) == 3 else None


def _display(
    image: MultiChannelImage,
    modality: str,
    sees: tuple[ModelChannel, ...],
    pseudo_rgb: tuple[int, int, int] | None,
) -> tuple[int, ...]:
    if pseudo_rgb is not None:
        shown = tuple(sees[k].of[0] for k in pseudo_rgb)
        return shown[:1] if len(set(shown)) == 1 else shown
    count = image.n_channels
    if count <= 6:
        return (0, 1, 2)
    # Many bands are usually sorted by wavelength: spread over them, the longest as red.
    return tuple(round((count - 1) * part) for part in (5 / 6, 1 / 2, 1 / 6))
