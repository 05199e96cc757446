"""What is exported says the same as the labels, whoever reads it."""

from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy import ndimage

from napari_simmat.errors import ExportError, ImageError
from napari_simmat.exporters import FORMATS, export
from napari_simmat.exporters.outlines import outlines
from napari_simmat.images import Channel, MultiChannelImage, open_image, open_labels


@pytest.fixture
def labels() -> np.ndarray:
    """Four objects: plain, with a hole, in two parts, and one whose pixels meet at corners."""
    labels = np.zeros((40, 60), np.int32)
    labels[2:10, 3:20] = 1
    labels[15:35, 5:25] = 2
    labels[20:30, 10:20] = 0
    labels[5:9, 30:34] = labels[12:14, 40:50] = 7
    labels[30, 50] = labels[31, 51] = labels[31, 50] = labels[32, 52] = 300
    return labels


@pytest.fixture
def image() -> MultiChannelImage:
    rng = np.random.default_rng(0)
    data = rng.normal(1000, 200, (3, 40, 60)).astype(np.float32)
    data[1, :12] = np.nan
    data[2, 5, 5] = np.inf
    names = ("red", "NIR", "red")
    return MultiChannelImage(
        data,
        tuple(Channel(name) for name in names),
        pixel_size=(0.5, 0.25),
        pixel_unit="µm",
        source=Path("scene.tif"),
    )


def test_pycocotools_reads_the_very_masks_back(labels, image, tmp_path, capsys):
    count = export(labels, image, "coco", tmp_path / "out.json")

    coco = COCO(tmp_path / "out.json")
    read = np.zeros_like(labels)
    for annotation in coco.loadAnns(coco.getAnnIds()):
        mask = coco.annToMask(annotation).astype(bool)
        read[mask] = annotation["id"]
        assert annotation["area"] == mask.sum()
        assert annotation["bbox"] == coco_mask.toBbox(annotation["segmentation"]).tolist()
        assert annotation["category_id"] in coco.getCatIds()
    assert count == 4
    np.testing.assert_array_equal(read, labels)
    assert coco.loadImgs(1) == [{"id": 1, "file_name": "scene.tif", "height": 40, "width": 60}]


def test_the_table_reads_a_lazy_image_by_groups_of_channels_and_says_what_fails(labels, image, tmp_path):
    blocks = []

    def counted(block):
        if block.size:
            blocks.append(block.shape)
        return block

    stored = da.from_array(image.data, chunks=(3, 40, 60)).map_blocks(counted, meta=np.empty((0, 0, 0), "f4"))
    lazy = MultiChannelImage(stored, image.channels, pixel_size=image.pixel_size, pixel_unit=image.pixel_unit)
    export(labels, image, "csv", tmp_path / "a.csv")
    export(labels, lazy, "csv", tmp_path / "b.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert blocks == [(3, 40, 60)]

    def vanished(block):
        raise OSError("no such file")

    gone = stored.map_blocks(vanished, meta=np.empty((0, 0, 0), "f4"))
    with pytest.raises(ImageError, match="check that the file is still there"):
        export(labels, MultiChannelImage(gone, image.channels), "csv", tmp_path / "c.csv")


def test_the_table_agrees_with_numpy(labels, image, tmp_path):
    export(labels, image, "csv", tmp_path / "out.csv")

    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == [1, 2, 7, 300]
    columns = ("red [0]", "NIR", "red [2]")
    for row in rows:
        mask = labels == int(row["label"])
        y, x = np.nonzero(mask)
        assert int(row["area_px"]) == mask.sum()
        assert float(row["area_µm^2"]) == pytest.approx(mask.sum() * 0.125)
        assert [int(row[k]) for k in ("y0", "x0", "y1", "x1")] == [y.min(), x.min(), y.max() + 1, x.max() + 1]
        assert float(row["centroid_y"]) == pytest.approx(y.mean())
        assert float(row["centroid_x"]) == pytest.approx(x.mean())
        for channel, name in zip(image.data.astype(float), columns, strict=True):
            values = channel[mask]
            values = values[np.isfinite(values)]
            if values.size:
                assert float(row[f"mean {name}"]) == pytest.approx(values.mean())
                assert float(row[f"std {name}"]) == pytest.approx(values.std())
            else:
                assert row[f"mean {name}"] == row[f"std {name}"] == ""


@pytest.mark.parametrize(
    ("highest", "dtype"), [(255, np.uint8), (256, np.uint16), (65536, np.uint32)], ids=["8", "16", "32"]
)
def test_a_label_tiff_is_as_small_as_its_labels_allow(highest, dtype, labels, image, tmp_path):
    labels[labels == 300] = highest
    export(labels, image, "tiff", tmp_path / "out.tif")

    written = tifffile.imread(tmp_path / "out.tif")
    assert written.dtype == dtype
    np.testing.assert_array_equal(written, labels)
    np.testing.assert_array_equal(open_labels(tmp_path / "out.tif"), labels)


def test_a_label_tiff_keeps_the_pixel_size(labels, image, tmp_path):
    export(labels, image, "tiff", tmp_path / "out.tif")

    read = open_image(tmp_path / "out.tif")
    assert read.pixel_size == pytest.approx((0.5, 0.25))
    assert read.pixel_unit == "µm"


def test_yolo_polygons_cover_the_object(labels, image, tmp_path):
    export(labels, image, "yolo", tmp_path / "out.txt")

    lines = (tmp_path / "out.txt").read_text().splitlines()
    assert len(lines) == 4
    for line, label in zip(lines, (1, 2, 7, 300), strict=True):
        kind, *numbers = line.split()
        points = np.array(numbers, float).reshape(-1, 2)
        assert kind == "0"
        assert points.min() >= 0
        assert points.max() <= 1
        assert _iou(_filled([points * (60, 40)], (40, 60)), labels == label) > 0.9


def test_geojson_polygons_have_the_holes_and_parts_of_the_object(labels, image, tmp_path):
    export(labels, image, "geojson", tmp_path / "out.geojson")

    features = json.loads((tmp_path / "out.geojson").read_text())["features"]
    shapes = {f["properties"]["label"]: f["geometry"] for f in features}
    assert [shapes[n]["type"] for n in (1, 2, 7)] == ["Polygon", "Polygon", "MultiPolygon"]
    assert len(shapes[2]["coordinates"]) == 2
    for label, shape in shapes.items():
        polygons = shape["coordinates"] if shape["type"] == "MultiPolygon" else [shape["coordinates"]]
        rings = [ring for polygon in polygons for ring in polygon]
        assert all(ring[0] == ring[-1] for ring in rings)
        assert _iou(_filled([np.array(ring) for ring in rings], (40, 60)), labels == label) > 0.9


def test_outlines_of_any_mask_are_simple_rings_one_outer_for_each_part():
    rng = np.random.default_rng(0)
    for density in (0.2, 0.5, 0.8, 0.95):
        mask = rng.random((25, 30)) < density
        polygons = outlines(mask)
        assert len(polygons) == ndimage.label(mask)[1]
        for polygon in polygons:
            assert all(len({tuple(corner) for corner in ring.tolist()}) == len(ring) for ring in polygon)
            areas = [_signed_area(ring) for ring in polygon]
            assert areas[0] > 0
            assert all(area < 0 for area in areas[1:])
        assert sum(_signed_area(ring) for polygon in polygons for ring in polygon) == mask.sum()


@pytest.mark.parametrize("name", FORMATS)
def test_labels_of_another_shape_are_refused_by_both_shapes(name, labels, image, tmp_path):
    with pytest.raises(ExportError, match=r"30 x 60 .*'scene' is 40 x 60"):
        export(labels[:30], image, name, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported_is_refused_in_a_sentence(labels, image, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ExportError, match="'shp' is not an export format; choose one of tiff, coco"):
        export(labels, image, "shp", out)
    with pytest.raises(ExportError, match="no object"):
        export(np.zeros_like(labels), image, "csv", out)
    with pytest.raises(ExportError, match="whole numbers but these are float64"):
        export(labels / 2, image, "csv", out)
    with pytest.raises(ExportError, match="go down to -1"):
        export(labels - 1, image, "csv", out)
    with pytest.raises(ExportError, match="There is no folder"):
        export(labels, image, "csv", tmp_path / "missing" / "out.csv")
    with pytest.raises(ExportError, match="is a folder"):
        export(labels, image, "csv", tmp_path)
    assert list(tmp_path.iterdir()) == []


_EXPORT_WITH_NO_ROOM = """
import sys
import numpy as np
from napari_simmat.exporters import export
from napari_simmat.images import MultiChannelImage
labels = np.arange(1, 901).reshape(30, 30)
export(labels, MultiChannelImage(np.ones((1, 30, 30))), "csv", sys.argv[1])
"""


def test_a_full_disk_leaves_the_old_file_as_it_was(tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("precious")

    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))  # noqa: E731
    command = [sys.executable, "-c", _EXPORT_WITH_NO_ROOM, str(out)]
    done = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=False)

    assert "ExportError: Could not write" in done.stderr
    assert out.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [out]


def _filled(rings: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Fill rings of (x, y) corners by the even-odd rule; eight samples a pixel, as Pillow rounds at edges."""
    fine = np.zeros((shape[0] * 8, shape[1] * 8), bool)
    for ring in rings:
        canvas = Image.new("1", fine.shape[::-1])
        ImageDraw.Draw(canvas).polygon([tuple(p) for p in (ring * 8).tolist()], fill=1)
        fine ^= np.asarray(canvas)
    return fine.reshape(shape[0], 8, shape[1], 8).mean(axis=(1, 3)) > 0.5


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def _signed_area(ring: np.ndarray) -> float:
    y, x = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2
