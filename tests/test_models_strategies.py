"""Every fine-tuning strategy: as large as its formula says, starting where it should, and moving only what it may."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tiny_vit_sam import DEPTH, WIDTH, small_vit

from napari_simmat._cli.options import STRATEGY_NAMES
from napari_simmat.errors import AdapterError
from napari_simmat.images import as_image
from napari_simmat.models import STRATEGIES, Adapter, Strategy, load_base_model
from napari_simmat.models.additions import additions
from napari_simmat.models.encoders import keep_biases_fresh
from napari_simmat.models.lora import merge, unmerge
from napari_simmat.models.mat import MAT
from napari_simmat.models.own_weights import named_weights
from napari_simmat.models.scratch import random_start

BASES = {"tiny": load_base_model(), "vit": small_vit()}
CHANNELS = 4
SEED = 5  # of random weights, another one than the small ViT's own
NO_OP = ["mat", "lora", "lora:rank=8,layers=qkv,stages=late,decoder=no", "mlp", "decoder", "full"]
ALL = [*NO_OP, "prompt", "prefix", "prefix:tokens=3,stages=late", "scratch"]

# Widths of the transformer blocks of each encoder, and of those in its late half.
BLOCKS = {"tiny": [128] * 2 + [160] * 6 + [320] * 2, "vit": [WIDTH] * DEPTH}
LATE = {"tiny": [320] * 2, "vit": [WIDTH]}
TOKENS = 5 * 256


def scene():
    values = np.random.default_rng(0).integers(0, 4000, (CHANNELS, 40, 50)).astype(np.uint16)
    return as_image(values, channel_axis=0)


def start(base: str, spec: str = "lora") -> Adapter:
    """What a training with a strategy begins with."""
    adapter = Adapter.untrained(scene(), base=BASES[base])
    return random_start(adapter, BASES[base], SEED) if spec == "scratch" else adapter


def built(base: str, spec: str, adapter: Adapter | None = None):
    """A model to be trained, and what of it is trained."""
    plan = Strategy.parse(spec).plan(BASES[base].sam.encoder)
    model = (adapter or start(base, spec)).build(BASES[base], plan=plan)
    return model, plan.parameters(model)


def answer(model, x):
    """Embedding, logits and scores for one click."""
    points, labels = torch.tensor([[[20.0, 30.0]]]), torch.ones(1, 1)
    embedding = model.late(model.early(x))
    height, width = embedding.shape[-2:]
    return embedding, *model.sam.decode(
        embedding[..., : min(16, height), : min(16, width)], points=points, labels=labels
    )


def unfreeze(model, trained):
    for parameter in trained:
        parameter.requires_grad_(True)
    keep_biases_fresh(model)


def disturb(parameters, seed=0):
    """Numbers that training could have left."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.data += 0.02 * torch.randn(parameter.shape, generator=generator)


def picture(base: str):
    return torch.randn(
        1, CHANNELS, *((224, 224) if base == "tiny" else (256, 200)), generator=torch.manual_seed(1)
    )


# ------------------------------------------------------------------- sizes


def formula(base: str, spec: str) -> int:
    """Number of parameters beside the transfer layer, from the table in `napari_simmat.models.strategies`."""
    chosen = Strategy.parse(spec)
    if spec == "mat":
        return 0
    sam = BASES[base].sam
    decoder = sum(p.numel() for p in sam.mask_decoder.parameters())
    if spec == "decoder":
        return decoder
    if spec in ("full", "scratch"):
        return decoder + sum(p.numel() for p in sam.encoder.parameters())
    widths = LATE[base] if chosen["stages"] == "late" else BLOCKS[base]
    size = int(next(chosen[k] for k in ("rank", "width", "tokens") if k in SIZES[chosen.name]))
    block, head = {
        "lora": ((lambda d: (4 if chosen["layers"] == "qkv" else 16) * d * size), 5888 * size)
        if chosen.name == "lora"
        else (None, 0),
        "mlp": ((lambda d: 2 * d * size + size + d), 2 * (513 * size + 256)),
        "prompt": ((lambda d: d * size), 1792 * size),
        "prefix": ((lambda d: 2 * d * size), 2304 * size),
    }[chosen.name]
    return sum(map(block, widths)) + (head + TOKENS if chosen["decoder"] == "yes" else 0)


SIZES = {"lora": "rank", "mlp": "width", "prompt": "tokens", "prefix": "tokens"}
OTHERS = ["mlp:width=5,stages=late", "prompt:tokens=3,decoder=no", "lora:rank=2,layers=qkv"]


@pytest.mark.parametrize("spec", [*ALL, *OTHERS])
@pytest.mark.parametrize("base", BASES)
def test_each_strategy_trains_as_many_parameters_as_its_formula_says(base, spec):
    _, trained = built(base, spec)
    transfer = sum(p.numel() for p in MAT(CHANNELS).parameters())
    assert sum(p.numel() for p in trained) == transfer + formula(base, spec)
    assert len({id(p) for p in trained}) == len(trained)


# ------------------------------------------------------------------ starts


@pytest.mark.parametrize("spec", NO_OP)
@pytest.mark.parametrize("base", BASES)
def test_what_can_start_as_nothing_gives_the_answers_of_sam(base, spec):
    x = picture(base)
    with torch.inference_mode():
        stock = answer(start(base).build(BASES[base]), x)
        fresh = answer(built(base, spec)[0], x)
    for a, b in zip(stock, fresh, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0)


@pytest.mark.parametrize("spec", ["prompt", "prefix"])
def test_tokens_start_as_near_as_their_method_allows(spec):
    """Softmax shares attention out among all tokens; theirs have the layer's own biases as key and value."""
    x = picture("tiny")
    with torch.inference_mode():
        embedding, logits, _ = answer(start("tiny").build(BASES["tiny"]), x)
        changed, others, _ = answer(built("tiny", spec)[0], x)
    assert 0 < (changed - embedding).norm() / embedding.norm() < 0.2
    shown, then = logits[0, 0] > 0, others[0, 0] > 0
    assert (shown == then).float().mean() > 0.95


def test_from_scratch_nothing_is_left_but_the_prompt_encoder():
    for base, model in BASES.items():
        random = start(base, "scratch").build(model)
        known = dict(model.sam.named_parameters())
        for path, weight in random.sam.named_parameters():
            same = torch.equal(weight, known[path])
            if path.startswith("prompt_encoder."):
                assert same, path
            elif known[path].std() > 0 and weight.ndim > 1 and weight.any():
                assert not same, path
    again, other = (random_start(start("vit"), BASES["vit"], seed) for seed in (SEED, SEED + 1))
    assert start("vit", "scratch").fingerprint == again.fingerprint != other.fingerprint
    assert again.card.strategy == "scratch"


# ------------------------------------------------------------- merge, keep


@pytest.mark.parametrize("base", BASES)
def test_lora_is_merged_to_a_hundred_thousandth_and_unmerged_to_the_bit(base):
    model, trained = built(base, "lora")
    disturb(trained)
    x = picture(base)
    with torch.inference_mode():
        beside = answer(model, x)
        merge(model.sam)
        assert not list(additions(model.sam))
        merged = answer(model, x)
        unmerge(model.sam)
        again = answer(model, x)
    scale = max(1.0, float(beside[1].abs().max()))
    for a, b, c in zip(beside, merged, again, strict=True):
        assert (a - b).abs().max() <= 1e-5 * scale
        assert torch.equal(a, c)


@pytest.mark.parametrize(
    ("base", "spec"),
    [("tiny", s) for s in ALL if s not in ("full", "scratch")] + [("vit", s) for s in ALL],
)
def test_what_was_learnt_comes_back_from_a_file(base, spec, tmp_path):
    begun = start(base, spec)
    before = {k: v.clone() for k, v in BASES[base].sam.state_dict().items()}
    model, trained = built(base, spec, begun)
    unfreeze(model, trained)
    disturb(trained)
    adapter = begun.replaced(model=model, card=begun.card.model_copy(update={"strategy": spec}))
    adapter.save(tmp_path / "a.safetensors")
    loaded = Adapter.load(tmp_path / "a.safetensors")
    assert loaded.fingerprint == adapter.fingerprint != begun.fingerprint
    assert loaded.card.strategy == spec
    assert sum(t.numel() for t in loaded.tensors.values()) == sum(p.numel() for p in trained)
    x = picture(base)
    with torch.inference_mode():
        kept, found = answer(model, x), answer(loaded.build_merged(BASES[base]), x)
    for a, b in zip(kept, found, strict=True):
        assert (a - b).norm() <= 5e-3 * a.norm()  # numbers of half precision
    assert all(torch.equal(v, before[k]) for k, v in BASES[base].sam.state_dict().items())


def test_trained_weights_take_two_bytes_where_that_is_enough_and_four_where_not(tmp_path):
    model, trained = built("vit", "decoder")
    unfreeze(model, trained)
    weights = {path: weight for path, _, _, weight in named_weights(model.sam)}
    large, usual = (
        "mask_decoder.iou_prediction_head.layers.0.weight",
        "mask_decoder.output_upscaling.0.weight",
    )
    weights[large].data.fill_(1e6)  # beyond half precision
    start("vit").replaced(model=model, card=start("vit").card).save(tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", framework="pt") as opened:
        stored = {path: opened.get_tensor(f"weight.{path}") for path in (large, usual)}
    assert stored[large].dtype == torch.float32
    assert stored[large].eq(1e6).all()
    assert stored[usual].dtype == torch.float16
    exact = BASES["vit"].sam.get_parameter(usual)
    assert (stored[usual].float() - exact).norm() <= 1e-3 * exact.norm()


def test_one_strategy_goes_on_from_another():
    """What was learnt before stays in place, frozen, and is part of the new adapter."""
    first = start("vit")
    for spec in ("lora", "mlp:width=3", "prefix:tokens=2", "decoder", "prompt:tokens=2"):
        model, trained = built("vit", spec, first)
        unfreeze(model, trained)
        disturb(trained)
        second = first.replaced(model=model, card=first.card)
        assert first.tensors.keys() <= second.tensors.keys()
        x = picture("vit")
        with torch.inference_mode():
            a, b = answer(model, x)[1], answer(second.build_merged(BASES["vit"]), x)[1]
        assert (a - b).norm() <= 5e-3 * a.norm()
        first = second
    assert {name.partition(".")[0] for name in first.tensors} == {
        "mat", "lora", "mlp", "prefix", "prompt", "token", "weight",
    }  # fmt: skip
    assert not any(".base" in name for name in first.tensors)
    with pytest.raises(AdapterError, match="has lora with rank 4, rank 8 was asked for"):
        built("vit", "lora:rank=8", first)


def test_the_transfer_layers_own_convolution_is_not_counted_twice():
    base = BASES["tiny"]
    for mat in ("linear+embedding", "gated"):
        adapter = Adapter.untrained(scene(), mat=mat)
        plan = Strategy.parse("full").plan(base.sam.encoder)
        model = adapter.build(base, plan=plan)
        trained = plan.parameters(model)
        assert len({id(p) for p in trained}) == len(trained)
        random = random_start(adapter, base, 0)
        again = random.replaced(model=random.build(base, plan=plan), card=random.card)
        assert again.tensors.keys() == random.tensors.keys()


# --------------------------------------------------------------- bad input


@pytest.fixture(scope="module")
def everything() -> Adapter:
    """An adapter with additions of each kind, and weights of its own."""
    adapter = start("vit")
    for spec in ("lora", "mlp", "prompt", "prefix", "decoder"):
        model, trained = built("vit", spec, adapter)
        unfreeze(model, trained)
        adapter = adapter.replaced(model=model, card=adapter.card)
    return adapter


def spoilt(adapter, change):
    """An adapter with something wrong with it."""
    tensors = dict(adapter.tensors)
    change(tensors)
    return Adapter(adapter.profile, adapter.card, tensors)


BLOCK = "encoder.vit.blocks.0"


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.pop(f"lora.{BLOCK}.attn.qkv.b"),
        lambda t: t.pop(f"lora.{BLOCK}.attn.qkv.a"),
        lambda t: t.update({f"lora.{BLOCK}.attn.qkv.b": torch.zeros(1, 4)}),
        lambda t: t.update({f"lora.{BLOCK}.attn.qkv.a": torch.zeros(0, 32)}),
        lambda t: t.update({f"lora.{BLOCK}.attn.a": torch.zeros(4, 32), f"lora.{BLOCK}.attn.b": torch.zeros(4, 4)}),
        lambda t: t.update({"lora.*.a": torch.zeros(4, 32), "lora.*.b": torch.zeros(4, 4)}),
        lambda t: t.update({f"mlp.{BLOCK}.mlp.down": torch.zeros(32)}),
        lambda t: t.update({f"prompt.{BLOCK}.attn.tokens": torch.tensor(1.0)}),
        lambda t: t.update({f"prompt.{BLOCK}.attn.tokens": torch.zeros(2, 31)}),
        lambda t: t.update({f"prefix.{BLOCK}.attn.surprise": torch.zeros(2, 32)}),
        lambda t: t.update({"prefix.nowhere.keys": torch.zeros(2, 32)}),
        lambda t: t.update({"prefix.": torch.zeros(2, 32)}),
        lambda t: t.update({"weight.mask_decoder.transformer": torch.zeros(2, 32)}),
        lambda t: t.update({"weight.mask_decoder.iou_prediction_head.layers.0.weight": torch.zeros(1)}),
        lambda t: t.update({"token.mask_decoder.iou_token": torch.zeros(2, 256)}),
    ],
)  # fmt: skip
def test_tensors_of_another_network_are_refused_in_one_sentence(everything, change):
    with pytest.raises(AdapterError, match="do not fit small_vit") as caught:
        spoilt(everything, change).build(BASES["vit"])
    assert "\n" not in str(caught.value)


def test_a_file_with_tensors_of_a_later_version_is_refused(everything, tmp_path):
    spoilt(everything, lambda t: t.update({"dora.x.magnitude": torch.zeros(1)})).save(
        tmp_path / "a.safetensors"
    )
    with pytest.raises(
        AdapterError, match=r"holds 'dora.x.magnitude', which this version.*install a newer one"
    ):
        Adapter.load(tmp_path / "a.safetensors")


# ----------------------------------------------------------------- grammar


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("lora", "lora"),
        ("lora:rank=4,stages=all", "lora"),
        ("lora:stages=late,rank=08", "lora:rank=8,stages=late"),
        ("prefix:decoder=no,tokens=16", "prefix:tokens=16,decoder=no"),
        ("full", "full"),
    ],
)
def test_a_strategy_is_written_in_one_way(text, canonical):
    assert str(Strategy.parse(text)) == canonical
    assert Strategy.parse(canonical) == Strategy.parse(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("magic", "choose one of mat, lora, mlp, prompt, prefix, decoder, full, scratch"),
        ("", "There is no fine-tuning strategy ''"),
        ("lora:", "has '' in it; lora takes rank=1 to 512, layers=all or qkv, stages=all or late"),
        ("lora:rank=0", "'rank=0'"),
        ("lora:rank=1e3", "'rank=1e3'"),
        ("lora:rank=99999999999999999999", "rank=1 to 512"),
        ("lora:rank=4,rank=4", "'rank=4'"),
        ("mlp:layers=qkv", "mlp takes width=1 to 4096, stages=all or late, decoder=yes or no"),
        ("full:rank=4", "full takes no parameters"),
        ("prompt:stages=first", "'stages=first'"),
    ],
)
def test_strategies_that_are_none_are_refused_in_one_sentence(text, says):
    with pytest.raises(AdapterError) as caught:
        Strategy.parse(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_command_line_names_them_all():
    assert tuple(STRATEGIES) == STRATEGY_NAMES


# -------------------------------------------------------------- checkpoint


@pytest.mark.parametrize("spec", ["lora", "prompt", "full"])
@pytest.mark.parametrize("base", BASES)
def test_activations_that_are_computed_again_give_the_same_gradients(base, spec):
    gradients = []
    for again in (False, True):
        model, trained = built(base, spec)
        disturb(trained)
        unfreeze(model, trained)
        model.sam.encoder.checkpoint = again
        x = torch.randn(
            1, CHANNELS, *((112, 112) if base == "tiny" else (256, 256)), generator=torch.manual_seed(1)
        )
        model.late(model.early(x)).square().mean().backward()
        gradients.append([None if p.grad is None else p.grad.clone() for p in trained])
    assert sum(g is not None and bool(g.any()) for g in gradients[0]) >= 10
    for kept, computed in zip(*gradients, strict=True):
        assert (kept is None) == (computed is None)
        assert kept is None or torch.equal(kept, computed)


def test_computing_again_keeps_less():
    """What autograd holds on to between the passes, in bytes."""
    held = []
    for again in (False, True):
        model, trained = built("vit", "lora")
        unfreeze(model, trained)
        model.sam.encoder.checkpoint = again
        sizes: dict[int, int] = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, sizes=sizes: sizes.update({t.data_ptr(): t.nbytes}) or t, lambda t: t
        ):
            model.sam.encoder.early(torch.zeros(1, 3, 256, 256))
        held.append(sum(sizes.values()))
    assert held[1] < held[0] / 10
    assert BASES["vit"].sam.encoder.checkpoint
    assert not BASES["tiny"].sam.encoder.checkpoint


@pytest.mark.parametrize("spec", ["lora", "mlp", "prompt", "prefix", "full"])
@pytest.mark.parametrize("base", BASES)
def test_each_strategy_learns_in_half_the_precision(base, spec):
    """As where the processor has bfloat16: the numbers that are trained stay exact."""
    model, trained = built(base, spec)
    disturb(trained)
    unfreeze(model, trained)
    x = torch.randn(
        1, CHANNELS, *((112, 112) if base == "tiny" else (256, 256)), generator=torch.manual_seed(1)
    )
    losses = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            _, logits, scores = answer(model, x)
        losses.append(torch.sigmoid(logits.float()).mean() + scores.float().square().mean())
    losses[1].backward()
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.1)
    assert all(p.dtype == torch.float32 for p in trained)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in trained)
    assert sum(p.grad is not None for p in trained) > len(trained) / 2
