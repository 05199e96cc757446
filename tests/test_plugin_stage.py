"""What is drawn on the image."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.utils.colormaps.standardize_color import transform_color

from napari_simmat.inference import Prompt
from napari_simmat.plugin.stage import NEGATIVE, POSITIVE, Stage


def prompt_of(signs):
    """A prompt with a point for each sign."""
    prompt = Prompt()
    for place, sign in enumerate(signs):
        prompt = prompt.with_point(3 + 2 * place, 4, sign)
    return prompt


def test_clicks_have_the_colour_of_their_sign_whatever_was_shown_before(make_napari_viewer):
    viewer = make_napari_viewer()
    layer = viewer.add_image(np.zeros((40, 50)))
    stage = Stage(viewer)
    stage.set_image_layer(layer)
    rng = np.random.default_rng(0)
    signs: tuple[int, ...] = ()
    for _ in range(40):
        kind = rng.integers(0, 4)
        if kind < 2:
            signs = (*signs, int(rng.integers(0, 2)))
        elif kind == 2:
            signs = signs[: rng.integers(0, len(signs) + 1)]
        else:
            signs = tuple(int(n) for n in rng.integers(0, 2, rng.integers(0, 5)))
        stage.show_prompt(prompt_of(signs))
        clicks = next((each for each in viewer.layers if each.name == "clicks"), None)
        if clicks is None:
            assert not signs
            continue
        assert len(clicks.data) == len(signs)
        if not signs:
            continue
        expected = transform_color([POSITIVE if sign else NEGATIVE for sign in signs])
        np.testing.assert_allclose(clicks.face_color, expected)
        np.testing.assert_allclose(np.reshape(clicks.border_color, (-1, 4)), np.ones((len(signs), 4)))
        assert set(np.ravel(clicks.size)) == {4.0}
    stage.close()
