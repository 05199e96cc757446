"""Close-ups: where they look, how answers go from one view to another, and what they are good for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from napari_simmat import Prompt, Segmenter
from napari_simmat.evaluation.protocol import click_curve
from napari_simmat.images import as_image
from napari_simmat.inference import segmenter as segmenter_module
from napari_simmat.inference.close_up import (
    SIDE,
    CloseUp,
    in_view,
    is_cut,
    look_ahead,
    look_closer,
    step_back,
)
from napari_simmat.inference.frame import LOW, Frame

pytestmark = pytest.mark.full_size

WHOLE = Frame((966, 1296))
CLOSE = CloseUp((966, 1296), 1024, part=(100, 310, 369, 579))


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def cells_of(view):
    """Place (y, x) in image pixels of each cell of a view's answers."""
    rows, columns = (-(-n // 16) * 4 for n in view.shape) if isinstance(view, CloseUp) else (256, 256)
    y, x = np.mgrid[:rows, :columns]
    return view.to_image(LOW * (y + 0.5), LOW * (x + 0.5))


def disc(view, y, x, radius):
    """Logits of a disc: signed distance to it in pixels of the image."""
    rows, columns = cells_of(view)
    return (radius - np.hypot(rows - y, columns - x)).astype(np.float32)


def test_a_close_up_shows_its_part_two_and_a_half_times_as_large():
    assert CLOSE.shape == (SIDE, SIDE)
    assert CLOSE.zoom == pytest.approx(2.5, abs=0.01)
    x, y = CLOSE.to_frame(200.0, 500.0)
    whole_x, whole_y = WHOLE.to_frame(200.0, 500.0)
    assert (x + 0.5) == pytest.approx(CLOSE.zoom * (whole_x + 0.5 - 310))
    assert (y + 0.5) == pytest.approx(CLOSE.zoom * (whole_y + 0.5 - 100))
    assert CLOSE.to_image(y + 0.5, x + 0.5) == pytest.approx((200.0, 500.0))


def test_a_mask_lies_where_its_logits_are_and_nowhere_else():
    y, x = CLOSE.to_image(300, 200)
    mask = CLOSE.to_mask(disc(CLOSE, y, x, 40))
    rows, columns = np.mgrid[:966, :1296]
    assert iou(mask, np.hypot(rows - y, columns - x) < 40) > 0.995
    everything = CLOSE.to_mask(np.ones((168, 168), np.float32))
    top, left, bottom, right = CLOSE.extent()
    inside = (rows > top) & (rows < bottom) & (columns > left) & (columns < right)
    np.testing.assert_array_equal(everything, inside)


@pytest.mark.parametrize(("source", "target"), [(WHOLE, CLOSE), (CLOSE, WHOLE), (CLOSE, step_back(CLOSE))])
def test_an_answer_keeps_its_place_in_another_view(source, target):
    y, x = CLOSE.to_image(300, 350)
    logits = disc(source, y, x, 30)
    seen = in_view(logits, source, target)[0, 0].numpy()
    assert seen.shape == cells_of(target)[0].shape
    assert iou(target.to_mask(seen), source.to_mask(logits)) > 0.97
    expected = disc(target, y, x, 30)
    near = expected > -20
    np.testing.assert_allclose(seen[near], expected[near], atol=2.5)


def test_beyond_what_was_seen_there_is_no_object():
    logits = np.full((168, 168), 3, np.float32)
    logits[0, 0] = -7
    seen = in_view(logits, CLOSE, WHOLE)[0, 0].numpy()
    rows, columns = cells_of(WHOLE)
    top, left, bottom, right = CLOSE.extent()
    outside = (rows < top - 8) | (rows > bottom + 8) | (columns < left - 8) | (columns > right + 8)
    assert (seen[outside] == -7).all()
    assert iou(WHOLE.to_mask(seen), CLOSE.to_mask(logits)) > 0.95


def test_the_same_view_changes_nothing():
    logits = np.random.default_rng(0).normal(size=(168, 168)).astype(np.float32)
    np.testing.assert_array_equal(in_view(logits, CLOSE, CLOSE)[0, 0].numpy(), logits)


def test_a_small_answer_is_looked_at_closely_and_a_large_one_is_not():
    small = look_closer(disc(WHOLE, 400, 700, 25), WHOLE, [(400, 700), (410, 720)], None)
    assert isinstance(small, CloseUp)
    assert small.zoom == pytest.approx(2.5, abs=0.02)
    top, left, bottom, right = small.extent()
    assert (top + bottom) / 2 == pytest.approx(400, abs=3)
    assert (left + right) / 2 == pytest.approx(700, abs=5)
    assert bottom - top == pytest.approx(SIDE / 2.5 * 966 / 763, rel=0.02)
    assert look_closer(disc(WHOLE, 480, 640, 300), WHOLE, [(480, 640)], None) is WHOLE
    assert look_closer(np.full((256, 256), -1, np.float32), WHOLE, [(5, 5), (950, 1290)], None) is WHOLE


def test_all_that_was_shown_is_in_the_close_up():
    logits, box = disc(WHOLE, 400, 700, 25), (300.0, 640.0, 420.0, 730.0)
    view = look_closer(logits, WHOLE, [(400, 700), (430, 560)], box)
    top, left, bottom, right = view.extent()
    assert top < 300
    assert bottom > 430
    assert left < 560
    assert right > 730
    corner = look_closer(disc(WHOLE, 3, 3, 20), WHOLE, [(0, 0), (2, 30)], None)
    assert corner.part == (0, 0, 269, 269)
    assert max(corner.shape) <= SIDE
    other = look_closer(disc(WHOLE, 962, 1292, 20), WHOLE, [(965, 1295), (960, 1280)], None)
    assert other.part == (763 - 269, 1024 - 269, 763, 1024)
    assert not is_cut(disc(other, 962, 1292, 20), other)


def test_what_lies_beyond_the_image_does_not_count():
    logits = disc(WHOLE, 400, 700, 25)
    logits[250, 5] = 3  # in what the frame is filled up with
    assert look_closer(logits, WHOLE, [(400, 700), (402, 700)], None).zoom == pytest.approx(2.5, abs=0.01)


def test_the_close_up_of_a_click_beside_the_answer_is_known_before():
    logits = disc(WHOLE, 400, 700, 25)
    expected = look_ahead(logits, WHOLE, [(400, 700)], None)
    assert isinstance(expected, CloseUp)
    for click in ((400, 728), (371, 700), (460, 640)):
        assert look_closer(logits, WHOLE, [(400, 700), click], None) == expected
    assert look_closer(logits, WHOLE, [(400, 700), (100, 700)], None) != expected


def test_an_answer_at_the_border_of_the_image_stays_there():
    logits = np.clip(disc(WHOLE, 0, 600, 60), -20, 6)
    view = look_closer(logits, WHOLE, [(5, 600), (10, 610)], None)
    assert view.part[0] == 0
    seen = in_view(logits, WHOLE, view)[0, 0].numpy()
    assert seen[0].max() == pytest.approx(6)
    assert iou(view.to_mask(seen), WHOLE.to_mask(logits)) > 0.97


def test_a_close_up_stays_until_a_click_lies_outside_or_the_answer_shrank():
    logits = disc(WHOLE, 400, 700, 170)
    first = look_closer(logits, WHOLE, [(400, 700), (410, 720)], None)
    again = look_closer(disc(first, 405, 700, 160), first, [(400, 700), (410, 720), (480, 690)], None)
    assert again is first
    elsewhere = look_closer(disc(first, 400, 700, 160), first, [(400, 700), (100, 700)], None)
    assert elsewhere != first
    assert elsewhere.extent()[0] < 100
    shrunk = look_closer(disc(first, 400, 700, 10), first, [(400, 700), (410, 720)], None)
    assert shrunk.zoom > 1.5 * first.zoom


def test_an_answer_that_goes_on_beyond_the_border_is_cut():
    y, x = CLOSE.to_image(300, 350)
    assert not is_cut(disc(CLOSE, y, x, 40), CLOSE)
    assert is_cut(disc(CLOSE, *CLOSE.to_image(300, 10), 40), CLOSE)
    assert is_cut(disc(CLOSE, *CLOSE.to_image(660, 300), 40), CLOSE)
    at_border = CloseUp((966, 1296), 1024, part=(0, 0, 269, 269))
    assert not is_cut(disc(at_border, 3, 3, 40), at_border)
    assert not is_cut(np.ones((256, 256), np.float32), WHOLE)
    view, seen = CLOSE, []
    while isinstance(view, CloseUp):
        seen.append(view.zoom)
        view = step_back(view)
    assert view == WHOLE
    assert seen == sorted(seen, reverse=True)
    assert len(seen) >= 2


@pytest.fixture(scope="module")
def wheel():
    """A small wheel with five teeth in a large picture, and its mask."""
    shape = (900, 1200)
    y, x = np.mgrid[: shape[0], : shape[1]]
    angle = np.arctan2(y - 400, x - 700)
    mask = np.hypot(y - 400, x - 700) < 26 + 9 * np.sign(np.sin(5 * angle))
    rng = np.random.default_rng(3)
    noisy = np.stack([90 + 75 * mask + rng.normal(0, 2, shape) for _ in range(3)])
    return as_image(noisy.astype(np.float32), channel_axis=0), mask


def test_clicks_on_details_of_a_small_object_count_on_a_close_up(wheel, monkeypatch):
    image, mask = wheel
    segmenter = Segmenter(image)
    prompt, closely, _ = click_curve(segmenter, mask, 6)
    assert isinstance(segmenter.answer(prompt).frame, CloseUp)
    monkeypatch.setattr(segmenter_module, "look_closer", lambda logits, view, points, box: view)
    _, from_afar, _ = click_curve(Segmenter(image), mask, 6)
    assert closely[0] == from_afar[0]
    assert max(closely) > max(from_afar) + 0.05
    assert max(closely) > 0.9


def test_clicks_one_by_one_give_what_all_at_once_give_on_close_ups(wheel):
    image, _ = wheel
    clicks = [(400, 700, 1), (430, 700, 0), (400, 735, 0), (100, 100, 1), (100, 100, 0)]
    prompt, one_by_one = Prompt(), Segmenter(image)
    for click in clicks:
        prompt = prompt.with_point(*click)
        last = one_by_one.answer(prompt).mask()
    at_once, _ = Segmenter(image).predict([c[:2] for c in clicks], [c[2] for c in clicks])
    np.testing.assert_array_equal(last, at_once)


def test_few_close_ups_are_kept(wheel):
    image, _ = wheel
    segmenter = Segmenter(image)
    for top in range(0, 480, 40):
        ground = segmenter._ground_of(CloseUp(image.shape, 1024, part=(top, 0, top + 269, 269)))
        assert ground.embedding.shape == (1, 256, 42, 42)
    assert 0 < len(segmenter._close_ups) <= segmenter_module._CLOSE_UPS


@pytest.mark.parametrize(
    ("shape", "is_close"), [((1, 1), False), ((3, 700), True), ((700, 3), True), ((31, 33), False)]
)
def test_corrections_in_images_of_any_shape_are_answered(shape, is_close):
    values = np.random.default_rng(0).random((3, *shape))
    values[:, : max(1, shape[0] // 12), : max(1, shape[1] // 12)] += 5
    segmenter = Segmenter(as_image(values, channel_axis=0))
    corner = min(shape[0] - 1, 40), min(shape[1] - 1, 40)
    prompt = Prompt().with_box(0, 0, shape[0] / 12, shape[1] / 12).with_point(0, 0).with_point(*corner, 0)
    found = segmenter.answer(prompt)
    assert isinstance(found.frame, CloseUp) == is_close
    assert found.mask().shape == shape


def test_no_candidate_is_cut_off_at_the_border_of_its_close_up(wheel):
    image, mask = wheel
    segmenter = Segmenter(image)
    prompt, _, _ = click_curve(segmenter, mask, 4)
    found = segmenter.answer(prompt.with_box(350, 650, 450, 750))
    assert isinstance(found.frame, CloseUp)
    assert not any(is_cut(logits, found.frame) for logits in found.logits)
    for step in prompt.steps():
        for choice in range(3):
            chosen = dataclasses.replace(step, candidate=choice).with_point(372, 700, 0)
            answer = segmenter.answer(chosen)
            assert not any(is_cut(logits, answer.frame) for logits in answer.logits)


def test_looking_ahead_changes_no_answer_and_saves_the_next_click_its_encoding(wheel):
    image, _ = wheel
    first = Prompt().with_point(400, 700)
    second = first.with_point(430, 700, 0)
    expected = Segmenter(image).answer(second).mask()
    segmenter = Segmenter(image)
    before = segmenter.answer(first).mask()
    segmenter.look_ahead(first)
    kept = dict(segmenter._close_ups)
    assert len(kept) == 1
    np.testing.assert_array_equal(segmenter.answer(first).mask(), before)
    np.testing.assert_array_equal(segmenter.answer(second).mask(), expected)
    assert dict(segmenter._close_ups) == kept


def test_nothing_is_looked_at_ahead_of_a_large_object():
    image = as_image(np.random.default_rng(0).random((3, 64, 64)).astype(np.float32), channel_axis=0)
    segmenter = Segmenter(image)
    segmenter.look_ahead(Prompt().with_box(2, 2, 60, 60))
    assert not segmenter._close_ups
