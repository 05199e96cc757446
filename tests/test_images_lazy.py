"""Large images are read piece by piece: opening is quick and memory stays small."""

from __future__ import annotations

import subprocess
import sys
import zlib

import dask.array as da
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_simmat.errors import ImageError
from napari_simmat.images import lazy, open_file, open_image
from napari_simmat.images.files import tiff
from napari_simmat.images.lazy import FileArray, block_shape, from_file

SHAPE = (5, 37, 41)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A file of big-endian numbers behind 13 other bytes, and the numbers."""
    array = np.random.default_rng(0).integers(0, 60_000, SHAPE).astype(">u2")
    path = tmp_path_factory.mktemp("lazy") / "array.bin"
    path.write_bytes(bytes(13) + array.tobytes())
    return path, array


index = st.one_of(
    st.integers(-5, 4), st.slices(5), st.builds(slice, st.none(), st.none(), st.sampled_from([-3, -1, 2, 7]))
)


@settings(max_examples=80, deadline=None)
@given(
    st.permutations(range(3)),
    st.tuples(index, index, index),
    st.sampled_from([1, 300, 5000, 1 << 20]),
)
def test_any_part_of_a_file_is_what_numpy_gives(stored, order, wanted, mapped):
    path, array = stored
    expected = array.transpose(order)[wanted]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lazy, "MAPPED_BYTES", mapped)
        found = FileArray(path, SHAPE, array.dtype, 13, tuple(order))[wanted]
    assert np.array_equal(found, expected)
    assert found.dtype.isnative


def test_blocks_are_whole_units_of_about_the_wanted_size():
    for shape, unit in (((8, 20_000, 20_000), (1, 256, 256)), ((7, 100, 90), ()), ((3, 5, 10**8), ())):
        block = block_shape(shape, 2, unit)
        assert np.prod(block) * 2 <= 2 * lazy.BLOCK_BYTES
        assert all(b == n or b % u == 0 for b, n, u in zip(block, shape, unit or (1, 1, 1), strict=True))


def test_a_file_that_has_become_shorter_gives_a_sentence(stored, tmp_path, monkeypatch):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 0)
    path = tmp_path / "array.npy"
    np.save(path, stored[1])
    image = open_image(path, channel_axis=0)
    array = from_file(FileArray(path, SHAPE, stored[1].dtype, 128))
    assert isinstance(array, da.Array)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ImageError, match="cannot be read any more"):
        array[4].compute()
    assert image.shape == (37, 41)


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_npy_files_are_mapped(tmp_path, monkeypatch, order):
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 1000)
    array = np.asarray(np.random.default_rng(0).normal(size=(30, 40, 6)), order=order)
    np.save(tmp_path / "cube.npy", array)
    raw = open_file(tmp_path / "cube.npy").raw
    assert isinstance(raw.array, da.Array)
    assert np.array_equal(raw.array.compute(), array)
    assert np.array_equal(raw.array[::7, 3:, 2].compute(), array[::7, 3:, 2])


LAYOUTS = {
    "pages": {"axes": "CYX", "shape": (3, 90, 130), "options": {}},
    "samples": {"axes": "YXS", "shape": (90, 130, 5), "options": {"planarconfig": "contig"}},
    "planes": {"axes": "SYX", "shape": (4, 90, 130), "options": {"planarconfig": "separate"}},
}


@pytest.fixture
def all_lazy(monkeypatch):
    """Images of any size are lazy."""
    monkeypatch.setattr(tiff, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(lazy, "IN_MEMORY_BYTES", 0)


@pytest.mark.parametrize(("dtype", "byteorder"), [("u1", "<"), ("i2", ">"), ("f4", "<")])
@pytest.mark.parametrize(
    "pieces", [{"tile": (32, 48)}, {"rowsperstrip": 7}, {}], ids=["tiles", "strips", "one"]
)
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "zstd"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_lazy_tiffs_of_any_layout_are_what_tifffile_reads(
    tmp_path, all_lazy, layout, compression, pieces, dtype, byteorder
):
    kind = LAYOUTS[layout]
    array = (np.random.default_rng(0).random(kind["shape"]) * 200).astype(dtype)
    path = tmp_path / "a.tif"
    options = {"predictor": True} if compression else {}
    tifffile.imwrite(
        path,
        array,
        photometric="minisblack",
        compression=compression,
        byteorder=byteorder,
        metadata={"axes": kind["axes"]},
        **pieces,
        **options,
        **kind["options"],
    )
    raw = open_file(path).raw
    assert isinstance(raw.array, da.Array)
    assert raw.array.dtype == array.dtype.newbyteorder("=")
    assert np.array_equal(raw.array.compute(), array)
    assert np.array_equal(raw.array[1:3, ::3, 2::2].compute(), array[1:3, ::3, 2::2])


def test_damaged_tiles_of_a_lazy_tiff_give_a_sentence_and_end_nothing(tmp_path, all_lazy):
    path = tmp_path / "a.tif"
    array = np.random.default_rng(0).integers(0, 255, (3, 64, 80)).astype("u1")
    tifffile.imwrite(
        path, array, photometric="minisblack", compression="lzw", tile=(32, 32), metadata={"axes": "CYX"}
    )
    content = bytearray(path.read_bytes())
    for position in np.random.default_rng(2).integers(2000, len(content), 60):
        content[position] ^= 0x55
    path.write_bytes(bytes(content))
    with pytest.raises(ImageError):
        open_image(path).plane(0)


def test_pyramids_are_levels(tmp_path, all_lazy):
    array = np.random.default_rng(0).integers(0, 255, (4, 256, 320)).astype("u1")
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, ome=True) as writer:
        options = {"tile": (64, 64), "photometric": "minisblack", "compression": "zlib"}
        writer.write(array, subifds=2, metadata={"axes": "CYX"}, **options)
        writer.write(array[:, ::2, ::2], subfiletype=1, **options)
        writer.write(array[:, ::4, ::4], subfiletype=1, **options)
    raw = open_file(path).raw
    assert [level.shape for level in raw.levels] == [(4, 128, 160), (4, 64, 80)]
    assert np.array_equal(raw.levels[1].compute(), array[:, ::4, ::4])


def test_palette_and_missing_values_of_lazy_tiffs(tmp_path, all_lazy):
    numbers = np.arange(60, dtype="u1").reshape(6, 10)
    colours = np.random.default_rng(0).integers(0, 255, (3, 256)).astype("u2") * 257
    path = tmp_path / "palette.tif"
    tifffile.imwrite(path, numbers, photometric="palette", colormap=colours, tile=(16, 16))
    assert np.array_equal(open_image(path).data, (colours // 257)[:, numbers])
    floats = np.arange(60, dtype="f4").reshape(6, 10)
    tifffile.imwrite(path, floats, tile=(16, 16), extratags=[(42113, 2, 0, "7", True)])
    assert np.isnan(open_image(path).data).sum() == 1


MEMORY = """
import resource, sys
from napari_simmat.images import open_image

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

before = peak()
for path in sys.argv[1:]:
    image = open_image(path)
    assert image.is_lazy
    image.plane(image.n_channels // 2)
    image.overview(512, channels=(0, 1, 2))
    image.window(100, 100, 200, 200)
    image.content_key()
print(peak() - before)
"""


def test_cubes_of_600_megabytes_are_looked_at_in_half_of_that(tmp_path):
    pytest.importorskip("resource")
    paths = []
    for layout in ("bsq", "bil", "bip"):
        with (tmp_path / f"{layout}.img").open("wb") as file:
            file.truncate(2 * 1000 * 1000 * 300)  # a hole, which takes no room on the disk
        paths.append(tmp_path / f"{layout}.hdr")
        paths[-1].write_text(
            "ENVI\nsamples = 1000\nlines = 1000\nbands = 300\ndata type = 12\nbyte order = 0\n"
            f"interleave = {layout}\n"
        )
    command = [sys.executable, "-c", MEMORY, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 300


def test_a_tiled_tiff_of_twenty_thousand_pixels_a_side_is_opened_by_its_window(tmp_path):
    path = tmp_path / "large.tif"
    tile = np.arange(256 * 256 * 8, dtype="u1").reshape(256, 256, 8)
    packed = zlib.compress(tile.tobytes())
    tifffile.imwrite(
        path,
        (packed for _ in range((-(-20_000 // 256)) ** 2)),
        shape=(20_000, 20_000, 8),
        dtype="u1",
        compression="zlib",
        tile=(256, 256),
        photometric="minisblack",
        planarconfig="contig",
    )
    image = open_image(path)
    assert image.is_lazy
    assert image.shape == (20_000, 20_000)
    window = image.window(256 * 40, 256 * 50, 256 * 40 + 300, 256 * 50 + 400)
    assert np.array_equal(window.data, np.tile(tile, (2, 2, 1))[:300, :400].transpose(2, 0, 1))
    assert window.origin == (256 * 40, 256 * 50)
