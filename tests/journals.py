"""What tests of projects share: a user's folder of their own, a file with an image, sessions on it, a full disk."""

from __future__ import annotations

import sqlite3

import pytest
import tifffile
from balls import BALLS, pixels

from napari_simmat.annotator import Annotator
from napari_simmat.images import open_image
from napari_simmat.journal import Journal
from napari_simmat.journal.store import Store


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def scene(tmp_path):
    """A file with an image."""
    path = tmp_path / "scenes" / "balls.tif"
    path.parent.mkdir()
    tifffile.imwrite(path, pixels(3), photometric="minisblack")
    return path


def opened(path):
    return open_image(path, channel_axis=0)


def session(path):
    """A session of its own on an image, as another window or after a restart."""
    return Annotator(opened(path), journal=Journal())


def accept(annotator, *numbers):
    for number in numbers:
        annotator.click(*BALLS[number][:2])
        annotator.accept()


def full_for(folder):
    """`Store.append` on a disk that is full where the projects of a folder are."""
    append = Store.append

    def full(self, items):
        if self.path.parent.parent == folder:
            raise sqlite3.OperationalError("database or disk is full")
        return append(self, items)

    return full
