"""Device, precision and threads: what is chosen, who overrules it, and what happens where memory is short."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from balls import BALLS, ball, balls, iou

from napari_simmat import Annotator, Segmenter
from napari_simmat.errors import SimmatError
from napari_simmat.inference import compute as module
from napari_simmat.inference import first_that_fits
from napari_simmat.inference.cache import forget
from napari_simmat.inference.compute import (
    DEVICE_VARIABLE,
    PRECISION_VARIABLE,
    THREADS_VARIABLE,
    Choice,
    choose,
    chosen,
    describe_device,
    device_choice,
    take_threads,
    threads,
    uses_bfloat16,
)
from napari_simmat.models import BaseModel
from napari_simmat.training import Corrections, Settings, deep

pytestmark = pytest.mark.full_size


@pytest.fixture(autouse=True)
def nobody_chose(monkeypatch):
    monkeypatch.setattr(module, "_choice", Choice())
    for name in (DEVICE_VARIABLE, PRECISION_VARIABLE, THREADS_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    forget()


@pytest.fixture
def full_gpu(monkeypatch):
    """A GPU that is there and has no memory left; lists who asked for it."""
    asked, on = [], BaseModel.on

    def move(self, device):
        if torch.device(device).type == "cuda":
            asked.append(str(device))
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return on(self, device)

    monkeypatch.setattr(BaseModel, "on", move)
    return asked


def test_choices_go_before_variables_and_these_before_what_is_found(monkeypatch):
    assert device_choice() == module.devices()[0]
    assert uses_bfloat16("cpu") == module.pays_bfloat16("cpu")
    assert threads() == torch.get_num_threads()
    monkeypatch.setenv(DEVICE_VARIABLE, "cuda:1")
    monkeypatch.setenv(PRECISION_VARIABLE, "float32")
    monkeypatch.setenv(THREADS_VARIABLE, "3")
    assert (device_choice(), uses_bfloat16("cpu"), threads()) == ("cuda:1", False, 3)
    choose(device="cpu", precision="bfloat16")
    choose(threads=5)
    assert chosen() == Choice("cpu", "bfloat16", 5)
    assert describe_device(torch.device("cpu")) == "CPU, 5 threads, bfloat16"
    choose(device=None, precision=None, threads=None)
    assert device_choice() == "cuda:1"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        (DEVICE_VARIABLE, "tpu", "device to compute with is 'tpu', expected cpu, cuda or mps"),
        (PRECISION_VARIABLE, "fp16", "precision to compute with is 'fp16', expected bfloat16 or float32"),
        (THREADS_VARIABLE, "0", "number of threads to compute with is 0, expected 1 or more"),
        (THREADS_VARIABLE, "many", "number of threads to compute with is 'many', expected 1 or more"),
    ],
)
def test_what_is_told_wrongly_is_said(monkeypatch, variable, value, sentence):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SimmatError, match=sentence):
        chosen()


def test_each_thread_takes_its_own_number_of_threads():
    choose(threads=2)
    found = {}

    def compute(name, spare):
        take_threads(spare=spare)
        barrier.wait()
        found[name] = torch.get_num_threads()

    barrier = threading.Barrier(2)
    own = torch.get_num_threads()
    workers = [threading.Thread(target=compute, args=each) for each in (("learning", 1), ("answering", 0))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == {"learning": 1, "answering": 2}
    assert torch.get_num_threads() == own


def test_another_precision_gives_another_embedding_and_almost_the_same_mask():
    image, click = balls(), BALLS[1][:2]
    choose(precision="float32")
    fine = Segmenter(image)
    fine_mask = fine.predict([click])[0]
    choose(precision="bfloat16")
    coarse = Segmenter(image)
    assert not torch.equal(fine._ground.places.float(), coarse._ground.places.float())
    assert iou(fine_mask, coarse.predict([click])[0]) > 0.97


def test_the_first_way_for_which_there_is_memory_is_gone():
    def too_much():
        raise torch.OutOfMemoryError("CUDA out of memory")

    def mps():
        raise RuntimeError("MPS backend out of memory (MPS allocated: 5 GB)")

    def wrong():
        raise RuntimeError("shapes do not fit")

    assert first_that_fits([too_much, mps, lambda: "done"]) == ("done", 2)
    assert first_that_fits([lambda: "at once", wrong]) == ("at once", 0)
    with pytest.raises(RuntimeError, match="shapes"):
        first_that_fits([wrong, lambda: "never"])
    with pytest.raises(torch.OutOfMemoryError):
        first_that_fits([too_much, too_much])


def test_an_image_for_which_the_gpu_has_no_room_is_answered_on_the_cpu(full_gpu):
    expected = Segmenter(balls(), device="cpu").predict([BALLS[1][:2]])[0]
    segmenter = Segmenter(balls(), device="cuda")
    assert full_gpu == ["cuda"]
    assert segmenter.device.type == "cpu"
    assert "no memory left" in segmenter.note
    np.testing.assert_array_equal(segmenter.predict([BALLS[1][:2]])[0], expected)


def test_before_that_the_gpu_looks_at_a_smaller_picture(monkeypatch):
    settle, asked = Segmenter._settle, []

    def small_gpu(self, device, side, keep):
        asked.append((device, side))
        if device == "cuda" and side > 800:
            raise torch.OutOfMemoryError("CUDA out of memory")
        settle(self, "cpu", side, keep)  # the place that has room: there need not be a GPU here

    monkeypatch.setattr(Segmenter, "_settle", small_gpu)
    segmenter = Segmenter(balls(), device="cuda", may_shrink=True)
    assert asked == [("cuda", 1024), ("cuda", 672)]
    assert segmenter.frame.side == 672
    assert "looks at it at 672 pixels" in segmenter.note
    assert iou(segmenter.predict([BALLS[1][:2]])[0], ball(1)) > 0.8
    asked.clear()
    Segmenter(balls(), device="cuda", draft=True)
    assert asked == [("cuda", 448)]
    asked.clear()
    Segmenter(balls(), device="cuda")  # what is judged is judged at one size
    assert asked == [("cuda", 1024), ("cpu", 1024)]


def test_people_are_told_once_and_lose_nothing(full_gpu):
    annotator, told = Annotator(device="cuda"), []
    annotator.problem.connect(told.append)
    annotator.set_image(balls())
    for number in (1, 2):
        annotator.click(*BALLS[number][:2])
        annotator.accept()
    assert sorted(annotator.objects) == [1, 2]
    assert len(told) == 1
    assert "answers on the CPU" in told[0]


def test_a_training_for_which_the_gpu_has_no_room_takes_fewer_clicks_then_the_cpu(full_gpu):
    corrections = Corrections.from_labels(balls(), ball(1).astype(int))  # one alone is judged by nobody
    steps = []
    _, report = deep(
        corrections,
        device="cuda",
        settings=Settings(steps=2),
        on_step=lambda step, total, loss: steps.append((step, total)),
    )
    assert len(full_gpu) == 2
    assert report.device.startswith("CPU")
    assert report.reason.endswith("The GPU had too little memory, so it was trained on the CPU.")
    assert steps == [(1, 2), (2, 2)]
