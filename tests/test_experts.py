"""Modality experts: a group of channels that is missing counts for nothing, and all others go on as they were."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
import torch
from balls import BALLS, ball, pixels
from safetensors.torch import load_file, save_file

from napari_simmat import Adapter, Segmenter
from napari_simmat.cli import main
from napari_simmat.errors import AdapterError, TrainingError
from napari_simmat.images import Channel, ModalityProfile, MultiChannelImage, profile_for
from napari_simmat.inference import Prompt
from napari_simmat.inference.cache import EMBEDDINGS
from napari_simmat.inference.sight import OneSight
from napari_simmat.models import load_base_model
from napari_simmat.models.experts import (
    TOGETHER,
    Gate,
    begin_experts,
    gate_of,
    member,
    missing_in_words,
    put_together,
    shares_of_groups,
    without,
)
from napari_simmat.training import Correction, Corrections, Settings, deep, quick
from napari_simmat.training.fusing import at_hand, failing, fit

CLICK = Prompt().with_point(30, 34)
CHANNELS = [
    *(Channel(colour, role=colour) for colour in ("red", "green", "blue")),
    Channel("NIR", role="nir"),
    Channel("heat", role="thermal"),
]


@pytest.fixture(scope="module")
def base():
    """The model at a quarter of the size, which takes a twentieth of the time."""
    return load_base_model().at(256)


@pytest.fixture(scope="module")
def tiny():
    """Smaller still, to learn with."""
    return load_base_model().at(128)


def scene(channels=CHANNELS, seed=0, name="scene"):
    return MultiChannelImage(pixels(5, seed)[: len(channels)], tuple(channels), modality="rgb+x", name=name)


@pytest.fixture(scope="module")
def experts(base):
    """Members that differ from each other, as if they had learnt."""
    begun = begin_experts(Adapter.untrained(scene(), base=base), [scene()], base)
    torch.manual_seed(0)
    gate = gate_of(begun)
    gate.weight.data.normal_(0, 0.05)
    return put_together(begun, {name: member(begun, name) for name in begun.card.members}, gate)


def mask(segmenter):
    return segmenter.answer(CLICK).logits


# ----------------------------------------------------------------------- groups


def test_groups_follow_from_what_channels_measure():
    assert profile_for(scene()).groups == {"RGB": (0, 1, 2), "NIR": (3,), "thermal": (4,)}
    two = MultiChannelImage(pixels(2), (CHANNELS[0], CHANNELS[3]), modality="nir")
    assert profile_for(two).groups == {"red": (0,), "NIR": (1,)}
    stokes = [Channel(f"S{k}", role=f"s{k}") for k in range(3)]
    light = MultiChannelImage(pixels(3), tuple(stokes), modality="polarization")
    assert profile_for(light).groups == {"intensity": (0,), "polarization": (1, 2, 3)}


def test_a_group_of_ones_own_goes_through_json_and_no_group_leaves_it_as_it_was():
    profile = profile_for(scene())
    assert "group" not in profile.model_dump_json()  # adapters of before keep their fingerprints
    sees = [
        seen.model_copy(update={"group": "beyond red" if k > 2 else ""})
        for k, seen in enumerate(profile.sees)
    ]
    told = json.loads(profile.model_copy(update={"sees": tuple(sees)}).model_dump_json())
    again = ModalityProfile.model_validate(told)
    assert again.groups == {"RGB": (0, 1, 2), "beyond red": (3, 4)}
    told["sees"][0]["group"] = "a,b"
    with pytest.raises(ValueError, match="group"):
        ModalityProfile.model_validate(told)


# -------------------------------------------------------------------- untrained


def test_a_single_untrained_group_is_the_base_model(base):
    image = scene()
    untrained = begin_experts(Adapter.untrained(image, base=base), [image], base)
    colours = scene(CHANNELS[:3])
    one = Segmenter(image, adapter=without(untrained, ["NIR", "thermal"]), model=base)
    plain = Segmenter(colours, profile=member(untrained, "RGB", colours).profile, model=base)
    np.testing.assert_array_equal(mask(one), mask(plain))
    assert one.weights == {"RGB": 1.0}


def test_untrained_experts_listen_to_all_together_more_than_to_the_rest():
    gate = Gate(["RGB", "NIR", "thermal", TOGETHER])
    each = {name: torch.full((1, 256, 2, 2), float(k == 3)) for k, name in enumerate(gate.members)}
    torch.testing.assert_close(gate(each), torch.full((1, 256, 2, 2), 0.5 * 0.75 + 0.5 * 0.5))
    few = {name: each[name] for name in ("RGB", "thermal")}
    torch.testing.assert_close(gate.weights(few), torch.tensor([0.5, 0.5]))


# ---------------------------------------------------------------------- missing


def test_what_is_missing_cannot_influence_the_answer(base, experts):
    image, left = scene(), without(experts, ["NIR"])
    expected = mask(Segmenter(image, adapter=left, model=base))
    for garbage in (np.nan, 1e30):
        data = image.data.copy()
        data[3] = garbage
        broken = MultiChannelImage(data, image.channels, modality="rgb+x")
        np.testing.assert_array_equal(mask(Segmenter(broken, adapter=left, model=base)), expected)
    assert np.isfinite(expected).all()
    assert not np.array_equal(mask(Segmenter(image, adapter=experts, model=base)), expected)


def test_an_image_with_two_of_the_groups_is_answered_as_if_the_third_were_left_out(base, experts):
    few = [CHANNELS[4], *CHANNELS[:3]]  # in another order, too
    image = scene()
    some = MultiChannelImage(image.data[[4, 0, 1, 2]], tuple(few), modality="rgb+x", name="few")
    segmenter = Segmenter(some, adapter=experts, model=base)
    assert set(segmenter.weights) == {"RGB", "thermal"}
    assert sum(segmenter.weights.values()) == pytest.approx(1)
    assert segmenter.note == "'few' has no NIR, so the model looks at RGB, thermal alone."
    expected = Segmenter(image, adapter=without(experts, ["NIR"]), model=base)
    np.testing.assert_array_equal(mask(segmenter), mask(expected))
    np.testing.assert_array_equal(segmenter.channels(), expected.channels())
    whole = Segmenter(image, adapter=experts, model=base).channels()
    np.testing.assert_array_equal(expected.channels(), np.delete(whole, 3, axis=0))
    assert missing_in_words(experts, image) == ""


def test_the_command_line_says_what_an_image_lacks(tmp_path, capsys, experts):
    experts.save(tmp_path / "experts.safetensors")
    image, out = tmp_path / "few.ome.tif", tmp_path / "out.tif"
    names = [channel.name for channel in CHANNELS[:4]]
    metadata = {"axes": "CYX", "Channel": {"Name": names}}
    tifffile.imwrite(image, pixels(5)[:4], ome=True, photometric="minisblack", metadata=metadata)
    given = ["--adapter", str(tmp_path / "experts.safetensors"), "-o", str(out), "--overwrite"]
    for asked in (["--click", "30,34"], ["--everything", "--grid", "2"]):
        with pytest.raises(SystemExit) as end:
            main(["segment", str(image), *asked, *given])
        assert not end.value.code
        assert "'few' has no thermal, so the model looks at RGB, NIR alone." in capsys.readouterr().err


def test_an_image_without_any_group_is_refused(experts):
    other = MultiChannelImage(pixels(2), (Channel("a"), Channel("b")), name="other")
    with pytest.raises(AdapterError, match=r"made for 5 channels .* 'other' has 2 channels \(a, b\)"):
        experts.fits(other)


def test_groups_that_are_not_there_and_all_groups_are_refused(experts):
    with pytest.raises(
        AdapterError, match=r"no group of channels 'radar'; the adapter has RGB, NIR, thermal\."
    ):
        without(experts, ["radar"])
    with pytest.raises(AdapterError, match="leave the model at least one"):
        without(experts, ["rgb", "nir", "Thermal"])
    with pytest.raises(AdapterError, match="train one with experts"):
        without(Adapter.untrained(scene()), ["NIR"])


def test_switching_a_group_costs_no_encoding(base, experts, monkeypatch):
    encoded = []
    encode = OneSight._encode
    monkeypatch.setattr(OneSight, "_encode", lambda self: encoded.append(1) or encode(self))
    EMBEDDINGS.clear()
    image = scene(seed=3)
    first = mask(Segmenter(image, adapter=experts, model=base))
    assert len(encoded) == 4  # three groups and all together
    for groups in (["NIR"], ["thermal", "NIR"], ["RGB"]):
        mask(Segmenter(image, adapter=without(experts, groups), model=base))
    np.testing.assert_array_equal(mask(Segmenter(image, adapter=experts, model=base)), first)
    assert len(encoded) == 4


# ------------------------------------------------------------------------ files


def test_a_file_gives_the_same_experts(tmp_path, base, experts):
    path = tmp_path / "experts.safetensors"
    left = without(experts, ["thermal"])
    left.save(path)
    again = Adapter.load(path)
    assert again.card.members == ("RGB", "NIR", "thermal", TOGETHER)
    assert again.fingerprint == left.fingerprint != experts.fingerprint
    assert without(again, []).fingerprint == experts.fingerprint  # nothing was lost


def _changed(path, experts, change):
    """A file of experts with something else in it."""
    experts.save(path)
    tensors = load_file(path)
    metadata = {
        "format": "napari-simmat adapter 1",
        "profile": experts.profile.model_dump_json(),
        "card": experts.card.model_dump_json(),
    }
    change(tensors, metadata)
    save_file(tensors, path, metadata)
    return path


HOSTILE = {
    "a gate of another size": lambda t, m: t.update({"gate.bias": torch.zeros(99)}),
    "no gate": lambda t, m: t.pop("gate.weight"),
    "a member that nobody knows": lambda t, m: t.update({"expert.radar.mat.x": torch.zeros(1)}),
    "a transfer layer of other channels": lambda t, m: t.update(
        {"expert.NIR.mat.linear.weight": torch.zeros(3, 9, 1, 1)}
    ),
    "members that are no groups": lambda t, m: m.update(card=m["card"].replace('"NIR"', '"../../etc"')),
    "a gate that is not finite": lambda t, m: t.update({"gate.bias": torch.full((4,), torch.nan)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_of_experts_is_refused_in_a_sentence(tmp_path, experts, name):
    path = _changed(tmp_path / "adapter.safetensors", experts, HOSTILE[name])
    with pytest.raises(AdapterError, match=r"adapter\.safetensors") as refused:
        Adapter.load(path)
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith(".")


# --------------------------------------------------------------------- learning


def corrections(image):
    return Corrections(Correction.of(image, ball(number)) for number in BALLS)


def test_each_group_learns_and_the_decoder_is_one_for_all(tiny):
    image, steps = scene(), []
    learnt, report = deep(
        corrections(image),
        steps=4,
        settings=Settings(experts=True),
        base=tiny,
        on_step=lambda step, total, loss: steps.append((step, total)),
    )
    # Of four objects two judge, so it is learnt twice: first without them, then from all. Whether it was kept is chance.
    rounds = 2 if report.kept else 1
    assert report.options == {"experts": True}
    assert steps[-1] == (report.steps, report.steps if rounds == 2 else steps[-1][1])
    assert report.steps == (5 * 4 if rounds == 2 else 5 * 3)
    if not report.kept:
        assert not learnt.card.members  # what there was before, without experts
        return
    assert learnt.card.members == ("RGB", "NIR", "thermal", TOGETHER)
    parts = [member(learnt, name) for name in learnt.card.members]
    for part in parts:
        assert any(
            k.startswith("lora.encoder.") and v.any() for k, v in part.tensors.items() if k.endswith(".b")
        )
    decoders = [{k: v for k, v in p.tensors.items() if "mask_decoder" in k} for p in parts]
    assert decoders[0]
    assert all(torch.equal(decoders[0][k], d[k]) for d in decoders for k in decoders[0])
    assert gate_of(learnt).weight.any()


def test_all_together_learns_as_one_model_on_all_channels_does(tiny):
    """So what experts know with all groups can be compared with it, step by step."""
    image = scene()
    some = list(corrections(image))[:1]  # one alone is kept without a check
    one, _ = quick(some, steps=2, base=tiny)
    several, report = quick(some, steps=2, settings=Settings(experts=True), base=tiny)
    assert report.kept
    assert member(several, TOGETHER).fingerprint == one.fingerprint


def test_going_on_keeps_the_experts_and_needs_all_groups(tiny, experts):
    some = list(corrections(scene()))[:1]
    further, _ = quick(some, start=experts, steps=1, base=tiny)
    assert further.card.members == experts.card.members
    with pytest.raises(TrainingError, match=r"not to look at NIR at present"):
        quick(some, start=without(experts, ["NIR"]), steps=1, base=tiny)
    few = MultiChannelImage(pixels(5)[:3], tuple(CHANNELS[:3]), modality="rgb+x", name="few")
    with pytest.raises(TrainingError, match="'few' has no NIR and no thermal"):
        quick(corrections(few), start=experts, steps=1, base=tiny)
    with pytest.raises(TrainingError, match="trains what experts share"):
        deep(some, settings=Settings(experts=True, strategy="full"), steps=1, base=tiny)


def test_dropout_leaves_at_least_one_group_and_a_failing_sensor_keeps_its_spread():
    rng = np.random.default_rng(0)
    drawn = [tuple(at_hand(["a", "b"], rng)) for _ in range(500)]
    assert set(drawn) == {("a",), ("b",), ("a", "b")}
    assert 0.4 < sum(len(d) == 2 for d in drawn) / 500 < 0.58  # 0.7 x 0.7
    x = torch.randn(3, 48, 50)
    noisy = failing(x, (1,), rng)
    assert torch.equal(noisy[[0, 2]], x[[0, 2]])
    assert not torch.equal(noisy[1], x[1])
    assert noisy[1].std() == pytest.approx(float(x[1].std()), rel=0.3)


def test_the_gate_learns_to_trust_who_is_good_and_hears_that_a_sensor_fails():
    """Mean embeddings tell by their first number how noisy the member's sensor is, by which its answers get worse."""
    rng = np.random.default_rng(0)
    gate = Gate(["a", "b", TOGETHER])
    means, ious = [], []
    for _ in range(40):
        amount = dict.fromkeys(gate.members, 0.0)
        amount[("a", "b")[int(rng.integers(2))]] = float(rng.uniform(0, 1))
        amount[TOGETHER] = max(amount.values())
        means.append({n: torch.zeros(1, 256, 1, 1) for n in gate.members})
        for name, much in amount.items():
            means[-1][name][0, 0] = much
        ious.append({n: (0.9 if n == TOGETHER else 0.7) - 0.6 * amount[n] for n in gate.members})
    fit(gate, means, ious, rng)

    def weights(**noise):
        each = {n: torch.zeros(1, 256, 2, 2) for n in gate.members}
        for name, much in noise.items():
            each[name.replace("_", " ")][0, 0] = much
        return dict(zip(gate.members, gate.weights(each).tolist(), strict=True))

    assert weights()[TOGETHER] > 0.6
    falling = [weights(a=much, all_together=much)["a"] for much in (0, 0.3, 0.6, 1)]
    assert falling == sorted(falling, reverse=True)
    assert weights(a=1, all_together=1)["b"] > 0.5


def test_groups_are_compared_as_if_all_together_were_not():
    """All together leaves more to every group where one fails, so a group is told from the others, not from it."""
    assert shares_of_groups({"a": 0.01, "b": 0.03, TOGETHER: 0.96}) == pytest.approx({"a": 0.25, "b": 0.75})
    assert shares_of_groups({"a": 0.04, "b": 0.36, TOGETHER: 0.6}) == pytest.approx({"a": 0.1, "b": 0.9})
    assert shares_of_groups({"a": 0.0, "b": 0.0, TOGETHER: 1.0}) == {"a": 0.5, "b": 0.5}
    assert shares_of_groups({"a": 1.0}) == {"a": 1.0}
