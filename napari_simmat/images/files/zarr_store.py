"""OME-Zarr and plain Zarr folders, versions 2 and 3 of the format, read chunk by chunk.

Metadata: OME-NGFF 0.4 and 0.5 (https://ngff.openmicroscopy.org). They are checked before anything is opened with them:
a few bytes of JSON can declare any shape.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import LocalStore

from napari_simmat.errors import ImageError
from napari_simmat.images.files.containers import (
    Description,
    choose,
    described,
    holds_image,
    holds_wavelengths,
)
from napari_simmat.images.files.contents import ZARR_METADATA, is_zarr
from napari_simmat.images.image import Channel
from napari_simmat.images.lazy import BLOCK_BYTES, as_dask, block_shape
from napari_simmat.images.raw import Raw, reason

__all__ = ["read_zarr"]

MAXZARR_METADATA_BYTES = 16 << 20
MAX_CHUNK_BYTES = 512 << 20
MAX_BLOCKS = 1 << 20
MAX_CHUNKS = 1 << 27
MAX_OVERHEAD = 64 << 10
"""Bytes that a chunk may have beside its pixels, such as the index of a shard."""
MAX_PARTS = 1000

_UNITS = {
    "micrometer": "µm",
    "nanometer": "nm",
    "millimeter": "mm",
    "centimeter": "cm",
    "meter": "m",
    "angstrom": "Å",
}
_LETTERS = {"t": "T", "c": "C", "z": "Z", "y": "Y", "x": "X", "time": "T", "channel": "C", "band": "C"}
_LETTERS |= {"wavelength": "C", "row": "Y", "line": "Y", "lat": "Y", "column": "X", "sample": "X", "lon": "X"}


@dataclass(frozen=True)
class Node:
    """The metadata of one array or group."""

    path: Path
    attributes: Mapping[str, Any]
    array: Mapping[str, Any] | None


def read_zarr(path: Path, *, part: str | None = None) -> Raw:
    """Read a Zarr folder.

    Parameters
    ----------
    path : Path
        An OME-Zarr image, plate or collection; or any array, or group of arrays.
    part : str, optional
        Path in it of the image or array; the first image or the largest array where not given.

    Returns
    -------
    Raw
        Always lazy; the coarser scales of an OME-Zarr image are its `levels`.

    Raises
    ------
    ImageError
        If there is no image, or its metadata are damaged or cannot be meant.
    """
    try:
        return _read(path, part)
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # metadata are JSON of any content
        raise ImageError(
            f"{path.name} is a damaged or unusual Zarr folder ({reason(error)}); get it again or save it anew."
        ) from error


def _read(path: Path, part: str | None) -> Raw:
    node = _node(path)
    if node.array is not None:
        return _plain(path, {"": node}, None)
    if "multiscales" in _ome(node):
        return _multiscale(node, path)
    images = _collection(node)
    if images:
        name = images[0] if part is None else part.strip("/")
        if name not in images:
            raise ImageError(
                f"{path.name} has no image {part!r}; choose one of {', '.join(images[:8])}"
                f"{' ...' if len(images) > 8 else ''}."
            )
        raw = replace(_multiscale(_node(_inside(path, name)), path), parts=tuple(images), part=name)
        if part is not None or len(images) == 1:
            return raw
        said = f"The folder holds {len(images)} images; the first, {name}, was opened; choose another part."
        return replace(raw, assumptions=(said, *raw.assumptions))
    return _plain(path, _arrays(path), part)


def _node(path: Path) -> Node:
    attributes: Mapping[str, Any] = {}
    version3 = _json(path / "zarr.json")
    if version3:
        found = version3.get("attributes") or {}
        return Node(path, found, version3 if version3.get("node_type") == "array" else None)
    attributes = _json(path / ".zattrs")
    return Node(path, attributes, _json(path / ".zarray") or None)


def _json(path: Path) -> dict[str, Any]:
    """The object in a metadata file, empty where there is no such file."""
    if not path.is_file():
        return {}
    if path.stat().st_size > MAXZARR_METADATA_BYTES:
        raise ImageError(
            f"{path.parent.name}/{path.name} is too large for Zarr metadata; get the folder again."
        )
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ImageError(
            f"{path.parent.name}/{path.name} is no valid JSON ({reason(error)}); get the folder again."
        ) from error
    if not isinstance(found, dict):
        raise ImageError(f"{path.parent.name}/{path.name} is no JSON object; get the folder again.")
    return found


def _ome(node: Node) -> Mapping[str, Any]:
    ome = node.attributes.get("ome", node.attributes)
    return ome if isinstance(ome, dict) else {}


def _inside(path: Path, relative: str) -> Path:
    """A folder inside; metadata may not lead anywhere else."""
    steps = PurePosixPath(str(relative))
    if steps.is_absolute() or ".." in steps.parts or "\\" in str(relative):
        raise ImageError(
            f"{path.name} points to {str(relative)[:80]!r} outside its folder, which is not followed; correct it."
        )
    return path.joinpath(*steps.parts)


def _collection(node: Node) -> list[str]:
    """Paths of the images of a plate or of a collection as bioformats2raw writes it."""
    ome = _ome(node)
    if "plate" in ome:
        return [
            f"{well['path']}/{image['path']}"
            for well in ome["plate"].get("wells", [])[:MAX_PARTS]
            for image in _ome(_node(_inside(node.path, well["path"]))).get("well", {}).get("images", [])
        ][:MAX_PARTS]
    if "bioformats2raw.layout" in ome or "bioformats2raw.layout" in node.attributes:
        names = sorted((p.name for p in node.path.iterdir() if p.name.isdigit()), key=int)
        return [name for name in names if "multiscales" in _ome(_node(node.path / name))][:MAX_PARTS]
    return []


def _multiscale(node: Node, path: Path) -> Raw:
    ome = _ome(node)
    scales = ome.get("multiscales") or []
    if not isinstance(scales, list) or not scales or not scales[0].get("datasets"):
        raise ImageError(f"{path.name} is an OME-Zarr folder without an image in its metadata; get it again.")
    first = scales[0]
    datasets = [(_inside(node.path, d["path"]), d) for d in first["datasets"][:64]]
    arrays = [_array(_node(folder), path) for folder, _ in datasets]
    axes, units = _axes(first.get("axes"), arrays[0].ndim, path)
    raw = Raw(arrays[0], axes, levels=_coarser(arrays, axes), facts={"format": _version(ome, first)})
    raw = _with_pixel_size(raw, _scale(first, datasets[0][1], arrays[0].ndim), units)
    raw = replace(
        raw, channels=_channels(ome, node.attributes, arrays[0].shape[axes.index("C")] if "C" in axes else 1)
    )
    if len(raw.channels) > 3 and all(channel.wavelength_nm for channel in raw.channels):
        raw = replace(raw, modality="hyperspectral")
    if len(scales) > 1:
        raw = replace(
            raw, assumptions=(f"The folder holds {len(scales)} multiscale images; the first was opened.",)
        )
    return raw


def _version(ome: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    version = str(first.get("version", ome.get("version", "")))[:10]
    return f"OME-Zarr {version}".strip()


def _axes(declared: Any, ndim: int, path: Path) -> tuple[str, list[str]]:
    """Letters and units of the axes; before version 0.4 they were always TCZYX."""
    if not declared:
        return "TCZYX"[-ndim:] if ndim <= 5 else "", [""] * ndim
    named = [{"name": axis} if isinstance(axis, str) else axis for axis in declared]
    kinds = {"channel": "C", "time": "T"}
    letters = [
        _LETTERS.get(str(a.get("name", "")).lower(), kinds.get(str(a.get("type")), "Q")) for a in named
    ]
    if len(letters) != ndim or len(set(letters)) != ndim:
        raise ImageError(
            f"{path.name} declares {len(letters)} axes ({', '.join(str(a.get('name'))[:20] for a in named[:8])}) for an "
            f"array of {ndim}, expected one name for each; correct its metadata."
        )
    return "".join(letters), [str(a.get("unit", "")) for a in named]


def _coarser(arrays: Sequence[Any], axes: str) -> tuple[Any, ...]:
    """The scales that have fewer rows or columns and are else as the first."""
    finest = arrays[0]
    kept = [
        array
        for array in arrays[1:]
        if array.ndim == finest.ndim
        and array.dtype == finest.dtype
        and all(
            n == m or (letter in "YX" and m < n)
            for n, m, letter in zip(finest.shape, array.shape, axes, strict=False)
        )
        and array.shape != finest.shape
    ]
    return tuple(sorted(kept, key=lambda array: -math.prod(array.shape)))


def _scale(first: Mapping[str, Any], dataset: Mapping[str, Any], ndim: int) -> list[float]:
    scale = [1.0] * ndim
    known = False
    for transformation in [
        *dataset.get("coordinateTransformations", []),
        *first.get("coordinateTransformations", []),
    ]:
        values = transformation.get("scale") if transformation.get("type") == "scale" else None
        if isinstance(values, list) and len(values) == ndim:
            scale = [a * float(b) for a, b in zip(scale, values, strict=True)]
            known = True
    return scale if known else []


def _with_pixel_size(raw: Raw, scale: list[float], units: list[str]) -> Raw:
    if not scale or "Y" not in raw.axes or "X" not in raw.axes:
        return raw
    y, x = raw.axes.index("Y"), raw.axes.index("X")
    if not units[y] or units[y] != units[x] or not (0 < scale[y] < math.inf and 0 < scale[x] < math.inf):
        return raw
    return replace(raw, pixel_size=(scale[y], scale[x]), pixel_unit=_UNITS.get(units[y], units[y]))


def _channels(ome: Mapping[str, Any], attributes: Mapping[str, Any], count: int) -> tuple[Channel, ...]:
    omero = ome.get("omero", attributes.get("omero", {}))
    entries = omero.get("channels", []) if isinstance(omero, dict) else []
    if not isinstance(entries, list) or len(entries) != count:
        return ()
    channels = []
    for i, entry in enumerate(entries):
        entry = entry if isinstance(entry, dict) else {}
        wave = entry.get("wavelength_nm", entry.get("emission_wavelength", entry.get("emissionWave")))
        length = float(wave) if isinstance(wave, (int, float)) and 0 < wave < math.inf else None
        channels.append(Channel(str(entry.get("label") or f"channel {i}"), wavelength_nm=length))
    return tuple(channels)


def _arrays(path: Path) -> dict[str, Node]:
    """The arrays of a plain group, two groups deep."""
    found: dict[str, Node] = {}
    for pattern in ("*", "*/*"):
        for folder in sorted(path.glob(pattern))[: 4 * MAX_PARTS]:
            if is_zarr(folder) and len(found) < MAX_PARTS:
                node = _node(folder)
                if node.array is not None:
                    found[folder.relative_to(path).as_posix()] = node
    return found


def _plain(path: Path, nodes: Mapping[str, Node], part: str | None) -> Raw:
    shapes = {}
    for name, node in nodes.items():
        shape, _, dtype = _declared(node, path)
        if holds_image(shape, dtype):
            shapes[name] = shape
    name, said = choose(path, shapes, part)
    node = nodes[name]
    raw = Raw(
        _array(node, path),
        assumptions=(said,) if said else (),
        facts={"format": "Zarr"},
        parts=tuple(shapes) if len(shapes) > 1 else (),
        part=name,
    )
    return described(raw, _description(nodes, node, name))


def _description(nodes: Mapping[str, Node], node: Node, name: str) -> Description:
    assert node.array is not None
    named = node.array.get("dimension_names") or node.attributes.get("_ARRAY_DIMENSIONS") or []
    letters = [_LETTERS.get(str(axis).lower().removesuffix("s"), "?") for axis in named]
    axes = "".join(letters) if "?" not in letters and len(set(letters)) == len(letters) else ""
    for key, value in node.attributes.items():
        if (
            holds_wavelengths(key)
            and isinstance(value, list)
            and all(isinstance(v, (int, float)) for v in value)
        ):
            return Description(
                wavelengths=value, unit=str(node.attributes.get(f"{key}_units", "")), axes=axes
            )
    lengths = set(_declared(node, node.path)[0])
    for key, other in nodes.items():
        shape, _, dtype = _declared(other, other.path)
        if (
            key != name
            and holds_wavelengths(key)
            and len(shape) == 1
            and shape[0] in lengths
            and dtype.kind in "uif"
        ):
            values = np.asarray(_opened(other, other.path)[:]).tolist()
            return Description(wavelengths=values, unit=str(other.attributes.get("units", "")), axes=axes)
    return Description(axes=axes)


def _declared(node: Node, path: Path) -> tuple[tuple[int, ...], tuple[int, ...], np.dtype[Any]]:
    """Shape, chunk shape and type of an array, checked."""
    found = node.array
    if found is None:
        raise ImageError(
            f"{path.name} points to {node.path.name!r}, which is no Zarr array; get the folder again."
        )
    chunks = found.get("chunks")
    if chunks is None:
        chunks = found.get("chunk_grid", {}).get("configuration", {}).get("chunk_shape")
        for codec in found.get("codecs", []):
            if isinstance(codec, dict) and codec.get("name") == "sharding_indexed":
                chunks = codec.get("configuration", {}).get("chunk_shape")
    shape = found.get("shape")
    for what, numbers in (("shape", shape), ("chunks", chunks)):
        if not isinstance(numbers, list) or not all(type(n) is int and n > 0 for n in numbers):
            raise ImageError(
                f"{path.name} declares the {what} {str(numbers)[:60]} for {node.path.name!r}, expected positive whole "
                "numbers; correct its metadata."
            )
    if not isinstance(shape, list) or not isinstance(chunks, list) or len(shape) != len(chunks):
        raise ImageError(
            f"{path.name} declares the shape {shape} and chunks {chunks} for {node.path.name!r}, expected as many axes; "
            "correct its metadata."
        )
    declared = found.get("dtype", found.get("data_type"))
    try:
        dtype = np.dtype(declared) if isinstance(declared, str) else np.dtype(object)
    except TypeError:
        dtype = np.dtype(object)
    return tuple(shape), tuple(chunks), dtype


def _array(node: Node, path: Path) -> Any:
    shape, chunks, dtype = _declared(node, path)
    if dtype.kind not in "buif":
        declared = str((node.array or {}).get("dtype", (node.array or {}).get("data_type")))[:40]
        raise ImageError(
            f"{path.name} holds values of type {declared!r}, expected real numbers; save them as such."
        )
    size = math.prod(chunks) * dtype.itemsize
    blocks = math.prod(shape) * dtype.itemsize // BLOCK_BYTES
    if size > MAX_CHUNK_BYTES:
        raise ImageError(
            f"{path.name} declares chunks of shape {chunks}, which is {size / 2**30:.1f} GiB, more than the "
            f"{MAX_CHUNK_BYTES / 2**30:g} GiB that can be read at once; save it in smaller chunks."
        )
    stored = math.prod(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))
    if blocks > MAX_BLOCKS or max(shape) > 2**31 - 1 or stored > MAX_CHUNKS:
        raise ImageError(
            f"{path.name} declares an image of shape {str(shape)[:80]} in {stored} chunks, which is "
            f"{math.prod(shape) * dtype.itemsize / 2**40:.3g} TiB and cannot be meant; correct its metadata."
        )
    if (
        "pickle"
        in json.dumps([(node.array or {}).get(key) for key in ("filters", "compressor", "codecs")]).lower()
    ):
        raise ImageError(
            f"{path.name} holds pickled Python objects, which are not loaded because they can run code; save plain "
            "numbers."
        )
    if not any(p.name not in ZARR_METADATA for p in node.path.iterdir()):
        raise ImageError(
            f"{path.name} declares an image of shape {shape} but holds no chunk of it; get it again."
        )
    return as_dask(_opened(node, path), block_shape(shape, dtype.itemsize, chunks))


@dataclass(frozen=True, eq=False)
class Chunked:
    """A Zarr array whose damaged chunks are reported in a sentence."""

    array: Any
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        found: np.dtype[Any] = self.array.dtype
        return found

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        try:
            return np.asarray(self.array[index])
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # codecs raise anything at all on damaged chunks
            raise ImageError(
                f"{self.name} has a damaged chunk ({reason(error)}), expected a complete one; get the folder again."
            ) from error


class ChunkStore(LocalStore):
    """A folder of chunks none of which is a device, or longer than its pixels: codecs unpack whatever they get."""

    most_bytes = 0

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """The bytes of a key, None where there is no such file."""
        self._check(key)
        return await super().get(key, prototype, byte_range)

    def get_sync(self, key: str, **options: Any) -> Any:
        """The same, for versions of zarr that read without waiting."""
        self._check(key)
        return super().get_sync(key, **options)

    def _check(self, key: str) -> None:
        try:
            status = os.stat(self.root / key)
        except (OSError, ValueError):
            return
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise ImageError(
                f"{self.root.name}/{key} is a device or pipe, expected a chunk; get the folder again."
            )
        if self.most_bytes and status.st_size > self.most_bytes and not key.endswith(ZARR_METADATA):
            raise ImageError(
                f"{self.root.name}/{key} has {status.st_size} bytes, more than the pixels of a chunk; get it again."
            )


def _opened(node: Node, path: Path) -> Chunked:
    store = ChunkStore(node.path, read_only=True)
    array = zarr.open_array(store, mode="r")
    outer: tuple[int, ...] = getattr(array, "shards", None) or array.chunks
    store.most_bytes = 2 * math.prod(outer) * array.dtype.itemsize + MAX_OVERHEAD
    return Chunked(array, path.name)
