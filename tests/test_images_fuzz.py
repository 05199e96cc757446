"""Whatever bytes a header has, reading it gives an image or an `ImageError` in one line.

A few examples of each, always the same. To look further, and each time elsewhere:

    NAPARI_SIMMAT_FUZZ=5000 python -m pytest tests/test_images_fuzz.py -x
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from malformed import arrays, envi, hdf5, matlab, pictures, profiles, tiffs, zarrs

from napari_simmat.errors import ImageError
from napari_simmat.images import MultiChannelImage, load_profile, open_image, open_labels
from napari_simmat.images.camera import Camera
from napari_simmat.images.files import ome
from napari_simmat.images.files.calibration import middlebury_camera
from napari_simmat.images.files.xmp import camera_words
from napari_simmat.images.raw import Raw
from napari_simmat.images.statements import parsed, stated

LONGER = int(os.environ.get("NAPARI_SIMMAT_FUZZ", "0"))

fuzzed = settings(
    max_examples=LONGER or 40,
    deadline=None,
    derandomize=not LONGER,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

GOOD = {
    "a.tif": tiffs.tiff(),
    "zlib.tif": tiffs.tiff(compression="zlib", tile=(32, 32)),
    "lzw.tif": tiffs.tiff(compression="lzw"),
    "a.ome.tif": tiffs.ome(tiffs.SIZES.format(1, 1), "<TiffData/>"),
    "imagej.tif": tiffs.tiff(imagej=True),
    "a.npy": arrays.npy(np.ones((20, 30))),
    "a.npz": arrays.npz(a=arrays.npy(np.ones((20, 30))), b=arrays.npy(np.ones(20))),
    "a.png": pictures.picture("PNG"),
    "deep.png": pictures.png(8, 6, pictures.zeros_packed(6 * 49), bits=16, colour=2),
    "a.jpg": pictures.picture("JPEG"),
    "a.mat": matlab.saved(cube=np.random.default_rng(0).random((6, 8, 3)), wavelength=np.arange(3.0)),
    "packed.mat": matlab.saved(cube=np.ones((6, 8)), packed=1),
    "a.h5": hdf5.good(),
}


def one_line(error: ImageError) -> None:
    assert str(error).isprintable()


def as_file(path: Path, data: bytes) -> None:
    """Open it: an image, or one line."""
    path.write_bytes(data)
    an_image(path)


def an_image(path: Path) -> None:
    for opener in (open_image, open_labels):
        try:
            image = opener(path)
        except ImageError as error:
            one_line(error)
        else:
            if isinstance(image, MultiChannelImage):
                assert image.plane(0).shape == image.shape


@st.composite
def changes(draw):
    """Where a file is changed, as parts of its length, and to what; most often near its head."""
    place = st.one_of(st.floats(0, 0.05), st.floats(0, 1))
    return draw(
        st.lists(st.tuples(place, st.binary(min_size=1, max_size=8), st.booleans()), min_size=1, max_size=5)
    )


def changed(data: bytes, where: list[tuple[float, bytes, bool]]) -> bytes:
    for place, new, instead in where:
        at = int(place * (len(data) - 1))
        data = data[:at] + new + data[at + len(new) * instead :]
    return data


@pytest.mark.parametrize("name", GOOD)
@fuzzed
@given(where=changes())
def test_a_changed_file(tmp_path, name, where):
    as_file(tmp_path / name, changed(GOOD[name], where))


@pytest.mark.parametrize("name", ["a.exr", "flir.jpg"])
@fuzzed
@given(where=changes())
def test_a_changed_file_of_an_optional_reader(tmp_path, name, where):
    pytest.importorskip("OpenEXR" if name == "a.exr" else "flyr")
    if name not in GOOD:
        GOOD[name] = pictures.exr() if name == "a.exr" else pictures.thermal()
    as_file(tmp_path / name, changed(GOOD[name], where))


@fuzzed
@given(data=st.binary(max_size=400), kind=st.sampled_from([b"II*\0", b"\x93NUMPY\x01\0", b"\x89PNG\r\n\x1a\n", b"ENVI\n",
       matlab.HEAD, b"v/1\x01", b"PK\x03\x04", b"\xff\xd8\xff", b"\x89HDF\r\n\x1a\n",
       b"; ENVI Output of ROIs\n"]))  # fmt: skip
def test_any_bytes_after_a_magic_word(tmp_path, data, kind):
    as_file(tmp_path / "a.bin", kind + data)


words = st.text(st.characters(codec="utf-8"), max_size=30)
numbers = st.one_of(st.integers().map(str), st.floats().map(str), st.just(""), words)
entries = st.dictionaries(st.sampled_from([*envi.GOOD, "wavelength", "band names", "bbl", "data file", "map info",
    "fwhm", "wavelength units", "reflectance scale factor", "data ignore value", "classes", "class names",
    "file compression", "default bands"]), st.one_of(numbers, st.lists(numbers, max_size=8).map(
        lambda items: "{" + ", ".join(items) + "}")), max_size=6)  # fmt: skip


@fuzzed
@given(changes=entries)
def test_an_envi_header(tmp_path, changes):
    an_image(envi.cube(tmp_path, envi.header(**changes)))


@fuzzed
@given(where=changes())
def test_a_changed_envi_header(tmp_path, where):
    text = envi.header(wavelength="{400, 500, 600, 700, 800}", bbl="{1, 1, 0, 1, 1}").encode()
    an_image(envi.cube(tmp_path, changed(text, where)))


@fuzzed
@given(text=st.one_of(words, st.from_regex(r"\(-?[0-9]{1,20}, ?-?[0-9]{0,9}\)", fullmatch=True)), kind=words)
def test_an_npy_header(tmp_path, text, kind):
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {text}}}".encode()
    as_file(tmp_path / "a.npy", b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + bytes(500))


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), words),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)),
    max_leaves=8,
)
some = st.dictionaries  # of the entries that metadata have
metadata = st.one_of(
    some(st.sampled_from(list(zarrs.V2)), anything, min_size=1, max_size=3).map(lambda d: (".zarray", zarrs.V2 | d)),
    some(st.sampled_from(list(zarrs.V3)), anything, min_size=1, max_size=3).map(lambda d: ("zarr.json", zarrs.V3 | d)),
)  # fmt: skip


@fuzzed
@given(found=metadata)
def test_zarr_metadata_of_an_array(tmp_path, found):
    name, value = found
    path = tmp_path / "a.zarr"
    for old in (".zarray", "zarr.json"):
        (path / old).unlink(missing_ok=True)
    zarrs.write(path / "0.0", zarrs.PIXELS)
    zarrs.write(path / "c" / "0" / "0", zarrs.PIXELS)
    zarrs.write(path / name, value)
    an_image(path)


@fuzzed
@given(scales=st.fixed_dictionaries({}, optional={"axes": anything, "datasets": anything, "version": anything,
       "coordinateTransformations": anything}), rest=st.dictionaries(
       st.sampled_from(["omero", "plate", "ome", "well", "bioformats2raw.layout"]), anything, max_size=2))  # fmt: skip
def test_ome_zarr_metadata(tmp_path, scales, rest):
    path = tmp_path / "a.zarr"
    zarrs.array2(path / "0")
    zarrs.write(path / ".zgroup", {"zarr_format": 2})
    zarrs.write(path / ".zattrs", {"multiscales": [zarrs.scales("0")[0] | scales], **rest})
    an_image(path)


@fuzzed
@given(where=changes())
def test_ome_xml(where):
    channels = '<Channel Name="red" EmissionWavelength="600" EmissionWavelengthUnit="nm"/><TiffData IFD="0"/>'
    pixels = f'<Pixels SizeC="1" PhysicalSizeX="2" PhysicalSizeY="2">{channels}</Pixels>'
    xml = f'<OME xmlns="{tiffs.OME}"><Image>{pixels}</Image></OME>'
    text = changed(xml.encode(), where).decode("utf-8", "replace")
    raw = Raw(np.zeros((1, 4, 5)), "CYX")
    assert len(ome.described(raw, text).channels) in (0, 1)
    try:
        ome.require_sane(text, Path("a.ome.tif"))
    except ImageError as error:
        one_line(error)


@fuzzed
@given(said=st.one_of(
    st.dictionaries(words, anything, max_size=3),
    st.fixed_dictionaries({}, optional=dict.fromkeys(
        ("modality", "sample_format", "channel_names", "wavelengths_nm", "camera"), anything)),
    st.fixed_dictionaries({"camera": st.fixed_dictionaries({"focal_length_px": st.tuples(st.floats(), st.floats())},
        optional=dict.fromkeys(("principal_point", "baseline_m", "disparity_offset_px"), anything))}),
))  # fmt: skip
def test_what_a_file_states(said):
    raw = Raw(np.zeros((2, 4, 5), np.uint16), "CYX")
    known = stated(raw, parsed(json.dumps(said)))
    assert known.array is raw.array
    assert len(known.channels) in (0, 2)


@fuzzed
@given(where=changes())
def test_xmp_of_a_band(tmp_path, where):
    packet = changed(pictures_of_xmp(), where)
    path = tmp_path / "a.png"
    text = b"XML:com.adobe.xmp\0\0\0\0\0" + packet
    path.write_bytes(pictures.png(8, 6, pictures.zeros_packed(54), before=pictures.chunk(b"iTXt", text)))
    found = camera_words(path)
    assert all(isinstance(key, str) and isinstance(value, str) for key, value in found.items())


def pictures_of_xmp() -> bytes:
    from malformed.scenes import XMP

    return XMP.format("Red", 650).encode()


@fuzzed
@given(text=st.one_of(
    words,
    st.lists(st.tuples(st.sampled_from(["cam0", "cam1", "baseline", "doffs", "width", "height"]),
        st.one_of(numbers, st.lists(numbers, min_size=9, max_size=9).map(lambda n: f"[{' '.join(n)}]"))), max_size=7)
    .map(lambda lines: "\n".join(f"{key}={value}" for key, value in lines)),
))  # fmt: skip
def test_a_calibration(text):
    camera, problem = middlebury_camera(text, (20, 30))
    assert isinstance(camera, Camera) != bool(problem)


@fuzzed
@given(where=changes(), values=st.dictionaries(
    st.sampled_from(["modality", "channels", "roles", "sees", "pseudo_rgb", "display"]), anything,
    max_size=2))  # fmt: skip
def test_a_profile(tmp_path, where, values):
    path = tmp_path / "p.json"
    for data in (changed(profiles.profile(), where), profiles.profile(**values)):
        path.write_bytes(data)
        try:
            load_profile(path)
        except ImageError as error:
            one_line(error)
