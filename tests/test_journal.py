from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from napari_simmat.journal import Entry, Journal, decode_mask, encode_mask


def _disc(shape=(40, 60), centre=(12, 20), radius=7):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def _entry(label=1, mask=None, **more):
    return Entry(
        event="object", image="abc", label=label, rle=encode_mask(_disc() if mask is None else mask), **more
    )


@pytest.mark.parametrize(
    "mask",
    [
        _disc(),
        np.zeros((5, 7), bool),
        np.ones((5, 7), bool),
        np.eye(9, dtype=bool),
        np.array([[True, False, False]]),
        np.array([[False, False, True]]),
        np.array([[False], [True], [False]]),
        np.random.default_rng(0).random((31, 17)) > 0.5,
    ],
    ids=["disc", "empty", "full", "diagonal", "left", "right", "column", "noise"],
)
def test_run_lengths_are_those_of_pycocotools(mask):
    expected = coco.encode(np.asfortranarray(mask.astype(np.uint8)))

    rle = encode_mask(mask)

    assert rle == {"size": list(expected["size"]), "counts": expected["counts"].decode()}
    np.testing.assert_array_equal(decode_mask(rle), mask)


def test_an_accepted_object_comes_back_with_its_clicks(tmp_path):
    journal = Journal(tmp_path)
    journal.write(_entry(3, prompt={"points": [[12, 20]], "labels": [1]}))

    (record,) = Journal(tmp_path).read("abc").records

    assert (record.label, record.source) == (3, "clicks")
    assert record.prompt == {"points": [[12, 20]], "labels": [1]}
    np.testing.assert_array_equal(record.mask, _disc())


def test_the_last_word_on_a_label_holds(tmp_path):
    journal = Journal(tmp_path)
    edited = _disc(radius=9)
    journal.write(_entry(1))
    journal.write(_entry(2))
    journal.write(_entry(1, mask=edited, source="brush"))
    journal.write(Entry(event="erased", image="abc", label=2))

    story = journal.read("abc")

    assert [(r.label, r.source) for r in story.records] == [(1, "brush")]
    np.testing.assert_array_equal(story.records[0].mask, edited)
    assert story.highest_label == 2


def test_an_image_never_seen_has_an_empty_story(tmp_path):
    story = Journal(tmp_path).read("never")

    assert story.records == ()
    assert story.problems == ()


@pytest.mark.parametrize("keep", [1, 20, -1])
def test_a_line_that_a_crash_cut_short_is_left_out_and_reported(tmp_path, keep):
    journal = Journal(tmp_path)
    journal.write(_entry(1))
    whole = journal.path("abc").read_bytes()
    journal.write(_entry(2))
    second = journal.path("abc").read_bytes()[len(whole) :]
    journal.path("abc").write_bytes(whole + second.rstrip(b"\n")[:keep])

    story = journal.read("abc")

    assert [r.label for r in story.records] == [1]
    assert story.problems == (
        "1 line of the journal abc.jsonl could not be read and was left out; all others are back.",
    )


def test_what_is_written_after_a_crash_does_not_run_into_the_torn_line(tmp_path):
    journal = Journal(tmp_path)
    journal.write(_entry(1))
    path = journal.path("abc")
    path.write_bytes(path.read_bytes() + b'{"version":1,"eve')

    journal.write(_entry(2))

    assert [r.label for r in journal.read("abc").records] == [1, 2]


def test_damage_in_the_middle_costs_only_the_damaged_line(tmp_path):
    journal = Journal(tmp_path)
    for label in (1, 2, 3):
        journal.write(_entry(label))
    lines = journal.path("abc").read_bytes().splitlines(keepends=True)
    journal.path("abc").write_bytes(lines[0] + b"\x00\xff rubbish \n" + lines[2])

    assert [r.label for r in journal.read("abc").records] == [1, 3]


def test_the_journal_lies_where_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_SIMMAT_HOME", str(tmp_path))

    Journal().write(_entry())

    assert [p.name for p in Path(tmp_path).rglob("*.jsonl")] == ["abc.jsonl"]
