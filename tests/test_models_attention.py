"""The three attentions with further keys and values are their packages' own, with more to look at."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from segment_anything.modeling.image_encoder import Attention as VitAttention
from segment_anything.modeling.transformer import Attention as DecoderAttention
from timm.models.tiny_vit import Attention as TinyVitAttention

from napari_simmat.models.additions import additions, put, sharing_copy
from napari_simmat.models.attention import layout_of
from napari_simmat.models.tokens import PrefixTokens, PromptTokens


def attention_of(kind: str):
    """One of the three attentions with random weights, and inputs for it."""
    torch.manual_seed(3)
    if kind == "tiny":
        attention = TinyVitAttention(dim=24, key_dim=4, num_heads=3, attn_ratio=2, resolution=(5, 5))
        attention.attention_biases.data.normal_()
        attention.eval()
        return attention, (torch.randn(2, 25, 24),), (2, 3, 25, 5)
    if kind == "vit":
        attention = VitAttention(dim=24, num_heads=3, use_rel_pos=True, input_size=(4, 6))
        attention.rel_pos_h.data.normal_()
        attention.rel_pos_w.data.normal_()
        return attention.eval(), (torch.randn(2, 4, 6, 24),), (2, 3, 24, 5)
    attention = DecoderAttention(24, 3, downsample_rate=2)
    return (
        attention.eval(),
        (torch.randn(2, 7, 24), torch.randn(2, 11, 24), torch.randn(2, 11, 24)),
        (2, 3, 7, 5),
    )


@pytest.mark.parametrize("kind", ["tiny", "vit", "decoder"])
def test_attention_with_tokens_that_nobody_looks_at_is_the_packages_own(kind):
    """Keys against all queries get no weight, so that biases, positions and heads must be as in the original."""
    attention, inputs, (_, heads, _, count) = attention_of(kind)
    layout = layout_of(attention)
    with torch.no_grad():
        keys, values = layout.project(torch.randn(count, 24))
        none = keys[:, :0], values[:, :0]
        torch.testing.assert_close(layout.attend(*none, *inputs), attention(*inputs), atol=1e-5, rtol=1e-5)
        assert keys.shape[:2] == values.shape[:2] == (heads, count)
        assert not torch.allclose(layout.attend(keys, values, *inputs), attention(*inputs), atol=1e-3)


@pytest.mark.parametrize("kind", ["tiny", "vit", "decoder"])
def test_a_prompt_is_one_more_place_of_the_layers_input(kind):
    """Without biases and positions, tokens that are projected are what further rows of keys and values would be."""
    attention, inputs, (batch, *_) = attention_of(kind)
    for name in ("attention_biases", "rel_pos_h", "rel_pos_w"):
        if hasattr(attention, name):
            getattr(attention, name).data.zero_()
    layout, tokens = layout_of(attention), torch.randn(4, 24)
    with torch.no_grad():
        found = layout.attend(*layout.project(tokens), *inputs)
        if kind == "decoder":
            q, k, v = inputs
            more = tokens.expand(batch, -1, -1)
            expected = attention(q, torch.cat([k, more], 1), torch.cat([v, more], 1))
        else:
            x = inputs[0].reshape(batch, -1, 24)
            x = attention.norm(x) if kind == "tiny" else x
            rows = torch.cat([x, tokens.expand(batch, -1, -1)], 1)
            size = 3 if kind == "vit" else 1
            qkv = attention.qkv(rows)
            if kind == "vit":
                q, k, v = qkv.reshape(batch, -1, size, 3, 8).permute(2, 0, 3, 1, 4)
            else:
                q, k, v = qkv.reshape(batch, -1, 3, 16).transpose(1, 2).split([4, 4, 8], -1)
            seen = F.scaled_dot_product_attention(q, k, v)[:, :, : x.shape[1]]
            expected = attention.proj(seen.transpose(1, 2).flatten(2)).reshape(inputs[0].shape)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_prompt_and_prefix_may_stand_in_one_softmax_in_either_order():
    attention, inputs, _ = attention_of("decoder")
    found = []
    for kinds in ((PromptTokens, PrefixTokens), (PrefixTokens, PromptTokens)):
        root = torch.nn.ModuleDict({"attention": sharing_copy(attention)})
        for kind in kinds:
            torch.manual_seed(0)
            assert put(root, kind, ["attention"], 3) == ["attention"]
        with torch.no_grad():
            found.append(root["attention"](q=inputs[0], k=inputs[1], v=inputs[2]))
        assert sorted(a.kind for _, a in additions(root)) == ["prefix", "prompt"]
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-5)
