"""Whatever a file holds, opening it gives an image or one clear sentence."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_simmat.errors import ImageError
from napari_simmat.images import open_image, open_labels


def sentence(path, opener=open_image):
    """The one sentence that opening gives."""
    with pytest.raises(ImageError) as caught:
        opener(path)
    text = str(caught.value)
    assert path.name in text
    assert "\n" not in text
    assert text.endswith(".")
    assert len(text) < 400
    return text


def opened(path):
    """The image in the file, or none if it is refused in one sentence."""
    try:
        return open_image(path, channel_axis=None)
    except ImageError as caught:
        text = str(caught)
    assert "\n" not in text
    return None


def tiff_bytes(**options):
    buffer = io.BytesIO()
    array = np.random.default_rng(0).integers(0, 255, (3, 64, 80)).astype(np.uint8)
    tifffile.imwrite(buffer, array, photometric="minisblack", metadata={"axes": "CYX"}, **options)
    return buffer.getvalue()


def ome_bytes():
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, np.zeros((3, 64, 80), "u1"), ome=True, photometric="minisblack", metadata={"axes": "CYX"}
    )
    return buffer.getvalue()


def npz_bytes(save):
    buffer = io.BytesIO()
    save(buffer, a=np.ones((64, 80)))
    return buffer.getvalue()


def npy_bytes():
    buffer = io.BytesIO()
    np.save(buffer, np.ones((64, 80)))
    return buffer.getvalue()


def picture_bytes(form):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(np.uint8)
    Image.fromarray(noise).save(buffer, form)
    return buffer.getvalue()


GOOD = {
    "plain.tif": tiff_bytes(),
    "zlib.tif": tiff_bytes(compression="zlib"),
    "lzw.tif": tiff_bytes(compression="lzw", tile=(32, 32)),
    "big.tif": tiff_bytes(bigtiff=True),
    "ome.ome.tif": ome_bytes(),
    "a.npy": npy_bytes(),
    "a.npz": npz_bytes(np.savez),
    "packed.npz": npz_bytes(np.savez_compressed),
    "a.png": picture_bytes("PNG"),
    "a.jpg": picture_bytes("JPEG"),
}


@pytest.mark.parametrize("name", GOOD)
def test_the_undamaged_files_open(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(GOOD[name])
    assert open_image(path).shape == (64, 80)


@pytest.mark.parametrize("part", [0.01, 0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("name", [name for name in GOOD if name != "a.jpg"])
def test_a_truncated_file_is_refused(tmp_path, name, part):
    path = tmp_path / name
    path.write_bytes(GOOD[name][: int(len(GOOD[name]) * part)])
    sentence(path)


@pytest.mark.parametrize("name", GOOD)
def test_a_file_without_its_last_bytes_is_refused_or_complete_in_its_pixels(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(GOOD[name])
    whole = open_image(path).data
    for missing in (1, 2, 8, 50, 200):
        path.write_bytes(GOOD[name][:-missing])
        image = opened(path)
        assert image is None or np.array_equal(image.data, whole)


@pytest.mark.parametrize("part", [0.01, 0.3, 0.9])
def test_a_truncated_jpeg_is_refused(tmp_path, part):
    path = tmp_path / "a.jpg"
    path.write_bytes(GOOD["a.jpg"][: int(len(GOOD["a.jpg"]) * part)])
    sentence(path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", GOOD)
def test_flipped_bytes_give_an_image_or_a_sentence(tmp_path, name, capfd):
    rng = np.random.default_rng(1)
    path = tmp_path / name
    for _ in range(60):
        content = bytearray(GOOD[name])
        header = rng.random() < 0.7
        for _ in range(rng.integers(1, 6)):
            content[rng.integers(0, min(len(content), 400) if header else len(content))] = rng.integers(
                0, 256
            )
        path.write_bytes(bytes(content))
        image = opened(path)
        assert image is None or image.data.ndim == 3
    assert capfd.readouterr().err == ""


def test_damaged_lzw_data_are_refused_and_end_nothing(tmp_path):
    rng = np.random.default_rng(2)
    path = tmp_path / "a.tif"
    for _ in range(200):
        content = bytearray(GOOD["lzw.tif"])
        for position in rng.integers(1000, len(content), 20):
            content[position] ^= 0x55
        path.write_bytes(bytes(content))
        assert "TIFF" in sentence(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.tif", b"", "is empty"),
        ("empty.npy", b"", "is empty"),
        ("zeros.tif", bytes(4096), "nothing but zeros"),
        ("notes.tif", b"measured on a cloudy day\n" * 50, "holds text"),
        ("page.png", b"<!DOCTYPE html><html><body>404</body></html>", "HTML page"),
        ("page.tif", b"\n\n  <html lang='en'>", "HTML page"),
        ("big.tif", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
        ("movie.mp4", b"\0\0\0\x18ftypmp42" + bytes(range(200)), "'.mp4'"),
        ("no_suffix", bytes(range(1, 200)), "another format"),
        ("header.tif", b"II*\0", "TIFF"),
        ("nothing.tif", b"II*\0\0\0\0\0", "without an image"),
        ("loop.tif", b"II*\0\x08\0\0\0" + b"\0\0" + b"\x08\0\0\0", "TIFF"),
        ("header.png", b"\x89PNG\r\n\x1a\n", "damaged picture"),
        ("header.npy", b"\x93NUMPY\x01\0", "is damaged"),
        ("code.npy", b"\x93NUMPY\x01\0\x20\0" + b"__import__('os').getcwd()".ljust(32), "is damaged"),
        ("archive.npz", b"PK\x03\x04garbage", "damaged archive"),
    ],
)
def test_a_file_that_holds_something_else_is_called_by_its_name(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    text = sentence(path)
    assert words in text
    assert words in sentence(path, open_labels)


def test_supported_formats_are_listed_for_an_unknown_one(tmp_path):
    path = tmp_path / "scene.xyz"
    path.write_bytes(bytes(range(1, 200)))
    for suffix in (".tif", ".ome.tif", ".npy", ".npz", ".png", ".jpg"):
        assert suffix in sentence(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    assert "no file" in sentence(tmp_path / "missing.tif")
    assert "do not make up one image" in sentence(tmp_path)
    assert "no file" in sentence(tmp_path / "missing" / "image.tif")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything"
)
def test_a_file_without_permission_is_refused(tmp_path):
    path = tmp_path / "secret.tif"
    path.write_bytes(GOOD["plain.tif"])
    path.chmod(0)
    assert "permissions" in sentence(path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read")
def test_a_file_that_the_disk_cannot_give_is_refused(tmp_path):
    path = tmp_path / "broken.tif"
    path.symlink_to("/proc/self/mem")
    assert "cannot be read" in sentence(path)


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
def test_a_name_that_no_disk_knows_is_refused(name):
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(name + ".tif")


def test_pickled_objects_are_never_loaded(tmp_path):
    ran = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    objects = np.array([[Trap()]], dtype=object)
    np.save(tmp_path / "trap.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "trap.npz", a=objects)
    for name in ("trap.npy", "trap.npz"):
        assert "pickled Python objects" in sentence(tmp_path / name)
    assert not ran.exists()
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Trap()))
    sentence(tmp_path / "bare.npy")
    assert not ran.exists()


@pytest.mark.parametrize(
    "shape", ["(60000, 60000, 1000)", "(-1, 5)", "(0, 5)", "(10**30, 2)", "(9223372036854775807, 3)"]
)
def test_absurd_npy_shapes_are_refused_before_anything_is_allocated(tmp_path, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header)
    sentence(path)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", path.read_bytes())
    sentence(tmp_path / "a.npz")


def png_of_one_colour(size):
    """A grey PNG that claims `size` rows and columns and holds nearly nothing."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [60_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused(tmp_path, size):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of_one_colour(size))
    sentence(path)


def test_a_small_file_that_unpacks_to_a_huge_image_is_refused(tmp_path):
    path = tmp_path / "bomb.tif"
    content = _with_tag(tiff_bytes(compression="lzw", tile=(32, 32)), 256, 30_000)
    path.write_bytes(_with_tag(content, 257, 30_000))
    assert "too few for a real image" in sentence(path)


def test_a_tiff_that_claims_to_be_larger_than_memory_is_refused(tmp_path):
    path = tmp_path / "huge.tif"
    content = _with_tag(tiff_bytes(), 256, 2**31 - 1)
    path.write_bytes(_with_tag(content, 257, 2**31 - 1))
    assert "GiB" in sentence(path) or "truncated" in sentence(path)


def _with_tag(content, code, value):
    """The bytes of a little-endian TIFF with one 32-bit tag of its first page replaced."""
    start = struct.unpack_from("<I", content, 4)[0]
    changed = bytearray(content)
    for i in range(struct.unpack_from("<H", content, start)[0]):
        entry = start + 2 + 12 * i
        if struct.unpack_from("<H", content, entry)[0] == code:
            struct.pack_into("<HII", changed, entry + 2, 4, 1, value)
    return bytes(changed)


def test_an_entity_bomb_in_ome_xml_is_refused(tmp_path):
    bomb = '<?xml version="1.0"?><!DOCTYPE o [<!ENTITY a "aaaaaaaaaa">'
    for one, other in zip("abcdefgh", "bcdefghi", strict=True):
        bomb += f'<!ENTITY {other} "{f"&{one};" * 10}">'
    bomb += ']><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">&i;</OME>'
    path = tmp_path / "bomb.ome.tif"
    tifffile.imwrite(path, np.zeros((4, 4), "u1"), description=bomb, metadata=None)
    assert "entity definitions" in sentence(path)


def test_ome_xml_that_contradicts_the_pixels_does_no_harm(tmp_path):
    path = tmp_path / "a.ome.tif"
    content = ome_bytes().replace(b'SizeX="80"', b'SizeX="-1"')
    path.write_bytes(content)
    image = opened(path)
    assert image is None or image.data.shape == (3, 64, 80)


def test_an_archive_of_other_things_is_no_image(tmp_path):
    path = tmp_path / "report.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("report.txt", "nothing here")
    assert "without any NumPy array" in sentence(path)
    with zipfile.ZipFile(path, "w"):
        pass
    assert "without any NumPy array" in sentence(path)
