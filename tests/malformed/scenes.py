"""Folders and files that belong together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from malformed import malformed
from malformed.tiffs import tiff


def grey(path: Path, rows: int = 24, columns: int = 32, bits: int = 8) -> Path:
    noise = np.random.default_rng(0).integers(0, 2**bits, (rows, columns)).astype(f"u{bits // 8}")
    Image.fromarray(noise).save(path)
    return path


def angles(folder: Path, *, but: Any = None) -> Path:
    for angle in (0, 45, 90, 135):
        grey(folder / f"scene_{angle}.png")
    if but is not None:
        but(folder / "scene_90.png")
    return folder


malformed("angles of different sizes", "24")(lambda f: angles(f, but=lambda p: grey(p, 20)))
malformed("angles, one truncated", "damaged picture")(
    lambda f: angles(f, but=lambda p: p.write_bytes(p.read_bytes()[:99]))
)
malformed("angles, one empty", "is empty")(lambda f: angles(f, but=lambda p: p.write_bytes(b"")))
malformed("angles, one text", "holds text")(lambda f: angles(f, but=lambda p: p.write_bytes(b"no image")))
malformed("angles, one a stack", "stack|which of its axes|holds")(
    lambda f: angles(f, but=lambda p: p.write_bytes(tiff((5, 24, 32), metadata={"axes": "ZYX"})))
)
malformed("angles, one with opacity", "opacity", opens=True)(
    lambda f: angles(f, but=lambda p: Image.new("LA", (32, 24)).save(p))
)
malformed("angles, one a loop of links")(
    lambda f: angles(f, but=lambda p: (p.unlink(), p.symlink_to(p.name)))
)


XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:c="http://pix4d.com/camera/1.0/" c:BandName="{}" c:CentralWavelength="{}"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def bands(folder: Path, *, xmp: Any = None, rows: Any = (24, 24, 24), last: bytes | None = None) -> Path:
    for i, name in enumerate(("Blue", "Green", "Red")):
        packet = (xmp or XMP.format)(name, 450 + 100 * i).encode()
        tifffile.imwrite(
            folder / f"IMG_0001_{i + 1}.tif",
            np.random.default_rng(i).integers(0, 65_536, (rows[i], 32)).astype("u2"),
            extratags=[(700, 1, len(packet), packet, True)],
            metadata=None,
        )
    if last is not None:
        (folder / "IMG_0001_3.tif").write_bytes(last)
    return folder


ENTITIES = '<!DOCTYPE o [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'

malformed("bands of different sizes", "different sizes")(lambda f: bands(f, rows=(24, 20, 16)))
malformed("bands, one truncated", "truncated|make up one")(lambda f: bands(f, last=tiff((24, 32))[:400]))
malformed("bands, one empty")(lambda f: bands(f, last=b""))
malformed("bands with an entity bomb", "make up one image")(
    lambda f: bands(f, xmp=lambda name, wave: ENTITIES + XMP.format("&b;", wave))
)
malformed("bands with damaged words", "make up one image")(lambda f: bands(f, xmp=lambda *_: "<x:xmpmeta"))
malformed("bands with nested words", "make up one image")(lambda f: bands(f, xmp=lambda *_: "<a>" * 100_000))
malformed("bands of words for lengths", "", opens=True)(
    lambda f: bands(f, xmp=lambda name, _: XMP.format(name, "very long"))
)
malformed("bands, one of five channels", "make up one image")(
    lambda f: bands(f, last=tiff((5, 24, 32), metadata={"axes": "CYX"}))
)


@malformed("colour and depth of different sizes", "expected the same")
def _pair(folder: Path) -> Path:
    Image.new("RGB", (32, 24)).save(folder / "scene.png")
    grey(folder / "scene_depth.png", 12, bits=16)
    return folder


@malformed("colour and damaged depth", "damaged picture")
def _damaged_pair(folder: Path) -> Path:
    Image.new("RGB", (32, 24)).save(folder / "scene.png")
    path = grey(folder / "scene_depth.png", bits=16)
    path.write_bytes(path.read_bytes()[:200])
    return folder


def calibrated(name: str, text: str | bytes, says: str = "calib.txt beside it was left out") -> None:
    def make(folder: Path) -> Path:
        (folder / "calib.txt").write_bytes(text if isinstance(text, bytes) else text.encode())
        tifffile.imwrite(folder / "disp0.tif", np.random.default_rng(0).random((24, 32)).astype("f4"))
        return folder / "disp0.tif"

    malformed(f"calibration {name}", says, opens=True)(make)


MATRIX = "cam0=[1000 0 16; 0 1000 12; 0 0 1]\n"
calibrated("empty", "")
calibrated("binary", bytes(range(256)) * 8)
calibrated("without baseline", MATRIX)
calibrated("of another image", MATRIX + "baseline=100\nwidth=640\nheight=480\n")
calibrated("negative", MATRIX.replace("1000", "-5") + "baseline=100\n")
calibrated("infinite", MATRIX.replace("1000", "1e999") + "baseline=1e999\n")
calibrated("of NaN", "cam0=[nan nan nan]\nbaseline=nan\n")
calibrated("of many numbers", "cam0=[" + "1 " * 20_000 + "]\n")
calibrated("of 60,000 lines", "\n" * 60_000)
calibrated("of 60,000 blanks", "a=" + " " * 60_000 + "x")
calibrated("of one long word", "a" * 60_000)
calibrated("of 1 MB", MATRIX * 40_000, "Without a calib.txt|calib.txt")


@malformed("folder empty", "0 image files")
def _empty(folder: Path) -> Path:
    return folder


@malformed("folder of texts", "0 image files")
def _texts(folder: Path) -> Path:
    (folder / "readme.md").write_text("no image")
    return folder


@malformed("folder of folders", "0 image files")
def _folders(folder: Path) -> Path:
    (folder / "a" / "b").mkdir(parents=True)
    return folder


@malformed("folder that links to itself", "0 image files")
def _loop(folder: Path) -> Path:
    (folder / "again").symlink_to(folder, target_is_directory=True)
    (folder / "capture").symlink_to(folder, target_is_directory=True)
    return folder


@malformed("folder of 3,000 images", "3000 image files")
def _crowd(folder: Path) -> Path:
    for i in range(3000):
        (folder / f"{i}.png").touch()
    return folder


@malformed("selection with a missing file")
def _missing(folder: Path) -> list[Path]:
    return [
        grey(folder / "scene_0.png"),
        folder / "scene_45.png",
        folder / "scene_90.png",
        folder / "scene_135.png",
    ]


@malformed("selection of nothing", "at least one")
def _nothing(folder: Path) -> list[Path]:
    return []


@malformed("selection of strangers", "do not make up one image")
def _strangers(folder: Path) -> list[Path]:
    return [grey(folder / "cat.png"), grey(folder / "dog.png")]
