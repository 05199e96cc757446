"""HDF5 files, MATLAB's version 7.3 among them: any numeric dataset in them can be the image.

Nothing outside the file is followed: external links, external storage and virtual datasets over other files could
name any file of the machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_simmat.errors import ImageError
from napari_simmat.images.files.containers import (
    MAX_CHANNELS,
    Description,
    choose,
    described,
    holds_image,
    holds_names,
    holds_wavelengths,
)
from napari_simmat.images.lazy import IN_MEMORY_BYTES, as_dask, block_shape
from napari_simmat.images.raw import Raw, reason, require_size

__all__ = ["read_hdf5"]

MAX_DATASETS = 4096
MAX_CHUNK_BYTES = 1 << 30

_MATLAB_NUMBERS = (
    "double",
    "single",
    "logical",
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
)


@dataclass(frozen=True)
class Dataset:
    """A dataset that is read block by block from a file that is opened for each."""

    path: Path
    name: str
    stored: tuple[int, ...]
    dtype: np.dtype[Any]
    reverse: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis; MATLAB counts them from the other end."""
        return self.stored[::-1] if self.reverse else self.stored

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.stored)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        if index is Ellipsis:
            index = (slice(None),) * self.ndim
        index = index if isinstance(index, tuple) else (index,)
        index = (*index, *(slice(None),) * (self.ndim - len(index)))
        try:
            with h5py.File(self.path, "r") as file:
                found: NDArray[Any] = np.asarray(file[self.name][index[::-1] if self.reverse else index])
        except (OSError, KeyError, RuntimeError) as error:
            raise ImageError(
                f"{self.path.name} cannot be read any more ({reason(error)}); get the file again."
            ) from error
        return found.T if self.reverse else found


def read_hdf5(path: Path, *, part: str | None = None) -> Raw:
    """Read a dataset of an HDF5 file.

    Parameters
    ----------
    path : Path
        An HDF5 file, or a MATLAB file of version 7.3.
    part : str, optional
        Path of the dataset in the file; the largest that can be an image where not given.

    Returns
    -------
    Raw
        Lazy where large. Wavelengths and names from datasets or attributes beside it. Of a MATLAB file the axes are in
        MATLAB's order.

    Raises
    ------
    ImageError
        If there is no such dataset, it lies outside the file, or the file is damaged.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path, part)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # the library raises anything at all on damaged files
        raise ImageError(
            f"{path.name} is a damaged or unusual HDF5 file ({reason(error)}); get the file again or save it anew."
        ) from error


def _read(file: h5py.File, path: Path, part: str | None) -> Raw:
    datasets = _datasets(file)
    matlab = any("MATLAB_class" in dataset.attrs for dataset in datasets.values())
    images = {
        name: dataset
        for name, dataset in datasets.items()
        if dataset.shape and holds_image(dataset.shape, dataset.dtype) and _is_number(dataset, matlab)
    }
    if part is not None:
        _refuse_link(file, path, part)
    name, said = choose(path, {n: d.shape[::-1] if matlab else d.shape for n, d in images.items()}, part)
    dataset = images[name]
    _require_sound(dataset, path, name, datasets)
    source = Dataset(path, name, dataset.shape, dataset.dtype.newbyteorder("="), matlab)
    raw = Raw(
        _pixels(source, dataset),
        assumptions=(said,) if said else (),
        facts=_facts(file, dataset, name),
        parts=tuple(images) if len(images) > 1 else (),
        part=name,
    )
    description = _description(datasets, dataset, name)
    return described(raw, replace(description, assumed_axes="YXC") if matlab else description)


def _datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Every dataset in the file itself by its path; links to elsewhere are not followed."""
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: Any) -> int | None:
        if isinstance(item, h5py.Dataset) and not name.startswith(("#refs#", "#subsystem#")):
            found[name] = item
        return 1 if len(found) >= MAX_DATASETS else None

    file.visititems(visit)
    return found


def _is_number(dataset: h5py.Dataset, matlab: bool) -> bool:
    if not matlab:
        return True
    kind = dataset.attrs.get("MATLAB_class", b"")
    kind = kind.decode("ascii", "replace") if isinstance(kind, bytes) else str(kind)
    return kind in _MATLAB_NUMBERS and not dataset.attrs.get("MATLAB_empty", 0)


def _refuse_link(file: h5py.File, path: Path, part: str) -> None:
    """Say what is wrong with a part that lies in another file, in any of its groups."""
    group: Any = file
    for step in part.strip("/").split("/"):
        link = group.get(step, getlink=True) if isinstance(group, h5py.Group) and step in group else None
        if isinstance(link, h5py.ExternalLink):
            raise ImageError(
                f"{path.name} only points to another file for {part!r}, which is not followed; open that file "
                "itself."
            )
        group = group.get(step) if link is not None else None


def _require_sound(
    dataset: h5py.Dataset, path: Path, name: str, datasets: Mapping[str, h5py.Dataset]
) -> None:
    if dataset.external or (
        dataset.is_virtual and any(source.file_name != "." for source in dataset.virtual_sources())
    ):
        raise ImageError(
            f"{path.name} keeps {name!r} in other files, which are not followed; save the data into one file."
        )
    sources = [dataset]
    if dataset.is_virtual:
        found = [datasets.get(source.dset_name.strip("/")) for source in dataset.virtual_sources()]
        sources = [each for each in found if each is not None and not each.is_virtual and not each.external]
        if len(sources) < len(found):  # one that is part of itself ends the program
            raise ImageError(
                f"{path.name} puts {name!r} together of other virtual datasets or of some that are not in it, expected "
                "plain ones; save it as one dataset."
            )
    stored = sum(source.id.get_storage_size() for source in sources)
    if dataset.nbytes > IN_MEMORY_BYTES and dataset.nbytes > 2000 * stored:
        raise ImageError(
            f"{path.name} declares {name!r} of shape {dataset.shape} but has {stored} bytes for it, too few for a real "
            "image; get the file again."
        )
    for source in sources:
        _require_sound_chunks(source, path, name)
    if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > MAX_CHUNK_BYTES:
        raise ImageError(
            f"{path.name} stores {name!r} in chunks of shape {dataset.chunks}, more than the "
            f"{MAX_CHUNK_BYTES >> 30} GiB that can be read at once; save it in smaller ones."
        )


def _require_sound_chunks(dataset: h5py.Dataset, path: Path, name: str) -> None:
    """Refuse chunks of more bytes than they have pixels: the library unpacks them to whatever comes of it."""
    if not dataset.chunks or not hasattr(dataset.id, "chunk_iter"):
        return
    most = 2 * math.prod(dataset.chunks) * dataset.dtype.itemsize + 4096
    if dataset.id.chunk_iter(lambda chunk: True if chunk.size > most else None):
        raise ImageError(
            f"{path.name} stores a chunk of {name!r} in more bytes than its pixels have, which cannot be meant; get the "
            "file again."
        )


def _pixels(source: Dataset, dataset: h5py.Dataset) -> Any:
    if dataset.nbytes <= IN_MEMORY_BYTES:
        require_size(source.path, source.shape, source.dtype.itemsize)
        return source[...]
    unit = dataset.chunks or ()
    block = block_shape(source.stored, source.dtype.itemsize, unit)
    return as_dask(source, block[::-1] if source.reverse else block)


def _facts(file: h5py.File, dataset: h5py.Dataset, name: str) -> dict[str, str]:
    facts = {"dataset": name}
    for attributes in (file.attrs, dataset.attrs):
        for key, value in attributes.items():
            if isinstance(value, (str, bytes, int, float, np.generic)) and not key.startswith(
                ("MATLAB", "H5PATH", "_")
            ):
                facts[str(key)[:60]] = _text(value)[:200]
            if len(facts) > 20:
                return facts
    return facts


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _description(datasets: dict[str, h5py.Dataset], image: h5py.Dataset, name: str) -> Description:
    lengths = set(image.shape)
    found = Description(axes=_axes(image))
    for key in image.attrs:
        if holds_wavelengths(key):
            found = _with_wavelengths(found, image.attrs[key], image.attrs.get(f"{key}_units", ""), lengths)
        elif holds_names(key):
            found = _with_names(found, image.attrs[key], lengths)
    for key in sorted(datasets, key=_distance_to(name)):
        dataset = datasets[key]
        if key == name or dataset.ndim == 0 or not 0 < dataset.size <= MAX_CHANNELS:
            continue
        if (
            dataset.size != max(dataset.shape)
            or dataset.size not in lengths
            or dataset.external
            or dataset.is_virtual
        ):
            continue
        if holds_wavelengths(key) and not len(found.wavelengths):
            units = next(
                (dataset.attrs[u] for u in ("units", "Units", "unit", "Unit") if u in dataset.attrs), ""
            )
            found = _with_wavelengths(found, dataset[()], units, lengths)
        elif holds_names(key) and not len(found.names):
            found = _with_names(found, dataset[()], lengths)
    return found


def _distance_to(name: str) -> Callable[[str], tuple[int, str]]:
    """Order of neighbours: those in the deepest group that is shared come first."""
    here = name.split("/")[:-1]

    def distance(other: str) -> tuple[int, str]:
        there = other.split("/")[:-1]
        shared = next(
            (i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b),
            min(len(here), len(there)),
        )
        return len(here) + len(there) - 2 * shared, other

    return distance


def _with_wavelengths(found: Description, values: Any, unit: Any, lengths: set[int]) -> Description:
    numbers = np.asarray(values).ravel()
    if numbers.dtype.kind not in "uif" or numbers.size not in lengths:
        return found
    return replace(
        found, wavelengths=numbers.tolist(), unit=_text(unit) if isinstance(unit, (str, bytes)) else ""
    )


def _with_names(found: Description, values: Any, lengths: set[int]) -> Description:
    texts = np.asarray(values).ravel()
    if texts.size not in lengths or not all(isinstance(text, (str, bytes)) for text in texts.tolist()):
        return found
    return replace(found, names=[_text(text) for text in texts.tolist()])


def _axes(dataset: h5py.Dataset) -> str:
    """Letters of the axes where dimension labels or the HDF5 image attributes give them."""
    known = {"y": "Y", "x": "X", "c": "C", "z": "Z", "t": "T", "row": "Y", "line": "Y", "lat": "Y"}
    known |= {
        "column": "X",
        "sample": "X",
        "lon": "X",
        "band": "C",
        "channel": "C",
        "wavelength": "C",
        "time": "T",
    }
    labels = [known.get(str(dim.label).strip().casefold().removesuffix("s"), "?") for dim in dataset.dims]
    if "?" not in labels and len(set(labels)) == len(labels):
        return "".join(labels)
    mode = _text(dataset.attrs.get("INTERLACE_MODE", ""))
    return {"INTERLACE_PIXEL": "YXC", "INTERLACE_LINE": "YCX", "INTERLACE_PLANE": "CYX"}.get(mode, "")
