"""Zarr folders, versions 2 and 3, and OME-Zarr."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from malformed import SECRET, malformed

V2: dict[str, Any] = {
    "zarr_format": 2, "shape": [64, 80], "chunks": [64, 80], "dtype": "|u1", "compressor": None, "fill_value": 0,
    "order": "C", "filters": None,
}  # fmt: skip
V3: dict[str, Any] = {
    "zarr_format": 3, "node_type": "array", "shape": [64, 80], "data_type": "uint8",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [64, 80]}},
    "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}}, "fill_value": 0,
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}], "attributes": {},
}  # fmt: skip
PIXELS = bytes(range(80)) * 64


def write(path: Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())


def array2(path: Path, chunk: bytes | None = PIXELS, **changes: Any) -> Path:
    write(path / ".zarray", V2 | changes)
    if chunk is not None:
        write(path / "0.0", chunk)
    return path


def array3(path: Path, chunk: bytes | None = PIXELS, **changes: Any) -> Path:
    write(path / "zarr.json", V3 | changes)
    if chunk is not None:
        write(path / "c" / "0" / "0", chunk)
    return path


def two(name: str, says: str = "", chunk: bytes | None = PIXELS, opens: bool = False, **changes: Any) -> None:
    malformed(f"zarr 2 {name}", says, opens=opens)(lambda folder: array2(folder / "a.zarr", chunk, **changes))


def three(name: str, says: str = "", chunk: bytes | None = PIXELS, **changes: Any) -> None:
    malformed(f"zarr 3 {name}", says)(lambda folder: array3(folder / "a.zarr", chunk, **changes))


def grid(*chunks: Any) -> dict[str, Any]:
    return {"name": "regular", "configuration": {"chunk_shape": list(chunks)}}


two("shape of 1e18", "declares", shape=[10**18, 10**18])
two("negative shape", "positive whole numbers", shape=[-64, 80])
two("shape of words", "positive whole numbers", shape=["64", "80"])
two("shape of one number", "positive whole numbers", shape=64)
two("no shape", "positive whole numbers", shape=None)
two("empty axis", "positive whole numbers", shape=[0, 80])
two("60,000 axes", shape=[1] * 60_000, chunks=[1] * 60_000)
two("chunks of 0", "positive whole numbers", chunks=[0, 80])
two("chunks of 1e9", "more than the", chunks=[10**9, 10**9])
two("chunks of other axes", "as many axes", chunks=[64])
two("1e12 chunks", shape=[10**6, 10**6], chunks=[1, 1])
two("no chunk at all", "holds no chunk", chunk=None)
two("short chunk", chunk=PIXELS[:100])
two("empty chunk", chunk=b"")
two("type of nonsense", "no array", dtype="qq9")
two("objects", "no array", dtype="|O", filters=[{"id": "pickle"}])
two("numbers through pickle", "pickled Python objects", filters=[{"id": "pickle", "protocol": 4}])
two("text", "no array", dtype="<U4")
two("dates", "no array", dtype="<M8[s]")
two("unknown compressor", compressor={"id": "rot13"})
two("compressor of nonsense", compressor="zip")
two(
    "damaged blosc",
    compressor={"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1},
    chunk=b"\2\1\x21\1" * 200,
)
two("blosc of 2 GB", compressor={"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1},
    chunk=b"\2\1\x21\1" + b"\xff\xff\xff\x7f" * 2 + (96).to_bytes(4, "little") + bytes(80))  # fmt: skip
two("damaged zstd", compressor={"id": "zstd", "level": 1}, chunk=b"\x28\xb5\x2f\xfd" + bytes(60))
two("zstd of 2**62 bytes", compressor={"id": "zstd", "level": 1},
    chunk=b"\x28\xb5\x2f\xfd\xc0\0" + (2**62).to_bytes(8, "little") + bytes(20))  # fmt: skip
two("gzip of text", compressor={"id": "gzip", "level": 1}, chunk=b"nothing packed here")
two("fill value of nonsense", fill_value={"a": []})
two("order of nonsense", order="Q")
two("version of nonsense", zarr_format=9)

three("shape of 1e18", "declares", shape=[10**18, 10**18])
three("negative chunks", "positive whole numbers", chunk_grid=grid(-64, 80))
three("chunks in words", "positive whole numbers", chunk_grid=grid("a", "b"))
three("grid of nonsense", chunk_grid="regular")
three("codecs of nonsense", codecs="bytes")
three("unknown codec", codecs=[*V3["codecs"], {"name": "rot13"}])
three("no codec", codecs=[])
three("unknown type", "no array", data_type="uint7")
three("structured type", "no array", data_type={"name": "structured", "configuration": {}})
three("attributes of nonsense", attributes=[1, 2], shape=[-1, 80])
three("unknown extension", storage_transformers=[{"name": "mirror"}])
three("must understand", quantum={"must_understand": True})
three("short chunk", chunk=PIXELS[:10])
three("shards of nonsense", codecs=[{"name": "sharding_indexed", "configuration": {
    "chunk_shape": [8, 8], "codecs": V3["codecs"], "index_codecs": V3["codecs"]}}], chunk=PIXELS[:100])  # fmt: skip


def metadata(name: str, data: bytes | Callable[[], bytes], says: str = "", file: str = "zarr.json") -> None:
    def make(folder: Path) -> Path:
        write(folder / "a.zarr" / file, data() if callable(data) else data)
        return folder / "a.zarr"

    malformed(f"zarr {name}", says)(make)


metadata("metadata empty", b"", "no valid JSON")
metadata("metadata not UTF-8", b'{"a": "\xff\xfe\xfa"}', "no valid JSON")
metadata("metadata cut off", b'{"zarr_format": 3, "node', "no valid JSON")
metadata("metadata 200,000 deep", b"[" * 200_000, "no valid JSON")
metadata("metadata 200,000 deep objects", b'{"a":' * 200_000, "no valid JSON", ".zarray")
metadata("metadata a list", b"[1, 2]", "no JSON object")
metadata("metadata of 20 MB", lambda: b" " * (20 << 20), "too large")
metadata("number of 10,000 digits", b'{"shape": ' + b"9" * 10_000 + b"}", "", ".zarray")
metadata("group of nothing", b'{"zarr_format": 3, "node_type": "group"}', "no array")
metadata("node of nonsense", b'{"zarr_format": 3, "node_type": 7}')


def group(name: str, says: str = "", *, opens: bool = False, **attributes: Any) -> None:
    def make(folder: Path) -> Path:
        path = folder / "a.zarr"
        write(path / ".zgroup", {"zarr_format": 2})
        write(path / ".zattrs", attributes)
        array2(path / "0")
        write(folder / "secret" / ".zarray", V2)
        write(folder / "secret" / "0.0", bytes([SECRET]) * 5120)
        return path

    malformed(f"ome-zarr {name}", says, opens=opens)(make)


def scales(*paths: Any, axes: Any = ({"name": "y"}, {"name": "x"}), **more: Any) -> list[Any]:
    return [{"axes": list(axes), "datasets": [{"path": path, **more} for path in paths]}]


group("points outside", "outside its folder", multiscales=scales("../secret"))
group("points to an absolute path", "outside its folder", multiscales=scales("/etc"))
group("points outside by backslashes", "outside its folder", multiscales=scales("..\\secret"))
group("points to itself", multiscales=scales("."))
group("points to nothing", "is no Zarr array", multiscales=scales("gone"))
group("path is a number", multiscales=scales(7))
group("path is null", multiscales=scales(None))
group("without path", multiscales=[{"datasets": [{}]}])
group("datasets of nonsense", multiscales=[{"datasets": "0"}])
group("multiscales of nonsense", multiscales="all")
group("multiscales empty", "without an image", multiscales=[])
group("multiscales null", "without an image", multiscales=None)
group("axes of another number", "declares 3 axes", multiscales=scales("0", axes=({"name": n} for n in "cyx")))
group("axes twice the same", "declares 2 axes", multiscales=scales("0", axes=({"name": "y"}, {"name": "y"})))
group("axes of nonsense", multiscales=scales("0", axes=(1, 2)))
group(
    "scale of words",
    multiscales=scales("0", coordinateTransformations=[{"type": "scale", "scale": ["a", "b"]}]),
)
group("transformations of nonsense", multiscales=scales("0", coordinateTransformations=7))
group("plate of nonsense", plate={"wells": 5})
group("plate outside", "outside its folder", plate={"wells": [{"path": "../.."}]})
group("plate without wells", opens=True, plate={})
group("channels of nonsense", opens=True, multiscales=scales("0"), omero={"channels": [5]})
group("labels of nonsense", multiscales=scales("0"), omero=[], ome={"multiscales": 3})


@malformed("zarr chunk is a device", "device or pipe")
def _link(folder: Path) -> Path:
    path = array2(folder / "a.zarr", None)
    (path / "0.0").symlink_to("/dev/zero")
    return path


@malformed("zarr chunk is a folder", opens=True)
def _folder(folder: Path) -> Path:
    path = array2(folder / "a.zarr", None)
    (path / "0.0").mkdir()
    return path


@malformed("zarr chunk that unpacks to 1 GB", "more than the pixels")
def _bomb(folder: Path) -> Path:
    from malformed.pictures import zeros_packed

    return array2(folder / "a.zarr", zeros_packed(1 << 30), compressor={"id": "zlib", "level": 9})


@malformed("zarr gzip chunk that unpacks to 1 GB", "more than the pixels")
def _gzip_bomb(folder: Path) -> Path:
    member = gzip.compress(bytes(1 << 20), 9)
    return array2(folder / "a.zarr", member * 1024, compressor={"id": "gzip", "level": 9})


@malformed("zarr 3 nested groups", "no array")
def _nested(folder: Path) -> Path:
    path = folder / "a.zarr"
    for i in range(60):
        write(path.joinpath(*["g"] * i) / "zarr.json", {"zarr_format": 3, "node_type": "group"})
    return path


@malformed("zarr file of version 2 in a file")
def _store(folder: Path) -> Path:
    path = folder / "a.zarr"
    np.save(path.with_suffix(".npy"), np.ones(3))
    path.with_suffix(".npy").rename(path)
    return path
