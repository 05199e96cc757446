"""What does not fit into memory is refused before it is decoded."""

from __future__ import annotations

import numpy as np
import PIL.Image
import psutil
import pytest

from napari_simmat.errors import ImageError
from napari_simmat.images import open_image
from napari_simmat.images.raw import MAX_BYTES, MEMORY_VARIABLE, memory_budget


def test_an_image_that_does_not_fit_into_the_memory_budget_is_refused(tmp_path, monkeypatch):
    PIL.Image.fromarray(np.zeros((700, 1400, 3), np.uint8)).save(tmp_path / "scene.png")
    open_image(tmp_path / "scene.png")
    monkeypatch.setenv(MEMORY_VARIABLE, "2")
    with pytest.raises(ImageError, match=r"more than the 0\.0 GiB .* NAPARI_SIMMAT_MEMORY_MB"):
        open_image(tmp_path / "scene.png")


def test_the_memory_budget_is_half_of_what_is_free(monkeypatch):
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Free", (), {"available": 1 << 30})())
    assert memory_budget() == 1 << 29
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Free", (), {"available": 1 << 40})())
    assert memory_budget() == MAX_BYTES
