"""Every transfer layer of the comparison: as large as its formula says, and starting where it should."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from napari_simmat._cli.options import TRANSFER_NAMES
from napari_simmat.errors import AdapterError
from napari_simmat.images import as_image
from napari_simmat.models import TRANSFERS, AdaptedSam, Adapter, load_base_model
from napari_simmat.models.transfer import GatedStem, build_transfer, canonical_name
from napari_simmat.training import finetune

BASE = load_base_model()
KERNEL = BASE.sam.encoder.first_convolution
D, K = KERNEL.out_channels, KERNEL.kernel_size[0]
NAMES = [name if name != "conv-stack:K,N,D" else "conv-stack:5,2,16" for name in TRANSFERS]


def parameters(name: str, c: int) -> int:
    """The formula of each layer's size, from its description."""
    return {
        "mat": 576 * c + 1795 + 3 * c + 3,
        "mat-paper": 576 * c + 1795,
        "zero-shot": 0,
        "linear": 3 * c + 3,
        "linear+embedding": 3 * c + 3 + 3 * D * K * K + D,
        "new-embedding": c * D * K * K + D,
        "inflated": c * D * K * K + D,
        "gated": (9 * c * 16 + 16) + 2 * 16 + (16 * c + c) + 3 * c + c * D * K * K + c,
        "conv-stack:5,2,16": (25 * c * 16 + 16) + (25 * 16 * 3 + 3),
    }[name]


@pytest.mark.parametrize("channels", [1, 3, 6])
@pytest.mark.parametrize("name", NAMES)
def test_each_layer_has_as_many_parameters_as_its_formula_says(name, channels):
    layer = build_transfer(name, channels, KERNEL)
    assert sum(p.numel() for p in layer.parameters()) == parameters(name, channels)


def test_many_channels_go_through_a_spectral_bottleneck():
    layer = build_transfer("mat", 100, KERNEL)
    assert sum(p.numel() for p in layer.parameters()) == 100 * 16 + 576 * 16 + 1795 + 303


def scene(channels=5):
    planes = np.random.default_rng(3).integers(0, 255, (channels, 48, 64)).astype(np.uint8)
    return as_image(planes, channel_axis=0)


def embedding(name, x):
    """What the first convolution gives for x behind a transfer layer at its start."""
    layer = build_transfer(name, x.shape[1], KERNEL)
    stem = getattr(layer, "stem", None)
    with torch.no_grad():
        return (stem or KERNEL)(layer(x))


@pytest.mark.parametrize("name", ["mat", "linear", "linear+embedding", "zero-shot"])
def test_what_starts_as_pseudo_colours_gives_what_sam_sees_of_them(name):
    x = torch.randn(1, 5, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(embedding(name, x), KERNEL(x[:, :3]), atol=1e-5, rtol=1e-5)


def test_inflated_gives_what_sam_sees_of_grey():
    x = torch.randn(1, 1, 32, 32).repeat(1, 4, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(embedding("inflated", x), KERNEL(x[:, :3]), atol=1e-4, rtol=1e-4)


def test_the_gated_module_folds_exactly():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 32, 32)
    stem = GatedStem(4, KERNEL, torch.randn(3, 4))
    torch.nn.init.normal_(stem.mix)
    with torch.no_grad():
        folded = stem(x)
        w = torch.sigmoid(stem.gate(x))
        picture = torch.einsum("kc,bcij->bkij", stem.linear, x * w)
        each = [
            F.conv2d(
                (x * (1 - w))[:, c : c + 1],
                stem.embeddings[:, c : c + 1],
                None,
                KERNEL.stride,
                KERNEL.padding,
            )
            for c in range(4)
        ]
        mixed = torch.einsum("c,cbdij->bdij", stem.mix, torch.stack(each))
        torch.testing.assert_close(folded, KERNEL(picture) + mixed, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_each_layer_is_kept_in_a_file_and_built_again(name, tmp_path):
    image = scene()
    adapter = Adapter.untrained(image, mat=name)
    adapter.save(tmp_path / "a.safetensors")
    loaded = Adapter.load(tmp_path / "a.safetensors")
    assert loaded.card.mat == name
    assert loaded.fingerprint == adapter.fingerprint
    x = torch.from_numpy(loaded.profile.model_input(image))[None]
    built: list[AdaptedSam] = [each.build(BASE) for each in (adapter, loaded)]
    with torch.inference_mode():
        first, second = (model.early(x) for model in built)
    torch.testing.assert_close(first, second)
    assert BASE.sam.encoder.first_convolution is KERNEL  # nobody changed the shared model


@pytest.mark.parametrize("name", ["linear+embedding", "gated"])
def test_a_trained_stem_comes_back_from_its_file(name, tmp_path):
    image = scene()
    labels = np.zeros(image.shape, np.int32)
    labels[10:30, 12:40] = 1
    trained = finetune([(image, labels)], mat=name, steps=2)
    start = Adapter.untrained(image, mat=name)
    trained.save(tmp_path / "a.safetensors")
    loaded = Adapter.load(tmp_path / "a.safetensors")
    assert loaded.fingerprint == trained.fingerprint
    if trained.card.history[-1].kept:
        changed = [
            k
            for k, v in trained.tensors.items()
            if k in start.tensors and not torch.equal(v, start.tensors[k])
        ]
        assert any(k.startswith("mat.stem") for k in changed)


def test_unknown_names_are_refused_and_old_ones_understood():
    assert canonical_name("default") == "mat"
    assert canonical_name("paper") == "mat-paper"
    assert canonical_name("conv-stack") == "conv-stack:3,3,64"
    for wrong in ("magic", "conv-stack:4,2,8", "conv-stack:3,0,8", "conv-stack:3,2"):
        with pytest.raises(AdapterError):
            canonical_name(wrong)


def test_the_command_line_names_them_all():
    assert tuple(TRANSFERS) == TRANSFER_NAMES
