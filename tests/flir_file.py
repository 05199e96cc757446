"""A radiometric JPEG as a FLIR camera writes it, as far as its thermal data go."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True)
class Planck:
    """How a camera's counts follow from the temperature it sees, by the constants that its file carries.

    counts = r1 / (r2 (exp(b / T) - f)) - o, T in kelvin (FLIR's radiometric file format; ExifTool, tags PlanckR1, ...).
    """

    r1: float
    r2: float
    b: float
    f: float
    o: float

    def counts(self, celsius):
        kelvin = np.asarray(celsius, np.float64) + 273.15
        return self.r1 / (self.r2 * (np.exp(self.b / kelvin) - self.f)) - self.o

    def celsius(self, counts):
        return (
            self.b / np.log(self.r1 / (self.r2 * (np.asarray(counts, np.float64) + self.o)) + self.f) - 273.15
        )


CAMERA = Planck(r1=21106.77, r2=0.012545258, b=1501.0, f=1.0, o=-7340)

ENTRIES = 14  # of the directory; cameras leave most of them empty


def flir_jpeg(counts, *, emissivity=1.0, reflected=20.0, distance=0.0, png=True, segment=60_000):
    """Bytes of a JPEG picture with these counts, (Y, X) of 16 bits, and the calibration `CAMERA`."""
    rows, columns = counts.shape
    record = struct.pack("<HHH", 2, columns, rows).ljust(32, b"\0")
    if png:
        swapped = io.BytesIO()
        Image.fromarray(counts.astype("<u2").byteswap()).save(swapped, "png")
        record += swapped.getvalue()
    else:
        record += counts.astype("<u2").tobytes()
    info = _camera_info(emissivity, reflected, distance)
    directory = 64 + ENTRIES * 32
    entries = b""
    for kind, body, start in ((1, record, directory), (32, info, directory + len(record))):
        entries += struct.pack(">HHIIIIIII", kind, 1, 100, 1, start, len(body), 0, 0, 0)
    entries = entries.ljust(ENTRIES * 32, b"\0")
    head = b"FFF\0" + b"CAMCTRL".ljust(16, b"\0") + struct.pack(">III", 100, 64, ENTRIES)
    data = head.ljust(64, b"\0") + entries + record + info
    pieces = [data[i : i + segment] for i in range(0, len(data), segment)]
    segments = b"".join(
        b"\xff\xe1" + struct.pack(">H", len(piece) + 10) + b"FLIR\0\1" + bytes([i, len(pieces) - 1]) + piece
        for i, piece in enumerate(pieces)
    )
    picture = io.BytesIO()
    exif = Image.Exif()
    exif[271], exif[272] = "FLIR Systems AB", "FLIR E60"
    grey = ((counts - counts.min()) / max(1, np.ptp(counts)) * 255).astype("u1")
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(picture, "jpeg", exif=exif)
    jpeg = picture.getvalue()
    return jpeg[:2] + segments + jpeg[2:]


def _camera_info(emissivity, reflected, distance):
    info = bytearray(900)

    def put(place, *numbers):
        struct.pack_into(f"<{len(numbers)}f", info, place, *numbers)

    # Emissivity, distance, reflected, atmosphere, window and its transmission; then humidity.
    put(32, emissivity, distance, reflected + 273.15, 293.15, 293.15, 1.0)
    put(60, 0.5)
    put(88, CAMERA.r1, CAMERA.b, CAMERA.f)
    put(112, 0.006569, 0.01262, -0.002276, -0.00667, 1.9)
    struct.pack_into("<i", info, 776, int(CAMERA.o))
    put(780, CAMERA.r2)
    return bytes(info)
