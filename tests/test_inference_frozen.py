"""The encoder that answers gives what the encoder that is trained gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_simmat import Adapter, Segmenter
from napari_simmat.images import as_image
from napari_simmat.inference import frozen as module
from napari_simmat.inference.frozen import FrozenEncoder, freeze
from napari_simmat.models import load_base_model
from napari_simmat.models.strategies import Strategy


@pytest.fixture(params=[True, False], ids=["fused", "apart"])
def exact(request, monkeypatch):
    """In float32 also where the processor has bfloat16; with and without oneDNN's own operators."""
    monkeypatch.setattr(module, "products", lambda device: torch.float32)
    if not request.param:
        monkeypatch.setattr(module, "_fuses", lambda device_type, dtype: False)
    return request.param


def image(n_channels=5):
    values = np.random.default_rng(0).random((n_channels, 90, 120), np.float32)
    return as_image(values, channel_axis=0)


def inputs(n_channels=5, shape=(224, 160)):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, n_channels, *shape, generator=generator)


def differ(model, n_channels=5):
    """Largest difference between a model and the same one frozen, and the largest value."""
    with torch.inference_mode():
        expected = model.late(model.early(inputs(n_channels)))
        freeze(model)
        assert isinstance(model.sam.encoder, FrozenEncoder)
        found = model.late(model.early(inputs(n_channels)))
    return float((found - expected).abs().max()), float(expected.abs().max())


def test_fused_operators_are_used_where_torch_has_them(exact):
    model = Adapter.untrained(image()).build_merged(load_base_model())
    freeze(model)
    fused = sum(isinstance(found, module._Followed) for found in model.sam.encoder.modules())
    assert fused == (21 if exact and torch.backends.mkldnn.is_available() else 0)


@pytest.mark.parametrize("mat", ["mat", "linear+embedding", "inflated", "gated", "conv-stack:3,2,8"])
def test_with_every_kind_of_transfer_layer(exact, mat):
    model = Adapter.untrained(image(), mat=mat).build_merged(load_base_model())
    difference, largest = differ(model)
    assert difference < 1e-4 < largest


@pytest.mark.parametrize(
    "strategy", ["lora:rank=2", "mlp:width=4", "prefix:tokens=3", "prompt:tokens=3", "full"]
)
def test_with_everything_that_can_be_learnt(exact, strategy):
    base, start = load_base_model(), Adapter.untrained(image())
    plan = Strategy.parse(strategy).plan(base.sam.encoder)
    model = start.build(base, plan=plan)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in plan.parameters(model):
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    learnt = start.replaced(model=model, card=start.card)
    merged = learnt.build_merged(base)
    with torch.inference_mode():
        other = merged.late(merged.early(inputs()))
        plain = start.build_merged(base)
        assert (plain.late(plain.early(inputs())) - other).abs().max() > 0.01
    difference, _ = differ(merged)
    assert difference < 5e-4


@pytest.mark.parametrize("shape", [(1024, 96), (272, 64), (512, 64), (256, 64), (240, 64)])
def test_strip_by_strip_nothing_is_changed(exact, shape):
    encoder = load_base_model().sam.encoder
    rgb = inputs(3, shape)
    with torch.inference_mode():
        found = FrozenEncoder(encoder).early(rgb)
        expected = encoder.early(rgb)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_the_first_convolutions_are_never_given_more_than_a_strip(monkeypatch):
    heights = []
    frozen = FrozenEncoder(load_base_model().sam.encoder)
    patch = frozen._own.trunk.patch_embed
    patch.register_forward_pre_hook(lambda module, given: heights.append(given[0].shape[2]))
    with torch.inference_mode():
        frozen.early(inputs(3, (1024, 64)))
    assert len(heights) == 4
    assert max(heights) == 256 + 2 * 16


def test_neither_the_base_model_nor_the_adapter_is_changed():
    base = load_base_model()
    before = {name: value.clone() for name, value in base.sam.state_dict().items()}
    adapter = Adapter.untrained(image(), mat="linear+embedding")
    tensors = {name: value.clone() for name, value in adapter.tensors.items()}
    Segmenter(image(), adapter=adapter).predict([(40, 60)])
    assert all(torch.equal(value, before[name]) for name, value in base.sam.state_dict().items())
    assert all(value.dtype == before[name].dtype for name, value in base.sam.state_dict().items())
    assert all(torch.equal(value, tensors[name]) for name, value in adapter.tensors.items())
    assert type(base.sam.encoder.get_submodule("trunk.patch_embed.conv1")) is nn.Conv2d


def test_in_bfloat16_the_embedding_is_nearer_to_float32_than_with_autocast(monkeypatch):
    """Also on a processor without bfloat16: people may choose it, and projects of other machines are done once more."""
    monkeypatch.setattr(module, "products", lambda device: torch.bfloat16)
    encoder = load_base_model().sam.encoder
    rgb = inputs(3)
    with torch.inference_mode():
        expected = encoder(rgb)
        found = FrozenEncoder(encoder)(rgb)
        with torch.autocast("cpu", torch.bfloat16):
            cast = encoder(rgb)
    assert found.dtype == torch.bfloat16
    assert 0 < (found.float() - expected).norm() < (cast.float() - expected).norm() < 0.1 * expected.norm()


def test_nothing_is_drawn_from_the_random_numbers_of_the_user():
    module._fuses.cache_clear()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    module._fuses("cpu", torch.float32)
    assert torch.equal(torch.rand(1), expected)
