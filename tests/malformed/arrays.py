"""NPY and NPZ."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from typing import Any

import numpy as np

from malformed import content


def npy_header(shape: str, descr: str = "'<f8'", order: str = "False") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text


def npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npz(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


class Trap:
    """Does something when it is unpickled, which an audit hook sees."""

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('pickled code ran')",)


TRAPS = np.empty((2, 2), object)
TRAPS[:] = Trap()

content("npy empty", "a.npy", b"", "is empty")
content("npy magic only", "a.npy", b"\x93NUMPY\x01\0", "is damaged")
content("npy version 9", "a.npy", b"\x93NUMPY\x09\0" + bytes(60), "is damaged")
content("npy header of 4 GB", "a.npy", b"\x93NUMPY\x02\0\xff\xff\xff\xff" + bytes(60), "is damaged")
content(
    "npy code in its header",
    "a.npy",
    b"\x93NUMPY\x01\0\x20\0" + b"__import__('os').getcwd()".ljust(32),
    "damaged",
)
content("npy nested header", "a.npy", b"\x93NUMPY\x01\0\x00\x20" + b"(" * 8192, "is damaged")
content("npy truncated", "a.npy", lambda: npy(np.ones((64, 80)))[:5000], "is truncated")
content("npy pickled objects", "a.npy", lambda: npy(TRAPS), "pickled Python objects")
content("npy bare pickle", "a.npy", lambda: pickle.dumps(Trap()), "another format")
content(
    "npy pickle in a structure", "a.npy", npy_header("(2, 2)", "[('a', '|O')]") + bytes(64), "pickled Python"
)
content("npy negative shape", "a.npy", npy_header("(-64, 80)") + bytes(9000), "negative number")
content("npy two negative lengths", "a.npy", npy_header("(-64, -80)") + bytes(50_000), "negative number")
content("npy shape of 1e30", "a.npy", npy_header("(10**30, 2)"), "is damaged")
content("npy 1e9 bands", "a.npy", npy_header("(1000000000, 64, 80)"), "is truncated")
content("npy empty axis", "a.npy", npy_header("(0, 80)"), "at least one pixel")
content("npy shape of floats", "a.npy", npy_header("(6.5, 80)"), "is damaged")
content("npy true for a length", "a.npy", npy_header("(True, 80)") + bytes(640), opens=True)
content("npy one million axes", "a.npy", npy_header("(1,) * 1000000"), "is damaged")
content("npy 200 axes", "a.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", 1000)
        + ("{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1," * 200 + "), }").encode().ljust(1000)
        + bytes(8))  # fmt: skip
content("npy values of 1 GB each", "a.npy", npy_header("(2, 2)", "'|V1000000000'"), "is truncated")
content("npy values of no bytes", "a.npy", npy_header("(64, 80)", "'|V0'"))
content("npy text", "a.npy", lambda: npy(np.full((4, 4), "red")), "values of type")
content("npy dates", "a.npy", lambda: npy(np.zeros((4, 4), "M8[s]")), "values of type")
content("npy complex", "a.npy", lambda: npy(np.zeros((4, 4), complex)), "complex numbers")
content("npy structure", "a.npy", lambda: npy(np.zeros((4, 4), [("a", "u1"), ("b", "f4")])), "values of type")
content("npy single number", "a.npy", lambda: npy(np.float64(3)), "rows and columns")
content("npz garbage", "a.npz", b"PK\x03\x04garbage", "damaged archive")
content(
    "npz truncated", "a.npz", lambda: npz(a=npy(np.random.default_rng(0).random((64, 80))))[:9000], "damaged"
)
content("npz without arrays", "a.npz", lambda: npz().replace(b"npy", b"txt"), "without any NumPy array")
content("npz pickled objects", "a.npz", lambda: npz(a=npy(TRAPS)), "pickled Python objects")
content("npz 60,000 x 60,000 of nothing", "a.npz", lambda: npz(a=npy_header("(60000, 60000)")), "truncated")
content("npz bomb", "a.npz", lambda: npz(a=npy_header("(40000, 4000)") + bytes(1 << 20)), "truncated")
content(
    "npz damaged member",
    "a.npz",
    lambda: _flipped(npz(a=npy(np.random.default_rng(0).random((64, 80))))),
    "dam",
)
content(
    "npz claims to be encrypted",
    "a.npz",
    lambda: _encrypted(npz(a=npy(np.ones((64, 80))))),
    "damaged archive",
)
content("npz 20,000 members", "a.npz", lambda: npz(0, **{f"a{i}": b"" for i in range(20_000)}), "is damaged")
content("npz wavelengths that are text", "a.npz",
        lambda: npz(a=npy(np.ones((9, 64, 80))), wavelengths=npy(np.full(9, "red"))), "which of its axes")  # fmt: skip


def _flipped(data: bytes) -> bytes:
    return data[:2000] + bytes(b ^ 0xFF for b in data[2000:2100]) + data[2100:]


def _encrypted(data: bytes) -> bytes:
    changed = bytearray(data)
    changed[6] |= 1
    changed[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)
