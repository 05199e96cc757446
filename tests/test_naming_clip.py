"""A CLIP is read from disk, by whatever names its files have, and what is none is refused in a sentence."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from tiny_clip import CONFIG, save_clip, tiny_clip

from napari_simmat.errors import WeightsError
from napari_simmat.training.naming import load_teacher, texts_of


@pytest.fixture(scope="module")
def clip():
    return tiny_clip()


@pytest.fixture(scope="module")
def folder(clip, tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip") / "tiny", clip)


def test_a_folder_and_checkpoints_answer_as_the_network_itself(clip, folder, tmp_path):
    import open_clip

    pictures = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mean = torch.tensor((0.48145466, 0.4578275, 0.40821073))[:, None, None]
    std = torch.tensor((0.26862954, 0.26130258, 0.27577711))[:, None, None]
    with torch.no_grad():
        seen = F.normalize(clip.encode_image((pictures - mean) / std), dim=-1)
        read = F.normalize(clip.encode_text(open_clip.SimpleTokenizer(context_length=16)(["a weed"])), dim=-1)
    torch.save(clip.state_dict(), tmp_path / "mine.pth")
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in clip.state_dict().items()}}, tmp_path / "trained.pt"
    )
    for path in (
        folder,
        folder / "open_clip_model.safetensors",
        tmp_path / "mine.pth",
        tmp_path / "trained.pt",
    ):
        teacher = load_teacher(path)
        assert teacher.side == 32
        assert torch.allclose(teacher.embed_pictures(pictures), seen, atol=1e-5)
        assert torch.allclose(teacher.embed_texts(["a weed"]), read, atol=1e-5)


def test_templates_are_averaged_and_brought_back_to_length_one(folder):
    teacher = load_teacher(folder)
    (found,) = texts_of(teacher, ["weed"], ("{}", "a photo of a {}"))
    both = teacher.embed_texts(["weed", "a photo of a weed"])
    assert torch.allclose(found, F.normalize(both.mean(0), dim=0), atol=1e-6)


def test_what_is_no_clip_is_refused_in_a_sentence(clip, folder, tmp_path):
    def refused(path, words):
        with pytest.raises(WeightsError, match=words):
            load_teacher(path)

    refused(tmp_path / "missing", "Found no CLIP")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no weights")
    (tmp_path / "text.pt").write_text("hello")
    refused(tmp_path / "text.pt", "not a readable checkpoint")
    save_file({"mat.weight": torch.ones(2, 2)}, tmp_path / "other.safetensors")
    refused(tmp_path / "other.safetensors", "no CLIP with a vision transformer")
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    for config, words in (
        ("[", "no description of a CLIP"),
        ("[1]", "no description of a CLIP"),
        ("{}", "says nothing of a model"),
        (json.dumps({"model_cfg": {**CONFIG, "embed_dim": 64}}), "not the CLIP that its description says"),
        (
            json.dumps({"model_cfg": {**CONFIG, "vision_cfg": {**CONFIG["vision_cfg"], "layers": 10**8}}}),
            "layers = 1e",
        ),
        (
            json.dumps({"model_cfg": {**CONFIG, "vision_cfg": {**CONFIG["vision_cfg"], "width": 64_000}}}),
            "not the CLIP that its description says",  # on paper alone: it would take 100 GB
        ),
        (
            json.dumps({"model_cfg": {**CONFIG, "text_cfg": {"hf_tokenizer_name": "some/where"}}}),
            "another package",
        ),
    ):
        (broken / "open_clip_config.json").write_text(config)
        refused(broken, words)


def test_without_open_clip_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(WeightsError, match=r"pip install napari-simmat\[clip\]"):
        load_teacher(folder)
