"""Labels as an ENVI classification: a data file and its header, with the place on Earth of the image."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np

from napari_simmat.errors import ExportError, ImageError
from napari_simmat.exporters._objects import LabelObjects
from napari_simmat.images import MultiChannelImage
from napari_simmat.images.files.envi_header import header_file_of, is_header, read_header

HIGHEST = np.iinfo(np.uint16).max
PER_LINE = 12


def envi_classification(objects: LabelObjects, image: MultiChannelImage, out: Path) -> dict[Path, bytes]:
    """Label image of 8 or 16 bits whose classes are the labels, 0 being unclassified.

    The header of `labels.img` is `labels.img.hdr`; if `labels.hdr` is asked for, its data file is `labels.img`. Map
    info and coordinate system are those of the image, or of the window of it that it is.

    Raises
    ------
    ExportError
        If a label is above 65535, or a file that is no classification would be replaced.
    """
    highest = int(objects.values[-1])
    if highest > HIGHEST:
        raise ExportError(
            f"Label {highest} does not fit an ENVI classification of 16 bits; renumber the labels."
        )
    header, data = (out, out.with_suffix(".img")) if out.suffix.lower() == ".hdr" else (_appended(out), out)
    _require_ours(header, data, out, image)
    labels = objects.labels.astype(np.uint8 if highest < 256 else "<u2")
    return {data: labels.tobytes(), header: _header(objects, image, highest).encode("ascii", "replace")}


def _appended(out: Path) -> Path:
    return out.with_name(f"{out.name}.hdr")


def _require_ours(header: Path, data: Path, out: Path, image: MultiChannelImage) -> None:
    """Replace only what was asked for and earlier classifications, never the cube itself."""
    beside = header_file_of(data) if data.exists() else None
    cubes = {
        each
        for each in (header, beside)
        if each is not None and is_header(each) and not _is_classification(each)
    }
    source = image.source.resolve() if image.source is not None else None
    if cubes or source in (header.resolve(), data.resolve()):
        raise ExportError(f"{out.name} would replace an image or its header; choose another name.")
    other = data if out == header else header
    if other.exists() and not is_header(header):
        raise ExportError(f"{other.name} is there already and no ENVI classification; choose another name.")


def _is_classification(header: Path) -> bool:
    try:
        return read_header(header).is_classification
    except ImageError:
        return False


def _header(objects: LabelObjects, image: MultiChannelImage, highest: int) -> str:
    rows, columns = objects.shape
    there = set(objects.values.tolist())
    names = ["Unclassified"] + [f"object {i}" if i in there else f"unused {i}" for i in range(1, highest + 1)]
    colours = [str(value) for i in range(highest + 1) for value in _colour(i)]
    name = "".join(c for c in image.name if c not in "{}=,;\r\n")
    entries = {
        "description": f"{{objects of {name}, segmented with napari-simmat}}",
        "samples": str(columns),
        "lines": str(rows),
        "bands": "1",
        "header offset": "0",
        "file type": "ENVI Classification",
        "data type": "1" if highest < 256 else "12",
        "interleave": "bsq",
        "byte order": "0",
        "classes": str(highest + 1),
        "class lookup": _in_braces(colours),
        "class names": _in_braces(names),
        "band names": "{objects}",
    }
    for key, text in (image.georeference.as_envi() if image.georeference is not None else {}).items():
        entries[key] = text if key in ("x start", "y start") else f"{{{text}}}"
    return "ENVI\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())


def _in_braces(values: list[str]) -> str:
    lines = [", ".join(values[i : i + PER_LINE]) for i in range(0, len(values), PER_LINE)]
    return "{" + ",\n ".join(lines) + "}"


def _colour(i: int) -> tuple[int, int, int]:
    """Neighbouring classes get hues a golden angle apart; black is unclassified."""
    if not i:
        return 0, 0, 0
    red, green, blue = colorsys.hsv_to_rgb(i * 0.618034 % 1.0, 0.85, 1.0 - 0.3 * (i % 2))
    return round(255 * red), round(255 * green), round(255 * blue)
