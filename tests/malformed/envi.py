"""ENVI headers, data files and regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from malformed import SECRET, content, malformed

GOOD = {
    "description": "{a cube}",
    "samples": "8",
    "lines": "6",
    "bands": "5",
    "header offset": "0",
    "file type": "ENVI Standard",
    "data type": "4",
    "interleave": "bsq",
    "byte order": "0",
}


def header(**changes: str | None) -> str:
    entries = GOOD | {key.replace("_", " "): value for key, value in changes.items()}
    return "ENVI\n" + "".join(f"{key} = {value}\n" for key, value in entries.items() if value is not None)


def cube(folder: Path, text: str | bytes, size: int = 5 * 6 * 8 * 4) -> Path:
    path = folder / "cube.hdr"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (folder / "cube.img").write_bytes(np.random.default_rng(0).bytes(size) if size < 1 << 20 else bytes(size))
    return path


def wrong(name: str, says: str = "", *, opens: bool = False, size: int = 960, **changes: str | None) -> None:
    malformed(f"envi {name}", says, opens=opens)(lambda folder: cube(folder, header(**changes), size))


wrong("1e9 bands", "1000000000 bands", bands="1000000000")
wrong("60,000 bands", "truncated", bands="60000")
wrong("negative bands", "at least 1", bands="-5")
wrong("no bands", "without an entry 'bands'", bands=None)
wrong("lines 0", "at least 1", lines="0")
wrong("samples in words", "at least 1", samples="eight")
wrong("samples in a list", "at least 1", samples="{8, 9}")
wrong("samples of 5,000 digits", "at least 1", samples="9" * 5000)
wrong("lines of 1e18", "truncated", lines=str(10**18))
wrong("lines nan", "at least 1", lines="nan")
wrong("negative offset", "at least 0", header_offset="-100")
wrong("offset behind the end", "truncated", header_offset="100000000000")
wrong("interleave unknown", "expected bsq, bil or bip", interleave="bxq")
wrong("interleave missing", "expected bsq, bil or bip", interleave=None)
wrong("data type 99", "data type '99'", data_type="99")
wrong("data type missing", "data type", data_type=None)
wrong("complex numbers", "complex numbers", data_type="6")
wrong("byte order 7", "byte order '7'", byte_order="7")
wrong("data cut off", "is truncated", size=500)
wrong("no data", "is truncated", size=0)
wrong("longer data", "bytes more than the header needs", opens=True, size=1960)
wrong("points to the parent folder", "outside its folder", data_file="../../../../etc/passwd")
wrong("points to an absolute path", "outside its folder", data_file="/etc/passwd")
wrong("points outside by backslashes", "outside its folder", data_file="..\\..\\secret.img")
wrong("points to itself", data_file="cube.hdr")
wrong("points to its own folder", "outside its folder", data_file="..")
wrong("brace not closed", "damaged ENVI header", wavelength="{400, 500")
wrong("compressed", "compressed data file", file_compression="1")
wrong("frame offsets", "major frame offsets", major_frame_offsets="{8, 8}")
wrong("spectral library", "spectral library", file_type="ENVI Spectral Library")
wrong("of another file type", "expected ENVI Standard", file_type="TIFF")
wrong("wavelengths in words", "they were left out", opens=True, wavelength="{red, green, blue, a, b}")
wrong("wavelengths too few", "they were left out", opens=True, wavelength="{400, 500}")
wrong("wavelengths negative", "left out", opens=True, wavelength="{-1, -2, -3, -4, -5}")
wrong("wavelengths infinite", "left out", opens=True, wavelength="{1e400, nan, 3, 4, 5}")
wrong("names twice", "they were left out", opens=True, band_names="{a, a, a, a, a}")
wrong("bad-band list too long", "it was left out", opens=True, bbl="{" + "1, " * 500 + "1}")
wrong("scale 0", "scale factor 0 cannot be meant", opens=True, reflectance_scale_factor="0")
wrong("scale 1e39", "cannot be meant", opens=True, reflectance_scale_factor="1e39")
wrong("ignore value 1e39", "little-endian", opens=True, data_ignore_value="1e39", byte_order=None)
wrong("scale nan", "", opens=True, reflectance_scale_factor="nan", byte_order=None)
wrong("map info of nonsense", "", opens=True, map_info="{" + ", ".join("x" * 20) + "}", byte_order=None)
wrong("ignore value nan", "", opens=True, data_ignore_value="1e999", byte_order=None)
wrong("classes of nonsense", "", opens=True, file_type="ENVI Classification", classes="-3", byte_order=None)

malformed("envi binary", "other data")(lambda f: cube(f, b"ENVI\n" + bytes(range(256)) * 20))
malformed("envi header in UTF-16")(
    lambda f: cube(f, "\ufeff".encode("utf-16-le") + header().encode("utf-16-le"))
)
malformed("envi header too large", "at most")(lambda f: cube(f, header() + "; a comment\n" * 500_000))
malformed("envi header of 100,000 lines", "other data")(lambda f: cube(f, header() + "a = 1\n" * 100_000))
malformed("envi one line of 3 MB")(
    lambda f: cube(f, header(bands=None) + "a = {" + "1, " * 1_000_000 + "}\n")
)
malformed("envi 2 MB of open braces")(lambda f: cube(f, header() + "a = {" * 400_000))
malformed("envi 20,000 lines in one brace")(
    lambda f: cube(f, header(bands=None) + "a = {\n" + "1,\n" * 20_000 + "}")
)
malformed("envi only the word")(lambda f: cube(f, "ENVI\n"))
malformed("envi null after the word")(lambda f: cube(f, b"ENVI\0\0\0\0\0\0"))
content("envi header alone", "cube.hdr", header().encode(), "without its data file")
content("envi data alone", "cube.img", bytes(960), "put its header")
content("envi empty header", "cube.hdr", b"", "is empty")
content("envi header of another program", "cube.hdr", b"BYTEORDER I\nNROWS 4\n", "holds text")


@malformed("envi data is a folder", "without its data file")
def _folder(folder: Path) -> Path:
    (folder / "cube.img").mkdir()
    (folder / "cube.hdr").write_text(header())
    return folder / "cube.hdr"


@malformed("envi data is a link outside", "outside its folder")
def _link(folder: Path) -> Path:
    (folder / "secret.bin").write_bytes(bytes([SECRET]) * 960)
    inner = folder / "inner"
    inner.mkdir()
    (inner / "cube.hdr").write_text(header(data_type="1", data_file="../secret.bin"))
    return inner / "cube.hdr"


@malformed("envi damaged white reference", "were not used", opens=True)
def _reference(folder: Path) -> Path:
    cube(folder, header())
    (folder / "WHITEREF_cube.hdr").write_text(header())
    (folder / "WHITEREF_cube.img").write_bytes(bytes(10))
    return folder / "cube.hdr"


@malformed("envi white reference of another size", "were not used", opens=True)
def _other_reference(folder: Path) -> Path:
    cube(folder, header())
    (folder / "WHITEREF_cube.hdr").write_text(header(samples="4"))
    (folder / "WHITEREF_cube.img").write_bytes(bytes(960))
    return folder / "cube.hdr"


ROI = b"; ENVI Output of ROIs (5.3)\n; Number of ROIs: 1\n; File Dimension: %s\n; ROI name: a\n; ROI npts: %s\n%s"

content("regions without head", "r.txt", b"; ENVI Output of ROIs\n", "no size", by="labels")
content("regions cut off", "r.txt", ROI % (b"8 x 6", b"3", b"1 1 1\n"), "truncated", by="labels")
content("regions outside", "r.txt", ROI % (b"8 x 6", b"1", b"1 9 1\n"), "outside its image", by="labels")
content("regions in words", "r.txt", ROI % (b"8 x 6", b"1", b"1 one two\n"), "column and row", by="labels")
content("regions at infinity", "r.txt", ROI % (b"8 x 6", b"1", b"1 inf nan\n"), "column and row", by="labels")
content("regions at 1e300", "r.txt", ROI % (b"8 x 6", b"1", b"1 1e300 1\n"), by="labels")
content(
    "regions of 9,999,999 x 9,999,999", "r.txt", ROI % (b"9999999 x 9999999", b"1", b"1 1 1\n"), by="labels"
)
content("regions of 20,000 x 12,000", "r.txt", ROI % (b"20000 x 12000", b"1", b"1 0 1\n"), by="labels")
content(
    "regions of 1e12 points", "r.txt", ROI % (b"8 x 6", b"999999999999", b"1 1 1\n"), "truncated", by="labels"
)
