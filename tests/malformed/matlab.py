"""MATLAB files of version 5, by hand where no library would write them so."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import io as scipy_io

from malformed import content
from malformed.pictures import zeros_packed

HEAD = b"MATLAB 5.0 MAT-file, written by a test".ljust(116) + bytes(8) + struct.pack("<H", 0x0100) + b"IM"
MATRIX, COMPRESSED, INT8, INT32, UINT32, DOUBLE = 14, 15, 1, 5, 6, 9


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def matrix(
    dims: tuple[int, ...] = (64, 80),
    data: bytes = bytes(64 * 80 * 8),
    *,
    kind: int = 6,
    name: bytes = b"cube",
    flags: int = 0,
    length: int | None = None,
) -> bytes:
    body = element(UINT32, struct.pack("<II", kind | flags << 8, 0))
    body += element(INT32, struct.pack(f"<{len(dims)}i", *dims)) + element(INT8, name)
    body += struct.pack("<II", DOUBLE, len(data) if length is None else length) + data
    return element(MATRIX, body)


def saved(**variables: Any) -> bytes:
    buffer = io.BytesIO()
    scipy_io.savemat(buffer, variables, do_compression=bool(variables.pop("packed", False)))
    return buffer.getvalue()


def mat(name: str, data: bytes | Callable[[], bytes], says: str = "", **options: Any) -> None:
    content(f"matlab {name}", "a.mat", data, says, **options)


def _cells(depth: int) -> bytes:
    """A cell in a cell in a cell."""
    inner = matrix((1, 1), bytes(8))
    for _ in range(depth):
        body = element(UINT32, struct.pack("<II", 1, 0)) + element(INT32, struct.pack("<2i", 1, 1))
        inner = struct.pack("<II", MATRIX, len(body) + 8 + len(inner)) + body + element(INT8, b"") + inner
    return inner


def _object() -> bytes:
    body = element(UINT32, struct.pack("<II", 3, 0)) + element(INT32, struct.pack("<2i", 1, 1))
    return element(MATRIX, body + element(INT8, b"o") + element(INT8, b"posix") + element(INT32, bytes(4)))


mat("header only", HEAD, "no array|damaged")
mat("short header", HEAD[:100], "damaged")
mat("of endless byte order", HEAD[:126] + b"XX" + matrix())
mat("of version 9", HEAD[:124] + b"\0\x09IM" + matrix(), opens=True)
mat("truncated", lambda: (HEAD + matrix())[:5000], "damaged")
mat("truncated in a tag", lambda: (HEAD + matrix())[:140], "damaged")
mat("negative rows", HEAD + matrix((-64, -80)))
mat("0 columns", HEAD + matrix((64, 0), b""), "no array")
mat("2**31 - 1 rows", HEAD + matrix((2**31 - 1, 2**31 - 1)))
mat("20,000 x 20,000 in 40 kB", HEAD + matrix((20_000, 20_000)))
mat("more rows than values", HEAD + matrix((640, 80)))
mat("element of 4 GB", HEAD + matrix(length=2**32 - 8))
mat("element of length 0", HEAD + struct.pack("<II", MATRIX, 0) * 1000)
mat("element of a wrong length", HEAD + struct.pack("<II", MATRIX, 2**32 - 1) + matrix()[8:], "truncated")
mat("100 axes", HEAD + matrix((1,) * 100, bytes(8)))
mat("no axes", HEAD + matrix((), bytes(8)))
mat("unknown class", HEAD + matrix(kind=99))
mat("function handle", HEAD + matrix(kind=16), "no array|damaged")
mat("opaque object", HEAD + matrix(kind=17), "no array|damaged")
mat("object", HEAD + _object(), "no array|damaged")
mat("name of 1 MB", lambda: HEAD + matrix((1, 1), bytes(8), name=b"n" * (1 << 20)))
mat("cells 20,000 deep", lambda: HEAD + _cells(20_000))
mat("cells 500 deep", lambda: HEAD + _cells(500))
mat("compressed bomb", lambda: HEAD + struct.pack("<II", COMPRESSED, 1 << 20) + zeros_packed(1 << 30))
mat("compressed matrix of 2 GB", lambda: HEAD + _packed(matrix((16_384, 16_384), b"", length=1 << 31)))
mat("compressed garbage", HEAD + struct.pack("<II", COMPRESSED, 100) + bytes(range(100)), "damaged")
mat("compressed in compressed", lambda: HEAD + _packed(_packed(matrix())))
mat(
    "compressed and truncated",
    lambda: saved(cube=np.random.default_rng(0).random((64, 80)), packed=1)[:9000],
    "dam",
)
mat("text only", lambda: saved(note="nothing here"), "no array")
mat("cells only", lambda: saved(c=np.array([1, "a"], object)), "no array")
mat("structure only", lambda: saved(s={"cube": np.ones((4, 4))}), "no array")
mat("complex numbers", lambda: saved(cube=np.ones((64, 80), complex)))
mat("complex flag without numbers", HEAD + matrix(flags=8))
mat("100,000 empty elements", lambda: HEAD + matrix((0, 0), b"", name=b"") * 100_000, "no array")


def _packed(data: bytes) -> bytes:
    packed = zlib.compress(data)
    return struct.pack("<II", COMPRESSED, len(packed)) + packed
