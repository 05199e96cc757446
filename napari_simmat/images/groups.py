"""Groups of channels: what one sensor gives, so that it is there or missing as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_simmat.errors import AdapterError
from napari_simmat.images.roles import COLOURS, GRAVITY

if TYPE_CHECKING:
    from napari_simmat.images.image import MultiChannelImage
    from napari_simmat.images.modality import ModalityProfile, ModelChannel

__all__ = [
    "GROUP_NAME",
    "chosen_groups",
    "default_group",
    "group_of_each",
    "groups_in",
    "groups_of",
    "only",
    "own_groups",
]

GROUP_NAME = r"[^.,]*"
"""Names of groups are listed with commas between, and name the tensors of an adapter, whose parts a point separates."""

_POLARIZATION = ("dolp", "aolp", "s1/s0", "s2/s0", "cos 2aolp", "sin 2aolp")
_DEPTH = ("inverse depth", "relief", "normal x", "normal y", "normal z", "height", "angle with gravity")
_OF_ROLE = {
    "nir": "NIR",
    "red edge": "red edge",
    "swir": "SWIR",
    "thermal": "thermal",
    "depth": "depth",
    "disparity": "depth",
    "s0": "intensity",
    "s1": "polarization",
    "s2": "polarization",
    **dict.fromkeys(GRAVITY, "depth"),
}


def default_group(formula: str, roles: Sequence[str], all_roles: Sequence[str], modality: str) -> str:
    """The group of a channel that the model sees, where its profile names none.

    Parameters
    ----------
    formula : str
        How it is computed.
    roles : sequence of str
        Of the channels of the image that it is made of.
    all_roles : sequence of str
        Of all channels of the image: red, green and blue together are "RGB", else they are called by their names.
    modality : str
        Of the profile; the bands of a spectrometer are one group.
    """
    if formula in _POLARIZATION:
        return "polarization"
    if formula in _DEPTH:
        return "depth"
    if modality == "hyperspectral":
        return "spectrum"
    found = {_of_role(role, all_roles) for role in roles}
    return found.pop() if len(found) == 1 else "index"


def _of_role(role: str, all_roles: Sequence[str]) -> str:
    if role in COLOURS:
        return "RGB" if set(COLOURS) <= set(all_roles) else role
    return _OF_ROLE.get(role, "other")


def groups_of(profile: ModalityProfile) -> dict[str, tuple[int, ...]]:
    """Name of each group, and the channels in it by their numbers among those that the model sees."""
    found: dict[str, list[int]] = {}
    for k, seen in enumerate(profile.sees):
        found.setdefault(_group(profile, seen), []).append(k)
    return {name: tuple(channels) for name, channels in found.items()}


def group_of_each(profile: ModalityProfile) -> list[str]:
    """The group of each channel that the model sees."""
    return [_group(profile, seen) for seen in profile.sees]


def own_groups(profile: ModalityProfile, wanted: Sequence[str]) -> list[str]:
    """What to write into each channel of a profile so that these are its groups: '' where it is the default."""
    return [
        "" if name == _default(profile, seen) else name
        for name, seen in zip(wanted, profile.sees, strict=True)
    ]


def _group(profile: ModalityProfile, seen: ModelChannel) -> str:
    return seen.group or _default(profile, seen)


def _default(profile: ModalityProfile, seen: ModelChannel) -> str:
    roles = [profile.roles[i] for i in seen.of]
    return default_group(seen.formula, roles, profile.roles, profile.modality)


def chosen_groups(names: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Those of the known groups that are named, in their order; upper and lower case are the same.

    Raises
    ------
    AdapterError
        There is none of a name, or none would be left.
    """
    plain = {name.casefold(): name for name in known}
    for name in names:
        if name.strip().casefold() not in plain:
            raise AdapterError(
                f"There is no group of channels {name.strip()!r}; the adapter has {', '.join(known)}."
            )
    chosen = {plain[name.strip().casefold()] for name in names}
    if chosen == set(known):
        raise AdapterError(
            f"All groups of channels ({', '.join(known)}) would be missing; leave the model at least one."
        )
    return tuple(name for name in known if name in chosen)


def groups_in(profile: ModalityProfile, image: MultiChannelImage) -> tuple[str, ...]:
    """The groups of a profile of which an image has all channels, found by their names."""
    places = _places(profile, image)
    return tuple(
        name
        for name, channels in groups_of(profile).items()
        if all(i in places for k in channels for i in profile.sees[k].of)
    )


def only(
    profile: ModalityProfile, channels: Sequence[int], image: MultiChannelImage | None = None
) -> ModalityProfile:
    """A profile in which the model sees some of the channels alone.

    Parameters
    ----------
    profile : ModalityProfile
    channels : sequence of int
        By their numbers among those that the model sees, in the order in which they are wanted.
    image : MultiChannelImage, optional
        An image that may lack channels of the others: the profile is made for the channels that it has.
    """
    sees = tuple(profile.sees[k] for k in channels)
    shown = profile.pseudo_rgb
    inside = shown is not None and set(shown) <= set(channels)
    pseudo = tuple(list(channels).index(k) for k in shown) if shown is not None and inside else None
    changes: dict[str, object] = {"sees": sees, "pseudo_rgb": pseudo}
    if image is not None and not profile.has_channels_of(image):
        places = _places(profile, image)
        names = tuple(channel.name for channel in image.channels)
        known = {place: i for i, place in places.items()}
        changes["channels"] = names
        changes["roles"] = tuple(profile.roles[known[k]] if k in known else "" for k in range(len(names)))
        units = profile.units or ("",) * len(profile.channels)
        changes["units"] = tuple(units[known[k]] if k in known else "" for k in range(len(names)))
        changes["sees"] = tuple(
            seen.model_copy(update={"of": tuple(places[i] for i in seen.of)}) for seen in sees
        )
        changes["display"] = (0,)
    return profile.model_copy(update=changes)


def _places(profile: ModalityProfile, image: MultiChannelImage) -> dict[int, int]:
    """Where each channel of a profile is in an image, as far as it has it."""
    if profile.has_channels_of(image):
        return {i: i for i in range(len(profile.channels))}
    names = [channel.name.casefold() for channel in image.channels]
    return {
        i: names.index(name.casefold()) for i, name in enumerate(profile.channels) if name.casefold() in names
    }
