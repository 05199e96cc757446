"""Files of one band each become one image, with names and wavelengths from the camera's own words."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_simmat.errors import ImageError
from napari_simmat.images import open_file, open_image
from napari_simmat.images.files.xmp import camera_words

REDEDGE = [("Blue", 475, 32), ("Green", 560, 27), ("Red", 668, 14), ("NIR", 842, 57), ("Red edge", 717, 12)]


def packet(name, wavelength, width, *, listed=False):
    """XMP as MicaSense writes it, or as Parrot does, with values in lists."""

    def value(text):
        return f"<rdf:Seq><rdf:li>{text}</rdf:li></rdf:Seq>" if listed else str(text)

    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:MicaSense="http://micasense.com/MicaSense/1.0/" xmlns:Camera="http://pix4d.com/camera/1.0" '
        'MicaSense:CaptureId="c7">'
        f"<Camera:BandName>{value(name)}</Camera:BandName>"
        f"<Camera:CentralWavelength>{value(wavelength)}</Camera:CentralWavelength>"
        f"<Camera:WavelengthFWHM>{value(width)}</Camera:WavelengthFWHM>"
        '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def write(path, value=0, shape=(12, 16), xmp=None):
    tags = [(271, 2, 0, "MicaSense", True), (272, 2, 0, "RedEdge-M", True)]
    tags += [(700, 1, len(xmp), xmp, True)] if xmp else []
    tifffile.imwrite(path, np.full(shape, value, "u2"), metadata=None, extratags=tags)


def capture(folder, number, bands=REDEDGE, **options):
    for i, band in enumerate(bands):
        write(folder / f"IMG_{number:04}_{i + 1}.tif", 100 * number + i, xmp=packet(*band, **options))


@pytest.mark.parametrize("listed", [False, True])
def test_a_capture_of_a_drone_camera_is_one_image(tmp_path, listed):
    capture(tmp_path, 1, listed=listed)
    image = open_image(tmp_path)
    assert [channel.name for channel in image.channels] == [name for name, _, _ in REDEDGE]
    assert [channel.wavelength_nm for channel in image.channels] == [w for _, w, _ in REDEDGE]
    assert image.roles == ("blue", "green", "red", "nir", "red edge")
    assert image.data[:, 0, 0].tolist() == [100, 101, 102, 103, 104]
    assert image.facts["camera"] == "MicaSense RedEdge-M"
    assert image.facts["bandwidth (FWHM)"] == "32, 27, 14, 57, 12 nm"
    assert "not aligned" in " ".join(image.assumptions)


def test_of_several_captures_the_first_complete_one_is_opened_and_said(tmp_path):
    capture(tmp_path, 1, REDEDGE[:4])
    capture(tmp_path, 2)
    capture(tmp_path, 3)
    opened = open_file(tmp_path)
    assert opened.parts == ("IMG_0001", "IMG_0002", "IMG_0003")
    image = opened.image()
    assert image.data[0, 0, 0] == 200
    assert "3 captures, 2 of them with 5 bands" in " ".join(image.assumptions)
    assert open_image(tmp_path, part="IMG_0003").data[0, 0, 0] == 300
    with pytest.raises(ImageError, match="no capture 'IMG_0009'"):
        open_image(tmp_path, part="IMG_0009")


def test_selected_files_are_the_image(tmp_path):
    capture(tmp_path, 1)
    image = open_image([tmp_path / "IMG_0001_3.tif", tmp_path / "IMG_0001_4.tif"])
    assert [channel.name for channel in image.channels] == ["Red", "NIR"]


@pytest.mark.parametrize(
    ("stems", "names", "wavelengths"),
    [
        (["f_nir", "f_red", "f_green"], ["green", "red", "nir"], [None] * 3),
        (
            ["DJI_1_MS_G", "DJI_1_MS_NIR", "DJI_1_MS_RE", "DJI_1_MS_R"],
            ["green", "red", "red edge", "nir"],
            [None] * 4,
        ),
        (
            ["IMG_7_GRE", "IMG_7_REG", "IMG_7_NIR", "IMG_7_RED"],
            ["green", "red", "red edge", "nir"],
            [None] * 4,
        ),
        (["T32_B04_10m", "T32_B8A_20m", "T32_B02_10m"], ["B02", "B04", "B8A"], [492.4, 664.6, 864.7]),
        (["LC8_B7", "LC8_B2", "LC8_B1"], ["B1", "B2", "B7"], [None] * 3),
        (["leaf_850nm", "leaf_450nm", "leaf_1050nm"], ["450nm", "850nm", "1050nm"], [450.0, 850.0, 1050.0]),
        (["blue", "red", "green"], ["blue", "green", "red"], [None] * 3),
    ],
)
def test_without_metadata_file_names_tell_the_bands(tmp_path, stems, names, wavelengths):
    for i, stem in enumerate(stems):
        tifffile.imwrite(tmp_path / f"{stem}.tif", np.full((9, 8), i, "u1"))
    image = open_image(tmp_path)
    assert [channel.name for channel in image.channels] == names
    assert [channel.wavelength_nm for channel in image.channels] == wavelengths


def test_pictures_may_be_bands_too(tmp_path):
    for i, name in enumerate(("red", "nir")):
        Image.fromarray(np.full((9, 8), i, "u1")).save(tmp_path / f"field-{name}.png")
    image = open_image(tmp_path)
    assert image.roles == ("red", "nir")
    assert image.modality == "nir"


def test_numbered_files_without_words_about_bands_are_not_merged(tmp_path):
    for i in range(3):
        write(tmp_path / f"IMG_0001_{i + 1}.tif")
    with pytest.raises(ImageError, match="do not make up one image"):
        open_image(tmp_path)


def test_bands_of_different_sizes_are_refused_with_their_sizes(tmp_path):
    capture(tmp_path, 1)
    write(tmp_path / "IMG_0001_2.tif", shape=(12, 17), xmp=packet(*REDEDGE[1]))
    with pytest.raises(ImageError, match=r"IMG_0001_2\.tif 12 x 17"):
        open_image(tmp_path)


def test_the_thermal_band_of_another_size_is_left_out_and_that_is_said(tmp_path):
    capture(tmp_path, 1)
    write(tmp_path / "IMG_0001_6.tif", shape=(3, 4), xmp=packet("LWIR", 11000, 6000))
    image = open_image(tmp_path)
    assert image.n_channels == 5
    assert "LWIR (3 x 4)" in " ".join(image.assumptions)


def test_a_band_with_several_channels_is_refused(tmp_path):
    for name, shape in (("red", (9, 8)), ("green", (5, 9, 8)), ("nir", (9, 8))):
        tifffile.imwrite(tmp_path / f"a_{name}.tif", np.zeros(shape, "u1"), photometric="minisblack")
    with pytest.raises(ImageError, match="expected a single band"):
        open_image(tmp_path)


@pytest.mark.parametrize(
    "xmp",
    [
        b"<x",
        b'<!DOCTYPE a [<!ENTITY b "c">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>',
        bytes(100),
        b"\xff\xfe" * 50,
    ],
)
def test_damaged_words_of_a_camera_are_none(tmp_path, xmp):
    write(tmp_path / "a.tif", xmp=xmp)
    assert set(camera_words(tmp_path / "a.tif")) == {"make", "model"}
    assert camera_words(tmp_path / "missing.tif") == {}
