"""ENVI images are read as `spectral` reads them, and refused in one sentence where they cannot be."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spectral.io import envi as spectral_envi

from napari_simmat.errors import ImageError
from napari_simmat.images import lazy, open_file, open_image, open_labels
from napari_simmat.images import opened as opened_module
from napari_simmat.images.files.envi_header import read_header

DATA = Path(os.environ.get("NAPARI_SIMMAT_DATA", Path(__file__).parents[2] / "shared" / "data")) / "envi"

DTYPES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
ORDERS = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (1, 2, 0)}


def write(folder, cube, *, layout="bsq", code=12, order=0, offset=0, name="scene", suffix=".img", **entries):
    """Write a cube (C, Y, X) and its header; entries replace those of the header, None leaves them out."""
    dtype = np.dtype(DTYPES[code]).newbyteorder("<>"[order])
    pixels = np.ascontiguousarray(cube.transpose(ORDERS[layout])).astype(dtype)
    (folder / f"{name}{suffix}").write_bytes(bytes(offset) + pixels.tobytes())
    header = {
        "samples": cube.shape[2],
        "lines": cube.shape[1],
        "bands": cube.shape[0],
        "header offset": offset,
        "file type": "ENVI Standard",
        "data type": code,
        "interleave": layout,
        "byte order": order,
    }
    header |= {key.replace("_", " "): value for key, value in entries.items()}
    text = "".join(f"{key} = {value}\n" for key, value in header.items() if value is not None)
    path = folder / f"{name}.hdr"
    path.write_text(f"ENVI\n{text}", encoding="utf-8")
    return path


def cube(bands=7, lines=11, samples=13):
    return np.arange(bands * lines * samples).reshape(bands, lines, samples) % 251


@pytest.mark.skipif(not DATA.is_dir(), reason=f"real cubes are not at {DATA}")
@pytest.mark.parametrize("name", ["samson_1.img.hdr", "jasperRidge2_R198.hdr"])
def test_real_cubes_equal_the_reading_of_spectral(name):
    reference = spectral_envi.open(str(DATA / name))
    image = open_image(DATA / name)
    scaled = np.moveaxis(np.asarray(reference.load()), -1, 0)  # applies the reflectance scale factor
    assert np.array_equal(image.data, scaled)
    stored = open_image(DATA / name, sample_format="as stored")
    assert stored.data.dtype == np.int16
    assert np.array_equal(stored.data, reference.open_memmap(interleave="bsq"))
    assert [channel.wavelength_nm for channel in image.channels] == reference.bands.centers
    data_file = reference.filename
    assert np.array_equal(open_image(data_file).data, image.data)


@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("code", DTYPES)
@pytest.mark.parametrize("interleave", ORDERS)
def test_every_interleave_type_and_byte_order_is_read_as_by_spectral(tmp_path, interleave, code, order):
    path = write(tmp_path, cube(), layout=interleave, code=code, order=order, offset=37)
    image = open_image(path)
    assert image.data.dtype == np.dtype(DTYPES[code])
    assert np.array_equal(image.data, cube().astype(DTYPES[code]))
    assert np.array_equal(image.data, spectral_envi.open(str(path)).open_memmap(interleave="bsq"))
    assert image.facts["interleave"] == interleave.upper()


@pytest.mark.parametrize(
    "suffix", ["", ".img", ".dat", ".raw", ".bin", ".bsq", ".bil", ".bip", ".hyspex", ".cube", ".IMG", ".RAW"]
)
def test_header_and_data_file_find_each_other(tmp_path, suffix):
    header = write(tmp_path, cube(), suffix=suffix)
    data = tmp_path / f"scene{suffix}"
    assert np.array_equal(open_image(header).data, cube())
    assert np.array_equal(open_image(data).data, cube())
    header.rename(tmp_path / f"{data.name}.hdr")
    assert np.array_equal(open_image(tmp_path / f"{data.name}.hdr").data, cube())
    assert np.array_equal(open_image(data).data, cube())


def test_a_folder_and_a_selection_of_its_files_open_as_the_cube(tmp_path):
    header = write(tmp_path, cube())
    (tmp_path / "scene.png").write_bytes(b"a quick look")
    assert np.array_equal(open_image(tmp_path).data, cube())
    assert np.array_equal(open_image([tmp_path / "scene.img", header]).data, cube())


@pytest.mark.parametrize(
    ("unit", "values", "expected"),
    [
        ("Nanometers", "400.5, 500, 600", [400.5, 500.0, 600.0]),
        ("nm", "400.5, 500, 600", [400.5, 500.0, 600.0]),
        ("Micrometers", "0.5, 1, 2.5", [500.0, 1000.0, 2500.0]),
        ("µm", "0.5, 1, 2.5", [500.0, 1000.0, 2500.0]),
        ("Wavenumber", "20000, 10000, 4000", [500.0, 1000.0, 2500.0]),
        ("Angstroms", "5000, 6000, 7000", [500.0, 600.0, 700.0]),
        ("Unknown", "0.5, 1, 2.5", [500.0, 1000.0, 2500.0]),
        (None, "400, 500, 600", [400.0, 500.0, 600.0]),
        ("GHz", "1, 2, 3", [None] * 3),
        ("nm", "400, 500", [None] * 3),
        ("nm", "400, blue, 600", [None] * 3),
        ("nm", "-1, 500, 600", [None] * 3),
        ("Index", "1, 2, 3", [None] * 3),
    ],
)
def test_wavelengths_become_nanometres_and_what_is_assumed_is_said(tmp_path, unit, values, expected):
    path = write(tmp_path, cube(3), wavelength=f"{{{values}}}", wavelength_units=unit)
    image = open_image(path)
    assert [channel.wavelength_nm for channel in image.channels] == pytest.approx(expected)
    told = unit in ("Nanometers", "nm", "Micrometers", "µm", "Angstroms", "Index") and expected[0]
    assert bool(image.assumptions) != bool(told) or unit == "Index"


def test_names_bad_bands_and_facts_are_told(tmp_path):
    path = write(
        tmp_path,
        cube(4),
        band_names="{coast, blue (B2), Grün, red}",
        wavelength="{440, 490, 560, 660}",
        wavelength_units="nm",
        fwhm="{10, 20, 30, 40}",
        bbl="{1, 0, 1.0, 1}",
        sensor_type="HySpex",
        default_bands="{4,3,2}",
    )
    image = open_image(path)
    assert [channel.name for channel in image.channels] == ["coast", "blue (B2)", "Grün", "red"]
    assert [channel.role == "bad band" for channel in image.channels] == [False, True, False, False]
    assert image.facts["bandwidth (FWHM)"] == "10 to 40 nm"
    assert image.facts["bad bands"] == "1 of 4"
    assert image.facts["sensor"] == "HySpex"
    assert image.modality == "hyperspectral"


def test_a_reflectance_scale_factor_divides_unless_told_otherwise(tmp_path):
    path = write(tmp_path, cube(), code=2, reflectance_scale_factor=10000)
    opened = open_file(path)
    image = opened.image()
    assert image.data.dtype == np.float32
    assert np.array_equal(image.data, np.moveaxis(np.asarray(spectral_envi.open(str(path)).load()), -1, 0))
    assert {channel.unit for channel in image.channels} == {"reflectance"}
    assert "10000" in " ".join(image.assumptions)
    assert "reflectance" in opened.sample_formats()
    stored = opened.image(sample_format="as stored")
    assert np.array_equal(stored.data, cube())
    assert "divided" not in " ".join(stored.assumptions)


def references(folder, rng, *, tint=(None, None)):
    """A raw cube of known reflectance with white and dark references, as Specim's cameras write them."""
    truth = rng.uniform(0.05, 0.9, (5, 20, 12))
    dark = rng.uniform(90, 110, (5, 1, 12))
    gain = rng.uniform(2000, 4000, (5, 1, 12))
    exposed = (tint[0] or 1.0) / (tint[1] or 1.0)
    write(folder, dark + gain * truth * exposed, code=4, layout="bil", suffix=".raw", tint=tint[0])
    white = np.repeat(dark + gain, 6, axis=1)
    write(folder, white, code=4, layout="bil", suffix=".raw", name="WHITEREF_scene", tint=tint[1])
    write(folder, np.repeat(dark, 8, axis=1), code=4, layout="bil", suffix=".raw", name="DARKREF_scene")
    return truth


@pytest.mark.parametrize("tint", [(None, None), (8.0, 2.0)])
def test_white_and_dark_references_give_reflectance(tmp_path, tint):
    capture = tmp_path / "capture"
    capture.mkdir()
    truth = references(capture, np.random.default_rng(0), tint=tint)
    for path in (capture / "scene.hdr", capture, tmp_path):
        image = open_image(path)
        assert np.allclose(image.data, truth, atol=1e-5)
    assert "WHITEREF_scene.hdr" in image.facts["references"]
    assert open_image(capture / "scene.hdr", sample_format="as stored").data.max() > 100
    assert open_image(capture / "WHITEREF_scene.hdr").data.max() > 100


def test_references_of_other_settings_are_not_used_and_that_is_said(tmp_path):
    references(tmp_path, np.random.default_rng(0))
    write(tmp_path, cube(5, 4, 9), code=4, name="WHITEREF_scene", suffix=".raw")
    image = open_image(tmp_path / "scene.hdr")
    assert "were not used" in " ".join(image.assumptions)
    assert image.data.max() > 100


def test_a_dead_pixel_of_the_references_measures_nothing(tmp_path):
    write(tmp_path, np.full((2, 3, 4), 50.0), code=4, name="scene", suffix=".raw")
    white = np.full((2, 2, 4), 100.0)
    white[1, :, 2] = 0
    write(tmp_path, white, code=4, name="WHITEREF_scene", suffix=".raw")
    image = open_image(tmp_path / "scene.hdr")
    assert np.isnan(image.data[1, :, 2]).all()
    assert np.isfinite(image.data).sum() == 24 - 3


def test_values_marked_as_not_measured_are_missing_in_floats(tmp_path):
    data = cube().astype(float)
    data[2, 3, 4] = -9999
    image = open_image(write(tmp_path, data, code=4, data_ignore_value=-9999))
    assert np.isnan(image.data[2, 3, 4])
    assert np.isnan(image.data).sum() == 1


def test_map_info_gives_place_and_pixel_size(tmp_path):
    info = "{UTM, 1.000, 1.000, 612730.910, 4074488.708, 2.5, 2.0, 10, North, WGS-84, units=Meters}"
    image = open_image(write(tmp_path, cube(), map_info=info, coordinate_system_string='{PROJCS["x",1]}'))
    assert image.pixel_size == (2.0, 2.5)
    assert image.pixel_unit == "m"
    assert image.georeference.envi["coordinate system string"] == 'PROJCS["x", 1]'
    window = image.window(4, 3, 8, 9)
    assert window.georeference.envi["map info"].startswith("UTM, -2, -3, 612730.910, 4074488.708, 2.5, 2.0")


def test_a_classification_opens_as_labels(tmp_path):
    classes = np.zeros((1, 6, 8), int)
    classes[0, 1:3, 2:5], classes[0, 4, 4:] = 1, 2
    path = write(
        tmp_path,
        classes,
        code=1,
        file_type="ENVI Classification",
        classes=3,
        class_names="{Unclassified, soil, crop}",
        class_lookup="{0,0,0, 255,0,0, 0,255,0}",
    )
    assert np.array_equal(open_labels(path), classes[0])
    assert np.array_equal(open_labels(tmp_path / "scene.img"), classes[0])
    assert open_image(path).facts["classes"] == "Unclassified, soil, crop"


ROI = """; ENVI Output of ROIs (5.0) [Wed Aug 29 14:01:05 2012]
; Number of ROIs: 2
; File Dimension: 8 x 6
;
; ROI name: plant [red]
; ROI rgb value: {255, 0, 0}
; ROI npts: 2
; ROI name: soil
; ROI rgb value: {0, 255, 0}
; ROI npts: 1
;   ID    X    Y
     1    3    2
     2    4    2

     1    8    6
"""


def test_regions_of_interest_open_as_labels(tmp_path):
    path = tmp_path / "regions.txt"
    path.write_text(ROI)
    expected = np.zeros((6, 8), int)
    expected[1, 2:4], expected[5, 7] = 1, 2
    assert np.array_equal(open_labels(path), expected)
    for wrong, words in (
        (ROI.replace("8    6", "9    6"), "outside its image"),
        (ROI.replace("     1    8    6\n", ""), "truncated"),
        (ROI.replace("3    2", "x    2"), "expected number"),
        (ROI.replace("File Dimension: 8 x 6", ""), "no size"),
        (ROI.replace("8 x 6", "9999999 x 9999999"), "GiB"),
    ):
        path.write_text(wrong)
        with pytest.raises(ImageError, match=words):
            open_labels(path)


MALFORMED = {
    "a billion bands": ({"bands": 10**9}, "at most 65536"),
    "a billion lines": ({"lines": 10**9}, "bytes but"),
    "negative samples": ({"samples": -13}, "at least 1"),
    "no lines": ({"lines": 0}, "at least 1"),
    "negative offset": ({"header offset": -5}, "at least 0"),
    "offset past the end": ({"header offset": 10**15}, "bytes but"),
    "bands in words": ({"bands": "seven"}, "whole number"),
    "fractional lines": ({"lines": 11.5}, "whole number"),
    "bands in braces": ({"bands": "{7}"}, "whole number"),
    "without bands": ({"bands": None}, "without an entry 'bands'"),
    "unknown type": ({"data type": 99}, "data type"),
    "without type": ({"data type": None}, "data type"),
    "complex": ({"data type": 6}, "complex"),
    "double complex": ({"data type": 9}, "complex"),
    "wrong interleave": ({"interleave": "bilsq"}, "bsq, bil or bip"),
    "without interleave": ({"interleave": None}, "bsq, bil or bip"),
    "wrong byte order": ({"byte order": 7}, "byte order"),
    "larger type": ({"data type": 5}, "bytes but"),
    "compressed": ({"file compression": 1}, "compressed"),
    "frame offsets": ({"major frame offsets": "{10, 0}"}, "frame offsets"),
    "spectral library": ({"file type": "ENVI Spectral Library"}, "spectral library"),
    "header of a TIFF": ({"file type": "TIFF"}, "open the file itself"),
    "points up": ({"data file": "../../etc/passwd"}, "outside its folder"),
    "points to the root": ({"data file": "/etc/passwd"}, "outside its folder"),
    "points up, Windows": ({"data file": "..\\other\\scene.img"}, "outside its folder"),
    "open brace": ({"wavelength": "{400, 500"}, "brace"),
    "number of 5000 digits": ({"bands": "9" * 5000}, "expected"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_header_is_refused_in_one_sentence(tmp_path, case):
    entries, words = MALFORMED[case]
    path = write(tmp_path, cube(), **{key.replace(" ", "_"): value for key, value in entries.items()})
    start = time.process_time()
    with pytest.raises(ImageError, match=words) as caught:
        open_image(path)
    assert time.process_time() - start < 2
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    assert text.endswith(".")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"ENVI", "without an entry"),
        (b"ENVI\n\0\0\0\0", "other data"),
        (b"ENVI\n" + b"=\n" * 200_000, "other data"),
        (b"ENVI\n" + b"a = 1\n" * 1_000_000, "at most"),
        (b"ENVI\nbands = \xff\xfe\n", "whole number"),
        (b"ENVI\nbands", "without an entry"),
    ],
)
def test_what_only_begins_as_a_header_is_refused(tmp_path, content, words):
    path = tmp_path / "scene.hdr"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=words):
        open_image(path)


def test_a_missing_or_short_data_file_is_named(tmp_path):
    path = write(tmp_path, cube())
    data = tmp_path / "scene.img"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ImageError, match=r"scene\.img is truncated"):
        open_image(path)
    data.unlink()
    with pytest.raises(ImageError, match="without its data file"):
        open_image(path)
    data.write_bytes(bytes(range(1, 200)))
    path.unlink()
    with pytest.raises(ImageError, match=r"put its header scene\.hdr beside it"):
        open_image(data)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "samples",
                    "lines",
                    "bands",
                    "data type",
                    "interleave",
                    "byte order",
                    "wavelength",
                    "bbl",
                    "map info",
                ]
            ),
            st.one_of(
                st.integers(-5, 10**12).map(str),
                st.sampled_from(["bsq", "bil", "{1, 2}", "{", "}", "", "{a, {b}}", "nan", "1e9", "inf"]),
                st.text(max_size=20),
            ),
        ),
        max_size=12,
    )
)
def test_any_header_is_read_or_refused(tmp_path_factory, entries):
    path = tmp_path_factory.mktemp("fuzz") / "scene.hdr"
    text = "".join(f"{key} = {value}\n" for key, value in entries)
    path.write_bytes(f"ENVI\n{text}".encode("utf-8", "surrogatepass"))
    path.with_suffix(".img").write_bytes(bytes(64))
    try:
        header = read_header(path)
    except ImageError:
        with pytest.raises(ImageError) as caught:
            open_image(path)
        assert "\n" not in str(caught.value)
        return
    assert min(header.bands, header.lines, header.samples) > 0
    with contextlib.suppress(ImageError):  # the data file has 64 bytes, so that most do not fit it
        assert open_image(path).data.shape == (header.bands, header.lines, header.samples)


def test_values_marked_as_not_measured_are_missing_in_integers(tmp_path):
    data = np.random.default_rng(0).integers(1, 9000, (3, 6, 7)).astype("i2")
    data[0, 2, 3] = data[:, 5] = -9999
    truth = np.where(data == -9999, np.nan, data)
    path = write(tmp_path, data, code=2, data_ignore_value=-9999, reflectance_scale_factor=10000)
    opened = open_file(path)
    for key, expected in (
        ("reflectance", truth / 10000),
        ("as stored", truth),
        ("ten-thousandths", truth / 10000),
    ):
        image = opened.image(sample_format=key)
        assert image.data.dtype == np.float32
        np.testing.assert_allclose(image.data, expected, rtol=1e-6)
        assert sum("value -9999 are marked as not measured" in said for said in image.assumptions) == 1
    whole = np.abs(data)
    image = open_image(write(tmp_path, whole, code=2, data_ignore_value=-9999, name="whole"))
    assert image.data.dtype == np.int16  # nothing is missing, so nothing is changed
    assert not any("not measured" in said for said in image.assumptions)
    image = open_image(write(tmp_path, data, code=2, name="unmarked"))
    assert image.data.dtype == np.int16
    assert np.array_equal(image.data, data)


def test_a_lazy_cube_of_integers_has_its_gaps(tmp_path, monkeypatch):
    data = np.random.default_rng(0).integers(1, 9000, (3, 64, 70)).astype("i2")
    data[:, :2] = -9999
    path = write(tmp_path, data, code=2, data_ignore_value=-9999)
    for module in (lazy, opened_module):
        monkeypatch.setattr(module, "IN_MEMORY_BYTES", 10)
    image = open_image(path)
    assert image.is_lazy
    assert image.data.dtype == np.float32
    np.testing.assert_array_equal(np.stack(list(image.planes())), np.where(data == -9999, np.nan, data))
