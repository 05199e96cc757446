"""A fresh MAT is the identity of the field: it never starts worse than SAM."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_simmat.images import as_image
from napari_simmat.models import MAT, Adapter, load_base_model
from napari_simmat.models.mat import component_colours, principal_components, whitened

pytestmark = pytest.mark.full_size

SHAPE = (224, 192)


@pytest.fixture(scope="module")
def stock():
    """Stock segment-anything around the embedded weights: its own preprocessing, its own forward pass."""
    from segment_anything.modeling import Sam as StockSam

    sam = load_base_model().sam
    model = StockSam(
        sam.encoder, sam.prompt_encoder, sam.mask_decoder, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
    )
    model.image_encoder.img_size = 1024
    return model.eval()


def scene(n_channels: int, dtype=np.uint8):
    rng = np.random.default_rng(n_channels)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    channels = [
        ((y - 100) ** 2 + (x - 60 - 3 * k) ** 2 < 50**2) * 120.0 + rng.normal(60, 15, SHAPE) + 10 * k
        for k in range(n_channels)
    ]
    values = np.clip(channels, 0, 255).astype(dtype)
    if n_channels == 3:
        return as_image(values, channel_axis=0, modality="rgb")
    return as_image(values, channel_axis=0)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 9, 31])
def test_an_untrained_adapter_equals_stock_sam_on_the_pseudo_rgb(stock, n_channels):
    image = scene(n_channels)
    adapter = Adapter.untrained(image)
    base = load_base_model()
    x = torch.from_numpy(adapter.profile.model_input(image))[None]
    model = adapter.build_merged(base)
    with torch.inference_mode():
        if n_channels == 3:
            picture = torch.from_numpy(image.data.astype(np.float32))
        else:
            # The picture that a user of stock SAM would have made: the pseudo-RGB as colours from 0 to 255.
            projection = adapter.tensors["mat.linear.weight"][:, :, 0, 0]
            picture = torch.einsum("rc,chw->rhw", projection, x[0]) * stock.pixel_std + stock.pixel_mean
        ours = model.encode(x)
        theirs = stock.image_encoder(stock.preprocess(picture)[None])
        assert torch.allclose(ours, theirs, atol=1e-5)
        point, label = torch.tensor([[[60.0, 100.0]]]), torch.ones(1, 1)
        logits, scores = model.sam.decode(ours, points=point, labels=label)
        sparse, dense = stock.prompt_encoder((point, label), None, None)
        low, iou = stock.mask_decoder(
            image_embeddings=theirs,
            image_pe=stock.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )
    assert torch.allclose(logits[:, 1:], low, atol=1e-3)
    assert torch.allclose(scores[:, 1:], iou, atol=1e-5)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 9, 30])
def test_the_parameter_count_is_that_of_the_paper_and_of_the_linear_path(n_channels):
    count = 576 * n_channels + 1795
    assert sum(p.numel() for p in MAT(n_channels, mode="paper").parameters()) == count
    assert sum(p.numel() for p in MAT(n_channels).parameters()) == count + 3 * n_channels + 3


@pytest.mark.parametrize("n_channels", [31, 300])
def test_many_channels_go_through_a_bottleneck_of_sixteen(n_channels):
    mat = MAT(n_channels)
    assert sum(p.numel() for p in mat.parameters()) == 16 * n_channels + 576 * 16 + 1795 + 3 * n_channels + 3
    with torch.inference_mode():
        assert mat(torch.randn(1, n_channels, 8, 9)).shape == (1, 3, 8, 9)


def test_the_paper_mode_starts_elsewhere_than_sam():
    x = torch.randn(1, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(MAT(3)(x), x)
        assert not torch.allclose(MAT(3, mode="paper")(x), x, atol=0.1)


def test_both_paths_of_a_mat_learn_from_the_zero_start():
    mat = MAT(4)
    x = torch.randn(1, 4, 8, 8)
    optimiser = torch.optim.SGD(mat.parameters(), lr=0.1)
    for _ in range(2):  # conv1 gets a gradient as soon as conv2 has left zero
        optimiser.zero_grad()
        (mat(x) - 1).square().mean().backward()
        optimiser.step()
    for name, parameter in mat.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_whitened_components_are_uncorrelated_with_unit_variance_and_brighter_for_more_signal():
    generator = torch.Generator().manual_seed(0)
    mixing = torch.rand(6, 6, generator=generator)
    samples = torch.randn(5000, 6, generator=generator) @ mixing
    components = whitened(*principal_components(samples, 3))
    scores = (samples - samples.mean(0)) @ components.T
    covariance = scores.T @ scores / (len(scores) - 1)
    assert torch.allclose(covariance, torch.eye(3), atol=1e-3)
    assert (components.sum(1) >= 0).all()


def test_principal_components_beyond_the_rank_are_zero():
    line = torch.linspace(-1, 1, 50)[:, None] * torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    directions, spreads = principal_components(line, 3)
    assert directions[0].norm() == pytest.approx(1)
    assert directions[1:].abs().sum() == 0
    assert spreads[1:].sum() == 0


def test_colours_of_components_have_the_spread_that_sam_expects_and_do_not_amplify_noise():
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(5000, 1, generator=generator)
    samples = signal.expand(-1, 5) + 0.05 * torch.randn(5000, 5, generator=generator)
    directions, spreads = principal_components(samples, 3)
    picture = (samples - samples.mean(0)) @ component_colours(directions, spreads).T
    assert torch.allclose(picture.std(0), torch.ones(3), atol=0.01)
    # Five noisy copies of one signal are a grey picture of it.
    assert torch.corrcoef(torch.cat([picture, signal], 1).T).min() > 0.99


def test_a_mat_without_channels_is_refused():
    with pytest.raises(ValueError, match="at least one channel, got 0"):
        MAT(0)
