"""Recordings of the encoder: for shapes that come again, checked, and never in the way where they cannot be made."""

from __future__ import annotations

import pytest
import torch

from napari_simmat.inference import first_that_fits
from napari_simmat.inference.frozen import FrozenEncoder
from napari_simmat.inference.recorded import Recorded, Recording
from napari_simmat.inference.recorded_decoder import RecordedDecoder
from napari_simmat.models import load_base_model
from napari_simmat.models.decoder import PromptDecoder


class Function:
    """Twice its input plus one; counts its calls."""

    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return (2 * x + 1,)


class Recorder:
    """What a GPU does: the same operations again, on the same memory, without asking the function."""

    def __init__(self, factor=2.0, error=None):
        self.shapes, self._factor, self._error = [], factor, error

    def __call__(self, function, inputs):
        self.shapes.append(tuple(inputs[0].shape))
        if self._error is not None:
            raise self._error
        given = tuple(x.clone() for x in inputs)
        found = function(*given)

        def play():
            found[0].copy_(self._factor * given[0] + sum(given[1:], torch.ones(())))

        return Recording(given, found, play)


def ask(recorded, *values, shape=(2, 3)):
    with torch.inference_mode():
        return [float(recorded(torch.full(shape, value))[0].mean()) for value in values]


def test_a_shape_that_comes_again_is_recorded_and_then_played():
    function, record = Function(), Recorder()
    recorded = Recorded(function, record)
    assert ask(recorded, 1.0, 2.0) == [3.0, 5.0]
    calls = function.calls
    assert ask(recorded, 3.0, 4.0) == [7.0, 9.0]
    assert function.calls == calls
    assert record.shapes == [(2, 3)]


def test_what_was_answered_stays_when_the_next_one_is_played():
    recorded = Recorded(Function(), Recorder())
    ask(recorded, 1.0, 2.0)
    with torch.inference_mode():
        (first,) = recorded(torch.full((2, 3), 3.0))
        recorded(torch.full((2, 3), 10.0))
    assert float(first.mean()) == 7.0


@pytest.mark.parametrize(
    "record", [Recorder(error=RuntimeError("CUDA error: operation not permitted")), Recorder(factor=2.5)]
)
def test_what_cannot_be_recorded_or_says_something_else_is_computed_as_ever(record):
    recorded = Recorded(Function(), record)
    assert ask(recorded, 1.0, 2.0, 3.0, 4.0) == [3.0, 5.0, 7.0, 9.0]
    assert record.shapes == [(2, 3)]  # it is not tried again


def test_inputs_that_last_are_put_in_place_once_and_others_each_time():
    recorded = Recorded(lambda x, y: (2 * x + 1 + y,), Recorder(), lasting=1)
    here, there = torch.full((2, 3), 1.0), torch.full((2, 3), 2.0)
    with torch.inference_mode():
        found = [
            float(recorded(x, torch.full((2, 3), y))[0].mean())
            for x, y in [(here, 0.0), (here, 0.0), (here, 5.0), (there, 5.0), (here, 6.0)]
        ]
        assert found == [3.0, 3.0, 8.0, 10.0, 9.0]
        here.fill_(100.0)  # which nobody may do, and so tells that it was not looked at again
        assert float(recorded(here, torch.full((2, 3), 6.0))[0].mean()) == 9.0


def test_only_a_few_shapes_are_kept_and_a_single_picture_is_not_recorded():
    record = Recorder()
    recorded = Recorded(Function(), record)
    for side in range(1, 20):
        ask(recorded, 1.0, shape=(side, 1))
    assert record.shapes == []
    for side in range(1, 20):
        assert ask(recorded, 1.0, 2.0, shape=(side, 1)) == [3.0, 5.0]
    assert len(record.shapes) == 6


def test_recordings_are_given_back_where_memory_is_short():
    function, record = Function(), Recorder()
    recorded = Recorded(function, record)
    ask(recorded, 1.0, 2.0)

    def too_much():
        raise torch.OutOfMemoryError("CUDA out of memory")

    first_that_fits([too_much, lambda: None])
    calls = function.calls
    assert ask(recorded, 3.0) == [7.0]
    assert function.calls > calls


def test_nothing_is_recorded_while_something_learns():
    record = Recorder()
    recorded = Recorded(Function(), record)
    for _ in range(4):
        recorded(torch.ones(2, 2, requires_grad=True))[0].sum().backward()
    assert record.shapes == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_a_gpu_the_recorded_encoder_says_what_the_encoder_says():
    base = load_base_model().on("cuda")
    encoder = FrozenEncoder(base.sam.encoder)
    with torch.inference_mode():
        for seed in range(5):
            x = torch.randn(1, 3, 448, 448, generator=torch.Generator().manual_seed(seed)).cuda()
            found, expected = encoder.late(encoder.early(x)), encoder._late(encoder._early(x))
            assert float((found - expected).abs().max()) <= 0.02 * float(expected.abs().max())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("kind", ["click", "correction", "box"])
def test_on_a_gpu_the_recorded_decoder_says_what_the_decoder_says(kind):
    base = load_base_model().on("cuda")
    decoders = [decoder(base.sam, torch.bfloat16) for decoder in (PromptDecoder, RecordedDecoder)]
    generator = torch.Generator("cuda").manual_seed(0)
    for _ in range(2):
        embedding = torch.randn(1, 256, 64, 64, generator=generator, device="cuda")
        for _ in range(4):
            points = 1000 * torch.rand(
                1, 2 if kind == "correction" else 1, 2, generator=generator, device="cuda"
            )
            prompt = {"points": points, "labels": torch.ones(points.shape[:2], device="cuda")}
            if kind == "correction":
                prompt["masks"] = torch.randn(1, 1, 256, 256, generator=generator, device="cuda")
            if kind == "box":
                prompt = {"boxes": points.repeat(1, 1, 2)[:, 0]}
            with torch.inference_mode():
                expected, found = (d.answer(d.ground(embedding, projects=True), **prompt) for d in decoders)
            for one, other in zip(expected, found, strict=True):
                assert float((one - other).abs().max()) <= 0.02 * float(one.abs().max())
    recordings = [r for each in decoders[1]._recorded.values() for r in each._recordings.values()]
    assert recordings
    assert all(recordings)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_a_gpu_what_was_asked_for_answers_can_still_learn():
    with torch.inference_mode():
        base = load_base_model().on("cuda")
    assert base.on("cuda") is base
    assert not any(p.is_inference() for p in base.sam.parameters())
