"""Classes and names in the real window: typed, found, taken over, and masks proposed by text."""

from __future__ import annotations

import pytest

pytest.importorskip("napari")

import torch
import torch.nn.functional as F
from balls import balls
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QPushButton, QWidget
from test_plugin_panel import journal, open_panel  # noqa: F401

from napari_simmat.inference.naming import own_feature
from napari_simmat.models.name_head import NAMES, NameConfig, NameHead, Names, names_to_head
from napari_simmat.plugin.pictures import layer_data


@pytest.fixture
def window(open_panel):  # noqa: F811
    opened = open_panel(layer_data(balls(n_channels=2)))
    opened.ready()
    opened.panel.names.fold.expand()
    return opened


def classes(window):
    return [note.class_name for note in window.annotator.objects.values()]


def type_class(window, label, text):
    window.layer.selected_label = label
    box = window.panel.accept.class_name
    QTest.keyClicks(box.lineEdit(), text)
    QTest.keyClick(box.lineEdit(), Qt.Key_Return)
    assert window.panel.accept.chosen == label


def press(window, button):
    assert button.isEnabled()
    QTest.mouseClick(button, Qt.LeftButton)
    window.until(lambda: not window.annotator.is_busy)


def head_that_knows(names):
    """A head that nobody has taught; its names lie far apart."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = NameConfig(text=8, width=16, classes=names, teacher="a test")
        texts = F.normalize(torch.randn(len(names) + 1, 8), dim=1)
        return names_to_head(Names(config, NameHead(config), texts[1:], texts[0]))


def test_names_from_own_objects_from_text_and_masks_by_text(window):
    section = window.panel.names
    assert not section.find.isEnabled()
    assert "names come from objects that you named" in section.known.text()
    window.accept(1, 2, 3, 4)
    type_class(window, 2, "large")
    type_class(window, 3, "small")
    assert classes(window) == [None, "large", "small", None]
    assert window.panel.accept.objects.currentText().startswith("object 3: small")
    press(window, section.find)
    assert [each.label for each in section.model.rows] == [1, 4]
    assert section.how.text().startswith("Nearest of your own names")
    assert own_feature(window.annotator.segmenter, window.layer.data == 1).shape == (256,)
    press(window, section.take)
    assert None not in classes(window)
    window.key(Qt.Key_Z, Qt.ControlModifier)
    assert classes(window) == [None, "large", "small", None]

    adapter = window.annotator.versions.current.adapter
    window.annotator.use_adapter(adapter.with_head(NAMES, head_that_knows(("ball", "ground"))), "names 1")
    window.ready()
    assert section.known.text() == "Taught by a test: ball, ground."
    press(window, section.find)
    assert section.how.text() == "By text:"
    assert len(section.model.rows) == 4
    _assert_nothing_is_cut_off(window)
    section.text.setEditText("ball")
    press(window, section.by_text)
    if window.annotator.text:  # nobody has taught what a ball is
        assert not window.annotator.prompt.is_empty
        assert section.left.text().startswith("Proposal for 'ball'")
        window.key(Qt.Key_R)


def _assert_nothing_is_cut_off(window):
    right = window.panel.mapToGlobal(QPoint(window.panel.width(), 0)).x()
    for widget in window.panel.names.findChildren(QWidget):
        if widget.isVisible():
            assert widget.mapToGlobal(QPoint(widget.width(), 0)).x() <= right, widget
    for each in window.panel.names.findChildren(QPushButton):
        assert each.fontMetrics().horizontalAdvance(each.text()) <= each.width(), each.text()
