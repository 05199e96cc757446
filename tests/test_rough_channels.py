"""What the channels say of objects that were only clicked on, and how it is weighed against the model's answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from balls import BALLS, balls, iou
from tiny_vit_sam import small_vit

from napari_simmat.images import as_image
from napari_simmat.inference.frame import LOW
from napari_simmat.inference.frozen import freeze
from napari_simmat.models import Adapter
from napari_simmat.training.rough import RoughLabels, RoughObject, RoughSettings, adapt_from_rough
from napari_simmat.training.rough.belonging import Fit, better, fit_of, places_of
from napari_simmat.training.rough.channels import with_likely
from napari_simmat.training.rough.pseudo import believe
from napari_simmat.training.rough.rough import prepare
from napari_simmat.training.rough.survey import survey
from napari_simmat.training.rough.windows import RoughScenes
from napari_simmat.training.watch import Watch

CPU = torch.device("cpu")
CLICKS = tuple(RoughObject(points=(BALLS[n][:2],)) for n in BALLS)


@pytest.fixture(scope="module")
def tiny():
    return small_vit()


def _windows(image, objects, base, count=4):
    settings = RoughSettings(windows=count, steps=count, check=False)
    start = Adapter.untrained([image], base=base)
    ready = prepare(
        [RoughLabels(image, objects)], settings=settings, watch=Watch(None, None), start=start, base=base
    )
    return ready.windows


def _truth(view, number):
    """Cells of a view that show a ball."""
    height, width = view.window.cells
    place = view.window.place
    rows, columns = np.mgrid[:height, :width]
    row, column, radius = BALLS[number]
    y, x = place.to_window(row, column)
    scale = place.frame.scale[0] * place.shrink / LOW
    return np.hypot(rows - (y + 0.5) / LOW + 0.5, columns - (x + 0.5) / LOW + 0.5) <= radius * scale


def test_clicks_tell_what_the_channels_of_objects_are_like_in_every_mirror(tiny):
    """The model has random weights, so all that is right in the masks comes from the channels."""
    found = []
    for views in _windows(balls(3), CLICKS, tiny):
        assert len(views) == 2
        for view in views:
            for shown, mask in zip(view.window.objects, view.likely, strict=True):
                height, width = view.window.cells
                found.append(iou(mask[:height, :width].numpy(), _truth(view, 1 + shown.number)))
    assert len(found) >= 4
    assert np.mean(found) > 0.6  # of cells of four pixels each, of balls a few cells wide


def test_channels_that_say_nothing_are_not_asked(tiny):
    noise = np.random.default_rng(0).normal(100, 5, (3, 128, 160)).astype(np.float32)
    image = as_image(noise, channel_axis=0, name="noise")
    assert all(view.likely is None for views in _windows(image, CLICKS, tiny) for view in views)


def test_boxes_without_clicks_are_no_second_witness(tiny):
    boxes = tuple(RoughObject(box=(y - r, x - r, y + r, x + r)) for y, x, r in BALLS.values())
    assert all(view.likely is None for views in _windows(balls(3), boxes, tiny) for view in views)


def test_nothing_outside_of_a_box_is_likely(tiny):
    boxed = tuple(
        RoughObject(points=((y, x),), box=(y - r / 2, x - r / 2, y + r / 2, x + r / 2))
        for y, x, r in BALLS.values()
    )
    for views in _windows(balls(3), boxed, tiny):
        for view in views:
            for shown, mask in zip(view.window.objects, view.likely, strict=True):
                assert mask.any()
                assert not mask.numpy()[shown.known == 0].any()


def test_a_box_takes_nothing_from_objects_that_were_clicked_on(tiny):
    mixed = (*CLICKS, RoughObject(box=(56, 66, 70, 84)))
    for views in _windows(balls(3), mixed, tiny):
        height, width = views[0].window.cells
        for shown, mask in zip(views[0].window.objects, views[0].likely, strict=True):
            if shown.box is None:
                assert iou(mask[:height, :width].numpy(), _truth(views[0], 1 + shown.number)) > 0.5


def test_the_same_seed_gives_the_same_masks_and_windows_without_objects_do_no_harm(tiny):
    windows = _windows(balls(3), CLICKS, tiny)
    again = with_likely(windows, seed=0, watch=Watch(None, None), device=CPU)
    for views, others in zip(windows, again, strict=True):
        for view, other in zip(views, others, strict=True):
            assert torch.equal(view.likely, other.likely)
    assert with_likely([], seed=0, watch=Watch(None, None), device=CPU) == []


def test_they_can_be_left_out_and_do_something(tiny):
    labels = [RoughLabels(balls(3), CLICKS)]
    settings = {"steps": 2, "windows": 2, "check": False}
    told = adapt_from_rough(labels, settings=RoughSettings(**settings), base=tiny)[1]
    untold = adapt_from_rough(labels, settings=RoughSettings(**settings, channels=False), base=tiny)[1]
    assert told.losses[0] != untold.losses[0]
    assert untold.options["channels"] is False


def _fit(images, objects, base):
    """How well prompts fit by the values of the channels alone."""
    labels = [RoughLabels(image, own) for image, own in zip(images, objects, strict=True)]
    encoder = base.sam.encoder
    start = Adapter.untrained(images, base=base)
    scenes = RoughScenes(labels, start.profile, side=encoder.side, flexible=encoder.flexible)
    anchor = start.build_merged(base.on(CPU))
    freeze(anchor)
    seen = survey(anchor, scenes, watch=Watch(None, None), device=CPU)
    return fit_of(seen.plain, [places_of(each) for each in labels])


def test_channels_alone_tell_whether_prompts_belong_to_their_images(tiny):
    images = [balls(3, seed=seed) for seed in range(3)]
    right = _fit(images, [CLICKS] * 3, tiny)
    assert not right.is_refused
    assert right.likeness > 0.8
    rng = np.random.default_rng(0)
    anywhere = [tuple(RoughObject(points=((y, x),)) for y, x in rng.uniform(4, 124, (4, 2))) for _ in images]
    wrong = _fit(images, anywhere, tiny)
    assert wrong.is_refused
    assert better(wrong, right) is right
    assert better(right, wrong) is right
    assert better(right, Fit(0.5, None)) is right


# ------------------------------------------------------------- two witnesses


def _square(start, stop):
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[start:stop, start:stop] = True
    return mask


def _believe(answers, others, likely, scores=(0.9, 0.5, 0.5, 0.5), **how):
    known = torch.full((1, 16, 16), -1, dtype=torch.int8)
    known[0, 8, 8] = 1
    valid = torch.ones(16, 16, dtype=torch.bool)
    return believe(
        torch.stack(answers)[None],
        torch.tensor([scores]),
        known,
        [torch.stack(other)[None] for other in others],
        valid,
        **{"gate": True, "choose": True, "likely": likely[None]} | how,
    )


def test_of_four_answers_the_one_that_the_channels_confirm_is_taken():
    large, right, small = _square(0, 16), _square(4, 12), _square(7, 10)
    answers = [large, right, small, small]
    found = _believe(answers, [answers], _square(4, 13))
    assert torch.equal(found.masks[0], right)
    assert found.answered.tolist() == [True]


def test_cells_are_put_to_the_vote():
    answer, other, likely = _square(4, 12), _square(4, 11), _square(3, 12)
    found = _believe([answer] * 4, [[other] * 4], likely)
    votes = answer.int() + other.int() + likely.int()
    assert torch.equal(found.masks[0], votes >= 2)


def test_what_the_model_does_not_see_as_an_object_is_what_the_channels_say():
    large, likely = _square(0, 16), _square(5, 11)
    found = _believe([large] * 4, [[large] * 4], likely)
    assert torch.equal(found.masks[0], likely)
    assert found.objects.tolist() == [True]
    assert found.answered.tolist() == [False]  # so it is no answer to be held to
    trusting = _believe([large] * 4, [[large] * 4], likely, gate=False)
    assert torch.equal(trusting.masks[0], large)


def test_where_the_channels_say_no_more_than_the_user_the_model_is_the_only_witness():
    answer, clicked, nothing = _square(4, 12), _square(0, 0), _square(0, 0)
    clicked[8, 8] = True
    for likely in (clicked, nothing):
        found = _believe([answer] * 4, [[answer] * 4], likely)
        assert torch.equal(found.masks[0], answer)
        assert found.answered.tolist() == [True]


def test_the_models_own_answer_is_told_whatever_is_believed():
    large, likely = _square(0, 16), _square(5, 11)
    found = _believe([large] * 4, [[large] * 4], likely)
    assert torch.equal(found.masks[0], likely)
    assert torch.equal(found.own[0], large)  # so it is seen where the model drifts to
