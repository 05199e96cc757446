"""The same clicks give the same masks in the window, on the command line and from Python."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from balls import BALLS, SHAPE, pixels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from test_plugin_panel import journal, open_panel  # noqa: F401 (fixtures)
from test_plugin_regions import small_is_large  # noqa: F401 (fixture)

from napari_simmat import Prompt, Segmenter, open_image
from napari_simmat.cli import main
from napari_simmat.images import image as images
from napari_simmat.images.files import tiff
from napari_simmat.inference import region_around
from napari_simmat.plugin.pictures import read_layer


def test_what_was_clicked_in_the_window_is_segmented_alike_elsewhere(open_panel, journal, tmp_path):  # noqa: F811
    path = tmp_path / "scene.tif"
    tifffile.imwrite(path, pixels(), photometric="minisblack", metadata={"axes": "CYX"})
    window = open_panel(read_layer(path))
    window.ready()

    window.segment(*BALLS[1][:2])  # one click
    window.key(Qt.Key_C)
    window.segment(BALLS[2][0] - 6, BALLS[2][1] + 4)  # clicks of both signs
    window.segment(62, 80, button=Qt.RightButton)
    window.key(Qt.Key_C)
    window.segment(*BALLS[3][:2])  # another candidate, corrected by a further click
    window.key(Qt.Key_Period)
    window.segment(BALLS[3][0] + 5, BALLS[3][1])
    window.key(Qt.Key_C)
    QTest.mouseClick(window.panel.prompt.modes["box"], Qt.LeftButton)
    row, column, radius = BALLS[4]  # a box
    window.drag((row - radius, column - radius), (row + radius, column + radius))
    window.until(lambda: window.annotator.is_answered)
    window.key(Qt.Key_C)
    assert sorted(window.annotator.objects) == [1, 2, 3, 4]

    image = open_image(path)
    segmenter = Segmenter(image)
    records = journal.read(image).states
    assert [len(record.prompt["points"]) for record in records] == [1, 2, 2, 0]
    free = np.ones(image.shape, bool)  # pixels of an object stay its own
    for record in records:
        prompt, out = tmp_path / f"{record.label}.json", tmp_path / f"{record.label}.tif"
        prompt.write_text(json.dumps(record.prompt))
        with pytest.raises(SystemExit) as end:
            main(["segment", str(path), "--prompt", str(prompt), "-o", str(out)])
        assert end.value.code == 0
        mask = tifffile.imread(out).astype(bool)
        np.testing.assert_array_equal(mask, segmenter.answer(Prompt.from_dict(record.prompt)).mask())
        np.testing.assert_array_equal(mask & free, record.mask(image.shape))
        free &= ~record.mask(image.shape)


def test_a_large_image_is_segmented_in_the_same_region_everywhere(
    open_panel,  # noqa: F811
    small_is_large,  # noqa: F811
    tmp_path,
    monkeypatch,
    capsys,
):
    monkeypatch.setattr(tiff, "IN_MEMORY_BYTES", 0)
    path, out = tmp_path / "field.tif", tmp_path / "mask.tif"
    data = np.tile(pixels(4), (1, 5, 5))
    tifffile.imwrite(path, data, photometric="minisblack", metadata={"axes": "CYX"}, tile=(64, 64))
    window = open_panel(read_layer(path))
    window.until(lambda: window.controller.stage.image_layer is not None)
    window.qtbot.wait(100)
    window.viewer.reset_view()

    window.segment(2 * SHAPE[0] + BALLS[4][0], SHAPE[1] + BALLS[4][1])
    window.segment(2 * SHAPE[0] + BALLS[4][0] - 20, SHAPE[1] + BALLS[4][1], button=Qt.RightButton)
    window.key(Qt.Key_C)
    (top, left), seen = window.annotator.image.origin, window.annotator.image.shape
    (clicked,) = window.annotator.objects.values()
    assert (top, left) != (0, 0)
    expected = np.zeros(data.shape[1:], bool)
    expected[top : top + seen[0], left : left + seen[1]] = window.layer.data > 0

    loaded, sizes = images.loaded, []
    monkeypatch.setattr(images, "loaded", lambda array: sizes.append(array.nbytes) or loaded(array))
    prompt = Prompt.from_dict(clicked.prompt.to_dict())
    clicks = [
        f"--click={y + top!r},{x + left!r},{sign}"
        for (y, x), sign in zip(prompt.points, prompt.labels, strict=True)
    ]
    with pytest.raises(SystemExit) as end:
        main(["segment", str(path), *clicks, "-o", str(out)])
    assert end.value.code == 0
    assert f"the model looked at rows {top} to {top + seen[0] - 1} and" in capsys.readouterr().err
    np.testing.assert_array_equal(tifffile.imread(out) > 0, expected)
    assert max(sizes) <= 4 * seen[0] * seen[1] * 4 < data.nbytes / 10

    image = open_image(path)
    region = region_around(image, [(y + top, x + left) for y, x in prompt.points])
    mask = Segmenter(image.window(*region)).answer(prompt).mask()
    np.testing.assert_array_equal(mask, window.layer.data > 0)
