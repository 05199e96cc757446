"""Results as people read them in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from napari_simmat._cli.terminal import note
from napari_simmat.images import SAMPLE_FORMATS, Camera, ModalityProfile, MultiChannelImage
from napari_simmat.images.statistics import summary

MOST_ROWS = 12


def tell_assumptions(image: MultiChannelImage) -> None:
    """Say on standard error what the reader had to assume."""
    for assumption in image.assumptions:
        note(f"Note: {assumption}")


def show_image(
    image: MultiChannelImage,
    profile: ModalityProfile,
    formats: Sequence[str] = (),
    *,
    everything: bool = False,
) -> None:
    """Channels, and what the model makes of each; the middle of long lists is left out unless `everything` is wanted."""
    console = Console(markup=False, highlight=False)
    rows, columns = image.shape
    size = ""
    if image.pixel_size is not None:
        size = f", pixel {image.pixel_size[0]:g} x {image.pixel_size[1]:g} {image.pixel_unit}"
    lazy = ", read piece by piece" if image.is_lazy else ""
    console.print(f"{image.name}: {rows} rows, {columns} columns, {image.data.dtype}{size}{lazy}")
    console.print(f"modality: {image.modality}")
    for assumption in image.assumptions:
        console.print(f"note: {assumption}")
    for name, value in image.facts.items():
        console.print(f"{name}: {value}")
    if image.camera is not None:
        console.print(f"camera: {_camera(image.camera)}")
    show_formats(formats, image.modality, console)
    console.print(_channel_table(image, _chosen(image.n_channels, everything)))
    show_profile(profile, console, everything=everything)


def _channel_table(image: MultiChannelImage, chosen: Sequence[int | None]) -> Table:
    """The rows of these channels (None: left out); columns in which nothing would stand are left away."""
    known = summaries(image, [i for i in chosen if i is not None])
    columns: dict[str, list[str]] = {
        name: []
        for name in ("#", "channel", "role", "nm", "unit", "least", "median", "largest", "not measured")
    }
    for i in chosen:
        if i is None:
            row = ("...", *("",) * (len(columns) - 1))
        else:
            channel, found = image.channels[i], known.get(i)
            wavelength = f"{channel.wavelength_nm:.6g}" if channel.wavelength_nm is not None else ""
            numbers: tuple[str, ...] = ("", "", "", "")
            if found is not None:
                missing = f"{found[3]:.1%}" if found[3] > 0 else ""
                numbers = (*(f"{value:.4g}" for value in found[:3]), missing)
            row = (str(i), channel.name, channel.role, wavelength, channel.unit, *numbers)
        for column, text in zip(columns.values(), row, strict=True):
            column.append(text)
    filled = {name: texts for name, texts in columns.items() if any(texts)}
    table = Table(*filled, box=box.SIMPLE_HEAD)
    for texts in zip(*filled.values(), strict=True):
        table.add_row(*texts)
    return table


def summaries(
    image: MultiChannelImage, channels: Sequence[int]
) -> dict[int, tuple[float, float, float, float] | None]:
    """Least, median, largest value and share of missing pixels of channels, where they can be had at once."""
    if not image.is_lazy:
        return {i: summary(image.plane(i)) for i in channels}
    if not image.levels:
        return {}
    return {i: summary(image.overview(512, [i])[0]) for i in channels}


def statistics_of(image: MultiChannelImage) -> list[dict[str, float] | None]:
    """For JSON: of each channel least, median, largest value and the share that was not measured."""
    known = summaries(image, range(image.n_channels))
    names = ("least", "median", "largest", "not_measured")
    found = [known.get(i) for i in range(image.n_channels)]
    return [dict(zip(names, each, strict=True)) if each is not None else None for each in found]


def _camera(camera: Camera) -> str:
    said = [f"focal length {' x '.join(f'{f:g}' for f in dict.fromkeys(camera.focal_length_px))} pixels"]
    if camera.principal_point is not None:
        said.append("optical axis at row {:g}, column {:g}".format(*camera.principal_point))
    if camera.baseline_m is not None:
        said.append(
            f"baseline {camera.baseline_m:g} m, disparity offset {camera.disparity_offset_px:g} pixels"
        )
    return ", ".join(said)


def _chosen(count: int, everything: bool) -> list[int | None]:
    """The numbers of the rows to show, with None for those left out."""
    if everything or count <= MOST_ROWS:
        return list(range(count))
    part = MOST_ROWS // 2
    return [*range(part), None, *range(count - part, count)]


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


def show_profile(profile: ModalityProfile, console: Console, *, everything: bool = False) -> None:
    """What the model sees."""
    table = Table("model sees", "made of", "scaled", box=box.SIMPLE_HEAD)
    for k in _chosen(len(profile.sees), everything):
        if k is None:
            table.add_row("...")
            continue
        seen = profile.sees[k]
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
