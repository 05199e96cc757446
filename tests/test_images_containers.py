"""MATLAB, HDF5, Zarr and NumPy archives: which array is the image, and what lies beside it."""

from __future__ import annotations

import contextlib
import json
import shutil
import time

import dask.array as da
import h5py
import numpy as np
import pytest
import scipy.io
import zarr

from napari_simmat.errors import AmbiguousAxesError, ImageError
from napari_simmat.images import open_file, open_image
from napari_simmat.images.files import hdf5

RNG = np.random.default_rng(0)
CUBE = RNG.integers(0, 4000, (20, 30, 6)).astype("u2")
NANOMETRES = [450.0, 500.0, 550.0, 650.0, 750.0, 850.0]


def matlab(path, **arrays):
    scipy.io.savemat(path, arrays, do_compression=True)
    return path


def hdf(path, arrays, **attributes):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
            for key, value in attributes.items():
                file[name].attrs[key] = value
    return path


def matlab73(path, **arrays):
    """As MATLAB writes version 7.3: axes the other way round, the class in an attribute, 512 bytes before it."""
    classes = {"u2": "uint16", "f8": "double"}
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            file[name] = np.asarray(array).T
            file[name].attrs["MATLAB_class"] = np.bytes_(classes[np.asarray(array).dtype.str[1:]])
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")
    return path


WRITERS = {
    "v5.mat": lambda path, **a: matlab(path, **a),
    "v73.mat": lambda path, **a: matlab73(path, **a),
    "a.h5": lambda path, **a: hdf(path, a),
    "a.npz": lambda path, **a: (np.savez(path, **a), path)[1],
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_largest_array_is_opened_with_its_wavelengths_and_the_others_are_parts(tmp_path, name):
    path = WRITERS[name](tmp_path / name, cube=CUBE, truth=CUBE[:, :, 0], wavelengths=np.array(NANOMETRES))
    opened = open_file(path)
    image = opened.image()
    assert np.array_equal(image.data, CUBE.transpose(2, 0, 1))
    assert [channel.wavelength_nm for channel in image.channels] == NANOMETRES
    assert image.modality == "hyperspectral"
    assert set(opened.parts) == {"cube", "truth"}
    assert "cube, was opened" in " ".join(image.assumptions)
    assert np.array_equal(open_image(path, part="truth").data[0], CUBE[:, :, 0])
    with pytest.raises(ImageError, match="no array 'dark'"):
        open_image(path, part="dark")


@pytest.mark.parametrize("name", ["v5.mat", "v73.mat"])
def test_an_array_of_matlab_alone_is_rows_columns_channels_and_that_is_said(tmp_path, name):
    path = WRITERS[name](tmp_path / name, cube=CUBE)
    image = open_image(path)
    assert np.array_equal(image.data, CUBE.transpose(2, 0, 1))
    assert "rows x columns x channels" in " ".join(image.assumptions)
    assert np.array_equal(open_image(path, channel_axis=0).data, CUBE)


def test_axes_that_nothing_tells_are_asked_for(tmp_path):
    with pytest.raises(AmbiguousAxesError):
        open_image(hdf(tmp_path / "a.h5", {"cube": CUBE}))


def test_names_of_bands_beside_the_array(tmp_path):
    names = [f"band of {i}" for i in "abcdef"]
    cells = np.array(names, dtype=object)
    for path in (
        matlab(tmp_path / "a.mat", cube=CUBE, band_names=cells),
        hdf(tmp_path / "a.h5", {"cube": CUBE, "band_names": np.array(names, "S")}),
        (np.savez(tmp_path / "a.npz", cube=CUBE, names=np.array(names)), tmp_path / "a.npz")[1],
    ):
        assert [channel.name for channel in open_image(path).channels] == names


def test_wavelengths_of_hdf5_from_the_nearest_group_with_their_unit(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["scene/reflectance/data"] = CUBE
        file["scene/metadata/Wavelength"] = np.array(NANOMETRES) / 1000
        file["scene/metadata/Wavelength"].attrs["units"] = "micrometers"
        file["other/wavelength"] = np.arange(1.0, 7.0)
    image = open_image(path, part="/scene/reflectance/data")
    assert [channel.wavelength_nm for channel in image.channels] == pytest.approx(NANOMETRES)


def test_dimension_labels_and_image_attributes_of_hdf5_tell_the_axes(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["cube"] = CUBE
        for dimension, label in zip(file["cube"].dims, ("line", "sample", "band"), strict=True):
            dimension.label = label
    assert np.array_equal(open_image(path).data, CUBE.transpose(2, 0, 1))
    hdf(path, {"cube": CUBE}, INTERLACE_MODE="INTERLACE_PIXEL", note="in the garden")
    image = open_image(path)
    assert np.array_equal(image.data, CUBE.transpose(2, 0, 1))
    assert image.facts["note"] == "in the garden"


@pytest.mark.parametrize("name", ["v73.mat", "a.h5"])
def test_large_datasets_are_read_when_needed(tmp_path, monkeypatch, name):
    monkeypatch.setattr(hdf5, "IN_MEMORY_BYTES", 100)
    raw = open_file(WRITERS[name](tmp_path / name, cube=CUBE, wavelengths=np.array(NANOMETRES))).raw
    assert isinstance(raw.array, da.Array)
    assert np.array_equal(raw.array.compute(), CUBE)
    assert np.array_equal(raw.array[3, ::4, 2:].compute(), CUBE[3, ::4, 2:])


def external_link(path):
    with h5py.File(path, "w") as file:
        file["cube"] = h5py.ExternalLink("/etc/passwd", "/cube")


def external_storage(path):
    path.with_suffix(".bin").write_bytes(bytes(20 * 30))
    with h5py.File(path, "w") as file:
        file.create_dataset("cube", (20, 30), "u1", external=[(str(path.with_suffix(".bin")), 0, 600)])


def virtual(path):
    hdf(path.with_name("other.h5"), {"cube": CUBE[..., 0]})
    layout = h5py.VirtualLayout((20, 30), "u2")
    layout[:] = h5py.VirtualSource(str(path.with_name("other.h5")), "cube", (20, 30))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("cube", layout)


def nothing_behind_a_huge_shape(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("cube", (10**9, 10**9), "u2", chunks=(64, 64))


def huge_chunk(path):
    with h5py.File(path, "w") as file:
        cube = file.create_dataset(
            "cube", (40_000, 40_000), "u1", chunks=(40_000, 40_000), compression="gzip"
        )
        cube.id.write_direct_chunk((0, 0), bytes(10**6))


def only_text(path):
    hdf(path, {"notes": "measured on a cloudy day"})


def truncated(path):
    hdf(path, {"cube": CUBE})
    path.write_bytes(path.read_bytes()[:1000])


BAD_HDF5 = {
    external_link: "points to another file|no array of numbers",
    external_storage: "in other files",
    virtual: "in other files",
    nothing_behind_a_huge_shape: "too few",
    huge_chunk: "chunks",
    only_text: "no array of numbers",
    truncated: "damaged",
}


@pytest.mark.parametrize("make", BAD_HDF5, ids=lambda make: make.__name__)
def test_hdf5_files_that_cannot_be_meant_are_refused(tmp_path, make):
    make(tmp_path / "a.h5")
    start = time.process_time()
    with pytest.raises(ImageError, match=BAD_HDF5[make]) as caught:
        open_image(tmp_path / "a.h5")
    assert time.process_time() - start < 2
    assert "\n" not in str(caught.value)


def test_a_part_behind_an_external_link_is_refused(tmp_path):
    external_link(tmp_path / "a.h5")
    with pytest.raises(ImageError, match="points to another file"):
        open_image(tmp_path / "a.h5", part="cube")


@pytest.mark.parametrize("part", [0.05, 0.3, 0.9])
def test_truncated_and_damaged_matlab_files_are_refused(tmp_path, part):
    path = matlab(tmp_path / "a.mat", cube=CUBE)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(ImageError):
        open_image(path)
    damaged = bytearray(content)
    for position in RNG.integers(130, len(content), 50):
        damaged[position] ^= 0x55
    path.write_bytes(bytes(damaged))
    with pytest.raises(ImageError):
        open_image(path)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?"])
def test_every_type_of_matlab_is_read_as_scipy_reads_it(tmp_path, dtype, compressed):
    array = (CUBE % 100).astype(dtype)
    scipy.io.savemat(tmp_path / "a.mat", {"x": np.arange(3), "cube": array}, do_compression=compressed)
    image = open_image(tmp_path / "a.mat")
    expected = scipy.io.loadmat(tmp_path / "a.mat")["cube"]
    assert np.array_equal(image.data, expected.transpose(2, 0, 1))
    assert image.data.dtype == array.dtype


@pytest.mark.parametrize("compressed", [False, True])
def test_any_bytes_in_a_matlab_file_give_an_image_or_a_sentence(tmp_path, compressed):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, {"wl": np.arange(1.0, 7.0), "cube": CUBE}, do_compression=compressed)
    whole = path.read_bytes()
    for _ in range(200):
        content = bytearray(whole)
        for position in RNG.integers(0, 600, RNG.integers(1, 6)):
            content[position] = RNG.integers(0, 256)
        path.write_bytes(bytes(content))
        with contextlib.suppress(ImageError):
            open_image(path)


def test_text_and_structures_in_matlab_files_are_no_images(tmp_path):
    path = matlab(
        tmp_path / "a.mat", text="words", structure={"cube": CUBE}, cells=np.array([[1, "a"]], object)
    )
    with pytest.raises(ImageError, match="no array of numbers"):
        open_image(path)


# ---- Zarr ----


def multiscale(path, array, axes="cyx", version=2, **ome):
    """An OME-Zarr image of three scales: version 0.4 in format 2 of Zarr, 0.5 in format 3."""
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    for i in range(3):
        scaled = array[..., :: 2**i, :: 2**i]
        chunks = (1,) * (array.ndim - 2) + (16, 16)
        group.create_array(str(i), shape=scaled.shape, chunks=chunks, dtype=array.dtype)[...] = scaled
    kinds = {"t": "time", "c": "channel"}
    scale = [1.0] * (array.ndim - 2)
    metadata = {
        "multiscales": [
            {
                "axes": [
                    {
                        "name": a,
                        "type": kinds.get(a, "space"),
                        **({} if a in kinds else {"unit": "micrometer"}),
                    }
                    for a in axes
                ],
                "datasets": [
                    {
                        "path": str(i),
                        "coordinateTransformations": [
                            {"type": "scale", "scale": [*scale, 0.5 * 2**i, 0.25 * 2**i]}
                        ],
                    }
                    for i in range(3)
                ],
            }
        ],
        **ome,
    }
    group.attrs.update(metadata if version == 2 else {"ome": {"version": "0.5", **metadata}})
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr_is_opened_lazily_with_levels_names_and_pixel_size(tmp_path, version):
    array = CUBE.transpose(2, 0, 1)
    labels = [{"label": f"stain {i}"} for i in range(6)]
    path = multiscale(tmp_path / "a.ome.zarr", array, version=version, omero={"channels": labels})
    opened = open_file(path)
    assert isinstance(opened.raw.array, da.Array)
    image = opened.image()
    assert np.array_equal(image.data, array)
    assert [channel.name for channel in image.channels] == [f"stain {i}" for i in range(6)]
    assert image.pixel_size == (0.5, 0.25)
    assert image.pixel_unit == "µm"
    assert [level.shape for level in image.levels] == [(6, 10, 15), (6, 5, 8)]
    assert np.array_equal(image.levels[1].compute(), array[:, ::4, ::4])
    assert image.name == "a"


def test_stacks_of_ome_zarr_are_slices(tmp_path):
    array = RNG.integers(0, 255, (2, 3, 4, 20, 24)).astype("u1")
    opened = open_file(multiscale(tmp_path / "a.zarr", array, axes="tczyx"))
    assert opened.stack() == {"T": 2, "Z": 4}
    assert np.array_equal(opened.image(index=(1, 3)).data, array[1, :, 3])


def test_images_of_a_collection_are_parts(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    for i in range(2):
        multiscale(tmp_path / "a.zarr" / str(i), CUBE.transpose(2, 0, 1)[i:], axes="cyx")
    opened = open_file(tmp_path / "a.zarr")
    assert opened.parts == ("0", "1")
    assert opened.image().n_channels == 6
    assert open_image(tmp_path / "a.zarr", part="1").n_channels == 5


def test_plain_zarr_arrays_and_groups(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    group.create_array("cube", data=CUBE, chunks=(8, 8, 6))
    group.create_array("wavelength", data=np.array(NANOMETRES)).attrs["units"] = "nm"
    image = open_image(tmp_path / "a.zarr")
    assert np.array_equal(image.data, CUBE.transpose(2, 0, 1))
    assert [channel.wavelength_nm for channel in image.channels] == NANOMETRES
    assert np.array_equal(open_image(tmp_path / "a.zarr" / "cube", channel_axis=2).data, image.data)


def edited(path, name, **entries):
    content = json.loads((path / name).read_text())
    content.update(entries)
    (path / name).write_text(json.dumps(content))


def bad_array(**entries):
    def make(path):
        multiscale(path, CUBE.transpose(2, 0, 1))
        edited(path / "0", ".zarray", **entries)

    return make


def bad_group(change):
    def make(path):
        multiscale(path, CUBE.transpose(2, 0, 1))
        content = json.loads((path / ".zattrs").read_text())
        change(content["multiscales"][0])
        (path / ".zattrs").write_text(json.dumps(content))

    return make


def without_chunks(path):
    multiscale(path, CUBE.transpose(2, 0, 1))
    shutil.rmtree(path / "0" / "0", ignore_errors=True)
    for chunk in (path / "0").iterdir():
        if chunk.name != ".zarray":
            shutil.rmtree(chunk) if chunk.is_dir() else chunk.unlink()


BAD_ZARR = {
    "shape of 1e18": (bad_array(shape=[10**6, 10**6, 10**6]), "cannot be meant"),
    "negative shape": (bad_array(shape=[6, -20, 30]), "positive whole"),
    "fractional shape": (bad_array(shape=[6, 20.5, 30]), "positive whole"),
    "shape in words": (bad_array(shape="large"), "positive whole"),
    "huge chunks": (bad_array(chunks=[1, 10**6, 10**6]), "chunks"),
    "no chunk": (bad_array(chunks=[1, 0, 16]), "positive whole"),
    "fewer chunk axes": (bad_array(chunks=[16, 16]), "as many axes"),
    "objects": (bad_array(dtype="|O"), "real numbers"),
    "structures": (bad_array(dtype=[["a", "<i2"]]), "real numbers"),
    "pickles": (bad_array(filters=[{"id": "pickle"}]), "pickled"),
    "points outside": (
        bad_group(lambda m: m["datasets"][0].update(path="../../secret")),
        "outside its folder",
    ),
    "points to the root": (bad_group(lambda m: m["datasets"][0].update(path="/etc")), "outside its folder"),
    "no datasets": (bad_group(lambda m: m.update(datasets=[])), "without an image"),
    "another number of axes": (bad_group(lambda m: m.update(axes=m["axes"][:2])), "axes"),
    "datasets in words": (bad_group(lambda m: m.update(datasets="0")), "damaged"),
    "missing array": (bad_group(lambda m: m["datasets"][0].update(path="7")), "no Zarr array"),
    "no chunks on disk": (without_chunks, "no chunk"),
    "broken JSON": (lambda path: (path.mkdir(), (path / ".zattrs").write_text("{")), "JSON"),
    "nested JSON": (lambda path: (path.mkdir(), (path / "zarr.json").write_text("[" * 100_000)), "JSON"),
    "list": (lambda path: (path.mkdir(), (path / "zarr.json").write_text("[]")), "JSON object"),
    "empty group": (lambda path: (path.mkdir(), (path / ".zgroup").write_text("{}")), "no array of numbers"),
}


@pytest.mark.parametrize("case", BAD_ZARR)
def test_zarr_folders_that_cannot_be_meant_are_refused(tmp_path, case):
    make, words = BAD_ZARR[case]
    path = tmp_path / "a.zarr"
    make(path)
    start = time.process_time()
    with pytest.raises(ImageError, match=words) as caught:
        open_image(path)
    assert time.process_time() - start < 2
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
