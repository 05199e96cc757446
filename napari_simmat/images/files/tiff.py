"""TIFF in its dialects: OME, ImageJ, tifffile's own and plain."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.dask_later import da, is_lazy
from napari_simmat.images.files import ome
from napari_simmat.images.files.directories import needed_bytes
from napari_simmat.images.files.geotiff import with_geotiff
from napari_simmat.images.files.tiff_tiles import lazy_series
from napari_simmat.images.files.wavelengths import band_names, in_nanometres
from napari_simmat.images.image import Channel
from napari_simmat.images.lazy import IN_MEMORY_BYTES
from napari_simmat.images.raw import Raw, reason, require_size
from napari_simmat.images.roles import COLOURS
from napari_simmat.images.statements import parsed, stated

__all__ = ["read_tiff"]


def read_tiff(path: Path, *, part: str | None = None, indices: bool = False) -> Raw:
    """Read an image series of a TIFF file; lazily, with its coarser levels, where it is large.

    Parameters
    ----------
    path : Path
        A file that begins as TIFF does.
    part : str, optional
        Name of the series; the first where not given.
    indices : bool
        Whether the numbers of a palette image are wanted instead of its colours, as for labels.

    Returns
    -------
    Raw
        Axes as the file declares them.

    Raises
    ------
    ImageError
        If the file is damaged, truncated, or too large to be decoded in the pieces that it is stored in.
    """
    needed, size = needed_bytes(path), path.stat().st_size
    if needed > size:
        raise _truncated(path, f"it ends after {size} of at least {needed} bytes")
    try:
        with _quiet(), tifffile.TiffFile(path) as file:
            _require_sane(file, path)
            return _read(file, path, part, indices)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # parsers and codecs raise anything at all on damaged files
        raise ImageError(
            f"{path.name} is a damaged or unusual TIFF ({reason(error)}), expected a complete one; "
            "get the file again or save it anew."
        ) from error


def _read(file: tifffile.TiffFile, path: Path, part: str | None, indices: bool) -> Raw:
    named = _named_series(file)
    name = next(iter(named)) if part is None else part
    if name not in named:
        raise ImageError(f"{path.name} has no image {part!r}; choose one of {', '.join(list(named)[:20])}.")
    number, series = named[name]
    page = series.keyframe
    axes, shape = series.axes, series.shape
    if "Y" not in axes or "X" not in axes:
        # Squeezing took a row or column of length 1 for an empty axis.
        axes, shape = series.get_axes(False), series.get_shape(False)
    if not shape or series.dtype is None or min(shape) < 1:
        raise ImageError(f"{path.name} is a TIFF without an image; get the file again or save it anew.")
    array, levels = _array(series, shape, path)
    raw = Raw(array, axes, levels=levels)
    if len(named) > 1:
        raw = replace(raw, parts=tuple(named), part=name)
        if part is None:
            said = f"The file holds several images; the first of {len(named)} images was opened."
            raw = replace(raw, assumptions=(said,))
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE and not indices:
        raw = _with_palette_colours(raw, page)
    elif page.photometric in (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR) and "S" in axes:
        raw = _as_colour_picture(raw, page)
    return with_geotiff(_with_description(_with_nodata(raw, page), file, number), page)


def _named_series(file: tifffile.TiffFile) -> dict[str, tuple[int, tifffile.TiffPageSeries]]:
    """The images in a file by name; masks of transparency are none."""
    named: dict[str, tuple[int, tifffile.TiffPageSeries]] = {}
    for number, series in enumerate(file.series):
        if series.keyframe.subfiletype & 4 and named:
            continue
        name = series.name.strip() or f"image {number + 1}"
        named[name if name not in named else f"{name} ({number + 1})"] = number, series
    return named


def _array(
    series: tifffile.TiffPageSeries, shape: tuple[int, ...], path: Path
) -> tuple[Any, tuple[Any, ...]]:
    """Pixels and coarser levels of a series, decoded at once or lazily."""
    _require_complete(series, path)
    dtype = np.dtype(series.dtype)
    if math.prod(shape) * dtype.itemsize <= IN_MEMORY_BYTES or dtype.kind not in "buif":
        require_size(path, shape, dtype.itemsize)
        return _pixels(series).reshape(shape), ()
    array = lazy_series(series, shape, path)
    if shape != series.shape:
        return array, ()
    levels = []
    for level in series.levels[1:]:
        if level.axes == series.axes and level.dtype == series.dtype:
            _require_complete(level, path)
            levels.append(lazy_series(level, level.shape, path))
    return array, tuple(levels)


def _pixels(series: tifffile.TiffPageSeries) -> NDArray[Any]:
    """Decode all pages.

    LZW goes through libtiff: the decoder that tifffile uses leaves its memory, and ends the program, where the data
    are damaged.
    """
    page = series.keyframe
    if page.compression != tifffile.COMPRESSION.LZW or page.bitspersample not in (1, 8, 16, 32, 64):
        return series.asarray()
    contents: dict[str, bytes] = {}  # an OME image may be spread over several files
    planes = []
    for part in series.pages:
        if part is None:
            raise ValueError("a page is missing")
        path = part.parent.filehandle.path
        if path not in contents:
            contents[path] = Path(path).read_bytes()
        planes.append(imagecodecs.tiff_decode(contents[path], index=part.index))
    return np.stack(planes).astype(series.dtype, copy=False)


def _require_complete(series: tifffile.TiffPageSeries, path: Path) -> None:
    """Refuse a file that ends before its pixels do: codecs would fill the rest with zeros."""
    segments: list[tuple[tifffile.TiffPage | tifffile.TiffFrame, int]]
    if series.dataoffset is not None:
        segments = [(series.keyframe, series.dataoffset + series.nbytes)]
    else:
        pages = [page for page in series.pages if page is not None]
        missing = len(series.pages) - len(pages)
        if missing:
            raise _truncated(path, f"{missing} of {len(series.pages)} pages are missing")
        segments = [
            (page, offset + count)
            for page in pages
            for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
        ]
    for page, end in segments:
        size = page.parent.filehandle.size  # an OME image may be spread over several files
        if end > size:
            raise _truncated(path, f"it ends after {size} of at least {end} bytes")


def _truncated(path: Path, what: str) -> ImageError:
    return ImageError(f"{path.name} is truncated ({what}), expected a complete TIFF; get the file again.")


def _as_colour_picture(raw: Raw, page: tifffile.TiffPage) -> Raw:
    """Samples of a colour picture: red, green, blue, and what the file says about any others."""
    s = raw.axes.index("S")
    alpha = [3 + i for i, kind in enumerate(page.extrasamples) if kind in (1, 2)]  # associated, unassociated
    kept = [i for i in range(raw.array.shape[s]) if i not in alpha]
    if len(kept) < 3:
        return raw
    channels = tuple(Channel(colour, role=colour) for colour in COLOURS)
    channels += tuple(Channel(f"sample {i}") for i in kept[3:])
    if not alpha:
        return replace(raw, channels=channels)
    said = (
        f"The file marks sample {alpha[0]} as opacity, so it was left out; give channel axis {s} to keep it."
    )
    return replace(raw, channels=channels, opacity=(s, tuple(alpha)), assumptions=(*raw.assumptions, said))


def _with_palette_colours(raw: Raw, page: tifffile.TiffPage) -> Raw:
    colours = np.asarray(page.colormap)  # (3, n) of 16 bits
    lazy = is_lazy(raw.array)
    dtype: Any = np.uint16
    if not np.any(colours % 257):  # every entry is an 8-bit colour, widened
        colours, dtype = colours // 257, np.uint8
    elif not np.any(colours % 256):
        colours, dtype = colours // 256, np.uint8
    table = np.ascontiguousarray(colours.T.astype(dtype))
    lazily = [raw.array.map_blocks(colour.take) for colour in table.T] if lazy else []
    return replace(
        raw,
        array=da.stack(lazily, -1) if lazy else table[raw.array],  # type: ignore[no-untyped-call]
        levels=(),
        axes=raw.axes + "S",
        channels=tuple(Channel(colour, role=colour) for colour in COLOURS),
        assumptions=(*raw.assumptions, "The numbers of the palette image were replaced by their colours."),
    )


def _with_nodata(raw: Raw, page: tifffile.TiffPage) -> Raw:
    """The value that GDAL writes for "not measured"."""
    text = str(page.tags.valueof("GDAL_NODATA", default="")).strip(" \0").replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return raw
    return replace(raw, missing=value, facts={**raw.facts, "no data value": f"{value:g}"})


def _with_description(raw: Raw, file: tifffile.TiffFile, number: int) -> Raw:
    """Add names, wavelengths and pixel size where the file gives them."""
    if file.is_ome and file.ome_metadata:
        return ome.described(raw, file.ome_metadata, number)
    if file.is_imagej and file.imagej_metadata:
        return _described_by_imagej(raw, file.imagej_metadata, file)
    shaped = file.shaped_metadata
    if not shaped and number == 0:
        return stated(raw, parsed(file.pages.first.description))
    if not shaped or number >= len(shaped):
        return raw
    raw = _named(raw, shaped[number].get("channel_names"))
    return stated(_with_wavelengths(raw, shaped[number].get("wavelengths")), shaped[number])


def _described_by_imagej(raw: Raw, metadata: dict[str, Any], file: tifffile.TiffFile) -> Raw:
    unit = str(metadata.get("unit", ""))
    page = file.pages.first
    resolution = [
        page.tags[tag].value if tag in page.tags else (0, 0) for tag in ("YResolution", "XResolution")
    ]
    if (
        unit
        and unit not in ("pixel", "inch")
        and all(numerator and denominator for numerator, denominator in resolution)
    ):
        y, x = (denominator / numerator for numerator, denominator in resolution)
        raw = replace(
            raw, pixel_size=(y, x), pixel_unit={"um": "µm", "\\u00B5m": "µm", "micron": "µm"}.get(unit, unit)
        )
    images = metadata.get("images")
    there = math.prod(n for n, axis in zip(raw.array.shape, raw.axes, strict=False) if axis not in "YXS")
    if isinstance(images, int) and images > there:
        said = f"ImageJ's description counts {images} images, of which {there} are in the file."
        raw = replace(raw, assumptions=(*raw.assumptions, said))
    return _named(raw, metadata.get("Labels"))


def _named(raw: Raw, names: Any) -> Raw:
    """Take over channel names if there is one for each channel."""
    if (
        not isinstance(names, list)
        or "C" not in raw.axes
        or len(names) != raw.array.shape[raw.axes.index("C")]
    ):
        return raw
    return raw if raw.channels else replace(raw, channels=tuple(Channel(str(name)) for name in names))


def _with_wavelengths(raw: Raw, values: Any) -> Raw:
    """Take over wavelengths in nanometres, as tifffile's own metadata may carry them, one for each channel."""
    count = raw.array.shape[raw.axes.index("C")] if "C" in raw.axes else 0
    if (
        not isinstance(values, list)
        or len(values) != count
        or not all(isinstance(v, (int, float)) for v in values)
    ):
        return raw
    lengths, _ = in_nanometres(values, "nm")
    if lengths is None:
        return raw
    named = raw.channels or tuple(Channel(name) for name in band_names(lengths))
    return replace(
        raw, channels=tuple(replace(c, wavelength_nm=w) for c, w in zip(named, lengths, strict=True))
    )


def _require_sane(file: tifffile.TiffFile, path: Path) -> None:
    """Refuse what tifffile would follow or count: it finds the images in a file by their descriptions.

    OME-XML needs no document type; one that brings entities is made to exhaust memory.
    """
    page = file.pages.first if len(file.pages) else None
    if page is None or not page.dataoffsets:
        raise ImageError(f"{path.name} is a TIFF without an image; get the file again or save it anew.")
    if "<!ENTITY" in page.description:
        raise ImageError(
            f"{path.name} carries XML with entity definitions, which no OME-TIFF needs; save it anew."
        )
    if file.is_ome and file.ome_metadata:
        ome.require_sane(file.ome_metadata, path)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep tifffile's log of every oddity off the terminal: what matters becomes an `ImageError`."""
    logger, silence = logging.getLogger("tifffile"), logging.Filter("nothing is called so")
    logger.addFilter(
        silence
    )  # one for each reader, so that readers in several threads do not disturb each other
    try:
        yield
    finally:
        logger.removeFilter(silence)
