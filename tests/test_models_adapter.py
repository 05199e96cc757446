"""One small file that is complete or not there, and that says what it fits."""

from __future__ import annotations

import json
import resource
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from napari_simmat import Adapter, Segmenter
from napari_simmat.errors import AdapterError
from napari_simmat.images import as_image
from napari_simmat.models import load_base_model
from napari_simmat.models.adapter import TOKENS
from napari_simmat.models.additions import put, sharing_copy
from napari_simmat.models.lora import LoRALinear, lora_layers, merge, unmerge
from napari_simmat.models.strategies import Strategy


def scene(n_channels: int, shape=(40, 50), name="scene"):
    values = np.random.default_rng(n_channels).integers(0, 4000, (n_channels, *shape)).astype(np.uint16)
    return as_image(values, channel_axis=0, name=name)


def trained(image) -> Adapter:
    """An adapter whose numbers all differ from their start, as training would leave it."""
    start, base = Adapter.untrained(image), load_base_model()
    torch.manual_seed(0)
    model = start.build(base, plan=Strategy.parse("lora:stages=late").plan(base.sam.encoder))
    for parameter in (
        *model.mat.parameters(),
        *(p for _, layer in lora_layers(model.sam) for p in (layer.a, layer.b)),
    ):
        parameter.data.normal_(std=0.02)
    for path in TOKENS:
        weight = model.sam.get_submodule(path).weight
        weight.requires_grad_(True)
        weight.data.add_(0.01)
    return start.replaced(model=model, card=start.card.model_copy(update={"name": "fitted"}))


def test_a_saved_adapter_comes_back_with_the_same_fingerprint(tmp_path):
    adapter = trained(scene(5))
    adapter.save(tmp_path / "a.safetensors")
    loaded = Adapter.load(tmp_path / "a.safetensors")
    assert loaded.fingerprint == adapter.fingerprint
    assert loaded.card == adapter.card
    assert loaded.profile == adapter.profile


def test_every_number_changes_the_fingerprint():
    adapter = trained(scene(2))
    for name, tensor in adapter.tensors.items():
        changed = adapter.tensors | {name: tensor + 1e-3}
        assert Adapter(adapter.profile, adapter.card, changed).fingerprint != adapter.fingerprint, name


def test_merged_lora_answers_as_lora_beside_the_layers():
    adapter = trained(scene(3))
    base = load_base_model()
    x = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        beside = adapter.build(base).sam.encoder(x)
        merged = adapter.build_merged(base).sam.encoder(x)
        stock = base.sam.encoder(x)
    assert torch.allclose(beside, merged, atol=1e-5)
    assert not torch.allclose(beside, stock, atol=1e-3)


def test_building_a_model_leaves_the_base_model_as_it_was():
    base = load_base_model()
    before = {k: v.clone() for k, v in base.sam.state_dict().items()}
    model = trained(scene(3)).build_merged(base)
    assert base.sam.state_dict().keys() == before.keys()
    assert all(torch.equal(v, before[k]) for k, v in base.sam.state_dict().items())
    shared = model.sam.encoder.trunk.patch_embed.conv1.weight
    assert shared.data_ptr() == base.sam.encoder.trunk.patch_embed.conv1.weight.data_ptr()


def test_a_fresh_lora_changes_nothing_and_a_second_injection_adds_nothing():
    torch.manual_seed(0)
    root = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    x = torch.randn(3, 4)
    expected = root(x)
    copied = sharing_copy(root)
    assert put(copied, LoRALinear, ["*"], 2) == ["0", "2"]
    assert put(copied, LoRALinear, ["*"], 2) == []
    assert torch.equal(copied(x), expected)
    for _, layer in lora_layers(copied):
        layer.b.data.normal_()
    changed = copied(x)
    merge(copied)
    assert torch.allclose(copied(x), changed, atol=1e-6)
    unmerge(copied)
    assert torch.equal(copied(x), changed)
    assert torch.equal(root(x), expected)


def test_an_adapter_refuses_an_image_with_other_channels_and_names_both():
    adapter = Adapter.untrained(
        as_image(np.zeros((4, 9, 9)), channel_axis=0, names=["red", "green", "blue", "nir"])
    )
    five = as_image(
        np.zeros((5, 9, 9)), channel_axis=0, names=["red", "green", "blue", "nir", "swir"], name="field"
    )
    with pytest.raises(
        AdapterError, match=r"4 channels \(red, green, blue, nir\).*'field'.*5 channels \(.*swir\)"
    ):
        adapter.fits(five)
    with pytest.raises(AdapterError, match="5 channels"):
        Segmenter(five, adapter=adapter)


def test_an_adapter_of_another_base_model_is_refused():
    adapter = Adapter.untrained(scene(3))
    other = adapter.with_card(base_sha256="0" * 64, base_model="sam_vit_b")
    with pytest.raises(AdapterError, match="was trained on sam_vit_b"):
        other.build(load_base_model())


def test_paper_mode_travels_in_the_card(tmp_path):
    image = scene(4)
    Adapter.untrained(image, mat="paper").save(tmp_path / "paper.safetensors")
    loaded = Adapter.load(tmp_path / "paper.safetensors")
    assert loaded.card.mat == "mat-paper"
    mask, _ = Segmenter(image, adapter=loaded).predict([(20, 25)])
    assert mask.shape == (40, 50)


def test_a_disk_that_is_full_leaves_the_old_file_and_says_so(tmp_path):
    path = tmp_path / "a.safetensors"
    adapter = trained(scene(3))
    adapter.save(path)
    before = path.read_bytes()
    # A limit on the size of files stands for the full disk: writing fails half-way.
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(AdapterError, match=r"Could not write .*nothing was changed"):
            adapter.with_card(name="second").save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def rewritten(path, change_metadata=None, change_tensors=None):
    """The adapter file at `path` with something changed in it."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as opened:
        metadata = dict(opened.metadata())
    tensors = load_file(path)
    (change_metadata or (lambda m: None))(metadata)
    (change_tensors or (lambda t: None))(tensors)
    save_file(tensors, path, metadata)


def test_an_adapter_from_before_there_were_strategies_was_trained_with_lora(tmp_path):
    path = tmp_path / "a.safetensors"
    trained(scene(3)).save(path)

    def forget(metadata):
        card = json.loads(metadata["card"])
        del card["strategy"]
        metadata["card"] = json.dumps(card)

    rewritten(path, forget)
    loaded = Adapter.load(path)
    assert loaded.card.strategy == "lora"
    assert loaded.fingerprint == trained(scene(3)).fingerprint


def spoil_profile(metadata):
    profile = json.loads(metadata["profile"])
    profile["surprise"] = 1
    metadata["profile"] = json.dumps(profile)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: p.write_bytes(b""), "not a readable .safetensors file"),
        (lambda p: p.write_text("<html>404</html>"), "not a readable .safetensors file"),
        (lambda p: p.write_bytes(p.read_bytes()[:300]), "not a readable .safetensors file"),
        (
            lambda p: rewritten(p, lambda m: m.update(format="something else")),
            "has the format 'something else'",
        ),
        (lambda p: save_file({"x": torch.zeros(1)}, p), "has the format 'unknown'"),
        (lambda p: rewritten(p, spoil_profile), "is damaged"),
        (lambda p: rewritten(p, None, lambda t: t.pop("mat.conv1.weight")), "is damaged"),
        (lambda p: rewritten(p, None, lambda t: t["mat.conv1.bias"].fill_(float("nan"))), "not finite"),
        (lambda p: p.unlink(), "Found no adapter"),
    ],
)
def test_a_file_that_is_no_adapter_is_refused_in_one_sentence(tmp_path, spoil, says):
    path = tmp_path / "a.safetensors"
    trained(scene(3)).save(path)
    spoil(path)
    with pytest.raises(AdapterError, match=says) as caught:
        Adapter.load(path)
    assert "\n" not in str(caught.value)
