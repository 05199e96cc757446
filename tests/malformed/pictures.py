"""PNG, JPEG, radiometric JPEG and OpenEXR."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from flir_file import flir_jpeg
from PIL import Image

from malformed import content, malformed


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(
    width: int, height: int, pixels: bytes, *, bits: int = 8, colour: int = 0, before: bytes = b""
) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + before + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def zeros_packed(count: int) -> bytes:
    """A zlib stream of so many zeros, put together without packing them all."""
    whole, rest = divmod(count, 1 << 20)
    packer = zlib.compressobj(9, wbits=-15)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, wbits=-15)
    last = packer.compress(bytes(rest)) + packer.flush()
    return b"\x78\xda" + piece * whole + last + struct.pack(">HH", count % 65521, 1)


def picture(form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(np.uint8)
    Image.fromarray(noise).save(buffer, form, **options)
    return buffer.getvalue()


SMALL = zlib.compress(bytes(81 * 64))

content("png header only", "a.png", b"\x89PNG\r\n\x1a\n", "damaged picture")
content(
    "png 60,000 x 60,000 of one colour", "a.png", lambda: png(60_000, 60_000, zeros_packed(60_001 * 60_000))
)
content("png 60,000 x 60,000 of one bit", "a.png",
        lambda: png(60_000, 60_000, zeros_packed(7501 * 60_000), bits=1))  # fmt: skip
content("png 60,000 x 60,000 of 16-bit colour", "a.png",
        lambda: png(60_000, 60_000, zeros_packed(1 << 24), bits=16, colour=2))  # fmt: skip
content("png 2**31 - 1", "a.png", lambda: png(2**31 - 1, 2**31 - 1, SMALL))
content("png width 0", "a.png", png(0, 64, SMALL))
content("png 30,000 x 5,000 in few bytes", "a.png", png(30_000, 5_000, SMALL))
content("png truncated", "a.png", lambda: picture("PNG")[:8000], "damaged picture")
content(
    "png wrong checksum",
    "a.png",
    lambda: picture("PNG")[:60] + b"xx" + picture("PNG")[62:],
    "damaged picture",
)
content(
    "png 16-bit colour truncated",
    "a.png",
    lambda: png(80, 64, zlib.compress(bytes(99)), bits=16, colour=2),
    "dam",
)
content("png text bomb", "a.png",
        lambda: png(80, 64, SMALL, before=chunk(b"zTXt", b"Description\0\0" + zeros_packed(1 << 30))))  # fmt: skip
content("png international text bomb", "a.png",
        lambda: png(80, 64, SMALL, before=chunk(b"iTXt", b"Description\0\1\0\0\0" + zeros_packed(1 << 30))))  # fmt: skip
content("png 200 text chunks of 1 MB", "a.png",
        lambda: png(80, 64, SMALL, before=chunk(b"zTXt", b"a\0\0" + zeros_packed(1 << 20)) * 200))  # fmt: skip
content("png colour profile bomb", "a.png",
        lambda: png(80, 64, SMALL, before=chunk(b"iCCP", b"p\0\0" + zeros_packed(1 << 30))), "too large")  # fmt: skip
content("png nested description", "a.png",
        lambda: png(80, 64, SMALL, before=chunk(b"tEXt", b'Description\0{"a":' + b"[" * 99_999)), opens=True)  # fmt: skip
content("png description of another kind", "a.png",
        lambda: png(80, 64, SMALL, before=chunk(b"tEXt", b'Description\0{"modality": 3}')),
        "description was not understood", opens=True)  # fmt: skip
content("png of unknown colour type", "a.png", png(80, 64, SMALL, colour=7), "damaged picture")
content("png palette without colours", "a.png", png(80, 64, SMALL, colour=3), opens=True)
content("jpeg header only", "a.jpg", b"\xff\xd8\xff", "damaged picture")
content("jpeg truncated", "a.jpg", lambda: picture("JPEG")[:1500], "damaged picture")
content("jpeg 65,535 x 65,535", "a.jpg", lambda: _jpeg_of(65_535, 65_535))
content("jpeg 10,000 x 10,000 in 4 kB", "a.jpg", lambda: _jpeg_of(10_000, 10_000))
content("jpeg of no rows", "a.jpg", lambda: _jpeg_of(0, 80))
content(
    "jpeg with damaged exif",
    "a.jpg",
    lambda: picture("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"),
    opens=True,
)
content("flir garbage", "f.jpg", lambda: _with_segment(b"FLIR\0\1\0\0" + bytes(range(200))), "FLIR")
content("flir no data", "f.jpg", lambda: _with_segment(b"FLIR\0\1\0\0"), "FLIR")
content("flir truncated record", "f.jpg", lambda: _with_segment(b"FLIR\0\1\0\0" + thermal()[40:400]), "FLIR")
content("flir 65,535 x 65,535 counts", "f.jpg", lambda: thermal(rows=65_535), opens=True)
content(
    "flir 60,000 x 60,000 png inside",
    "f.jpg",
    lambda: thermal(size=60_000),
    "exceeds limit|more than a thermal",
)
content("flir calibration of zeros", "f.jpg", lambda: thermal(planck=0.0))
content("flir calibration of NaN", "f.jpg", lambda: thermal(planck=float("nan")))
content("flir index of 2**32 records", "f.jpg", lambda: thermal(records=2**32 - 1), "FLIR")
content("flir record behind the end", "f.jpg", lambda: thermal(place=2**32 - 16), "FLIR")
content("exr magic only", "a.exr", b"v/1\x01", "damaged OpenEXR")
content("exr truncated", "a.exr", lambda: exr()[:-3000], "damaged OpenEXR")
content("exr truncated header", "a.exr", lambda: exr()[:150], "damaged OpenEXR")
content("exr 2**31 columns", "a.exr", lambda: _exr_window(0, 0, 2**31 - 2, 63))
content("exr 60,000 x 60,000", "a.exr", lambda: _exr_window(0, 0, 59_999, 59_999))
content("exr 20,000 x 10,000", "a.exr", lambda: _exr_window(0, 0, 19_999, 9_999))
content("exr upside down", "a.exr", lambda: _exr_window(0, 0, -1, -1))
content("exr whole range of numbers", "a.exr", lambda: _exr_window(-(2**31), -(2**31), 2**31 - 1, 2**31 - 1))
content("exr garbage in its pixels", "a.exr", lambda: exr()[:600] + bytes(range(256)) * 60)
content(
    "exr unknown compression",
    "a.exr",
    lambda: _exr_with(b"compression\0compression\0\1\0\0\0", b"\x63"),
    opens=True,
)


@malformed("exr without channels")
def _exr_without(folder: Path) -> Path:
    data = exr()
    start = data.index(b"channels\0chlist\0") + len(b"channels\0chlist\0")
    (length,) = struct.unpack_from("<I", data, start)
    path = folder / "a.exr"
    path.write_bytes(data[:start] + struct.pack("<I", 1) + b"\0" + data[start + 4 + length :])
    return path


def _jpeg_of(rows: int, columns: int) -> bytes:
    data = bytearray(picture("JPEG"))
    place = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, place + 5, rows, columns)
    return bytes(data)


def _with_segment(body: bytes) -> bytes:
    data = picture("JPEG")
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def thermal(
    rows: int = 0, size: int = 0, planck: float | None = None, records: int = 0, place: int = 0
) -> bytes:
    """A radiometric JPEG with something wrong in it."""
    counts = np.full((24, 32), 15_000, np.uint16)
    data = bytearray(flir_jpeg(counts, png=not rows))
    start = data.index(b"FLIR\0") + 8
    record = start + 64 + 2 * 32
    if rows:
        struct.pack_into("<HH", data, record + 2, rows, rows)
    if size:
        struct.pack_into(">II", data, data.index(b"IHDR") + 4, size, size)
        header = data.index(b"IHDR")
        struct.pack_into(">I", data, header + 17, zlib.crc32(bytes(data[header : header + 17])))
    if planck is not None:
        info = struct.unpack_from(">I", data, start + 64 + 32 + 12)[0] + start
        for at in (88, 92, 96, 780):
            struct.pack_into("<f", data, info + at, planck)
    if records:
        struct.pack_into(">I", data, start + 28, records)
    if place:
        struct.pack_into(">I", data, start + 64 + 12, place)
    return bytes(data)


def exr() -> bytes:
    import tempfile

    import OpenEXR

    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a.exr"
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        depth = np.random.default_rng(0).random((64, 80)).astype(np.float32)
        with OpenEXR.File(header, {"Z": depth}) as file:
            file.write(path)
        return Path(path).read_bytes()


def _exr_window(*window: int) -> bytes:
    return _exr_with(b"dataWindow\0box2i\0\x10\0\0\0", struct.pack("<4i", *window))


def _exr_with(after: bytes, value: bytes) -> bytes:
    data = bytearray(exr())
    start = data.index(after) + len(after)
    data[start : start + len(value)] = value
    return bytes(data)
