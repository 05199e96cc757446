"""The same clicks give the same masks in the window, on the command line and from Python."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from balls import BALLS, pixels
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from test_plugin_panel import journal, open_panel  # noqa: F401 (fixtures)

from napari_simmat import Prompt, Segmenter, open_image
from napari_simmat.cli import main
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
    records = journal.read(image.content_key()).records
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
        np.testing.assert_array_equal(mask & free, record.mask)
        free &= ~record.mask
