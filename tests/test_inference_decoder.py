"""The folded mask decoder answers as segment-anything's own."""

from __future__ import annotations

import copy

import pytest
import torch

from napari_simmat.inference import compute
from napari_simmat.inference import decoder as module
from napari_simmat.inference.decoder import PromptDecoder
from napari_simmat.models import load_base_model
from napari_simmat.models.lora import LoRALinear, merge
from napari_simmat.models.strategies import Strategy

POINTS, LABELS = torch.tensor([[[300.0, 410.0], [90.0, 30.0]]]), torch.tensor([[1.0, 0.0]])
BOX = torch.tensor([[100.0, 120.0, 400.0, 380.0]])


@pytest.fixture
def sam():
    return copy.deepcopy(load_base_model().sam)


@pytest.fixture
def exact(monkeypatch):
    """In float32 also where the processor has bfloat16."""
    for place in (module, compute):
        monkeypatch.setattr(place, "uses_bfloat16", lambda device_type: False)


def embedding(h=64, w=64):
    return torch.randn(1, 256, h, w, generator=torch.Generator().manual_seed(0))


def prompts(h=64, w=64):
    logits = torch.randn(1, 1, 4 * h, 4 * w, generator=torch.Generator().manual_seed(1)) * 5
    return [
        {"points": POINTS[:, :1], "labels": LABELS[:, :1]},
        {"points": POINTS, "labels": LABELS},
        {"boxes": BOX},
        {"points": POINTS, "labels": LABELS, "boxes": BOX},
        {"points": POINTS, "labels": LABELS, "masks": logits},
        {"masks": logits},
    ]


def learn_something(sam, kind, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for found in sam.modules():
        if isinstance(found, kind):
            for parameter in found.learnt().values():
                parameter.data.normal_(std=0.3, generator=generator)


@pytest.mark.parametrize("grid", [(64, 64), (42, 30), (1, 1)])
def test_every_kind_of_prompt_is_answered_as_by_the_stock_decoder(sam, exact, grid):
    folded = PromptDecoder(sam)
    assert folded.is_folded
    ground = folded.ground(embedding(*grid))
    with torch.inference_mode():
        for prompt in prompts(*grid):
            logits, scores = folded.answer(ground, **prompt)
            expected, expected_scores = sam.decode(embedding(*grid), **prompt)
            torch.testing.assert_close(logits, expected[0], atol=2e-3, rtol=1e-4)
            torch.testing.assert_close(scores, expected_scores[0], atol=1e-4, rtol=1e-4)


def test_an_update_that_was_merged_into_the_decoder_is_folded_too(sam, exact):
    Strategy.parse("lora:rank=2").plan(sam.encoder, late_only=True).place(sam)
    learn_something(sam.mask_decoder, LoRALinear)
    with torch.inference_mode():
        apart, _ = sam.decode(embedding(), **prompts()[1])
        merge(sam)
        folded = PromptDecoder(sam)
        logits, _ = folded.answer(folded.ground(embedding()), **prompts()[1])
    plain, _ = load_base_model().sam.decode(embedding(), **prompts()[1])
    assert (apart - plain).abs().max() > 1
    assert folded.is_folded
    torch.testing.assert_close(logits, apart[0], atol=5e-3, rtol=1e-4)


@pytest.mark.parametrize("strategy", ["prefix:tokens=3", "prompt:tokens=3", "mlp:width=4", "lora:rank=2"])
def test_what_cannot_be_folded_is_answered_by_the_decoder_itself(sam, exact, strategy):
    plan = Strategy.parse(strategy).plan(sam.encoder, late_only=True)
    plan.place(sam)
    learn_something(sam.mask_decoder, plan.kind)
    folded = PromptDecoder(sam)
    with torch.inference_mode():
        logits, scores = folded.answer(folded.ground(embedding()), **prompts()[1])
        expected, expected_scores = sam.decode(embedding(), **prompts()[1])
        plain, _ = load_base_model().sam.decode(embedding(), **prompts()[1])
    assert (expected - plain).abs().max() > 1
    torch.testing.assert_close(logits, expected[0], atol=5e-3, rtol=1e-3)
    torch.testing.assert_close(scores, expected_scores[0], atol=1e-3, rtol=1e-3)


def test_in_bfloat16_answers_are_as_near_to_float32_as_autocast_is(sam, monkeypatch):
    monkeypatch.setattr(module, "uses_bfloat16", lambda device_type: True)
    folded, ours, theirs = PromptDecoder(sam), 0.0, 0.0
    with torch.inference_mode():
        for prompt in prompts():
            expected, _ = sam.decode(embedding(), **prompt)
            with torch.autocast("cpu", torch.bfloat16):
                cast, _ = sam.decode(embedding(), **prompt)
            logits, _ = folded.answer(folded.ground(embedding()), **prompt)
            ours += float((logits - expected[0]).norm())
            theirs += float((cast - expected).norm())
            assert ((logits > 0) == (expected[0] > 0)).float().mean() > 0.98
    assert 0 < ours < 1.25 * theirs
