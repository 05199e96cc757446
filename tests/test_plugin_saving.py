"""Files that the window writes: never over one that the dialog did not ask about."""

from __future__ import annotations

import pytest

pytest.importorskip("napari")

from balls import balls
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QFileDialog
from test_plugin_panel import journal, open_panel  # noqa: F401

from napari_simmat import Adapter
from napari_simmat.images.profile_files import load_profile
from napari_simmat.plugin.pictures import layer_data


@pytest.fixture
def window(open_panel):  # noqa: F811
    opened = open_panel(layer_data(balls()))
    opened.ready()
    opened.accept(1)
    opened.panel.profile.fold.expand()
    opened.until(lambda: len(opened.panel.profile.list.samples) == 4)
    return opened


@pytest.mark.parametrize(
    ("button", "suffix", "read"),
    [
        (lambda panel: panel.model.save, ".safetensors", Adapter.load),
        (lambda panel: panel.profile.save, ".json", load_profile),
        (lambda panel: panel.export.export, ".tif", lambda path: path.read_bytes()),
    ],
    ids=["adapter", "profile", "objects"],
)
def test_a_name_without_its_suffix_replaces_nothing(window, tmp_path, monkeypatch, button, suffix, read):
    def save_as(name):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(name and tmp_path / name), ""))
        QTest.mouseClick(button(window.panel), Qt.LeftButton)

    mine = tmp_path / f"field{suffix}"
    mine.write_bytes(b"mine")
    save_as("field")
    assert mine.read_bytes() == b"mine"
    message = window.panel.footer.message
    assert message.text() == f"{mine.name} is there already; choose it by its whole name to replace it."
    save_as("other")
    window.until(lambda: (tmp_path / f"other{suffix}").exists())
    read(tmp_path / f"other{suffix}")
    if suffix != ".tif":  # a point in a name begins no suffix
        save_as("field.v2")
        window.until(lambda: (tmp_path / f"field.v2{suffix}").exists())
    save_as("")
    assert mine.read_bytes() == b"mine"
    save_as(mine.name)  # which the dialog asked about
    window.until(lambda: mine.read_bytes() != b"mine")
