"""Objects in their bounding boxes: right for any label image, and no dearer than the objects are large."""

from __future__ import annotations

import numpy as np
import pytest
from balls import balls
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_simmat import Annotator
from napari_simmat._annotator.windows import hull, window_of, windows_of
from napari_simmat.annotator import ArrayTarget
from napari_simmat.journal import Journal
from napari_simmat.journal.store import Store


@settings(deadline=None, max_examples=60)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.int32, np.int64, np.uint32]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.sampled_from([0, 1, 2, 5, 127, 255]),
    ),
    st.sampled_from([1, 2**24]),
)
def test_every_label_of_a_part_has_its_bounding_box(labels, factor):
    labels = labels if labels.dtype.itemsize < 8 else labels * factor
    rows, columns = labels.shape
    area = slice(rows // 3, rows), slice(0, columns - columns // 3)
    found = windows_of(labels, area)
    assert set(found) == set(np.unique(labels[area]).tolist())
    for label, window in found.items():
        inside = np.zeros(labels.shape, bool)
        inside[area] = labels[area] == label
        assert window == window_of(inside)


def test_a_hull_holds_all_boxes():
    assert hull([(slice(2, 4), slice(5, 6)), (slice(3, 9), slice(0, 2))]) == (slice(2, 9), slice(0, 6))


def grid(side=600, step=8):
    labels = np.zeros((side, side), np.int32)
    numbers = np.arange(1, (side // step) ** 2 + 1).reshape(side // step, -1)
    labels[: numbers.shape[0] * step, : numbers.shape[1] * step] = np.kron(
        numbers, np.ones((step, step), int)
    )
    labels[::step] = labels[:, ::step] = 0
    return labels


@pytest.fixture
def crowded(tmp_path):
    """An annotator of an image with 5,625 objects, and its journal."""
    from napari_simmat.images import as_image

    image = as_image(np.zeros((2, 600, 600), np.float32), channel_axis=0)
    journal = Journal(tmp_path)
    annotator = Annotator(journal=journal)
    annotator.image, annotator.book = image, None
    from napari_simmat._annotator.found import open_book

    annotator.book = open_book(image, journal, on_problem=pytest.fail).book
    return annotator, journal


def test_thousands_of_objects_of_another_layer_are_taken_over_with_one_write(crowded, monkeypatch):
    annotator, journal = crowded
    labels, written = grid(), []
    append = Store.append
    monkeypatch.setattr(
        Store,
        "append",
        lambda self, items: written.extend(len(step.changes) for _, step in items) or append(self, items),
    )
    annotator.attach(ArrayTarget(labels.copy()))
    assert written == [5625]
    assert len(annotator.objects) == 5625
    np.testing.assert_array_equal(annotator.labels, labels)
    records = journal.read(annotator.image).states
    assert len(records) == 5625
    for record in records[:: len(records) // 7]:
        np.testing.assert_array_equal(record.mask(labels.shape), labels == record.label)


def test_one_more_object_looks_at_its_own_pixels_and_no_others(crowded):
    annotator, _ = crowded
    annotator.attach(ArrayTarget(grid()))
    target = annotator.book.target
    touched = []
    setitem = target.data_setitem
    target.data_setitem = lambda where, value: touched.append(len(where[0])) or setitem(where, value)
    target.data[0:8, 0:8] = 0
    annotator.sync_labels()
    from napari_simmat.inference import Prompt

    mask = np.zeros((600, 600), bool)
    mask[0:9, 0:9] = True  # more than there is room
    number = annotator.book.accept(mask, label=None, prompt=Prompt(), adapter="")
    assert number == 5626
    assert touched == [int((annotator.labels == number).sum())]
    assert annotator.objects[number].window == (slice(0, 9), slice(0, 9))


def test_a_label_that_is_given_again_moves(crowded):
    annotator, _ = crowded
    from napari_simmat.inference import Prompt

    first, second = np.zeros((600, 600), bool), np.zeros((600, 600), bool)
    first[10:20, 10:20] = second[100:130, 200:210] = True
    book = annotator.book
    book.accept(first, label=7, prompt=Prompt(), adapter="")
    book.accept(second, label=7, prompt=Prompt(), adapter="")
    np.testing.assert_array_equal(book.known == 7, second)
    np.testing.assert_array_equal(book.target.data == 7, second)
    (correction,) = [each for each in book.corrections() if each.label == 7]
    np.testing.assert_array_equal(correction.mask, second)


def test_balls_are_still_balls():
    """The same through the annotator, with a mask of the model."""
    annotator = Annotator(balls())
    annotator.click(30, 34)
    mask = annotator.answer.mask
    assert annotator.accept() == 1
    np.testing.assert_array_equal(annotator.labels == 1, mask)
