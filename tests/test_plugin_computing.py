"""Where the model runs and what is kept, in the panel; neighbours are encoded while nothing is to be done."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from balls import BALLS, balls, pixels
from test_plugin_panel import journal, open_panel  # noqa: F401 (fixtures)

from napari_simmat import Adapter
from napari_simmat.inference import compute, is_at_hand
from napari_simmat.inference.cache import forget
from napari_simmat.inference.kept import SIZE_VARIABLE
from napari_simmat.plugin.pictures import TAKEN, layer_data, read_layer


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(SIZE_VARIABLE, "50")
    monkeypatch.setattr(compute, "_choice", compute.Choice())
    forget()


def test_precision_and_threads_are_chosen_and_shown(open_panel):  # noqa: F811
    window = open_panel(layer_data(balls()))
    window.ready()
    section = window.panel.model
    before = window.annotator.segmenter
    usual = "bfloat16" if compute.uses_bfloat16("cpu") else "float32"
    other = "float32" if usual == "bfloat16" else "bfloat16"
    section.computing.threads.setValue(1)
    window.until(lambda: window.annotator.segmenter is not before)
    assert section.device.text() == f"CPU, 1 thread, {usual}"

    between = window.annotator.segmenter
    section.computing.precision.setCurrentText(other)
    section.computing.precision.activated.emit(section.computing.precision.currentIndex())
    window.until(lambda: window.annotator.segmenter is not between)
    assert section.device.text() == f"CPU, 1 thread, {other}"
    window.segment(*BALLS[1][:2])


@pytest.mark.full_size  # a smaller one of a small image is not kept
def test_what_is_kept_is_shown_and_cleared(open_panel):  # noqa: F811
    window = open_panel(layer_data(balls()))
    window.ready()
    computing = window.panel.model.computing
    computing.expand(False)
    window.until(lambda: computing.kept.text().startswith("1 embedding, "))
    assert computing.clear.isEnabled()
    computing.clear.click()
    window.until(lambda: computing.kept.text() == "0 embeddings, 0 MB")
    assert not computing.clear.isEnabled()
    window.segment(*BALLS[1][:2])  # what is in use is still there


def test_keeping_nothing_is_said(open_panel, monkeypatch):  # noqa: F811
    monkeypatch.setenv(SIZE_VARIABLE, "0")
    window = open_panel(layer_data(balls()))
    window.ready()
    window.panel.model.computing.expand(False)
    window.until(lambda: window.panel.model.computing.kept.text() == "nothing: switched off")


def test_the_slices_beside_the_one_at_hand_are_encoded_while_nothing_is_to_be_done(
    open_panel,  # noqa: F811
    tmp_path,
):
    path = tmp_path / "stack.tif"
    data = np.stack([np.roll(pixels(2), 5 * t, axis=2) for t in range(6)])
    tifffile.imwrite(path, data, photometric="minisblack", metadata={"axes": "TCYX"})
    window = open_panel(read_layer(path))
    window.controller._neighbours._idle.setInterval(10)
    window.ready()
    taken = window.viewer.layers[0].metadata[TAKEN]
    (at,) = window.controller.images.index

    def known():
        images = [taken.image((t,)) for t in range(len(data))]
        return {t for t, image in enumerate(images) if is_at_hand(image, Adapter.untrained(image))}

    window.until(lambda: known() == {t for t in (at - 1, at, at + 1) if 0 <= t < len(data)})
    window.viewer.dims.set_current_step(0, at + 1)
    window.until(lambda: at + 2 in known())
    assert at + 3 not in known()


def test_the_image_of_the_next_layer_is_encoded_too(open_panel):  # noqa: F811
    other = balls(seed=5)
    window = open_panel(layer_data(other), layer_data(balls()))
    window.controller._neighbours._idle.setInterval(10)
    window.ready()
    assert window.annotator.image is not other
    window.until(lambda: is_at_hand(other, Adapter.untrained(other)))
