"""The modalities that have a built-in profile, by name."""

from __future__ import annotations

from napari_simmat.errors import ImageError

__all__ = ["MODALITIES", "require_modality"]

MODALITIES: dict[str, str] = {
    "generic": "Any channels, each scaled by its own robust percentiles.",
    "rgb": "A colour picture; 8-bit values are taken exactly as the base model expects them.",
    "rgb+x": "A colour picture with further registered channels, such as depth, thermal or near infrared.",
    "nir": "Near infrared, alone or with visible bands, such as red and near infrared of vegetation.",
    "polarization": "Stokes parameters of a polarization camera: the model sees intensity and state of polarization.",
    "polarization-angle": "The same, with the angle of polarization whatever the degree: for strongly polarized "
    "scenes.",
    "hyperspectral": "Many narrow bands; bands that the file marks as bad are left out.",
    "thermal": "Temperatures, absolute where they are in degrees Celsius and relative to the scene.",
    "depth": "Distances in metres: the model sees nearness, relief, surface normals and where anything was measured.",
    "depth-hha": "The same of a camera that was held level: horizontal disparity, height, angle with gravity (HHA).",
}
"""Name and one-line description of each modality. A new one needs its rules in `profiles` too."""


def require_modality(modality: str) -> None:
    """Raise `ImageError` unless `modality` is a key of `MODALITIES`."""
    if modality not in MODALITIES:
        raise ImageError(f"There is no modality {modality!r}; choose one of {', '.join(MODALITIES)}.")
