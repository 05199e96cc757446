"""TIFF in its dialects."""

from __future__ import annotations

import io
import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from malformed import SECRET, content, malformed

OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def tiff(shape: tuple[int, ...] = (3, 64, 80), **options: Any) -> bytes:
    buffer = io.BytesIO()
    array = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    options.setdefault("metadata", {"axes": "CYX"} if len(shape) == 3 else None)
    tifffile.imwrite(buffer, array, photometric="minisblack", **options)
    return buffer.getvalue()


def with_tag(data: bytes, code: int, value: int, kind: int = 4, count: int = 1) -> bytes:
    """A little-endian TIFF with one tag of its first page replaced."""
    start = struct.unpack_from("<I", data, 4)[0]
    changed = bytearray(data)
    for i in range(struct.unpack_from("<H", data, start)[0]):
        entry = start + 2 + 12 * i
        if struct.unpack_from("<H", data, entry)[0] == code:
            struct.pack_into("<HII", changed, entry + 2, kind, count, value)
            return bytes(changed)
    raise KeyError(code)


def ome(pixels: str, within: str = "", kind: str = "") -> bytes:
    xml = (
        f'<?xml version="1.0" encoding="UTF-8"?>{kind}<OME xmlns="{OME}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        f'DimensionOrder="XYZCT" Type="uint8" {pixels}>{within}</Pixels></Image></OME>'
    )
    return tiff((64, 80), description=xml)


IMAGEJ = "ImageJ=1.53\nimages={0}\nslices={0}\n"
SIZES = 'SizeX="80" SizeY="64" SizeZ="1" SizeC="{}" SizeT="{}"'

content("tiff empty", "empty.tif", b"", "is empty")
content("tiff zeros", "zeros.tif", bytes(4096), "zeros")
content("tiff bare header", "header.tif", b"II*\0", "TIFF")
content("tiff without directory", "nothing.tif", b"II*\0\0\0\0\0", "without an image")
content("tiff directory loop", "loop.tif", b"II*\0\x08\0\0\0\0\0\x08\0\0\0", "TIFF")
content("tiff directory behind the end", "behind.tif", b"II*\0\xf0\xff\xff\x7f" + bytes(40), "truncated")
content(
    "tiff directory at a negative offset", "negative.tif", b"II*\0\xf0\xff\xff\xff" + bytes(40), "truncated"
)
content("tiff big header only", "big.tif", b"II+\0\x08\0\0\0", "truncated")
content(
    "tiff big offset of 2**63",
    "big.tif",
    b"II+\0\x08\0\0\0" + struct.pack("<Q", 2**63) + bytes(64),
    "truncated",
)
content("tiff half", "half.tif", lambda: tiff()[: len(tiff()) // 2], "truncated")
content("tiff big half", "half.tif", lambda: tiff(bigtiff=True)[:9000], "truncated")
content("tiff chain of 60,000 directories", "chain.tif", lambda: _chain(60_000))
content("tiff width 0", "w.tif", lambda: with_tag(tiff((64, 80)), 256, 0))
content("tiff width 2**31", "w.tif", lambda: with_tag(with_tag(tiff((64, 80)), 256, 2**31), 257, 2**31))
content("tiff width -1", "w.tif", lambda: with_tag(tiff((64, 80)), 256, 2**32 - 1))
content("tiff 30,000 x 30,000 in 5 kB", "b.tif",
        lambda: with_tag(with_tag(tiff((64, 80), compression="lzw", tile=(32, 32)), 256, 30_000), 257, 30_000),
        "too few for a real image")  # fmt: skip
content("tiff 60,000 x 60,000 in 5 kB", "b.tif",
        lambda: with_tag(with_tag(tiff((64, 80), compression="zlib", tile=(32, 32)), 256, 60_000), 257, 60_000),
        "too few for a real image")  # fmt: skip
content("tiff bits 255", "b.tif", lambda: with_tag(tiff((64, 80)), 258, 255, 3))
content("tiff bits 0", "b.tif", lambda: with_tag(tiff((64, 80)), 258, 0, 3))
content("tiff compression unknown", "c.tif", lambda: with_tag(tiff((64, 80)), 259, 54321, 3))
content("tiff samples 65535", "s.tif", lambda: with_tag(tiff((64, 80)), 277, 65535, 3))
content("tiff strip behind the end", "s.tif", lambda: with_tag(tiff((64, 80)), 273, 2**32 - 16), "truncated")
content(
    "tiff strip of 4 GB",
    "s.tif",
    lambda: with_tag(tiff((64, 80), compression="zlib"), 279, 2**32 - 1),
    "trunc",
)
content("tiff rows per strip 0", "s.tif", lambda: with_tag(tiff((64, 80), compression="zlib"), 278, 0))
content("tiff tile width 0", "t.tif", lambda: with_tag(tiff((64, 80), tile=(32, 32)), 322, 0))
content("tiff tile width 2**31", "t.tif",
        lambda: with_tag(tiff((64, 80), tile=(32, 32), compression="zlib"), 322, 2**31 - 16))  # fmt: skip
content(
    "tiff tag of 2**32 values", "t.tif", lambda: with_tag(tiff((64, 80)), 305, 8, 2, 2**32 - 1), "truncated"
)
content("tiff damaged deflate", "d.tif", lambda: _spoiled(tiff((64, 80), compression="zlib")), "damaged")
content("tiff damaged lzw", "d.tif", lambda: _spoiled(tiff((64, 80), compression="lzw")), "damaged")
content("tiff damaged jpeg", "d.tif", lambda: _spoiled(tiff((64, 80), compression="jpeg")), "damaged")
content("tiff damaged zstd", "d.tif", lambda: _spoiled(tiff((64, 80), compression="zstd")), "damaged")
content("tiff strip that unpacks to 2 GB", "bomb.tif", lambda: _strip_bomb())
content("tiff shape of 1e9 in its description", "s.tif",
        lambda: tiff((64, 80), description=json.dumps({"shape": [10**9, 64, 80]})))  # fmt: skip
content("tiff negative shape in its description", "s.tif",
        lambda: tiff((64, 80), description=json.dumps({"shape": [-1, 64, 80]})), opens=True)  # fmt: skip
content("tiff nested description", "s.tif",
        lambda: tiff((64, 80), description='{"shape": ' + "[" * 20_000), "recursion")  # fmt: skip
content("tiff description of another kind", "s.tif",
        lambda: tiff(metadata={"axes": "CYX", "modality": ["x"], "camera": {"focal_length_px": -1}}),
        "description was not understood", opens=True)  # fmt: skip
content("tiff unknown sample format stated", "s.tif",
        lambda: tiff(metadata={"axes": "CYX", "sample_format": "furlongs"}),
        "'furlongs', which is not known", opens=True)  # fmt: skip
content("tiff camera of infinite focal length", "s.tif",
        lambda: tiff(metadata={"axes": "CYX", "camera": {"focal_length_px": [1e400, 1]}}),
        "not understood", opens=True)  # fmt: skip
content("tiff imagej of 1e9 images", "j.tif",
        lambda: tiff((64, 80), description=IMAGEJ.format(10**9)), "1 are in the file", opens=True)  # fmt: skip
content("tiff imagej of -5 images", "j.tif",
        lambda: tiff((64, 80), description=IMAGEJ.format(-5)), opens=True)  # fmt: skip
content("ome entity bomb", "e.ome.tif", lambda: ome(SIZES.format(1, 1), kind=_bomb()), "entity definitions")
content("ome external entity", "e.ome.tif",
        lambda: ome(SIZES.format(1, 1), "&x;", '<!DOCTYPE o [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]>'),
        "entity definitions")  # fmt: skip
content("ome 1e9 channels", "c.ome.tif", lambda: ome(SIZES.format(10**9, 1), "<TiffData/>"))
content("ome 1e9 times", "t.ome.tif", lambda: ome(SIZES.format(1, 10**9), "<TiffData/>"))
content("ome 1e6 times", "t.ome.tif", lambda: ome(SIZES.format(1, 10**6), "<TiffData/>"))
content(
    "ome size -1", "x.ome.tif", lambda: ome(SIZES.format(1, 1).replace("80", "-1"), "<TiffData/>"), opens=True
)
content("ome directory 1e9", "i.ome.tif", lambda: ome(SIZES.format(1, 1), '<TiffData IFD="1000000000"/>'))
content(
    "ome nested", "n.ome.tif", lambda: ome(SIZES.format(1, 1), "<a>" * 30_000 + "</a>" * 30_000), opens=True
)


@malformed("ome points outside its folder", "outside its folder")
def _ome_outside(folder: Path) -> Path:
    return _pointing(folder, "../secret.tif")


@malformed("ome points to an absolute path", "outside its folder")
def _ome_absolute(folder: Path) -> Path:
    return _pointing(folder, str((folder / "secret.tif").resolve()))


@malformed("ome points to a missing file", opens=True)
def _ome_missing(folder: Path) -> Path:
    return _pointing(folder, "gone.tif")


def _pointing(folder: Path, target: str) -> Path:
    inner = folder / "inner"
    inner.mkdir()
    tifffile.imwrite(folder / "secret.tif", np.full((64, 80), SECRET, np.uint8))
    plane = '<TiffData FirstC="{}" IFD="0" PlaneCount="1"><UUID FileName="{}">urn:uuid:{}</UUID></TiffData>'
    other = "22222222-2222-2222-2222-222222222222"
    path = inner / "main.ome.tif"
    path.write_bytes(ome(SIZES.format(1, 1), plane.format(0, target, other)))
    return path


def _bomb() -> str:
    entities = '<!ENTITY a "aaaaaaaaaa">'
    for one, other in zip("abcdefgh", "bcdefghi", strict=True):
        entities += f'<!ENTITY {other} "{f"&{one};" * 10}">'
    return f"<!DOCTYPE o [{entities}]>"


def _chain(count: int) -> bytes:
    """Directories of one entry each, one after the other."""
    size = 2 + 12 + 4
    entry = struct.pack("<HHHII", 1, 256, 4, 1, 1)
    return b"II*\0\x08\0\0\0" + b"".join(
        entry + struct.pack("<I", 8 + size * (i + 1) if i + 1 < count else 0) for i in range(count)
    )


def _spoiled(data: bytes) -> bytes:
    """The same with its pixels spoiled."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        begin, length = file.pages.first.dataoffsets[0], file.pages.first.databytecounts[0]
    return (
        data[: begin + 2] + bytes(b ^ 0x5A for b in data[begin + 2 : begin + length]) + data[begin + length :]
    )


def _strip_bomb() -> bytes:
    """A strip of 64 rows whose content goes on for 2 GB."""
    packer = zlib.compressobj(9)
    one = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9)
    packer.compress(b"")
    rest = zlib.compressobj(9, wbits=-15)
    piece = rest.compress(bytes(1 << 20)) + rest.flush(zlib.Z_FULL_FLUSH)
    packed = one + piece * 2047
    data = bytearray(tiff((64, 80), compression="zlib"))
    changed = with_tag(bytes(data), 273, len(data))
    return with_tag(changed, 279, len(packed)) + packed
