"""Heads are part of an adapter: of its file and of what journals know it by, not of what embeddings are kept under."""

from __future__ import annotations

import json
import resource

import pytest
import torch
from balls import balls
from journals import accept, home, scene, session  # noqa: F401
from safetensors.torch import save_file
from torch import nn

from napari_simmat.errors import AdapterError
from napari_simmat.inference.cache import EmbeddingKeys
from napari_simmat.models import Adapter, Head, load_base_model


def a_head(width=4, value=1.0):
    return Head.of("names", {"width": width}, {"linear.weight": torch.full((width, 256), value)})


@pytest.fixture(scope="module")
def plain():
    return Adapter.untrained(balls())


def test_a_file_brings_heads_back(plain, tmp_path):
    adapter = plain.with_head("names", a_head()).with_head("other", a_head(2, 0.1))
    adapter.save(tmp_path / "a.safetensors")
    again = Adapter.load(tmp_path / "a.safetensors")
    assert again.fingerprint == adapter.fingerprint
    assert again.heads["names"].config == {"width": 4}
    for name, head in adapter.heads.items():
        assert torch.equal(again.heads[name].tensors["linear.weight"], head.tensors["linear.weight"])


def test_a_head_changes_what_versions_are_known_by_and_no_embedding(plain):
    one, two = plain.with_head("names", a_head()), plain.with_head("names", a_head(value=2.0))
    assert len({plain.fingerprint, one.fingerprint, two.fingerprint}) == 3
    assert one.with_head("names", None).fingerprint == plain.fingerprint
    base, image = load_base_model(), balls()
    keys = [EmbeddingKeys.of(image, each, base, torch.device("cpu"), 1024) for each in (plain, one, two)]
    assert keys[0] == keys[1] == keys[2]


def test_training_and_another_card_keep_heads(plain):
    adapter = plain.with_head("names", a_head())
    model = adapter.build(load_base_model())
    assert adapter.replaced(model=model, card=adapter.card).heads == adapter.heads
    assert adapter.with_card(name="x").heads == adapter.heads
    assert adapter.build_transfer_alone(load_base_model()) is not None


def test_versions_keep_their_heads_through_undo_and_restart(scene):  # noqa: F811
    annotator = session(scene)
    accept(annotator, 1)
    adapter = annotator.versions.current.adapter
    annotator.use_adapter(adapter.with_head("names", a_head()), "names 1")
    annotator.use_adapter(adapter.with_head("names", a_head(value=3.0)), "names 2")
    annotator.undo()
    assert annotator.versions.current.adapter.heads["names"].tensors["linear.weight"].max() == 1
    annotator.redo()
    annotator.close()
    again = session(scene)
    assert again.versions.current.adapter.heads["names"].tensors["linear.weight"].max() == 3
    again.undo()
    assert again.versions.current.adapter.heads["names"].tensors["linear.weight"].max() == 1
    again.undo()
    assert not again.versions.current.adapter.heads
    again.close()


def test_settings_that_say_more_than_the_file_holds_take_no_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AdapterError, match="damaged"):
        a_head().filled(lambda: nn.ModuleDict({"linear": nn.Linear(256, 40_000_000, bias=False)}))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KB; it asks for 40 GB
    module = a_head().filled(lambda: nn.ModuleDict({"linear": nn.Linear(256, 4, bias=False)}))
    assert module["linear"](torch.ones(1, 256)).tolist() == [[256.0] * 4]


@pytest.mark.parametrize(
    ("heads", "extra"),
    [
        ("[1]", {}),
        ("{", {}),
        ("[" * 100_000, {}),
        ('{"names": 1}', {}),
        ('{"../x": {"kind": "names", "config": {}}}', {}),
        ('{"names": {"kind": "names", "config": []}}', {}),
        ("{}", {"heads.names.weight": torch.ones(2)}),
        (json.dumps({str(i): {} for i in range(100)}), {}),
        (None, {"heads.names.weight": torch.ones(2)}),
    ],
)
def test_heads_that_are_none_are_refused_in_a_sentence(plain, tmp_path, heads, extra):
    metadata = {
        "format": "napari-simmat adapter 1",
        "profile": plain.profile.model_dump_json(),
        "card": plain.card.model_dump_json(),
    }
    path = tmp_path / "hostile.safetensors"
    save_file(plain.tensors | extra, path, metadata if heads is None else metadata | {"heads": heads})
    with pytest.raises(AdapterError, match="damaged"):
        Adapter.load(path)
