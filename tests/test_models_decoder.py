"""The folded mask decoder answers, and is learnt by, as segment-anything's own."""

from __future__ import annotations

import copy

import pytest
import torch

from napari_simmat.models import load_base_model
from napari_simmat.models.decoder import PromptDecoder
from napari_simmat.models.folding import _has_onednn, linear
from napari_simmat.models.lora import LoRALinear, merge
from napari_simmat.models.strategies import Strategy

POINTS, LABELS = torch.tensor([[[300.0, 410.0], [90.0, 30.0]]]), torch.tensor([[1.0, 0.0]])
BOX = torch.tensor([[100.0, 120.0, 400.0, 380.0]])
SINGLE, BFLOAT = torch.float32, torch.bfloat16


@pytest.fixture
def sam():
    return copy.deepcopy(load_base_model().sam)


def embedding(h=64, w=64):
    return torch.randn(1, 256, h, w, generator=torch.Generator().manual_seed(0))


def prompts(h=64, w=64):
    logits = torch.randn(2, 1, 4 * h, 4 * w, generator=torch.Generator().manual_seed(1)) * 5
    three = torch.cat([POINTS, POINTS.flip(1), POINTS + 60])
    return [
        {"points": POINTS[:, :1], "labels": LABELS[:, :1]},
        {"points": POINTS, "labels": LABELS},
        {"boxes": BOX},
        {"points": POINTS, "labels": LABELS, "boxes": BOX},
        {"points": POINTS, "labels": LABELS, "masks": logits[:1]},
        {"masks": logits},
        {"points": three, "labels": torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, -1.0]])},
        {"points": three[:2], "labels": LABELS.repeat(2, 1), "masks": logits},
    ]


def learn_something(sam, kind, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for found in sam.modules():
        if isinstance(found, kind):
            for parameter in found.learnt().values():
                parameter.data.normal_(std=0.3, generator=generator)


@pytest.mark.parametrize("grid", [(64, 64), (42, 30), (1, 1)])
def test_every_kind_of_prompt_is_answered_as_by_the_stock_decoder(sam, grid):
    folded = PromptDecoder(sam, SINGLE)
    assert folded.is_folded
    with torch.inference_mode():
        ground = folded.ground(embedding(*grid), projects=True)
        assert ground.projected is not None  # what single prompts without a mask use
        for prompt in prompts(*grid):
            logits, scores = folded.answer(ground, **prompt)
            expected, expected_scores = sam.decode(embedding(*grid), **prompt)
            torch.testing.assert_close(logits, expected, atol=2e-3, rtol=1e-4)
            torch.testing.assert_close(scores, expected_scores, atol=1e-4, rtol=1e-4)


def test_a_window_is_answered_where_it_lies_in_the_frame(sam):
    folded = PromptDecoder(sam, SINGLE)
    with torch.inference_mode():
        logits, _ = folded.answer(folded.ground(embedding(28, 28), (5, 17)), **prompts()[1])
        expected, _ = sam.decode(embedding(28, 28), **prompts()[1], offset=(5, 17))
        elsewhere, _ = sam.decode(embedding(28, 28), **prompts()[1])
    torch.testing.assert_close(logits, expected, atol=2e-3, rtol=1e-4)
    assert (expected - elsewhere).abs().max() > 0.1


@pytest.mark.parametrize("merged", [True, False])
def test_an_update_of_the_decoder_is_folded_too(sam, merged):
    Strategy.parse("lora:rank=2").plan(sam.encoder, late_only=True).place(sam)
    learn_something(sam.mask_decoder, LoRALinear)
    with torch.inference_mode():
        apart, _ = sam.decode(embedding(), **prompts()[1])
        if merged:
            merge(sam)
        folded = PromptDecoder(sam, SINGLE)
        logits, _ = folded.answer(folded.ground(embedding()), **prompts()[1])
    plain, _ = load_base_model().sam.decode(embedding(), **prompts()[1])
    assert (apart - plain).abs().max() > 1
    assert folded.is_folded
    torch.testing.assert_close(logits, apart, atol=5e-3, rtol=1e-4)


@pytest.mark.parametrize("strategy", ["prefix:tokens=3", "prompt:tokens=3", "mlp:width=4", "lora:rank=2"])
def test_what_cannot_be_folded_is_answered_by_the_decoder_itself(sam, strategy):
    plan = Strategy.parse(strategy).plan(sam.encoder, late_only=True)
    plan.place(sam)
    learn_something(sam.mask_decoder, plan.kind)
    folded = PromptDecoder(sam, SINGLE)
    with torch.inference_mode():
        logits, scores = folded.answer(folded.ground(embedding()), **prompts()[1])
        expected, expected_scores = sam.decode(embedding(), **prompts()[1])
        plain, _ = load_base_model().sam.decode(embedding(), **prompts()[1])
    assert (expected - plain).abs().max() > 1
    torch.testing.assert_close(logits, expected, atol=5e-3, rtol=1e-3)
    torch.testing.assert_close(scores, expected_scores, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("strategy", ["lora:rank=2", "decoder", "mat"])
def test_the_same_is_learnt_as_by_the_stock_decoder(sam, strategy):
    if strategy == "decoder":
        sam.mask_decoder.requires_grad_(True)
    elif strategy == "lora:rank=2":
        Strategy.parse(strategy).plan(sam.encoder, late_only=True).place(sam)
        learn_something(sam.mask_decoder, LoRALinear)
    given = embedding(20, 24).requires_grad_(True)
    trained = {name: p for name, p in sam.mask_decoder.named_parameters() if p.requires_grad}
    assert bool(trained) == (strategy != "mat")

    def gradients(answer):
        sam.zero_grad(set_to_none=True)
        given.grad = None
        logits, scores = answer()
        (logits.sigmoid().mean() + scores.mean()).backward()
        return {"given": given.grad.clone()} | {
            name: p.grad.clone() for name, p in trained.items() if p.grad is not None
        }

    for prompt in (prompts(20, 24)[6], prompts(20, 24)[7], prompts(20, 24)[0]):
        expected = gradients(lambda prompt=prompt: sam.decode(given, **prompt))

        def folded(prompt=prompt):
            decoder = PromptDecoder(sam, SINGLE)
            return decoder.answer(decoder.ground(given), **prompt)

        found = gradients(folded)
        # The bias of a key changes no softmax, so the folded decoder leaves it out; its gradient is rounding.
        assert {name for name in expected if name not in found} <= {
            name for name in expected if name.endswith("k_proj.bias")
        }
        for name, gradient in found.items():
            scale = expected[name].abs().max().clamp_min(1e-6)
            assert (gradient - expected[name]).abs().max() < 2e-3 * scale + 1e-7, name


def test_in_bfloat16_answers_are_as_near_to_float32_as_autocast_is(sam):
    folded, ours, theirs = PromptDecoder(sam, BFLOAT), 0.0, 0.0
    with torch.inference_mode():
        # A whole frame takes a minute where the processor has no bfloat16.
        grid = (64, 64) if torch.ops.mkldnn._is_mkldnn_bf16_supported() else (20, 24)
        given = embedding(*grid)
        for prompt in prompts(*grid):
            expected, _ = sam.decode(given, **prompt)
            with torch.autocast("cpu", BFLOAT):
                cast, _ = sam.decode(given, **prompt)
            logits, _ = folded.answer(folded.ground(given), **prompt)
            ours += float((logits - expected).norm())
            theirs += float((cast - expected).norm())
            assert ((logits > 0) == (expected > 0)).float().mean() > 0.98
    assert 0 < ours < 1.25 * theirs


def test_autocast_outside_changes_nothing(sam):
    folded = PromptDecoder(sam, SINGLE)
    with torch.inference_mode():
        expected, _ = folded.answer(folded.ground(embedding()), **prompts()[1])
        with torch.autocast("cpu", BFLOAT):
            again = PromptDecoder(sam, SINGLE)
            found, _ = again.answer(again.ground(embedding()), **prompts()[1])
    assert torch.equal(found, expected)


def test_after_answering_the_same_can_be_learnt_from(sam):
    """What was made for answers, in inference mode, must not be in the way of gradients."""
    from napari_simmat.models.decoder import _row_by_row

    _row_by_row.cache_clear()
    with torch.inference_mode():
        decoder = PromptDecoder(sam, SINGLE)
        decoder.answer(decoder.ground(embedding(8, 8)), **prompts()[0])
    given = embedding(8, 8).requires_grad_(True)
    decoder = PromptDecoder(sam, SINGLE)
    logits, _ = decoder.answer(decoder.ground(given), **prompts()[0])
    logits.mean().backward()
    assert given.grad.abs().sum() > 0


def test_long_thin_products_are_taken_by_onednn_where_torch_has_it():
    assert _has_onednn() == torch.backends.mkldnn.is_available()


@pytest.mark.parametrize("has_gelu", [False, True])
@pytest.mark.parametrize(
    "bias", [None, torch.randn(8), torch.randn(8, 2)[:, 0]], ids=["none", "plain", "strided"]
)
def test_they_are_what_torch_makes_of_them(bias, has_gelu):
    x, weight = torch.randn(40, 4), torch.randn(8, 4)
    expected = torch.nn.functional.linear(x, weight, bias)
    expected = torch.nn.functional.gelu(expected) if has_gelu else expected
    with torch.no_grad():
        torch.testing.assert_close(linear(x, weight, bias, is_followed_by_gelu=has_gelu), expected)
