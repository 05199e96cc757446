"""HDF5, MATLAB's version 7.3 among them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from malformed import SECRET, content, malformed

Write = Callable[[h5py.File, Path], Any]


def file(name: str, says: str = "", **options: Any) -> Callable[[Write], Write]:
    """Add a case that h5py writes."""

    def add(write: Write) -> Write:
        def make(folder: Path) -> Path:
            path = folder / "a.h5"
            with h5py.File(path, "w") as opened:
                write(opened, folder)
            return path

        malformed(f"hdf5 {name}", says, **options)(make)
        return write

    return add


def good() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as opened:
        opened.create_dataset(
            "cube", data=np.random.default_rng(0).random((64, 80)), chunks=(16, 80), compression=4
        )
    return buffer.getvalue()


content("hdf5 magic only", "a.h5", b"\x89HDF\r\n\x1a\n", "damaged")
content("hdf5 magic and zeros", "a.h5", b"\x89HDF\r\n\x1a\n" + bytes(4096), "damaged")
content("hdf5 half", "a.h5", lambda: good()[:20_000], "damaged")
content("hdf5 spoiled pixels", "a.h5", lambda: _spoiled(good(), 5000, 12_000))
content("hdf5 spoiled head", "a.h5", lambda: _spoiled(good(), 96, 1200), "damaged|no array")
content("matlab 7.3 without HDF5", "a.mat", b"MATLAB 7.3 MAT-file".ljust(512) + bytes(4096), "damaged")
file("empty", "no array")(lambda f, folder: None)
file("text only", "no array")(lambda f, folder: f.create_dataset("t", data="nothing here"))
file("complex numbers", "no array")(lambda f, folder: f.create_dataset("c", data=np.ones((4, 4), complex)))
file("structures", "no array")(lambda f, folder: f.create_dataset("c", data=np.zeros((4, 4), "u1,f4")))
file("references", "no array")(lambda f, folder: f.create_dataset("r", (4, 4), h5py.ref_dtype))
file("variable length", "no array")(lambda f, folder: f.create_dataset("r", (4, 4), h5py.vlen_dtype("u1")))
file("no pixels", "no array")(lambda f, folder: f.create_dataset("c", (0, 80), "u1"))
file("1e18 pixels of nothing", "too few for a real image")(
    lambda f, folder: f.create_dataset("c", (10**9, 10**9), "u1", chunks=(1024, 1024))
)
file("60,000 x 60,000 of nothing", "too few for a real image")(
    lambda f, folder: f.create_dataset("c", (60_000, 60_000), "u1", chunks=(1024, 1024), compression=9)
)
file("chunk of 1.5 GB")(
    lambda f, folder: f.create_dataset("c", (30_000, 50_000), "u1", chunks=(30_000, 50_000), compression=9)
)
file("group in itself", "no array")(lambda f, folder: f.create_group("a").__setitem__("b", f["/"]))
file("soft link to itself", "no array")(lambda f, folder: f.__setitem__("a", h5py.SoftLink("/a")))
file("soft link to nothing", "no array")(lambda f, folder: f.__setitem__("a", h5py.SoftLink("/gone")))
file("external link", "no array")(
    lambda f, folder: f.__setitem__("a", h5py.ExternalLink(_secret(folder), "c"))
)
file("external link to a device", "no array")(
    lambda f, folder: f.__setitem__("a", h5py.ExternalLink("/dev/zero", "c"))
)
file("matlab structure", "no array")(
    lambda f, folder: f.create_dataset("c", data=np.ones((4, 4))).attrs.update(
        MATLAB_class=np.bytes_("struct")
    )
)
file("matlab class of nonsense", "no array|damaged")(
    lambda f, folder: f.create_dataset("c", data=np.ones((4, 4))).attrs.update(MATLAB_class=np.arange(1000))
)


@file("pixels in another file", "in other files, which are not followed")
def _external(f: h5py.File, folder: Path) -> None:
    (folder / "secret.bin").write_bytes(bytes([SECRET]) * 64 * 80)
    f.create_dataset("c", (64, 80), "u1", external=[(str(folder / "secret.bin"), 0, 64 * 80)])


@file("virtual over another file", "in other files, which are not followed")
def _virtual(f: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((64, 80), "u1")
    layout[:] = h5py.VirtualSource(_secret(folder), "c", (64, 80))
    f.create_virtual_dataset("v", layout)


@file("virtual over itself")
def _itself(f: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((64, 80), "u1")
    layout[:] = h5py.VirtualSource(".", "v", (64, 80))
    f.create_virtual_dataset("v", layout)


@file("virtual over one another")
def _circle(f: h5py.File, folder: Path) -> None:
    for one, other in ("ab", "ba"):
        layout = h5py.VirtualLayout((64, 80), "u1")
        layout[:] = h5py.VirtualSource(".", other, (64, 80))
        f.create_virtual_dataset(one, layout)


@file("virtual of 1e18 pixels")
def _huge(f: h5py.File, folder: Path) -> None:
    f.create_dataset("a", data=np.ones((4, 4), "u1"))
    layout = h5py.VirtualLayout((10**9, 10**9), "u1")
    layout[:4, :4] = h5py.VirtualSource(".", "a", (4, 4))
    f.create_virtual_dataset("v", layout)


@file("unknown filter")
def _filter(f: h5py.File, folder: Path) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((64, 80))
    properties.set_filter(31_999, h5py.h5z.FLAG_OPTIONAL)
    space = h5py.h5s.create_simple((64, 80))
    dataset = h5py.h5d.create(f.id, b"c", h5py.h5t.NATIVE_UINT8, space, properties)
    dataset.write_direct_chunk((0, 0), bytes(100), 0)


@file("compressed chunk that goes on")
def _chunk_bomb(f: h5py.File, folder: Path) -> None:
    from malformed.pictures import zeros_packed

    dataset = f.create_dataset("c", (64, 80), "u1", chunks=(64, 80), compression=9)
    dataset.id.write_direct_chunk((0, 0), zeros_packed(1 << 30))


@file("wavelengths of nonsense", "which of its axes")
def _wavelengths(f: h5py.File, folder: Path) -> None:
    f.create_dataset("cube", data=np.ones((6, 64, 80)))
    f.create_dataset("wavelength", data=["red"] * 7)
    f["cube"].attrs["wavelengths"] = np.full(3, np.nan)


@file("500 datasets", "no array")
def _many(f: h5py.File, folder: Path) -> None:
    for i in range(500):
        f.create_dataset(f"d{i}", data=i)


def _secret(folder: Path) -> str:
    path = folder / "secret.h5"
    with h5py.File(path, "w") as other:
        other.create_dataset("c", data=np.full((64, 80), SECRET, "u1"))
    return str(path)


def _spoiled(data: bytes, begin: int, end: int) -> bytes:
    return data[:begin] + bytes(b ^ 0x5A for b in data[begin:end]) + data[end:]
