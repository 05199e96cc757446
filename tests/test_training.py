"""Learning from corrections: it learns, only what it may, within the gate, and stops when told."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from napari_simmat import Adapter, Prompt, evaluate, finetune
from napari_simmat.errors import AdapterError, Cancelled, SimmatError, TrainingError
from napari_simmat.images import as_image, open_dataset, sample_path
from napari_simmat.inference import Frame
from napari_simmat.models import load_base_model
from napari_simmat.training import Correction, Corrections, deep, first_click, next_click, quick
from napari_simmat.training.clicks import random_click
from napari_simmat.training.gate import split
from napari_simmat.training.losses import answer_loss, mask_loss
from napari_simmat.training.recipes import Quick, recipe_for
from napari_simmat.training.scenes import Scenes


@pytest.fixture(scope="module")
def train_set():
    return [item.load() for item in open_dataset(sample_path("camouflage-train"), limit=2)]


@pytest.fixture(scope="module")
def corrections(train_set):
    return Corrections(c for image, labels in train_set for c in Corrections.from_labels(image, labels))


# ------------------------------------------------------------------ clicks


def test_the_first_click_is_the_deepest_point():
    mask = np.zeros((40, 60), bool)
    mask[10:31, 5:12] = True
    mask[15:26, 30:41] = True
    assert first_click(mask) == (20, 35)
    corner = np.zeros((9, 9), bool)
    corner[:5, :5] = True
    assert first_click(corner) == (2, 2)


def test_the_next_click_is_the_deepest_point_of_the_largest_error():
    mask = np.zeros((40, 60), bool)
    mask[10:31, 10:31] = True
    missing = mask.copy()
    missing[10:31, 22:31] = False
    assert next_click(mask, missing)[2] == 1
    y, x, label = next_click(mask, missing)
    assert (y, x, label) == (y, 26, 1)
    assert mask[int(y), int(x)]
    assert not missing[int(y), int(x)]
    too_much = mask.copy()
    too_much[0:11, 40:51] = True
    assert next_click(mask, too_much) == (5, 45, 0)
    assert next_click(mask, mask) is None


def test_random_clicks_hit_the_object_and_differ():
    mask = np.zeros((40, 60), bool)
    mask[10:31, 5:12] = True
    rng = np.random.default_rng(0)
    clicks = [random_click(mask, rng) for _ in range(50)]
    assert all(mask[int(y), int(x)] for y, x in clicks)
    assert len(set(clicks)) > 10


def test_an_empty_mask_cannot_be_clicked():
    with pytest.raises(ValueError, match="empty"):
        first_click(np.zeros((3, 3), bool))


# ------------------------------------------------------------------ losses


def test_a_perfect_answer_costs_little_and_a_wrong_one_much():
    target = torch.zeros(1, 1, 8, 8)
    target[..., 2:6, 2:6] = 1
    sure = (target * 2 - 1) * 12
    assert mask_loss(sure, target).item() < 0.01
    # Dice of two disjoint 16-cell masks: 1 - 1 / (16 + 48 + 1); every cell is wrong by 12 nats.
    assert mask_loss(-sure, target).item() == pytest.approx(1 - 1 / 65 + 5 * 12, rel=1e-3)


def test_of_the_three_candidates_only_the_best_is_asked_for_more():
    target = torch.zeros(1, 1, 8, 8)
    target[..., 2:6, 2:6] = 1
    logits = torch.zeros(1, 4, 8, 8)
    logits[:, 2] = (target[:, 0] * 2 - 1) * 0.5
    logits.requires_grad_(True)
    answer_loss(logits, torch.zeros(1, 4), target).backward()
    per_mask = logits.grad.abs().sum((0, 2, 3))
    assert per_mask[0] > 0
    assert per_mask[2] > 0
    assert per_mask[1] == 0
    assert per_mask[3] == 0


def test_the_predicted_iou_is_asked_to_be_the_true_one():
    target = torch.zeros(1, 1, 8, 8)
    target[..., 2:6, 2:6] = 1
    logits = ((target * 2 - 1) * 12).expand(1, 4, 8, 8)
    right = answer_loss(logits, torch.ones(1, 4), target)
    wrong = answer_loss(logits, torch.zeros(1, 4), target)
    assert wrong - right == pytest.approx(1.0)


# ----------------------------------------------------------------- windows


def test_a_window_shows_its_object_at_the_scale_at_which_it_is_clicked(corrections):
    profile = Adapter.untrained(next(iter(corrections)).image).profile
    groups = corrections.by_image()
    scenes = Scenes(groups, profile, side=1024)
    rng = np.random.default_rng(0)
    for index in range(len(scenes)):
        window = scenes.draw(rng, index)
        height, width = window.masks.shape[1:]
        assert height == 16 * -(-window.x.shape[1] // 16)
        assert width == 16 * -(-window.x.shape[2] // 16)
        assert max(height, width) <= 464
        assert window.masks[0].any()
        chosen = scenes.objects[index]
        size = max(chosen.bottom - chosen.top, chosen.right - chosen.left)
        rows, columns = np.nonzero(window.masks[0])
        seen = max(np.ptp(rows), np.ptp(columns)) + 1
        expected = size if size * 1.6 <= 448 else 448 / 1.6
        assert seen == pytest.approx(expected, abs=10)
        row, column = window.offset
        assert row + height // 16 <= 64
        assert column + width // 16 <= 64


def test_a_window_holds_the_pixels_of_its_place():
    """Without flips a window is a cut of the frame; its offset says from where."""
    shape = (600, 1000)
    y, x = np.mgrid[: shape[0], : shape[1]]
    labels = np.zeros(shape, int)
    labels[300:340, 700:760] = 1
    image = as_image(np.stack([y, x]).astype(np.float32), channel_axis=0)
    profile = Adapter.untrained(image).profile
    scenes = Scenes(Corrections.from_labels(image, labels).by_image(), profile, side=1024)
    frame = Frame(shape)
    whole = torch.from_numpy(profile.model_input(image, frame.shape))

    class NoFlips:
        """The generator's numbers, but never below one half where a coin is tossed."""

        def uniform(self, low, high):
            return (low + high) / 2

        def random(self):
            return 0.9

    window = scenes.draw(NoFlips(), 0)
    row, column = window.offset
    height, width = window.x.shape[1:]
    cut = whole[:, row * 16 : row * 16 + height, column * 16 : column * 16 + width]
    assert torch.allclose(window.x, cut, atol=2e-3)
    ys, xs = np.nonzero(window.masks[0])
    fx, fy = frame.to_frame(319.5, 729.5)
    assert ys.mean() + row * 16 == pytest.approx(fy, abs=1)
    assert xs.mean() + column * 16 == pytest.approx(fx, abs=1)


def test_objects_smaller_than_a_cell_are_refused_in_words():
    image = as_image(np.zeros((2, 4000, 4000), np.uint8), channel_axis=0)
    labels = np.zeros((4000, 4000), int)
    labels[5:8, 5:8] = 1
    with pytest.raises(TrainingError, match="No object is large enough"):
        quick(Corrections.from_labels(image, labels), steps=1)


# ---------------------------------------------------------------- learning


def snapshot(model):
    return {k: v.clone() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("mode", ["quick", "deep"])
def test_training_moves_what_it_may_and_nothing_else(corrections, mode):
    base = load_base_model()
    before = snapshot(base.sam)
    start = Adapter.untrained(next(iter(corrections)).image)
    tensors = dict(start.tensors)
    adapter, report = {"quick": quick, "deep": deep}[mode](corrections, start=start, steps=3, seed=1)
    assert all(torch.equal(v, before[k]) for k, v in base.sam.state_dict().items())
    assert all(torch.equal(v, tensors[k]) for k, v in start.tensors.items())
    assert report.steps == len(report.losses) == 3
    assert report.held_out_before is not None
    assert report.held_out_after is not None
    assert report.kept == (report.held_out_after >= report.held_out_before)
    if report.kept:
        moved = {k for k, v in adapter.tensors.items() if k not in tensors or not torch.equal(v, tensors[k])}
        has_mat, has_early = any(k.startswith("mat.") for k in moved), any("stages.1" in k for k in moved)
        assert has_mat == has_early == (mode == "deep")
        assert any(k.startswith("token.") for k in moved)
        assert any("mask_decoder" in k for k in moved)
    else:
        assert adapter is start


def test_the_reported_number_of_trained_parameters_is_what_the_adapter_carries(corrections):
    first = next(iter(corrections)).image
    model = recipe_for("deep").build(Adapter.untrained(first), load_base_model())
    count = sum(p.numel() for p in recipe_for("deep").unfreeze(model))
    adapter = Adapter.untrained(first).replaced(model=model, card=Adapter.untrained(first).card)
    assert sum(t.numel() for t in adapter.tensors.values()) == count


def test_the_same_seed_gives_the_same_adapter_and_another_seed_another(corrections):
    a, first = quick(corrections, steps=3, seed=3)
    b, second = quick(corrections, steps=3, seed=3)
    _, third = quick(corrections, steps=3, seed=4)
    assert first.losses == second.losses
    assert a.fingerprint == b.fingerprint
    assert third.losses != first.losses


def test_the_file_of_a_trained_adapter_is_a_few_hundred_kilobytes(corrections, tmp_path):
    adapter = recipe_for("deep").build(Adapter.untrained(next(iter(corrections)).image), load_base_model())
    recipe_for("deep").unfreeze(adapter)
    start = Adapter.untrained(next(iter(corrections)).image)
    start.replaced(model=adapter, card=start.card).save(tmp_path / "deep.safetensors")
    assert (tmp_path / "deep.safetensors").stat().st_size < 500_000


def test_quick_raises_the_one_click_iou_of_images_it_has_not_seen(train_set):
    """The gain itself: two training images, judged on others."""
    test_set = [item.load() for item in open_dataset(sample_path("camouflage-test"), limit=2)]
    adapter = finetune(train_set, mode="quick", steps=40)
    report = adapter.card.history[-1]
    assert report.loss_last < report.loss_first
    before, after = evaluate(test_set), evaluate(test_set, adapter=adapter)
    assert after.miou[0] > before.miou[0] + 0.03


def test_cancelling_stops_within_one_step(corrections):
    cancel = threading.Event()
    steps = []

    def on_step(step, total, loss):
        steps.append((step, total))
        if step == 2:
            cancel.set()

    with pytest.raises(Cancelled):
        quick(corrections, steps=50, on_step=on_step, cancel=cancel)
    assert [s for s, _ in steps] == [1, 2]


def test_a_version_that_does_worse_is_rolled_back(corrections):
    """A learning rate that destroys the model must not reach the user."""
    start = Adapter.untrained(next(iter(corrections)).image)
    adapter, report = quick(corrections, start=start, steps=8, learning_rate=0.9)
    assert not report.kept
    assert adapter is start
    assert not adapter.is_trained
    assert report.held_out_after < report.held_out_before
    assert f"{report.held_out_before:.3f}" in report.reason
    assert f"{report.held_out_after:.3f}" in report.reason


def test_training_goes_on_from_where_it_was(corrections, train_set):
    first, one = quick(corrections, steps=20)
    assert one.kept
    _, two = quick(corrections, start=first, steps=1, learning_rate=1e-9)
    assert two.held_out_before == pytest.approx(one.held_out_after)
    assert two.held_out_after == pytest.approx(
        one.held_out_after, abs=0.01
    )  # a weight may round to its neighbour
    second = finetune(train_set, mode="quick", start=first, steps=1, gate=False)
    assert len(second.card.history) == 2


# -------------------------------------------------------------------- gate


def numbered(count, per_image=1):
    images = [
        as_image(np.full((1, 8, 8), k, np.uint8), channel_axis=0) for k in range(-(-count // per_image))
    ]
    mask = np.ones((8, 8), bool)
    return Corrections(Correction.of(images[k // per_image], mask, label=k) for k in range(count))


def test_nothing_is_held_out_of_one_object():
    assert split(numbered(1)) is None


@pytest.mark.parametrize(("count", "judging"), [(2, 1), (3, 1), (4, 2), (5, 2)])
def test_of_few_objects_one_or_two_are_held_out_until_they_have_judged(count, judging):
    found = split(numbered(count))
    assert found.is_of_few
    assert len(found.judge) == judging
    assert len(found.learn) == count - judging
    assert not {c.label for c in found.judge} & {c.label for c in found.learn}


def test_few_objects_are_all_learnt_from_once_the_gate_has_passed_them(corrections, monkeypatch):
    few = Corrections(list(corrections)[:3])
    learnt = []
    draw = Quick.sampler

    def sampler(self, model, start, corrections, rng):
        learnt.append({c.label for c in corrections})
        return draw(self, model, start, corrections, rng)

    monkeypatch.setattr(Quick, "sampler", sampler)
    totals = []
    _, report = quick(few, steps=22, on_step=lambda step, total, loss: totals.append((step, total)))
    assert report.kept
    assert totals == [(k, 22) for k in range(1, 23)]
    assert (report.steps, report.objects, report.held_out) == (22, 3, 1)
    held_out = split(few)
    assert learnt == [{c.label for c in held_out.learn}, {c.label for c in few}]

    _, report = quick(few, steps=11, learning_rate=0.9)
    assert not report.kept  # so there is nothing to go on from
    assert (report.steps, report.objects) == (8, 2)


def test_of_many_images_whole_images_are_held_out():
    found = split(numbered(40, per_image=4))
    learnt = {c.image.content_key() for c in found.learn}
    judged = {c.image.content_key() for c in found.judge}
    assert not learnt & judged
    assert len(judged) == 2
    assert len(found.learn) + len(found.judge) == 40


def test_of_one_image_a_fifth_of_the_objects_is_held_out():
    found = split(numbered(20, per_image=20))
    assert not found.is_of_few
    assert len(found.judge) == 4
    assert len(found.learn) == 16


# ------------------------------------------------------------------- input


def test_a_corrected_object_replaces_its_earlier_mask():
    image = as_image(np.zeros((1, 8, 8), np.uint8), channel_axis=0)
    memory = Corrections()
    memory.add(Correction.of(image, np.ones((8, 8), bool), label=1))
    better = Correction.of(image, np.eye(8, dtype=bool), prompt=Prompt().with_point(1, 1), label=1)
    memory.add(better)
    assert list(memory) == [better]
    memory.remove(image, 1)
    assert len(memory) == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda c: quick(Corrections()), "no objects"),
        (lambda c: quick(c, steps=0), "Got 0 steps"),
        (lambda c: quick(c, learning_rate=-1.0), "learning rate -1"),
        (lambda c: quick(c, seed=-1), "seed -1"),
    ],
)
def test_settings_without_sense_are_refused(corrections, call, says):
    with pytest.raises(TrainingError, match=says):
        call(corrections)


def test_labels_of_another_shape_and_adapters_of_other_channels_are_refused(train_set):
    image, labels = train_set[0]
    with pytest.raises(SimmatError, match="give labels of this image"):
        finetune([(image, labels[:-1])])
    with pytest.raises(SimmatError, match="give labels of this image"):
        evaluate([(image, labels[:-1])])
    two = Adapter.untrained(as_image(np.zeros((2, 9, 9)), channel_axis=0))
    with pytest.raises(AdapterError, match="2 channels"):
        finetune([(image, labels)], start=two, steps=1)


def test_a_thin_object_and_one_beside_tiny_ones_can_be_learnt():
    values = np.random.default_rng(0).random((2, 300, 400)).astype(np.float32)
    image = as_image(values, channel_axis=0)
    fibre = np.zeros((300, 400), int)
    fibre[150, 5:395] = 1
    _, report = quick(Corrections.from_labels(image, fibre), steps=2)
    assert np.isfinite(report.losses).all()
    mixed = np.zeros((300, 400), int)
    mixed[50:120, 60:140] = 1
    mixed[200, 200], mixed[250, 300] = 2, 3
    _, report = quick(Corrections.from_labels(image, mixed), steps=2)
    assert report.objects == 1


@pytest.fixture
def vit(tmp_path, monkeypatch):
    """A small ViT of Meta's code with random weights, as a user's checkpoint."""
    from napari_simmat.models.encoders import ViTEncoder, build_vit
    from napari_simmat.models.sam import Sam

    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path / "home"))
    torch.manual_seed(0)
    encoder = build_vit(depth=4, width=32, heads=2, global_blocks=(1, 3), side=256)
    state = {f"image_encoder.{k}": v for k, v in encoder.state_dict().items()}
    state |= {k: v for k, v in Sam(ViTEncoder(encoder)).state_dict().items() if not k.startswith("encoder.")}
    torch.save(state, tmp_path / "tiny.pth")
    return load_base_model(tmp_path / "tiny.pth")


@pytest.mark.parametrize("shape", [(96, 128), (128, 96), (128, 128)])
@pytest.mark.parametrize("mode", [quick, deep])
def test_a_vit_learns_from_images_of_any_shape(vit, shape, mode):
    rng = np.random.default_rng(0)
    image = as_image(rng.random((3, *shape)).astype(np.float32), channel_axis=0)
    labels = np.zeros(shape, int)
    labels[5:90, 5:90] = 1
    labels[20:30, 91:95] = 2
    adapter, report = mode(Corrections.from_labels(image, labels), steps=2, base=vit)
    assert len(report.losses) == (2 if report.kept else 1)  # of two objects one judges after the first step
    assert adapter.card.base_sha256 == vit.sha256


def test_the_layer_as_published_can_be_trained_instead(train_set):
    adapter = finetune(train_set[:1], mode="deep", mat="paper", steps=1)
    assert adapter.card.mat == "mat-paper"
    assert not any(name.startswith("mat.linear") for name in adapter.tensors)


def test_without_the_gate_all_is_learnt_from_and_the_result_is_kept(train_set):
    adapter = finetune(train_set[:1], steps=2, learning_rate=0.5, gate=False)  # far too fast to be any good
    run = adapter.card.history[-1]
    assert run.kept
    assert run.held_out == 0
    assert "without a check, as was asked for" in run.reason
