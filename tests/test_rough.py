"""Learning from rough labels: the losses, what is believed, when it is refused or ended, and the same from every door."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest
import tifffile
import torch
from balls import BALLS, balls, pixels
from tiny_vit_sam import small_vit

from napari_simmat import cli
from napari_simmat.annotator import Annotator
from napari_simmat.errors import Cancelled, TrainingError
from napari_simmat.models import Adapter
from napari_simmat.training.rough import (
    RoughLabels,
    RoughObject,
    RoughSettings,
    adapt_from_rough,
    losses,
    write_prompts,
)
from napari_simmat.training.rough.belonging import Look, fit_of
from napari_simmat.training.rough.drift import BOUND, Drift
from napari_simmat.training.rough.pseudo import believe, violation

CLICKS = tuple(RoughObject(points=(BALLS[n][:2],)) for n in BALLS)
SHORT = RoughSettings(steps=2, windows=1, check=False)


# ------------------------------------------------------------------- losses


def test_dice_and_focal_by_hand():
    logits = torch.tensor([[[100.0, 100.0], [-100.0, -100.0]]])
    targets = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    everywhere = torch.ones(1, 2, 2)
    assert losses.dice(logits, targets, everywhere).item() == pytest.approx(1 - 3 / 4)
    weights = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]])  # the wrong cell does not count
    assert losses.dice(logits, targets, weights).item() == pytest.approx(0)
    even = torch.zeros(1, 2, 2)
    expected = (0.8 + 3 * 0.2) / 4 * 0.25 * np.log(2)
    assert losses.focal(even, targets, everywhere).item() == pytest.approx(expected)


def test_predicted_iou_is_compared_with_that_of_the_mask():
    logits = torch.tensor([[[1.0, 1.0], [-1.0, -1.0]]])
    targets = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    error = losses.iou_error(torch.tensor([0.75]), logits, targets, torch.ones(1, 2, 2))
    assert error.item() == pytest.approx(0.0625)


def test_clicks_count_alike_inside_and_outside():
    known = torch.full((1, 4, 4), -1, dtype=torch.int8)
    known[0, 0, 0] = 1
    known[0, 2:] = 0
    error = losses.click_error(torch.zeros(1, 4, 4), known)
    assert error.item() == pytest.approx(2 * np.log(2))
    right = torch.full((1, 4, 4), 50.0)
    right[0, 2:] = -50
    assert losses.click_error(right, known).item() == pytest.approx(0, abs=1e-6)


def test_a_mask_should_reach_the_sides_of_its_box():
    filling, small = torch.full((8, 8), -50.0), torch.full((8, 8), -50.0)
    filling[2:6, 2:6] = 50
    small[3, 3] = 50
    box = (2.0, 2.0, 5.0, 5.0)
    assert losses.box_error(filling, box).item() == pytest.approx(0, abs=1e-6)
    assert losses.box_error(small, box).item() > 0.5


def test_one_object_still_has_something_to_be_told_from():
    rng = torch.Generator().manual_seed(0)
    embedding = torch.randn(16, 4, 4, generator=rng)
    mask = torch.zeros(1, 16, 16, dtype=torch.bool)
    mask[0, :8, :8] = True
    valid = torch.ones(16, 16, dtype=torch.bool)
    own = losses.prototypes(embedding, mask, valid)
    assert own.shape == (2, 16)
    assert losses.contrast(own, own).item() > 0
    assert losses.contrast(own, own.flip(0)) > losses.contrast(own, own)


# ---------------------------------------------------------- what is believed


def _answers(*masks):
    return torch.stack(masks)[None]


def test_an_answer_over_another_objects_click_is_not_believed():
    everything, own, empty = torch.ones(8, 8).bool(), torch.zeros(8, 8).bool(), torch.zeros(8, 8).bool()
    own[:4, :4] = True
    known = torch.full((1, 8, 8), -1, dtype=torch.int8)
    known[0, 1, 1], known[0, 5:, 5:] = 1, 0
    scores, valid = torch.tensor([[0.9, 0.5, 0.9, 0.9]]), torch.ones(8, 8).bool()
    answers = _answers(everything, own, empty, everything)
    assert (violation(answers, known)[0] > 0).tolist() == [True, False, True, True]
    found = believe(answers, scores, known, [answers], valid, gate=True, choose=True)
    assert found.objects.tolist() == [True]
    assert torch.equal(found.masks[0], own)
    plain = believe(answers, scores, known, [answers], valid, gate=False, choose=False)
    assert torch.equal(plain.masks[0], everything)
    none = _answers(everything, empty, empty, everything)
    assert believe(none, scores, known, [none], valid, gate=True, choose=True).objects.tolist() == [False]


def test_views_that_disagree_are_not_believed():
    left, right = torch.zeros(8, 8).bool(), torch.zeros(8, 8).bool()
    left[:, :4], right[:, 3:] = True, True
    known, valid = torch.full((1, 8, 8), -1, dtype=torch.int8), torch.ones(8, 8).bool()
    one, other = _answers(*[left] * 4), _answers(*[right] * 4)
    scores = torch.ones(1, 4)
    assert believe(one, scores, known, [one], valid, gate=True, choose=True).objects.tolist() == [True]
    assert believe(one, scores, known, [other], valid, gate=True, choose=True).objects.tolist() == [False]
    assert believe(one, scores, known, [other], valid, gate=False, choose=True).objects.tolist() == [True]


def test_cells_that_two_objects_claim_are_left_out():
    left, right = torch.zeros(8, 8).bool(), torch.zeros(8, 8).bool()
    left[:, :5], right[:, 4:] = True, True
    answers = torch.stack([torch.stack([left] * 4), torch.stack([right] * 4)])
    known, valid = torch.full((2, 8, 8), -1, dtype=torch.int8), torch.ones(8, 8).bool()
    found = believe(answers, torch.ones(2, 4), known, [answers], valid, gate=True, choose=True)
    assert not found.cells[:, :, 4].any()
    assert found.cells[:, :, [0, 7]].all()


def test_training_ends_where_masks_leave_those_of_the_anchor():
    parameter = torch.nn.Parameter(torch.zeros(3))
    drift = Drift([parameter])
    for step in range(1, 9):
        parameter.data += 1
        drift.note(torch.full((4,), 0.9))
        assert not drift.enough(step)
    good = parameter.detach().clone()
    for step in range(9, 13):
        parameter.data += 1
        drift.note(torch.full((4,), BOUND / 4))
        ended = drift.enough(step)
    assert ended
    assert drift.went_too_far
    drift.settle()
    assert torch.equal(parameter.detach(), good)


# -------------------------------------------------- do the prompts belong here


def _scenes(count, rng):
    """Images of noise with objects of a look of their own, and where these are."""
    looks, places = [], []
    own = rng.normal(size=16)
    for _ in range(count):
        cells = rng.normal(size=(20, 24, 16))
        spots = rng.choice(20 * 24, 6, replace=False)
        rows, columns = np.divmod(spots, 24)
        cells[rows, columns] += 1.5 * own
        cells /= np.linalg.norm(cells, axis=2, keepdims=True)
        looks.append(Look((200, 240), cells.astype(np.float32)))
        places.append(np.stack([(rows + 0.5) / 20, (columns + 0.5) / 24], 1))
    return looks, places


def test_prompts_of_other_images_are_told_from_the_right_ones():
    refused = []
    for seed in range(4):
        looks, places = _scenes(6, np.random.default_rng(seed))
        right = fit_of(looks, places)
        assert not right.is_refused
        assert right.likeness > 0.7
        refused.append(fit_of(looks, [*places[1:], places[0]]).is_refused)
    assert sum(refused) >= 3


def test_an_only_image_is_asked_by_moving_its_points():
    looks, places = _scenes(1, np.random.default_rng(1))
    assert not fit_of(looks, places).is_refused
    elsewhere = [(places[0] + (0.31, 0.17)) % 1]
    assert fit_of(looks, elsewhere).is_refused
    assert fit_of(looks, [places[0][:2]]).chance is None  # too few to tell


# ------------------------------------------------------------------ training


@pytest.fixture(scope="module")
def tiny():
    return small_vit()


def _learn(tiny, seed=0, **how):
    labels = [RoughLabels(balls(3, name="a"), CLICKS)]
    # With random weights hardly anything keeps to the clicks, so that everything is believed.
    settings = RoughSettings(**{"steps": 2, "windows": 1, "check": False, "gate": False, "seed": seed} | how)
    return adapt_from_rough(labels, settings=settings, base=tiny)


@pytest.fixture(scope="module")
def learnt(tiny):
    return _learn(tiny)


def test_the_same_seed_gives_the_same_adapter_and_the_report_tells_the_drift(tiny, learnt):
    first, report = learnt
    assert _learn(tiny)[1].losses == report.losses
    assert report.mode == "rough"
    assert 0 <= report.anchor_iou <= 1
    assert report.prompts_kept_before is not None
    assert "IoU" in report.reason
    if report.kept:
        assert first.card.history[-1].anchor_iou == report.anchor_iou


@pytest.mark.parametrize("part", ["anchor", "prototypes", "clicks"])
def test_each_part_can_be_left_out_and_does_something(tiny, learnt, part):
    without = _learn(tiny, **{part: False})[1]
    assert without.options[part] is False
    assert learnt[1].losses[0] != without.losses[0]


def test_robust_training_adds_its_loss(tiny, learnt):
    assert _learn(tiny, robust=True)[1].losses[0] > learnt[1].losses[0]


def test_deep_training_reaches_the_transfer_layer(tiny, learnt):
    labels = [RoughLabels(balls(3, name="a"), CLICKS)]
    start = Adapter.untrained(balls(3), base=tiny)
    adapter, report = adapt_from_rough(labels, start=start, mode="deep", settings=SHORT, base=tiny)
    if report.kept:
        assert any(
            not torch.equal(adapter.tensors[k], v) for k, v in start.tensors.items() if k.startswith("mat.")
        )
    assert report.trainable_parameters > learnt[1].trainable_parameters


def test_it_stops_when_asked_to(tiny):
    stop = threading.Event()
    labels = [RoughLabels(balls(3), CLICKS)]
    with pytest.raises(Cancelled):
        adapt_from_rough(labels, settings=SHORT, base=tiny, on_step=lambda *_: stop.set(), cancel=stop)


def test_nothing_to_learn_from_is_said():
    with pytest.raises(TrainingError, match="no rough labels"):
        adapt_from_rough([RoughLabels(balls(3), ())])


# ------------------------------------------------------------------ the doors


def test_the_annotator_keeps_it_as_a_version_that_can_be_undone():
    annotator = Annotator(balls(3))
    before = annotator.versions.current
    report = annotator.adapt_from_rough(CLICKS, settings=SHORT)
    assert report.mode == "rough"
    step = annotator.history[0][-1] if report.kept else None
    if step is not None:
        assert annotator.versions.current.name == "rough 1"
        assert step.details["objects"][0]["points"] == [[30.0, 34.0, 1]]
        annotator.undo()
        assert annotator.versions.current is before
        annotator.redo()
        assert annotator.versions.current.name == "rough 1"
    with pytest.raises(TrainingError, match="no rough labels"):
        annotator.adapt_from_rough()


def test_the_command_line_learns_from_prompts_alone(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    tifffile.imwrite(
        tmp_path / "images" / "a.tif", pixels(3), photometric="minisblack", metadata={"axes": "CYX"}
    )
    write_prompts(tmp_path / "prompts" / "a.json", CLICKS)
    out = tmp_path / "rough.safetensors"
    arguments = ["finetune", str(tmp_path), "-o", str(out), "--labels", "rough", "--steps", "1", "--json"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--no-prompt-check"])
    told = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0
    assert told["mode"] == "rough"
    assert told["steps"] == 1
    assert told["objects"] == 4
    assert 0 <= told["anchor_iou"] <= 1
    assert Adapter.load(out).card.history[-1].anchor_iou == told["anchor_iou"]
    with pytest.raises(SystemExit) as ended:
        cli.main([*arguments, "--overwrite", "--l2", "1"])
    assert ended.value.code == 2
