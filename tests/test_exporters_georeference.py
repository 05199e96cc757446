"""Where on Earth an image lies is kept in what is written of it, also of a window."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from spectral.io import envi as spectral_envi

from napari_simmat.errors import ExportError
from napari_simmat.exporters import export
from napari_simmat.images import MultiChannelImage, open_image, open_labels
from napari_simmat.images.georeference import GeoReference

MAP_INFO = "UTM, 1, 1, 500000, 4000000, 2.5, 2, 32, North, WGS-84, units=Meters"

GEO_KEYS = (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32632)
TAGS = (
    (33550, "d", 3, (2.5, 2.0, 0.0)),
    (33922, "d", 6, (0.0, 0.0, 0.0, 500_000.0, 4_000_000.0, 0.0)),
    (34735, "H", len(GEO_KEYS), GEO_KEYS),
    (34737, "s", 0, "WGS 84 / UTM zone 32N|"),
)

GDAL = """<GDALMetadata>
  <Item name="DESCRIPTION" sample="0" role="description">Rot</Item>
  <Item name="DESCRIPTION" sample="1" role="description">NIR</Item>
  <Item name="wavelength" sample="0">0.66</Item>
  <Item name="wavelength" sample="1">0.85</Item>
  <Item name="wavelength_units">Micrometers</Item>
  <Item name="mission">field 7</Item>
</GDALMetadata>"""


@pytest.fixture
def labels():
    found = np.zeros((20, 30), np.int32)
    found[2:6, 3:9], found[10:15, 20:28] = 1, 7
    return found


@pytest.fixture
def geotiff(tmp_path):
    path = tmp_path / "field.tif"
    array = np.arange(2 * 20 * 30, dtype="u2").reshape(20, 30, 2)
    extra = [(*tag, True) for tag in TAGS] + [(42112, "s", 0, GDAL, True)]
    options = {"photometric": "minisblack", "planarconfig": "contig", "metadata": None}
    tifffile.imwrite(path, array, extratags=extra, **options)
    return path


def corner(path):
    """Easting and northing of the upper left corner that the tags of a GeoTIFF give."""
    with tifffile.TiffFile(path) as file:
        tags = file.pages.first.tags
        column, row, _, easting, northing, _ = tags[33922].value
        x, y, _ = tags[33550].value
        return easting - column * x, northing + row * y, tags[34735].value, tags.valueof(34737)


def test_a_geotiff_tells_place_pixel_size_names_and_wavelengths(geotiff):
    image = open_image(geotiff)
    assert image.pixel_size == (2.0, 2.5)
    assert image.pixel_unit == "m"
    assert [channel.name for channel in image.channels] == ["Rot", "NIR"]
    assert [channel.wavelength_nm for channel in image.channels] == pytest.approx([660, 850])
    assert image.facts["coordinate system"] == "EPSG:32632"
    assert image.facts["mission"] == "field 7"


def test_gdal_metadata_with_entities_is_not_read(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY b "c">]><GDALMetadata><Item name="x">&b;</Item></GDALMetadata>'
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((9, 8), "u1"), metadata=None, extratags=[(42112, "s", 0, bomb, True)])
    assert open_image(path).facts.get("x") is None


def test_a_label_tiff_of_a_geotiff_is_one_at_the_same_place(geotiff, labels, tmp_path):
    image = open_image(geotiff)
    export(labels, image, "tiff", tmp_path / "labels.tif")
    assert corner(tmp_path / "labels.tif") == (500_000, 4_000_000, GEO_KEYS, "WGS 84 / UTM zone 32N|")
    assert open_image(tmp_path / "labels.tif").pixel_size == (2.0, 2.5)
    window = image.window(4, 6, 20, 30)
    export(labels[4:, 6:], window, "tiff", tmp_path / "window.tif")
    assert corner(tmp_path / "window.tif")[:2] == (500_000 + 6 * 2.5, 4_000_000 - 4 * 2.0)
    assert np.array_equal(open_labels(tmp_path / "window.tif"), labels[4:, 6:])


def test_a_transformation_is_shifted_along_its_own_axes():
    turned = (0.0, 2.0, 0.0, 100.0, 3.0, 0.0, 0.0, 200.0, *(0.0,) * 8)
    shifted = GeoReference(geotiff=((34264, "d", 16, turned),)).shifted(5, 7).geotiff[0][3]
    assert (shifted[3], shifted[7]) == (100 + 2 * 5, 200 + 3 * 7)


def test_an_envi_classification_keeps_labels_and_place(labels, tmp_path):
    data = np.zeros((1, 20, 30), "u2")
    place = GeoReference({"map info": MAP_INFO, "coordinate system string": 'PROJCS["x", 1]'})
    image = MultiChannelImage(data, name="Wiese {1}", georeference=place)
    for out in ("labels.img", "labels2.hdr", "labels3"):
        assert export(labels, image, "envi", tmp_path / out) == 2
        assert np.array_equal(open_labels(tmp_path / out), labels)
    header = spectral_envi.read_envi_header(str(tmp_path / "labels2.hdr"))
    assert header["file type"] == "ENVI Classification"
    assert header["classes"] == "8"
    assert header["class names"][1] == "object 1"
    assert header["class names"][7] == "object 7"
    assert len(header["class lookup"]) == 24
    assert ", ".join(header["map info"]) == MAP_INFO
    assert ", ".join(header["coordinate system string"]) == 'PROJCS["x", 1]'
    loaded = spectral_envi.open(str(tmp_path / "labels.img.hdr")).open_memmap(interleave="bsq")
    assert np.array_equal(loaded[0], labels)
    export(labels[4:, 6:], image.window(4, 6, 20, 30), "envi", tmp_path / "window.img")
    assert "UTM, -5, -3, 500000" in (tmp_path / "window.img.hdr").read_text()


def test_the_place_goes_from_one_kind_of_file_to_the_other(geotiff, labels, tmp_path):
    export(labels, open_image(geotiff), "envi", tmp_path / "labels.img")
    assert open_image(tmp_path / "labels.img").georeference.envi["map info"] == MAP_INFO
    export(labels, open_image(tmp_path / "labels.img"), "tiff", tmp_path / "labels.tif")
    assert corner(tmp_path / "labels.tif")[:3] == (500_000, 4_000_000, GEO_KEYS)


def test_labels_of_16_bits_fit_a_classification_and_larger_ones_are_refused(labels, tmp_path):
    image = MultiChannelImage(np.zeros((1, 20, 30)))
    labels[labels == 7] = 3000
    export(labels, image, "envi", tmp_path / "labels.img")
    assert np.array_equal(open_labels(tmp_path / "labels.img"), labels)
    labels[0, 0] = 70_000
    with pytest.raises(ExportError, match="renumber"):
        export(labels, image, "envi", tmp_path / "labels.img")


def test_a_classification_never_replaces_the_cube_or_its_header(labels, tmp_path):
    (tmp_path / "scene.img").write_bytes(bytes(20 * 30))
    header = tmp_path / "scene.hdr"
    header.write_text(
        "ENVI\nsamples = 30\nlines = 20\nbands = 1\ndata type = 1\ninterleave = bsq\nbyte order = 0\n"
    )
    before = header.read_text()
    for source in ("scene.hdr", "scene.img"):
        image = open_image(tmp_path / source)
        for out in ("scene.img", "scene.hdr"):
            with pytest.raises(ExportError, match="choose another name"):
                export(labels, image, "envi", tmp_path / out)
    assert header.read_text() == before
    assert (tmp_path / "scene.img").read_bytes() == bytes(20 * 30)
    export(labels, image, "envi", tmp_path / "objects.img")
    export(labels, image, "envi", tmp_path / "objects.img")  # its own may be replaced
