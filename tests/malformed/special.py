"""What the file system can put in the place of a file."""

from __future__ import annotations

import os
from pathlib import Path

from malformed import content, malformed
from malformed.envi import cube, header
from malformed.scenes import grey
from malformed.zarrs import array2

content("no format", "no_suffix", bytes(range(1, 200)), "another format")
content("movie", "movie.mp4", b"\0\0\0\x18ftypmp42" + bytes(range(200)), "'.mp4'")
content("html page", "page.png", b"<!DOCTYPE html><html><body>404</body></html>", "HTML page")
content(
    "lfs pointer",
    "big.tif",
    b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
    "Git LFS pointer",
)
content("name with a quote and a line break", "a'\n\"b.tif", b"no image", "holds text")
malformed("missing file", "no file")(lambda f: f / "missing.tif")
malformed("file in a file", "no file|cannot be read")(lambda f: grey(f / "a.png") / "b.png")
malformed("name too long", "cannot be read")(lambda f: f / ("a" * 5000))
malformed("name with a zero", "cannot be read")(lambda f: f / "a\0b.tif")


@malformed("device", "zeros|no file of its own|device")
def _device(folder: Path) -> Path:
    (folder / "zero.tif").symlink_to("/dev/zero")
    return folder / "zero.tif"


@malformed("pipe", "device|pipe")
def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.tif")
    return folder / "pipe.tif"


@malformed("pipe for a header")
def _pipe_header(folder: Path) -> Path:
    os.mkfifo(folder / "cube.hdr")
    (folder / "cube.img").write_bytes(bytes(960))
    return folder / "cube.img"


@malformed("pipe for data")
def _pipe_data(folder: Path) -> Path:
    os.mkfifo(folder / "cube.img")
    (folder / "cube.hdr").write_text(header())
    return folder / "cube.hdr"


@malformed("loop of links", "cannot be read|no file")
def _loop(folder: Path) -> Path:
    (folder / "a.tif").symlink_to("b.tif")
    (folder / "b.tif").symlink_to("a.tif")
    return folder / "a.tif"


@malformed("disk that does not give it", "cannot be read")
def _memory(folder: Path) -> Path:
    (folder / "broken.tif").symlink_to("/proc/self/mem")
    return folder / "broken.tif"


@malformed("unreadable picture", "may not be read", unprivileged=True)
def _locked(folder: Path) -> Path:
    path = grey(folder / "a.png")
    path.chmod(0)
    return path


@malformed("unreadable folder", "cannot be read", unprivileged=True)
def _locked_folder(folder: Path) -> Path:
    inner = folder / "inner"
    inner.mkdir()
    grey(inner / "a.png")
    inner.chmod(0)
    return inner


@malformed("file in an unreadable folder", "", unprivileged=True)
def _locked_inside(folder: Path) -> Path:
    return _locked_folder(folder) / "a.png"


@malformed("unreadable ENVI data", "may not be read|cannot be read", unprivileged=True)
def _locked_data(folder: Path) -> Path:
    path = cube(folder, header())
    (folder / "cube.img").chmod(0)
    return path


@malformed("unreadable ENVI header", "", unprivileged=True)
def _locked_header(folder: Path) -> Path:
    path = cube(folder, header())
    path.chmod(0)
    return path


@malformed("unreadable Zarr metadata", "", unprivileged=True)
def _locked_zarr(folder: Path) -> Path:
    path = array2(folder / "a.zarr")
    (path / ".zarray").chmod(0)
    return path


@malformed("unreadable Zarr chunk", "", unprivileged=True)
def _locked_chunk(folder: Path) -> Path:
    path = array2(folder / "a.zarr")
    (path / "0.0").chmod(0)
    return path


@malformed("unreadable profile", "cannot be read", unprivileged=True, by="profile")
def _locked_profile(folder: Path) -> Path:
    (folder / "p.json").write_text("{}")
    (folder / "p.json").chmod(0)
    return folder / "p.json"


malformed("profile is a folder", "cannot be read", by="profile")(lambda f: f)
malformed("profile missing", "cannot be read", by="profile")(lambda f: f / "gone.json")
malformed("profile with a zero in its name", "cannot be read", by="profile")(lambda f: f / "a\0b.json")
