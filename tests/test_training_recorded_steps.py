"""Steps that are played back on a GPU learn what steps learn that are taken as ever."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_simmat.images import as_image
from napari_simmat.inference import compute
from napari_simmat.models import Adapter, load_base_model
from napari_simmat.training.answering import Plainly
from napari_simmat.training.interactive import Interactive
from napari_simmat.training.recipes import recipe_for
from napari_simmat.training.recorded_steps import RecordedSteps
from napari_simmat.training.samples import Sample


@pytest.fixture
def in_single_precision():
    """Rounding of bfloat16 depends on how many objects are asked about at once."""
    with compute.for_a_while():
        compute.choose(precision="float32")
        yield


def scene():
    rng = np.random.default_rng(0)
    image = as_image(rng.random((4, 224, 224)).astype(np.float32), channel_axis=0)
    masks = np.zeros((3, 224, 224), bool)
    masks[0, 20:60, 30:90], masks[1, 100:150, 100:130], masks[2, 160:200, 20:200] = True, True, True
    return image, masks


def model_to_train(image, device="cpu"):
    base = load_base_model().on(device)
    recipe = recipe_for("deep")
    model = recipe.build(Adapter.untrained(image, base=base), base)
    with torch.no_grad():  # an update that does something, so that its first factor learns from the start
        for name, parameter in model.named_parameters():
            if name.endswith(".b"):
                parameter.normal_(0, 0.02, generator=torch.Generator(device).manual_seed(len(name)))
    return model, recipe.unfreeze(model)


def losses_and_gradients(model, parameters, x, masks, answering, device="cpu", corrections=2):
    def embed(given):
        return model.late(model.early(given))

    found = []
    for seed in range(4):
        sample = Sample(lambda: embed(x), masks, (3, 5), most_corrections=corrections)
        sample.answering = answering(embed)
        loss = Interactive().loss(model, sample, 12, np.random.default_rng(seed), torch.device(device))
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        found.append((float(loss.detach()), [g for g in gradients if g is not None]))
    return found


def played(model, x, **how):
    made = []

    def answering(embed):
        if not made:
            made.append(RecordedSteps(model, embed, 12, **how))
        return lambda: made[0].on(x, (3, 5))

    return answering


def test_asking_about_more_objects_than_there_are_changes_neither_loss_nor_gradients(in_single_precision):
    image, masks = scene()
    model, parameters = model_to_train(image)
    x = torch.randn(1, 4, 224, 224, generator=torch.Generator().manual_seed(1))
    asked = []

    def record(module, inputs):
        asked.append(type(module).__name__)
        assert all(len(each) == 12 for each in inputs[-4:])
        return module

    as_ever = losses_and_gradients(model, parameters, x, masks, lambda embed: None)
    filled_up = losses_and_gradients(model, parameters, x, masks, played(model, x, record=record))
    assert {"_First", "_Again"} <= set(asked)
    for (loss, gradients), (other_loss, other_gradients) in zip(as_ever, filled_up, strict=True):
        assert loss == pytest.approx(other_loss, rel=1e-4)
        assert len(gradients) == len(other_gradients) > 10
        for one, other in zip(gradients, other_gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=0.02, atol=1e-3 * float(one.abs().max()) + 1e-7)


def test_what_cannot_be_recorded_is_asked_for_as_ever(in_single_precision):
    image, masks = scene()
    model, parameters = model_to_train(image)
    x = torch.randn(1, 4, 224, 224, generator=torch.Generator().manual_seed(1))
    tries = []

    def refuse(module, inputs):
        tries.append(module)
        raise RuntimeError("CUDA error: operation not permitted when stream is capturing")

    as_ever = losses_and_gradients(model, parameters, x, masks, lambda embed: None, corrections=0)
    found = losses_and_gradients(model, parameters, x, masks, played(model, x, record=refuse), corrections=0)
    assert [loss for loss, _ in found] == pytest.approx([loss for loss, _ in as_ever], rel=1e-4)
    assert len(tries) == 1  # not again and again


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_a_gpu_a_recording_gives_the_same_loss_and_gradients(in_single_precision):
    image, masks = scene()
    model, parameters = model_to_train(image, "cuda")
    x = torch.randn(1, 4, 224, 224, generator=torch.Generator().manual_seed(1)).cuda()
    as_ever = losses_and_gradients(model, parameters, x, masks, lambda embed: None, "cuda")
    answering = played(model, x)
    for _ in range(2):  # the second time all of it is played
        found = losses_and_gradients(model, parameters, x, masks, answering, "cuda")
    steps = answering(None).__closure__[0].cell_contents[0]
    assert not steps.refused
    assert len(steps._made) >= 2
    for (loss, gradients), (other_loss, other_gradients) in zip(as_ever, found, strict=True):
        assert loss == pytest.approx(other_loss, rel=1e-3)
        one, other = (torch.cat([g.flatten() for g in each]) for each in (gradients, other_gradients))
        assert float(torch.cosine_similarity(one, other, dim=0)) > 0.999


def test_plain_answers_tell_what_is_shown_and_the_loss():
    image, _ = scene()
    model, _ = model_to_train(image)
    x = torch.randn(1, 4, 224, 224)
    asked = Plainly(model, lambda: model.late(model.early(x)), (0, 0))
    targets = torch.zeros(2, 1, 56, 56)
    shown, loss = asked.first(torch.full((2, 1, 2), 50.0), torch.ones(2, 1), targets)
    assert shown.shape == (2, 1, 56, 56)
    assert not shown.requires_grad
    assert loss.requires_grad
