"""Results as people read them in a terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from napari_simmat._cli.terminal import note
from napari_simmat.images import ModalityProfile, MultiChannelImage


def tell_assumptions(image: MultiChannelImage) -> None:
    """Say on standard error what the reader had to assume."""
    for assumption in image.assumptions:
        note(f"Note: {assumption}")


def show_image(image: MultiChannelImage, profile: ModalityProfile) -> None:
    """Channels, and what the model makes of each."""
    console = Console(markup=False, highlight=False)
    rows, columns = image.shape
    size = ""
    if image.pixel_size is not None:
        size = f", pixel {image.pixel_size[0]:g} x {image.pixel_size[1]:g} {image.pixel_unit}"
    console.print(f"{image.name}: {rows} rows, {columns} columns, {image.data.dtype}{size}")
    console.print(f"modality: {image.modality}")
    table = Table("#", "channel", "role", "wavelength", "unit", "model sees")
    for i, (channel, how) in enumerate(zip(image.channels, profile.normalisation, strict=False)):
        wavelength = f"{channel.wavelength_nm:g} nm" if channel.wavelength_nm is not None else ""
        unit = "%" if how.method == "percentile" else ""
        sees = f"{how.method} {how.low:g}{unit} to {how.high:g}{unit}"
        table.add_row(str(i), channel.name, channel.role, wavelength, channel.unit, sees)
    console.print(table)
    if profile.pseudo_rgb is None:
        console.print("before training the model sees three principal components of all channels")
    else:
        names = [profile.channels[i] for i in profile.pseudo_rgb]
        console.print(f"before training the model sees red, green, blue = {', '.join(names)}")
    for assumption in image.assumptions:
        console.print(f"note: {assumption}")


def show_scores(scores: dict[str, Any]) -> None:
    """Mean IoU after each click."""
    table = Table("clicks", "mean IoU")
    for count, value in enumerate(scores["miou"], start=1):
        table.add_row(str(count), f"{value:.3f}")
    console = Console()
    console.print(f"{scores['objects']} objects in {scores['images']} images, {scores['seconds']:.0f} s")
    console.print(table)
