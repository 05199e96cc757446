"""Embeddings in memory and on disk: what is encoded again, and what is not."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from napari_simmat import Adapter, Segmenter, finetune
from napari_simmat.errors import SimmatError
from napari_simmat.images import as_image
from napari_simmat.inference import kept as module
from napari_simmat.inference.cache import EMBEDDINGS, forget
from napari_simmat.inference.frozen import FrozenEncoder
from napari_simmat.inference.kept import SIZE_VARIABLE, KeptEmbeddings, kept_embeddings
from napari_simmat.training import Settings


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path))
    monkeypatch.setenv(SIZE_VARIABLE, "100")
    forget()
    yield tmp_path / "cache" / "embeddings"
    forget()


@pytest.fixture
def work(monkeypatch):
    """What the encoder does, one word for each call of one of its halves."""
    done: list[str] = []
    for half in ("early", "late"):
        own = getattr(FrozenEncoder, half)
        monkeypatch.setattr(
            FrozenEncoder, half, lambda self, x, own=own, half=half: done.append(half) or own(self, x)
        )
    return done


def image(seed=0, n_channels=3):
    return as_image(np.random.default_rng(seed).random((n_channels, 60, 80), np.float32), channel_axis=0)


def test_an_image_that_was_opened_before_is_not_encoded_again(home, work):
    first = Segmenter(image(), keep=True)
    assert work == ["early", "late"]
    forget()  # another session
    again = Segmenter(image(), keep=True)
    assert work == ["early", "late"]
    assert torch.equal(first._ground.places, again._ground.places)
    np.testing.assert_array_equal(first.predict([(30, 40)])[0], again.predict([(30, 40)])[0])
    # Laid out otherwise sums are rounded otherwise, and on some images masks are not the same to the last pixel.
    assert first._ground.embedding.stride() == again._ground.embedding.stride()
    assert kept_embeddings().size()[0] == 1


def test_nothing_is_kept_of_what_nobody_will_come_back_to(home, work):
    Segmenter(image())
    assert kept_embeddings().size() == (0, 0)


@pytest.mark.parametrize(
    "other",
    [
        lambda: Segmenter(image(1), keep=True),
        lambda: Segmenter(image(), adapter=Adapter.untrained(image(), mat="mat-paper"), keep=True),
        lambda: Segmenter(image(), blank=(1,), keep=True),
        lambda: Segmenter(as_image(image().data[::-1], channel_axis=0), keep=True),
        lambda: Segmenter(image().window(0, 0, 60, 79), keep=True),
    ],
    ids=["pixels", "adapter", "channels left out", "order of channels", "window"],
)
def test_what_the_embedding_depends_on_is_encoded_anew(home, work, other):
    Segmenter(image(), keep=True)
    other()
    assert work == ["early", "late"] * 2
    assert kept_embeddings().size()[0] == 2


def test_what_was_computed_in_another_precision_or_by_another_version_is_not_used(home, work, monkeypatch):
    Segmenter(image(), keep=True)
    forget()
    monkeypatch.setattr("napari_simmat.inference.cache._VERSION", 99)
    Segmenter(image(), keep=True)
    assert work == ["early", "late"] * 2


def test_an_adapter_that_learnt_in_late_layers_begins_at_the_early_features(home, work):
    picture = image()
    labels = np.zeros(picture.shape, int)
    labels[20:50, 20:50] = 1
    start = Segmenter(picture)
    learnt = finetune([(picture, labels)], mode="quick", settings=Settings(steps=2), gate=False)
    work.clear()
    trained = Segmenter(picture, adapter=learnt)
    assert work == ["late"]
    assert not torch.equal(trained._ground.places, start._ground.places)
    forget()
    assert torch.equal(Segmenter(picture, adapter=learnt)._ground.places, trained._ground.places)


def test_an_adapter_that_learnt_in_the_decoder_alone_takes_the_embedding_as_it_is(home, work):
    picture = image()
    start = Adapter.untrained(picture)
    Segmenter(picture, adapter=start)
    other = Adapter(
        start.profile, start.card, start.tensors | {"token.mask_decoder.iou_token": torch.ones(1, 256)}
    )
    work.clear()
    Segmenter(picture, adapter=other)
    assert work == []


def test_a_damaged_file_is_removed_and_the_image_encoded(home, work):
    Segmenter(image(), keep=True)
    (path,) = home.iterdir()
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], b"<html>", os.urandom(len(whole))):
        path.write_bytes(content)
        forget()
        work.clear()
        Segmenter(image())
        assert work == ["early", "late"]
        assert not path.exists()


def test_the_folder_holds_no_more_than_it_may_and_loses_what_was_not_used_for_longest(tmp_path):
    kept = KeptEmbeddings(tmp_path, 3 * 5000)
    embedding = torch.arange(4096, dtype=torch.float32).view(1, 4, 32, 32) % 100
    for number, key in enumerate("abc"):
        assert kept.write((key,), embedding)
        os.utime(kept._path((key,)), ns=(number, number))
    assert kept.size()[0] == 1  # 8 kB each in bfloat16
    kept = KeptEmbeddings(tmp_path, 3 * 8300)
    for number, key in enumerate("abc"):
        kept.write((key,), embedding)
        os.utime(kept._path((key,)), ns=(number, number))
    assert kept.read(("a",)).equal(embedding)  # used just now
    kept.write(("d",), embedding)
    assert [key for key in "abcd" if (key,) in kept] == ["a", "c", "d"]
    assert kept.size()[1] <= kept.max_bytes
    (tmp_path / "cut short.part").write_bytes(bytes(100))
    assert kept.clear() > 3 * 8000
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_bfloat16_would_change_stay_as_they_are(tmp_path):
    kept = KeptEmbeddings(tmp_path, 10**6)
    fine = torch.full((1, 2, 3, 3), 1 + 2.0**-20)
    kept.write(("x",), fine)
    assert kept.read(("x",)).equal(fine)


def test_a_full_disk_or_a_folder_that_cannot_be_written_costs_time_and_nothing_else(home, work, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "replace", full)
    segmenter = Segmenter(image(), keep=True)
    assert segmenter.predict([(30, 40)])[0].shape == (60, 80)
    assert list(home.iterdir()) == []
    monkeypatch.setattr(module.tempfile, "mkstemp", full)
    Segmenter(image(1), keep=True)
    monkeypatch.setattr(module, "cache_folder", full)
    Segmenter(image(2), keep=True)


def test_keeping_can_be_switched_off_and_what_is_told_wrongly_is_said(home, monkeypatch):
    monkeypatch.setenv(SIZE_VARIABLE, "0")
    assert kept_embeddings() is None
    Segmenter(image(), keep=True)
    assert not home.exists()
    for wrong in ("much", "-1", "nan"):
        monkeypatch.setenv(SIZE_VARIABLE, wrong)
        with pytest.raises(SimmatError, match=f"is '{wrong}', expected a number of megabytes"):
            kept_embeddings()


def test_memory_is_looked_at_before_the_disk(home, work):
    Segmenter(image(), keep=True)
    (path,) = home.iterdir()
    path.unlink()
    Segmenter(image())
    assert work == ["early", "late"]
    EMBEDDINGS.clear()
    Segmenter(image())
    assert work == ["early", "late", "late"]  # the early features are still there
