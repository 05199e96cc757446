from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import tifffile
from balls import balls, pixels

pytest.importorskip("napari")

import napari

import napari_simmat.plugin.window as window_module
from napari_simmat.cli import main
from napari_simmat.errors import ImageError
from napari_simmat.images import MultiChannelImage, as_image
from napari_simmat.journal import Journal
from napari_simmat.plugin import (
    get_reader,
    glass_sample,
    metamers_sample,
    motorcycle_sample,
    parts_sample,
    seedlings_sample,
    simulated_sample,
    warm_sample,
)
from napari_simmat.plugin.pictures import (
    IMAGE,
    QUESTION,
    SINGLES,
    image_reader,
    layer_data,
    pictures_of,
    render,
)


def test_a_multi_channel_file_is_read_as_one_layer(tmp_path):
    path = tmp_path / "scene.tif"
    tifffile.imwrite(path, pixels(5), metadata={"axes": "CYX"})

    (layer,) = get_reader(str(path))(str(path))

    data, options, kind = layer
    assert kind == "image"
    assert data.shape == (128, 160, 3)
    assert options["rgb"]
    assert options["metadata"][IMAGE].n_channels == 5


def test_several_files_are_one_layer_each(tmp_path):
    paths = []
    for name in ("a", "b"):
        paths.append(str(tmp_path / f"{name}.npy"))
        np.save(paths[-1], pixels(1)[0])

    assert [layer[1]["name"] for layer in get_reader(paths)(paths)] == ["a", "b"]


def test_a_file_with_an_unclear_channel_axis_is_shown_and_asked_about(tmp_path):
    np.save(tmp_path / "stack.npy", pixels(5))

    ((_, options, _),) = get_reader("")(str(tmp_path / "stack.npy"))

    assert options["metadata"][QUESTION].shape == (5, 128, 160)


def test_a_text_file_called_tif_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "notes.tif").write_text("no image")

    with pytest.raises(ImageError, match=r"notes\.tif"):
        get_reader("")(str(tmp_path / "notes.tif"))


@pytest.mark.parametrize(
    ("sample", "channels"),
    [
        (motorcycle_sample, 4),
        (simulated_sample, 5),
        (glass_sample, 3),
        (metamers_sample, 31),
        (warm_sample, 1),
        (parts_sample, 1),
        (seedlings_sample, 2),
    ],
)
def test_samples_open_as_one_layer_with_all_channels(sample, channels):
    ((data, options, _),) = sample()

    assert options["metadata"][IMAGE].n_channels == channels
    assert data.shape[-1] == 3


def test_pixel_size_and_unit_become_those_of_the_layer():
    image = MultiChannelImage(pixels(2), pixel_size=(0.5, 0.25), pixel_unit="micrometer")

    _, options, _ = layer_data(image)

    assert options["scale"] == (0.5, 0.25)
    assert options["units"] == ("micrometer", "micrometer")


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 9])
def test_every_way_to_show_an_image_gives_a_picture_of_its_size(channels):
    image = balls(n_channels=channels)
    ways = pictures_of(image)

    assert len({way.text for way in ways}) == len(ways)
    singles = [way for way in ways if isinstance(way.spec, tuple) and len(way.spec) == 1]
    assert len(singles) == (channels if channels <= SINGLES else 0)  # the slider has the rest
    for way in ways:
        assert render(image, way.spec).shape == (128, 160, 3)


def test_the_image_of_a_layer_is_the_one_that_was_read():
    from napari.layers import Image

    data, options, _ = layer_data(balls())

    assert image_reader(Image(data, **options))().n_channels == 4


def test_a_colour_picture_of_naparis_own_is_three_channels():
    from napari.layers import Image

    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 4), np.uint8)

    image = image_reader(Image(picture, rgb=True, name="photo"))()

    assert (image.n_channels, image.shape, image.modality) == (3, (20, 30), "rgb")


def test_a_single_channel_of_naparis_own_needs_no_question():
    from napari.layers import Image

    image = image_reader(Image(pixels(1)[0], scale=(2, 3)))()

    assert image.n_channels == 1
    assert image.pixel_size == (2, 3)
    assert image.content_key() == as_image(pixels(1)[0]).content_key()


@pytest.mark.skipif(
    sys.platform.startswith("linux") and not os.environ.get("DISPLAY"), reason="needs a display"
)
def test_the_panel_opens_from_a_window_that_was_there_before_the_plugin(tmp_path):
    """As from the plugin menu: torch is imported with OpenGL already at work, and layers come and go."""
    script = textwrap.dedent(
        """
        import sys, time
        import napari, numpy as np
        from qtpy.QtWidgets import QApplication

        def live(condition=lambda: False, seconds=1.0):
            end = time.monotonic() + seconds
            while time.monotonic() < end and not condition():
                QApplication.processEvents()
                time.sleep(0.01)

        viewer = napari.Viewer()
        viewer.add_image(np.random.default_rng(0).random((64, 64)))
        live()
        assert "torch" not in sys.modules
        from napari_simmat.plugin import SimmatPanel
        panel = SimmatPanel(viewer)
        viewer.window.add_dock_widget(panel)
        live(lambda: panel.controller.annotator.segmenter is not None, 300)
        assert panel.controller.annotator.segmenter is not None
        viewer.layers.pop(0)
        live()
        viewer.add_image(np.random.default_rng(1).random((64, 64)))
        live()
        viewer.close()
        print("done")
        """
    )
    environment = {**os.environ, "NAPARI_SIMMAT_HOME": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stderr
    assert "done" in ended.stdout
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(
    sys.platform.startswith("linux") and not os.environ.get("DISPLAY"), reason="needs a display"
)
def test_a_file_is_opened_in_the_window_as_the_command_line_says(
    make_napari_viewer_proxy, qtbot, tmp_path, monkeypatch
):
    path = tmp_path / "film.tif"
    data = np.stack([pixels(2, seed=t) for t in range(3)])
    tifffile.imwrite(path, data, metadata={"axes": "TCYX"}, ome=True)
    viewer, panels = make_napari_viewer_proxy(), []
    monkeypatch.setattr(napari, "Viewer", lambda **options: viewer)
    monkeypatch.setattr(napari, "run", lambda: None)
    dock = window_module.dock_panel
    monkeypatch.setattr(
        window_module,
        "dock_panel",
        lambda viewer: panels.append(dock(viewer, journal=Journal(tmp_path / "journal"))),
    )
    monkeypatch.setattr("napari_simmat.annotator.Annotator._encode", lambda self, **_: None)

    with pytest.raises(SystemExit) as end:
        main(["open", str(path), "--slice", "T=2", "--modality", "hyperspectral"])
    assert end.value.code == 0
    (panel,) = panels
    qtbot.waitUntil(lambda: panel.controller.images.image is not None, timeout=120_000)

    image = panel.controller.images.image
    assert image.modality == "hyperspectral"
    np.testing.assert_array_equal(image.data, data[2])
    panel.controller.close()
    with pytest.raises(SystemExit) as end:
        main(["open", str(path), "--slice", "T=9"])
    assert end.value.code == 1
    with pytest.raises(SystemExit) as end:
        main(["open", str(path), "--sample-format", "stokes"])
    assert end.value.code == 1
