"""The regularisers do what they say, and what was learnt before is not lost: replay, pull to the start, undo."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from balls import BALLS, SHAPE, ball, balls
from test_training_recipes import corrections_of, scene
from tiny_vit_sam import small_vit
from torch import nn

from napari_simmat import Adapter, Prompt, Segmenter, finetune
from napari_simmat.errors import TrainingError
from napari_simmat.images import open_dataset, sample_path
from napari_simmat.inference.cache import EMBEDDINGS
from napari_simmat.models import load_base_model
from napari_simmat.models.lora import lora_layers
from napari_simmat.training import Corrections, Settings, first_click
from napari_simmat.training.gate import one_click_iou
from napari_simmat.training.recipes import recipe_for
from napari_simmat.training.regularisers import Adversary, StartingPoint, gated, halves
from napari_simmat.training.watch import Watch


@pytest.fixture(scope="module")
def vit():
    return small_vit()


@pytest.fixture(scope="module")
def scenes():
    return [scene(k, 3) for k in range(2)]


def train(scenes, vit, start=None, **changes):
    return finetune(scenes, settings=Settings(**changes), gate=False, base=vit, start=start)


# ---------------------------------------------------------- pull to the start


def test_the_pull_is_the_gradient_of_half_the_squared_distance():
    weight = nn.Parameter(torch.tensor([1.0, 2.0]))
    frozen = nn.Parameter(torch.tensor([5.0]))
    point = StartingPoint([weight, frozen], 0.5)
    weight.data.add_(torch.tensor([2.0, -1.0]))
    weight.grad = torch.tensor([10.0, 10.0])
    point.pull()
    assert weight.grad.tolist() == [11.0, 9.5]
    assert frozen.grad is None


def test_a_second_round_stays_nearer_to_the_first_adapter_the_stronger_the_pull(scenes, vit):
    first = train(scenes[:1], vit, steps=2)

    def distance(l2):
        second = train(scenes[1:], vit, start=first, steps=5, l2=l2)
        return sum(float((t - first.tensors[k]).square().sum()) for k, t in second.tensors.items())

    free, pulled = distance(0.0), distance(100.0)
    assert 0 < pulled < 0.7 * free


# ------------------------------------------------------------ the adversarial step


class Brightness(nn.Module):
    """y = w x: a transfer layer of one number."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return self.w * x


def test_the_step_goes_up_the_loss_by_epsilon_in_each_pixel_and_both_losses_count_by_half():
    layer, x = Brightness(), torch.tensor([1.0, -3.0])
    seen = []

    def loss():
        y = layer(x)
        seen.append(y.detach().clone())
        return (y**2).sum()

    value = Adversary(layer, 0.25).backward(loss, 1.0)
    assert value == pytest.approx(40.0)  # 2^2 + 6^2: of the clean one
    assert (seen[1] - seen[0]).tolist() == [0.25, -0.25]  # away from zero, where the loss grows
    # d/dw of the sum of (w x)^2 is 2 w |x|^2 = 40, and of (w x + d)^2 it is 40 + 2 d x = 42.
    assert layer.w.grad.item() == pytest.approx(41.0)
    assert not layer._forward_hooks


def test_without_a_step_there_is_the_plain_gradient():
    layer = Brightness()
    assert Adversary(layer, 0.0).backward(lambda: layer(torch.ones(3)).sum(), 0.5) == pytest.approx(6.0)
    assert layer.w.grad.item() == pytest.approx(1.5)


@pytest.mark.parametrize("mat", ["mat", "new-embedding", "zero-shot"])
def test_every_transfer_layer_can_be_stepped_against_even_one_without_weights(scenes, vit, mat):
    adapter = finetune(scenes[:1], mat=mat, settings=Settings(steps=1, adversarial=0.1), gate=False, base=vit)
    assert np.isfinite(adapter.card.history[-1].losses).all()


def test_the_step_against_the_model_makes_it_worse_than_chance_does(scenes, vit):
    """In an untrained model: noise of the same size raises the loss less."""
    image, labels = scenes[0]
    recipe = recipe_for("deep")
    start = Adapter.untrained(image, base=vit)
    model = recipe.build(start, vit)
    recipe.unfreeze(model)
    draw = recipe.sampler(
        model, start, list(Corrections.from_labels(image, labels)), np.random.default_rng(0)
    )
    sample = draw(np.random.default_rng(0))
    from napari_simmat.training.interactive import Interactive

    values = []

    def loss():
        value = Interactive().loss(model, sample, 4, np.random.default_rng(1), torch.device("cpu"))
        values.append(float(value.detach()))
        return value

    adversary = Adversary(model.mat, 0.2)
    adversary.backward(loss, 1.0)
    clean, against = values
    noise = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)).sign() * 0.2
    with adversary._moved(noise):
        by_chance = float(loss().detach())
    assert against > clean
    assert against > by_chance


# ---------------------------------------------------------------------- halves


def test_halves_share_nothing_and_are_the_same_each_time():
    many = list(corrections_of([scene(k, 2) for k in range(6)]))
    first, second = halves(many)
    assert len(first) == len(second) == 6
    assert {id(c) for c in first} | {id(c) for c in second} == {id(c) for c in many}
    assert not {c.image.content_key() for c in first} & {c.image.content_key() for c in second}
    again, _ = halves(many[::-1])
    assert {id(c) for c in again} == {id(c) for c in first}
    few = list(corrections_of([scene(0, 5)]))
    assert sorted(map(len, halves(few))) == [2, 3]


def test_weights_move_in_one_half_of_the_steps_and_tokens_in_the_other(scenes, vit):
    one, two = (train(scenes, vit, steps=steps, split_half=True) for steps in (1, 2))
    tokens = [k for k in one.tensors if k.startswith("token.")]
    for name in tokens:
        own = vit.sam.state_dict()[f"{name.removeprefix('token.')}.weight"]
        assert torch.equal(one.tensors[name], own)
        assert not torch.equal(two.tensors[name], own)
    assert any(one.tensors[k].any() for k in one.tensors if k.startswith("lora.") and k.endswith(".b"))
    assert two.card.history[-1].options == {"split_half": True}
    gates = sum(k.startswith("lora.") and k.endswith(".a") for k in two.tensors)
    assert two.card.history[-1].trainable_parameters == sum(t.numel() for t in two.tensors.values()) + gates


def test_gates_end_up_in_the_updates_and_leave_the_model_as_it_was(vit):
    image, _ = scene(0)
    recipe = recipe_for("deep")
    model = recipe.build(Adapter.untrained(image, base=vit), vit)
    trained = recipe.unfreeze(model)
    for _, layer in lora_layers(model.sam):
        layer.b.data.normal_(std=0.1)
    names = set(model.state_dict())
    x = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    plain = model.encode(x)
    with gated(model, trained) as gates:
        assert len(gates) == sum(1 for _ in lora_layers(model.sam))
        assert torch.equal(model.encode(x), plain)
        for gate in gates:
            gate.data.fill_(0.5)
        half = model.encode(x)
        assert not torch.allclose(half, plain, atol=1e-3)
    assert set(model.state_dict()) == names
    assert torch.allclose(model.encode(x), half, atol=1e-6)


def test_a_strategy_without_anything_for_the_second_half_is_refused(vit):
    with pytest.raises(TrainingError, match="'mat' trains nothing that the second half could learn"):
        train([scene(0, 4)], vit, steps=1, split_half=True, strategy="mat")


def test_one_object_has_no_halves(vit):
    with pytest.raises(TrainingError, match="two halves"):
        train([scene(0, 1)], vit, steps=1, split_half=True)


# ------------------------------------------------------------------ forgetting


def test_switched_off_an_adapter_leaves_the_answers_as_they_were_to_the_last_bit():
    image, labels = open_dataset(sample_path("camouflage-train"), limit=1)[0].load()
    y, x = first_click(labels == 1)

    def answer(adapter=None):
        EMBEDDINGS.clear()
        segmenter = Segmenter(image, adapter=adapter)
        return segmenter.answer(Prompt().with_point(y, x)), segmenter._ground.places

    base = {name: value.clone() for name, value in load_base_model().sam.state_dict().items()}
    before, embedding = answer()
    settings = Settings(steps=2, split_half=True, l2=0.1, adversarial=0.1, learning_rate=0.05)
    _, changed = answer(finetune([(image, labels)], settings=settings, gate=False))
    assert not torch.equal(changed, embedding)
    after, again = answer()
    assert torch.equal(again, embedding)
    assert np.array_equal(after.logits, before.logits)
    assert np.array_equal(after.scores, before.scores)
    assert all(torch.equal(v, base[k]) for k, v in load_base_model().sam.state_dict().items())


@pytest.mark.full_size
def test_replay_keeps_what_a_second_round_of_other_objects_takes():
    """The first round teaches whole balls, the second one, in another picture, the upper half of each."""
    whole, upper = np.zeros(SHAPE, int), np.zeros(SHAPE, int)
    for number, (row, *_) in BALLS.items():
        whole[ball(number)] = number
        upper[:row][ball(number)[:row]] = number
    old, new = (balls(2, 0), whole), (balls(2, 1), upper)

    def learn(scenes, **changes):
        return finetune(scenes, mode="quick", steps=10, gate=False, **changes)

    def kept(adapter):
        judged = list(Corrections.from_labels(*old))
        return one_click_iou(adapter, judged, base=load_base_model(), device="cpu", watch=Watch())

    first = learn([old])
    assert kept(first) > 0.9
    forgetful = kept(learn([new], start=first))
    assert forgetful < 0.85
    assert kept(learn([new], start=first, replay=[old])) > forgetful + 0.1
