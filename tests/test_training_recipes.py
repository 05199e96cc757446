"""The recipes: the published one as it is described, ours with an average and with an end that nobody judged decides."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_vit_sam import small_vit
from torch import nn

from napari_simmat import Adapter, finetune
from napari_simmat.errors import TrainingError
from napari_simmat.images import as_image
from napari_simmat.training import Corrections, Settings
from napari_simmat.training.average import Average
from napari_simmat.training.clicks import even_click
from napari_simmat.training.gate import split
from napari_simmat.training.paper import Paper
from napari_simmat.training.recipes import recipe_for
from napari_simmat.training.stopping import Stopping, watchers

SIDE = 64


def scene(seed: int, n_objects: int = 2):
    """Four noisy channels with bright squares, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((SIDE, SIDE), int)
    for number in range(n_objects):
        y, x = divmod(number, 3)
        labels[4 + 20 * y : 18 + 20 * y, 4 + 20 * x + seed % 3 : 18 + 20 * x] = number + 1
    pixels = rng.normal(0, 0.2, (4, SIDE, SIDE)) + (labels > 0)
    return as_image(pixels.astype(np.float32), channel_axis=0), labels


@pytest.fixture(scope="module")
def vit():
    return small_vit()


def corrections_of(scenes):
    return Corrections(c for image, labels in scenes for c in Corrections.from_labels(image, labels))


# ------------------------------------------------------------- the published one


def rates(steps: int) -> list[float]:
    optimiser, schedule = Paper().optimiser([([nn.Parameter(torch.zeros(1))], 3e-4)], steps, averaged=False)
    seen = []
    for _ in range(steps):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return seen


def test_the_rate_is_halved_every_ten_of_51_epochs_however_long_an_epoch_or_the_training_is():
    assert rates(51) == pytest.approx([3e-4 * 0.5 ** (epoch // 10) for epoch in range(51)])
    assert rates(102)[::2] == rates(51)
    short = rates(10)
    assert short == sorted(short, reverse=True)
    assert short[-1] == pytest.approx(3e-4 / 16)


def test_an_epoch_shows_each_image_once_in_batches_of_four():
    paper, recipe = Paper(), recipe_for("deep")
    assert paper.steps(recipe, Settings(recipe="paper"), objects=99, images=8) == 102
    assert paper.steps(recipe, Settings(recipe="paper", epochs=3), objects=99, images=8) == 6
    assert paper.steps(recipe, Settings(recipe="paper", epochs=1), objects=99, images=5) == 2


def test_everything_is_trained_ten_times_slower():
    rate = {name: Paper().learning_rate(recipe_for("deep", name), Settings()) for name in ("lora", "full")}
    assert rate == {"lora": 3e-4, "full": 3e-5}


def test_whole_images_are_seen_as_they_are_one_object_in_each_and_all_images_before_one_again(vit):
    scenes = [scene(seed) for seed in range(3)]
    start = Adapter.untrained([image for image, _ in scenes], base=vit)
    recipe = recipe_for("deep")
    model = recipe.build(start, vit)
    rng = np.random.default_rng(0)
    draw = Paper().sampler(recipe, model, start, list(corrections_of(scenes)), rng)
    scale = 256 // SIDE
    expected = {
        (k, n): np.kron(labels == n, np.ones((scale, scale), bool))
        for k, (_, labels) in enumerate(scenes)
        for n in (1, 2)
    }
    for _ in range(4):
        shown = []
        for _ in range(3):
            sample = draw(rng)
            assert sample.masks.shape == (1, 256, 256)
            found = [key for key, mask in expected.items() if np.array_equal(mask, sample.masks[0])]
            assert len(found) == 1
            shown.append(found[0][0])
        assert sorted(shown) == [0, 1, 2]


def test_the_loss_is_dice_and_cross_entropy_of_the_single_mask_after_one_click_in_the_object(vit):
    scenes = [scene(0)]
    start = Adapter.untrained(scenes[0][0], base=vit)
    recipe = recipe_for("deep")
    model = recipe.build(start, vit)
    sample = Paper().sampler(recipe, model, start, list(corrections_of(scenes)), np.random.default_rng(0))(
        np.random.default_rng(1)
    )
    loss = Paper().loss(model, sample, 12, np.random.default_rng(2), torch.device("cpu"))
    y, x = even_click(sample.masks[0], np.random.default_rng(2))
    assert sample.masks[0][int(y), int(x)]
    logits, _ = model.sam.decode(sample.embed(), points=torch.tensor([[[x, y]]]), labels=torch.ones(1, 1))
    single, target = logits[0, 0], F.avg_pool2d(torch.from_numpy(sample.masks).float(), 4)[0]
    p = single.sigmoid()
    dice = 1 - (2 * (p * target).sum() + 1) / ((p * p).sum() + (target * target).sum() + 1)
    expected = dice + F.binary_cross_entropy_with_logits(single, target)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_clicks_of_the_paper_fall_evenly_on_the_object():
    mask = np.zeros((9, 9), bool)
    mask[2:4, 3:8] = True
    rng = np.random.default_rng(0)
    hits = np.zeros(mask.shape, int)
    for _ in range(2000):
        y, x = even_click(mask, rng)
        hits[int(y), int(x)] += 1
    assert not hits[~mask].any()
    assert hits[mask].min() > 140  # 200 each, give or take four standard deviations


def test_a_training_by_the_paper_tells_so_and_scales_to_the_epochs_asked_for(vit):
    adapter = finetune(
        [scene(k) for k in range(2)], settings=Settings(recipe="paper", epochs=4), gate=False, base=vit
    )
    run = adapter.card.history[-1]
    assert (run.recipe, run.steps, run.learning_rate, run.options) == ("paper", 2, 3e-4, {"epochs": 4})


# -------------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("settings", "mode", "says"),
    [
        (Settings(recipe="paper"), "quick", "use Deep"),
        (Settings(adversarial=0.1), "quick", "use Deep"),
        (Settings(epochs=3), "deep", "give steps instead"),
        (Settings(recipe="paper", epochs=3, steps=3), "deep", "leave one out"),
        (Settings(recipe="paper", epochs=0), "deep", "Got 0 epochs"),
        (Settings(recipe="own"), "deep", "'interactive' or 'paper'"),
        (Settings(l2=-1.0), "deep", "weight -1 of L2"),
        (Settings(adversarial=2.0), "deep", "Got 2 as the size"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_in_words(vit, settings, mode, says):
    with pytest.raises(TrainingError, match=says):
        finetune([scene(0)], mode=mode, settings=settings, base=vit)


# --------------------------------------------------------------------- average


def test_the_average_forgets_the_start_and_settles_where_the_weights_are():
    weight = nn.Parameter(torch.tensor([100.0]))
    average = Average([weight], steps=40)
    for step in range(40):
        weight.data.fill_(1.0 + (-1) ** step)  # 2, 0, 2, 0, ...
        average.update()
    with average.in_place():
        assert weight.item() == pytest.approx(1.0, abs=0.2)
    assert weight.item() == 0.0
    average.settle()
    assert weight.item() == pytest.approx(1.0, abs=0.2)


def test_what_comes_out_is_the_average_where_it_was_asked_for(vit):
    scenes = [scene(k) for k in range(2)]
    plain, averaged = (
        finetune(scenes, settings=Settings(steps=4, ema=ema), gate=False, base=vit) for ema in (False, True)
    )
    start = Adapter.untrained([image for image, _ in scenes], base=vit)

    def moved(adapter):
        return sum(
            float((t - start.tensors[k]).norm()) for k, t in adapter.tensors.items() if k in start.tensors
        )

    assert averaged.card.history[-1].options == {"ema": True}
    assert moved(averaged) > 0
    assert averaged.fingerprint != plain.fingerprint


# -------------------------------------------------------------- when it is enough


def test_who_watches_neither_learns_nor_judges():
    """The gate stays honest: what stops is not what judges."""
    for scenes in ([scene(k, 3) for k in range(8)], [scene(0, 9), scene(1, 9)]):
        held_out = split(corrections_of(scenes))
        learnt, watching = watchers(held_out.learn)
        sets = [set(map(id, part)) for part in (learnt, watching, held_out.judge)]
        assert all(sets)
        assert all(not a & b for a, b in combinations(sets, 2))
        assert len(learnt) > 2 * len(watching)
        if len(scenes) == 8:  # nor does another object of the same image
            images = [{c.image.content_key() for c in part} for part in (learnt, watching, held_out.judge)]
            assert all(not a & b for a, b in combinations(images, 2))


def test_of_few_objects_none_is_spared_for_watching():
    few = list(corrections_of([scene(0, 7)]))
    assert watchers(few) == (few, [])


def test_training_ends_when_nothing_gets_better_and_the_best_weights_come_out():
    weight = nn.Parameter(torch.zeros(1))
    scores = {10: 0.3, 11: 0.5, 12: 0.7, 13: 0.6, 14: 0.7, 15: 0.2, 16: 0.6}
    stopping = Stopping([weight], lambda: scores[int(weight)], steps=20)
    for step in range(1, 21):
        weight.data.fill_(step)
        if stopping.enough(step):
            break
    assert step == 16  # the fourth look without a better answer
    assert stopping.best_step == 12
    stopping.settle()
    assert weight.item() == 12.0


def test_a_stopped_training_tells_who_watched_and_which_step_was_best(vit):
    scenes = [scene(k, 4) for k in range(5)]
    told = []
    adapter = finetune(
        scenes,
        settings=Settings(steps=12, early_stopping=True),
        base=vit,
        on_step=lambda step, total, loss: told.append((step, total)),
    )
    run = adapter.card.history[-1]
    assert run.watching == 4  # one of the four images that the gate leaves
    assert run.objects + run.watching + run.held_out == 20
    assert run.best_step is not None
    assert 6 <= run.best_step <= run.steps <= 12
    assert told[-1][0] == run.steps
