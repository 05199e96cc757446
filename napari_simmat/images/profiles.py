"""The built-in profile of each modality, made concrete for the image at hand."""

from __future__ import annotations

import numpy as np

from napari_simmat.images.image import MultiChannelImage
from napari_simmat.images.modalities import require_modality
from napari_simmat.images.modality import ModalityProfile, Normalisation
from napari_simmat.images.roles import COLOURS, roles_for

__all__ = ["profile_for"]

BYTES = Normalisation(method="range", low=0, high=255)
# A colour picture of more bits has no known white; a thousandth on either side cuts glints and dead pixels
# only.
COLOUR_PERCENTILES = Normalisation(method="percentile", low=0.1, high=99.9)
# Other sensors have heavier tails (hot pixels, specular glints, dust): half a percent on either side. A
# channel with less than that of signal keeps its whole range where the percentiles coincide, and saturates
# where they do not.
PERCENTILES = Normalisation(method="percentile", low=0.5, high=99.5)

TRUE_COLOUR_NM = (650.0, 550.0, 450.0)
TRUE_COLOUR_TOLERANCE_NM = 40.0


def profile_for(image: MultiChannelImage, modality: str | None = None) -> ModalityProfile:
    """The built-in profile for an image.

    Parameters
    ----------
    image : MultiChannelImage
        Its channels, roles, wavelengths and type make the profile concrete; its pixels are not looked at.
    modality : str, optional
        Taken instead of the image's own.

    Returns
    -------
    ModalityProfile
        All channels of the image in their order.

    Raises
    ------
    ImageError
        If the modality is unknown or the image has too few channels for it.
    """
    modality = image.modality if modality is None else modality
    require_modality(modality)
    roles = roles_for(image.roles, modality, image.name)
    pseudo_rgb = _pseudo_rgb(image, modality, roles)
    return ModalityProfile(
        modality=modality,
        channels=tuple(channel.name for channel in image.channels),
        normalisation=tuple(_normalisation(role, image.data.dtype, modality) for role in roles),
        roles=roles,
        pseudo_rgb=pseudo_rgb,
        display=_display(image.n_channels, pseudo_rgb),
    )


def _normalisation(role: str, dtype: np.dtype[np.generic], modality: str) -> Normalisation:
    if role in COLOURS and modality in ("rgb", "rgb+x"):
        return BYTES if dtype == np.uint8 else COLOUR_PERCENTILES
    return PERCENTILES


def _pseudo_rgb(
    image: MultiChannelImage, modality: str, roles: tuple[str, ...]
) -> tuple[int, int, int] | None:
    count = image.n_channels
    index = {role: i for i, role in reversed(list(enumerate(roles))) if role}
    if set(COLOURS) <= index.keys():
        return index["red"], index["green"], index["blue"]
    if modality == "nir":
        nir = index["nir"]
        if "red" in index:
            # With green too this is the colour-infrared composite of remote sensing.
            return (nir, index["red"], index["green"]) if "green" in index else (index["red"], nir, nir)
        return nir, nir, nir
    if count <= 3:
        return ((0, 0, 0), (0, 1, 1), (0, 1, 2))[count - 1]
    return _true_colour(image)


def _true_colour(image: MultiChannelImage) -> tuple[int, int, int] | None:
    """Three different bands near 650, 550 and 450 nm, where the image has them."""
    known = [(i, c.wavelength_nm) for i, c in enumerate(image.channels) if c.wavelength_nm is not None]
    if len(known) < 3:
        return None
    bands = []
    for target in TRUE_COLOUR_NM:
        band, wavelength = min(known, key=lambda item: abs(item[1] - target))
        if abs(wavelength - target) > TRUE_COLOUR_TOLERANCE_NM:
            return None
        bands.append(band)
    return (bands[0], bands[1], bands[2]) if len(set(bands)) == 3 else None


def _display(count: int, pseudo_rgb: tuple[int, int, int] | None) -> tuple[int, ...]:
    if pseudo_rgb is not None:
        return pseudo_rgb[:1] if len(set(pseudo_rgb)) == 1 else pseudo_rgb
    if count <= 6:
        return (0, 1, 2)
    # Many bands are usually sorted by wavelength: spread over them, the longest as red.
    return tuple(round((count - 1) * part) for part in (5 / 6, 1 / 2, 1 / 6))
