"""Malformed files dropped on a window: each is refused, and the window goes on working."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest
from malformed import load

pytest.importorskip("napari")

from napari_simmat.errors import ImageError
from napari_simmat.plugin.pictures import IMAGE

CASES = load()
DROPPED = (
    "tiff half",
    "tiff 60,000 x 60,000 in 5 kB",
    "ome entity bomb",
    "npy pickled objects",
    "npz bomb",
    "png 60,000 x 60,000 of one colour",
    "envi 1e9 bands",
    "envi points to an absolute path",
    "hdf5 virtual over itself",
    "zarr 2 shape of 1e18",
    "zarr 2 short chunk",
)


@pytest.mark.skipif(
    sys.platform.startswith("linux") and not os.environ.get("DISPLAY"), reason="needs a display"
)
def test_malformed_files_dropped_on_a_window_leave_it_alive(tmp_path, make_napari_viewer):
    viewer = make_napari_viewer()
    for i, name in enumerate(DROPPED):
        folder = tmp_path / str(i)
        folder.mkdir()
        with pytest.raises(ImageError, match=CASES[name].says or None):
            viewer.open(CASES[name].make(folder), plugin="napari-simmat")
        assert not viewer.layers

    np.save(tmp_path / "good.npy", np.ones((20, 30)))
    (layer,) = viewer.open(tmp_path / "good.npy", plugin="napari-simmat")

    assert layer.metadata[IMAGE].shape == (20, 30)
