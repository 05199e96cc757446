"""The embedded model is what it claims to be, and users' checkpoints load or are refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pycocotools import mask as rle
from safetensors.torch import save_file
from segment_anything.modeling import ImageEncoderViT
from skimage import data

from napari_simmat.errors import WeightsError
from napari_simmat.models import load_base_model
from napari_simmat.models.base import assemble, normalise
from napari_simmat.models.encoders import TinyViTEncoder, ViTEncoder, build_neck, build_trunk, build_vit
from napari_simmat.models.sam import Sam

REFERENCES = json.loads((Path(__file__).parent / "data" / "onnx_reference.json").read_text())
MEAN = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
STD = torch.tensor([58.395, 57.12, 57.375])[:, None, None]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def embeddings():
    """Embedding and scale of each picture, in float32."""
    from segment_anything.utils.transforms import ResizeLongestSide

    sam = load_base_model().sam
    out = {}
    for name in {r["picture"] for r in REFERENCES}:
        picture = getattr(data, name)()
        x = torch.from_numpy(ResizeLongestSide(1024).apply_image(picture)).permute(2, 0, 1)
        x = (x - MEAN) / STD
        square = torch.nn.functional.pad(x, (0, 1024 - x.shape[2], 0, 1024 - x.shape[1]))
        with torch.inference_mode():
            out[name] = sam.encoder(square[None]), 1024 / max(picture.shape[:2])
    return out


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: f"{r['picture']}-{r['points']}")
def test_masks_equal_those_of_the_onnx_pair(reference, embeddings):
    embedding, scale = embeddings[reference["picture"]]
    points = torch.tensor([[[x * scale, y * scale] for y, x in reference["points"]]])
    labels = torch.tensor([reference["labels"]]).float()
    with torch.inference_mode():
        logits, scores = load_base_model().sam.decode(embedding, points=points, labels=labels)
    # The pair answers one point with the best scored of three masks, several with the single one.
    index = 1 + int(scores[0, 1:].argmax()) if len(reference["points"]) == 1 else 0
    height, width = reference["size"]
    large = torch.nn.functional.interpolate(logits[:, index : index + 1], (1024, 1024), mode="bilinear")
    cut = large[..., : int(height * scale + 0.5), : int(width * scale + 0.5)]
    found = (torch.nn.functional.interpolate(cut, (height, width), mode="bilinear")[0, 0] > 0).numpy()
    counts = {"size": reference["size"], "counts": reference["counts"].encode()}
    expected = rle.decode(counts).astype(bool)
    assert (found & expected).sum() / (found | expected).sum() >= 0.99


def test_the_embedded_model_is_frozen_and_has_its_known_size():
    sam = load_base_model().sam
    assert not any(p.requires_grad for p in sam.parameters())
    assert not sam.training
    assert round(sum(p.numel() for p in sam.parameters()) / 1e6, 1) == 9.8


def test_early_and_late_are_the_whole_encoder():
    encoder = load_base_model().sam.encoder
    x = torch.randn(1, 3, 224, 288, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(encoder(x), encoder.late(encoder.early(x)))
        assert encoder(x).shape == (1, 256, 14, 18)


def small_vit_state() -> dict[str, torch.Tensor]:
    """A SAM checkpoint of Meta's names with a tiny random ViT."""
    torch.manual_seed(0)
    vit = build_vit(depth=4, width=32, heads=2, global_blocks=(1, 3), side=256)
    assert isinstance(vit, ImageEncoderViT)
    sam = Sam(ViTEncoder(vit))
    state = {f"image_encoder.{k}": v for k, v in vit.state_dict().items()}
    state |= {k: v for k, v in sam.state_dict().items() if not k.startswith("encoder.")}
    return state


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_vit_checkpoint_loads_with_its_sizes_read_from_its_tensors(tmp_path, suffix):
    state = small_vit_state()
    path = tmp_path / f"sam_vit_tiny{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    base = load_base_model(path)
    assert base.name == "sam_vit_tiny"
    assert base.sam.side == 256
    vit = base.sam.encoder.vit
    assert [block.window_size for block in vit.blocks] == [14, 0, 14, 0]
    with torch.inference_mode():
        embedding = base.sam.encoder(torch.zeros(1, 3, 256, 256))
        assert embedding.shape == (1, 256, 16, 16)
        logits, scores = base.sam.decode(embedding, points=torch.zeros(2, 1, 2), labels=torch.ones(2, 1))
    assert logits.shape == (2, 4, 64, 64)
    assert scores.shape == (2, 4)
    for key, value in state.items():
        name = key.replace("image_encoder.", "encoder.vit.")
        assert torch.equal(base.sam.state_dict()[name], value), key


def test_a_checkpoint_is_converted_once(tmp_path):
    path = tmp_path / "sam.pth"
    torch.save(small_vit_state(), path)
    load_base_model(path)
    (converted,) = (tmp_path / "home" / "cache" / "weights").iterdir()
    made = converted.stat().st_mtime_ns
    path.touch()
    load_base_model(path)
    assert converted.stat().st_mtime_ns == made


def unfolded_mobile_sam_state() -> dict[str, torch.Tensor]:
    """A checkpoint of MobileSAM's own names, with batch norms that do something."""
    torch.manual_seed(0)
    trunk, neck = build_trunk(), build_neck(320)
    for module in trunk.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    state = {}
    for key, value in trunk.state_dict().items():
        name = key.replace("patch_embed.conv1.", "patch_embed.seq.0.").replace(
            "patch_embed.conv2.", "patch_embed.seq.2."
        )
        if name.startswith("stages."):
            _, stage, tail = name.split(".", 2)
            name = f"layers.{int(stage) - tail.startswith('downsample.')}.{tail}"
        state["image_encoder." + name.replace(".conv.", ".c.")] = value
    state |= {f"image_encoder.neck.{k}": v for k, v in neck.state_dict().items()}
    state["image_encoder.norm_head.weight"] = torch.ones(320)
    sam = Sam(TinyViTEncoder())
    state |= {k: v for k, v in sam.state_dict().items() if not k.startswith("encoder.")}
    x = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        expected = neck(trunk.eval().stages(trunk.patch_embed(x)))
    return state | {"x": x, "expected": expected}


def test_mobile_sam_with_its_batch_norms_gives_the_same_embedding_folded():
    state = unfolded_mobile_sam_state()
    x, expected = state.pop("x"), state.pop("expected")
    sam = assemble(normalise(state, "mobile_sam.pt"))
    with torch.inference_mode():
        found = sam.encoder(x)
    assert torch.allclose(found, expected, atol=1e-4)


class Malicious:
    def __reduce__(self):
        return print, ("this must never be printed",)


def write_web_page(path):
    path.write_text("<!DOCTYPE html><html><body>404 Not Found</body></html>")


def write_nothing(path):
    path.touch()


def write_noise(path):
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def write_code(path):
    torch.save({"model": Malicious()}, path)


def write_truncated(path):
    torch.save(small_vit_state(), path)
    path.write_bytes(path.read_bytes()[:10000])


def write_other_network(path):
    torch.save({"fc.weight": torch.zeros(3, 3)}, path)


def write_lacking(path):
    state = small_vit_state()
    del state["mask_decoder.iou_token.weight"]
    torch.save(state, path)


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (write_web_page, "web page"),
        (write_nothing, "empty"),
        (write_noise, "not a readable checkpoint"),
        (write_code, "not a readable checkpoint"),
        (write_truncated, "not a readable checkpoint"),
        (write_other_network, "no SAM image encoder"),
        (write_lacking, "lacks mask_decoder.iou_token.weight"),
    ],
)
def test_what_is_no_checkpoint_is_refused_in_one_sentence(tmp_path, capsys, write, says):
    path = tmp_path / "sam_vit_b.pth"
    write(path)
    with pytest.raises(WeightsError, match=says) as caught:
        load_base_model(path)
    assert "\n" not in str(caught.value)
    assert "never be printed" not in capsys.readouterr().out
    assert not list((tmp_path / "home").rglob("*.part"))


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(WeightsError, match="Found no checkpoint at"):
        load_base_model(tmp_path / "absent.pth")
