"""What a channel measures, from its name or from the modality that it is part of."""

from __future__ import annotations

from collections.abc import Sequence

from napari_simmat.errors import ImageError

__all__ = [
    "BAD_BAND",
    "COLOURS",
    "EIGHT_BITS",
    "GRAVITY",
    "STOKES",
    "modality_of",
    "named_roles",
    "roles_for",
    "stokes_sets",
]

COLOURS = ("red", "green", "blue")
STOKES = ("s0", "s1", "s2")
GRAVITY = ("height above the floor", "angle with gravity")
"""Of scenes that have an upside: turned upside down, they would show what no camera sees."""
BAD_BAND = "bad band"
EIGHT_BITS = "of 255"
"""Unit of a colour that was stored in 8 bits, beside channels of another type."""

ROLE_OF_NAME = {
    **{colour: colour for colour in COLOURS},
    **{parameter: parameter for parameter in STOKES},
    "nir": "nir",
    "near infrared": "nir",
    "near-infrared": "nir",
    "red edge": "red edge",
    "rededge": "red edge",
    "swir": "swir",
    "thermal": "thermal",
    "temperature": "thermal",
    "lwir": "thermal",
    "depth": "depth",
    "disparity": "disparity",
}

# A multispectral camera has up to a dozen bands, an imaging spectrometer more.
HYPERSPECTRAL_FROM = 16


def named_roles(names: Sequence[str]) -> tuple[str, ...]:
    """The role that each name states, "" where it states none.

    The single letters R, G and B count only where all three are there: a lone B may be anything.

    >>> named_roles(["Red", "NIR", "CD45"])
    ('red', 'nir', '')
    """
    plain = [name.strip().casefold() for name in names]
    letters = {"r": "red", "g": "green", "b": "blue"} if {"r", "g", "b"} <= set(plain) else {}
    return tuple(letters.get(name, ROLE_OF_NAME.get(name, "")) for name in plain)


def modality_of(roles: Sequence[str], wavelengths: Sequence[float | None] = ()) -> str:
    """The modality that all channels make up, "generic" where they say nothing.

    Parameters
    ----------
    roles : sequence of str
        One for each channel.
    wavelengths : sequence of float or None
        One for each channel, in nm.
    """
    found = set(roles)
    if set(COLOURS) <= found:
        return "rgb" if len(roles) == 3 else "rgb+x"
    if (
        len(wavelengths) >= HYPERSPECTRAL_FROM
        and sum(w is not None for w in wavelengths) > len(wavelengths) / 2
    ):
        return "hyperspectral"
    if set(STOKES) <= found:
        return "polarization"
    if "nir" in found:
        return "nir"
    for role in ("thermal", "depth"):
        if found == {role}:
            return role
    return "generic"


def roles_for(roles: Sequence[str], modality: str, name: str) -> tuple[str, ...]:
    """The role of each channel if the image is taken as `modality`.

    Where the image itself does not say, the usual order is meant: red, green, blue, then others for "rgb" and
    "rgb+x"; for "nir" near infrared alone, red and near infrared, or red, green, blue and near infrared; of
    any other number of channels without roles, the last is near infrared; for "thermal" and "depth" every channel
    without a role.

    Parameters
    ----------
    roles : sequence of str
        As known so far, one per channel.
    modality : str
        A key of `MODALITIES`.
    name : str
        What to call the image in the error.

    Raises
    ------
    ImageError
        If the modality needs another number of channels.
    """
    roles, count = tuple(roles), len(roles)
    if modality in ("rgb", "rgb+x"):
        if (modality == "rgb" and count != 3) or count < 3 + (modality == "rgb+x"):
            raise ImageError(
                f"{name} has {count} channel{'s' if count != 1 else ''}, but modality {modality!r} means "
                f"{'exactly three' if modality == 'rgb' else 'at least four'}; choose another modality."
            )
        if not set(COLOURS) <= set(roles):
            return COLOURS + tuple("" if role in COLOURS else role for role in roles[3:])
    elif modality == "nir" and "nir" not in roles:
        if not any(roles) and count in (2, 4):
            return ("red", "nir") if count == 2 else (*COLOURS, "nir")
        last = max((i for i, role in enumerate(roles) if not role), default=count - 1)
        return (*roles[:last], "nir", *roles[last + 1 :])
    elif modality in ("polarization", "polarization-angle") and not set(STOKES) <= set(roles):
        raise ImageError(
            f"{name} has no Stokes parameters among its {count} channel{'s' if count != 1 else ''}, which modality "
            "'polarization' needs; choose how the angles are stored by a sample format, such as a mosaic."
        )
    elif modality in ("thermal", "depth", "depth-hha") and (meant := modality.split("-")[0]) not in roles:
        if all(roles):
            raise ImageError(
                f"{name} has channels for {', '.join(roles)}, none of which can be {meant}; choose another modality."
            )
        return tuple(role or meant for role in roles)
    return roles


def stokes_sets(roles: Sequence[str]) -> list[tuple[int, int, int]]:
    """Places of S0, S1 and S2 that belong together: one set, or one for each colour in their order.

    >>> stokes_sets(["s0", "s1", "s2", "depth"])
    [(0, 1, 2)]
    """
    s0, s1, s2 = ([i for i, role in enumerate(roles) if role == parameter] for parameter in STOKES)
    return list(zip(s0, s1, s2, strict=False))
