"""The segmenter: coordinates, prompts, candidates, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from skimage import data

from napari_simmat import Adapter, Prompt, Segmenter, evaluate, finetune
from napari_simmat.errors import AdapterError, ImageError, PromptError
from napari_simmat.images import as_image
from napari_simmat.inference import Frame, region_around
from napari_simmat.inference.cache import EMBEDDINGS, EmbeddingCache
from napari_simmat.inference.sight import OneSight

pytestmark = pytest.mark.full_size


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


def discs(shape=(120, 200), n_channels=4):
    """Two bright discs on a darker ground, in every channel; returns image and the two masks."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    masks = [(y - 60) ** 2 + (x - cx) ** 2 < 28**2 for cx in (50, 150)]
    rng = np.random.default_rng(0)
    values = np.stack([50 + 120 * (masks[0] | masks[1]) + rng.normal(0, 4, shape) for _ in range(n_channels)])
    return as_image(values.astype(np.float32), channel_axis=0), masks


@pytest.fixture(scope="module")
def two_discs():
    image, masks = discs()
    return Segmenter(image), masks


def test_a_click_gives_the_object_under_it_and_not_the_other(two_discs):
    segmenter, (left, right) = two_discs
    mask, score = segmenter.predict([(60, 50)], [1])
    assert mask.shape == (120, 200)
    assert mask.dtype == bool
    assert iou(mask, left) > 0.9
    assert 0 <= score <= 1
    assert iou(segmenter.predict([(60, 150)])[0], right) > 0.9


def test_a_box_alone_and_a_box_with_a_click_give_the_object(two_discs):
    segmenter, (left, _) = two_discs
    box = (30, 20, 90, 80)
    assert iou(segmenter.predict(box=box)[0], left) > 0.9
    assert iou(segmenter.predict([(60, 50)], box=box)[0], left) > 0.9
    assert iou(segmenter.predict(box=(90, 80, 30, 20))[0], left) > 0.9


def test_a_negative_click_takes_the_second_object_away(two_discs):
    segmenter, (left, _right) = two_discs
    both, _ = segmenter.predict([(60, 50), (60, 150)], [1, 1])
    assert both[60, 50]
    assert both[60, 150]
    corrected, _ = segmenter.predict([(60, 50), (60, 150), (60, 150)], [1, 1, 0])
    assert iou(corrected, left) > iou(both, left)
    assert not corrected[60, 150]


def test_low_resolution_logits_of_an_answer_can_be_shown_again(two_discs):
    segmenter, (left, _) = two_discs
    candidates = segmenter.answer(Prompt().with_point(60, 50))
    mask, _ = segmenter.predict([(60, 55)], [1], mask=candidates.logits[candidates.shown])
    assert iou(mask, left) > 0.9


def test_clicks_one_by_one_give_what_all_at_once_give(two_discs):
    segmenter, _ = two_discs
    prompt = Prompt()
    for y, x, label in [(60, 50, 1), (60, 150, 1), (75, 160, 0)]:
        prompt = prompt.with_point(y, x, label)
        last = segmenter.answer(prompt).mask()
    fresh = Segmenter(segmenter.image)
    at_once, _ = fresh.predict([(60, 50), (60, 150), (75, 160)], [1, 1, 0])
    assert np.array_equal(last, at_once)
    assert np.array_equal(
        segmenter.answer(Prompt.from_dict(json.loads(json.dumps(prompt.to_dict())))).mask(), last
    )


def test_the_chosen_candidate_is_what_the_next_click_corrects(two_discs):
    segmenter, _ = two_discs
    first = Prompt().with_point(60, 50)
    shown = segmenter.answer(first).shown
    import dataclasses

    other = dataclasses.replace(first, candidate=(shown + 1) % 3)
    assert segmenter.answer(other).shown == (shown + 1) % 3
    assert other.with_point(60, 60).choices == (None, (shown + 1) % 3)
    kept = segmenter.answer(first.with_point(60, 60)).logits
    changed = segmenter.answer(other.with_point(60, 60)).logits
    assert not np.array_equal(kept, changed)
    assert segmenter.answer(other.with_point(60, 60).without_last()).shown == (shown + 1) % 3


@pytest.mark.parametrize(
    ("prompt", "says"),
    [
        (Prompt(), "Nothing was shown"),
        (Prompt().with_point(-3, 5), r"y = -3, x = 5 is outside of the image of 120 x 200"),
        (Prompt().with_point(5, 200.6), "outside of the image"),
        (Prompt().with_point(float("nan"), 5), "outside of the image"),
        (Prompt().with_box(500, 500, 600, 600), "does not touch the image"),
        (Prompt(mask=np.zeros((64, 64), np.float32)), r"shape \(64, 64\), expected \(256, 256\)"),
    ],
)
def test_a_prompt_that_cannot_be_answered_is_refused(two_discs, prompt, says):
    with pytest.raises(PromptError, match=says):
        two_discs[0].answer(prompt)


def test_points_without_their_labels_are_refused(two_discs):
    with pytest.raises(PromptError, match="2 points and 1 labels"):
        two_discs[0].predict([(1, 1), (2, 2)], [1])
    with pytest.raises(PromptError, match="expected 1"):
        two_discs[0].predict([(1, 1)], [2])


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3), (31, 33)])
def test_images_of_any_shape_are_answered(shape):
    image = as_image(np.random.default_rng(0).random((3, *shape)), channel_axis=0)
    mask, _ = Segmenter(image).predict([(0, 0)])
    assert mask.shape == shape


def test_an_all_zero_image_is_answered():
    mask, score = Segmenter(as_image(np.zeros((4, 64, 64), np.uint16), channel_axis=0)).predict([(30, 30)])
    assert mask.shape == (64, 64)
    assert np.isfinite(score)


@pytest.mark.parametrize("shape", [(483, 648), (300, 300), (2000, 1500), (90, 1024)])
def test_a_shape_survives_the_way_to_the_frame_and_back(shape):
    frame = Frame(shape)
    assert max(frame.shape) == 1024
    y, x = np.mgrid[:256, :256]
    centre = frame.to_frame(shape[0] / 2 - 0.5, shape[1] / 2 - 0.5)
    # Logits that are the signed distance to a circle around the middle of the image.
    radius = min(frame.shape) / 4
    logits = radius - np.hypot(4 * x + 1.5 - centre[0], 4 * y + 1.5 - centre[1])
    mask = frame.to_mask(logits.astype(np.float32))
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    sy, sx = frame.scale
    expected = np.hypot((rows + 0.5 - shape[0] / 2) * sy, (columns + 0.5 - shape[1] / 2) * sx) < radius
    assert iou(mask, expected) > 0.95


def test_a_mask_equals_the_plain_enlargement_of_its_logits():
    frame = Frame((483, 648))
    rng = np.random.default_rng(1)
    logits = np.full((256, 256), -5, np.float32)
    logits[40:90, 60:130] = rng.normal(1, 2, (50, 70))
    large = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None, None], (1024, 1024), mode="bilinear"
    )
    cut = large[..., : frame.shape[0], : frame.shape[1]]
    plain = (
        torch.nn.functional.interpolate(cut, (483, 648), mode="bilinear", antialias=False)[0, 0].numpy() > 0
    )
    assert iou(frame.to_mask(logits), plain) > 0.97


def test_no_positive_logit_is_an_empty_mask():
    assert not Frame((50, 60)).to_mask(np.full((256, 256), -1, np.float32)).any()


def test_the_segmenter_agrees_with_stock_sam_predictor():
    """The same weights behind segment-anything's own façade, in float32 as it runs them."""
    from segment_anything import SamPredictor
    from segment_anything.modeling import Sam as StockSam

    from napari_simmat.models import load_base_model

    sam = load_base_model().sam
    stock = StockSam(sam.encoder, sam.prompt_encoder, sam.mask_decoder)
    stock.image_encoder.img_size = 1024
    predictor = SamPredictor(stock)
    picture = data.astronaut()
    predictor.set_image(picture)
    image = as_image(picture, channel_axis=2, modality="rgb")
    segmenter = Segmenter(image)
    for y, x in [(100, 230), (300, 200), (440, 60)]:
        single, _, _ = predictor.predict(np.array([[x, y]]), np.array([1]), multimask_output=False)
        assert iou(segmenter.predict([(y, x)])[0], single[0]) > 0.95


def test_an_embedding_is_made_once_and_the_oldest_is_forgotten():
    made = []

    def make(name):
        made.append(name)
        return torch.zeros(256)  # 1 KiB

    cache = EmbeddingCache(max_bytes=2048)
    for name in "abaca":
        cache.get(name, lambda name=name: make(name))
    assert made == ["a", "b", "c"]
    cache.get("b", lambda: make("b"))
    assert made == ["a", "b", "c", "b"]


def test_two_segmenters_of_the_same_pixels_share_one_embedding(monkeypatch):
    encoded, encode = [], OneSight._encode
    monkeypatch.setattr(OneSight, "_encode", lambda self: encoded.append(self) or encode(self))
    EMBEDDINGS.clear()
    first, again = Segmenter(discs()[0]), Segmenter(discs()[0])
    assert encoded == [first._sight]
    np.testing.assert_array_equal(*(s.predict([(50, 50)])[0] for s in (first, again)))
    other = Segmenter(discs()[0], adapter=Adapter.untrained(discs()[0], mat="paper"))
    assert encoded == [first._sight, other._sight]


@pytest.mark.parametrize(
    "data",
    [
        {"candidate": "x"},
        {"candidate": 7},
        {"box": [1, 2]},
        {"points": [[1, 2, 3]], "labels": [1]},
        {"points": [[1, 2]], "labels": [1], "choices": [None, 1]},
        {"points": 5},
        [],
    ],
)
def test_data_that_are_no_prompt_are_refused_in_words(data):
    with pytest.raises(PromptError):
        Prompt.from_dict(data)


def large():
    return as_image(
        np.broadcast_to(np.zeros((2, 1, 1), np.uint8), (2, 5000, 6000)), channel_axis=0, name="field"
    )


def test_a_large_image_is_seen_around_the_box_or_the_first_click():
    assert region_around(discs()[0], [(60, 50)]) is None
    assert region_around(large(), [(2500, 4000), (2900, 4500)]) == (1024, 3072, 3072, 5120)
    assert region_around(large(), [(150, 150)], (100, 100, 200, 200)) == (0, 0, 2048, 2048)


@pytest.mark.parametrize(
    ("points", "box", "words"),
    [
        ([], None, "Nothing was shown"),
        ([(5001, 3)], None, "outside of the image of 5000 x 6000"),
        ([(3, float("nan"))], None, "outside of the image"),
        ([], (-500, 0, 100, 100), "middle of the box"),
        ([(10, 10), (4000, 10)], None, "outside of rows 0 to 2047"),
    ],
)
def test_clicks_that_no_region_of_a_large_image_holds_are_refused(points, box, words):
    with pytest.raises(PromptError, match=words):
        region_around(large(), points, box)


@pytest.mark.parametrize("use", [evaluate, finetune])
def test_a_large_image_in_a_dataset_is_to_be_cut_first(use):
    with pytest.raises(ImageError, match="5000 x 6000 pixels, more than 4096 pixels on a side; cut it"):
        use([(large(), np.ones((5000, 6000), np.uint8))])


def test_a_prompt_is_shifted_with_its_box():
    prompt = Prompt(points=((5, 6),), labels=(0,), box=(1, 2, 3, 4)).shifted(-10, 100)
    assert (prompt.points, prompt.labels, prompt.box) == (((-5, 106),), (0,), (-9, 102, -7, 104))


def test_what_a_left_out_channel_shows_makes_no_difference():
    rng = np.random.default_rng(0)
    scene = rng.normal(100, 10, (3, 60, 80)).astype(np.float32)
    scene[:, 20:40, 30:60] += 100
    other = scene.copy()
    other[1] = rng.permutation(scene[1].ravel()).reshape(60, 80)
    images = [as_image(data, channel_axis=0) for data in (scene, other)]
    whole, blanked = (
        [Segmenter(image, blank=blank).model_view().astype(int) for image in images] for blank in ((), (1,))
    )
    assert np.abs(whole[0] - whole[1]).max() > 50
    assert np.abs(blanked[0] - blanked[1]).max() <= 1
    assert np.ptp(blanked[0][..., 1]) <= 1
    np.testing.assert_array_equal(blanked[0][..., 2], whole[0][..., 2])


def test_leaving_out_every_channel_leaves_nothing_to_segment_and_a_later_segmenter_sees_all_again():
    y, x = np.mgrid[:60, :80]
    disc = (y - 30) ** 2 + (x - 40) ** 2 < 15**2
    image = as_image(np.where(disc, 200.0, 50.0)[None].repeat(3, 0), channel_axis=0)
    seen, _ = Segmenter(image).predict([(30, 40)])
    unseen, _ = Segmenter(image, blank=range(3)).predict([(30, 40)])
    again, _ = Segmenter(image).predict([(30, 40)])
    assert (seen & disc).sum() / (seen | disc).sum() > 0.9
    assert (unseen & disc).sum() / (unseen | disc).sum() < 0.7
    np.testing.assert_array_equal(seen, again)


@pytest.mark.parametrize("blank", [(3,), (-1,), (0, 7)])
def test_channels_that_are_not_there_cannot_be_left_out(blank):
    image = as_image(np.zeros((3, 20, 30), np.float32), channel_axis=0)
    with pytest.raises(AdapterError, match="the model sees 3"):
        Segmenter(image, blank=blank)
