"""Results as people read them in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from napari_simmat._cli.terminal import note
from napari_simmat.images import SAMPLE_FORMATS, ModalityProfile, MultiChannelImage


def tell_assumptions(image: MultiChannelImage) -> None:
    """Say on standard error what the reader had to assume."""
    for assumption in image.assumptions:
        note(f"Note: {assumption}")


def show_image(image: MultiChannelImage, profile: ModalityProfile, formats: Sequence[str] = ()) -> None:
    """Channels, and what the model makes of each."""
    console = Console(markup=False, highlight=False)
    rows, columns = image.shape
    size = ""
    if image.pixel_size is not None:
        size = f", pixel {image.pixel_size[0]:g} x {image.pixel_size[1]:g} {image.pixel_unit}"
    console.print(f"{image.name}: {rows} rows, {columns} columns, {image.data.dtype}{size}")
    console.print(f"modality: {image.modality}")
    for name, value in image.facts.items():
        console.print(f"{name}: {value}")
    if image.camera is not None:
        focal = " x ".join(f"{f:g}" for f in dict.fromkeys(image.camera.focal_length_px))
        console.print(f"focal length: {focal} pixels")
    table = Table("#", "channel", "role", "wavelength", "unit")
    for i, channel in enumerate(image.channels):
        wavelength = f"{channel.wavelength_nm:g} nm" if channel.wavelength_nm is not None else ""
        table.add_row(str(i), channel.name, channel.role, wavelength, channel.unit)
    console.print(table)
    show_formats(formats, image.modality, console)
    show_profile(profile, console)
    for assumption in image.assumptions:
        console.print(f"note: {assumption}")


def show_formats(formats: Sequence[str], modality: str, console: Console) -> None:
    """What else the stored numbers could mean, those of the modality at hand in full."""
    by_modality: dict[str, list[str]] = {}
    for key in formats:
        by_modality.setdefault(SAMPLE_FORMATS[key].modality or "any", []).append(key)
    for other, keys in by_modality.items():
        if other == modality.split("-")[0]:
            console.print(f"sample formats that fit: {', '.join(keys)}")
    others = sorted(by_modality.keys() - {modality.split("-")[0], "any"})
    if others:
        console.print(f"more with --modality {', '.join(others)}")


def show_profile(profile: ModalityProfile, console: Console) -> None:
    """What the model sees."""
    table = Table("model sees", "made of", "scaled")
    for seen in profile.sees:
        names = ", ".join(profile.channels[i] for i in seen.of)
        how = seen.normalisation
        unit = "%" if how.method == "percentile" else ""
        scaled = f"{how.method} {how.low:g}{unit} to {how.high:g}{unit}"
        table.add_row(seen.name, names if seen.formula == "value" else f"{seen.formula} of {names}", scaled)
    console.print(table)
    if profile.pseudo_rgb is None:
        console.print("before training the model sees three principal components of all channels")
    else:
        names = ", ".join(profile.sees[i].name for i in profile.pseudo_rgb)
        console.print(f"before training the model sees red, green, blue = {names}")


def show_scores(scores: dict[str, Any]) -> None:
    """Mean IoU after each click."""
    table = Table("clicks", "mean IoU")
    for count, value in enumerate(scores["miou"], start=1):
        table.add_row(str(count), f"{value:.3f}")
    console = Console()
    console.print(f"{scores['objects']} objects in {scores['images']} images, {scores['seconds']:.0f} s")
    console.print(table)
