"""An image keeps what the sensor saw and refuses what no sensor sees."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_simmat.errors import AmbiguousAxesError, ImageError
from napari_simmat.images import Channel, MultiChannelImage, as_image
from napari_simmat.images import opened as opened_module
from napari_simmat.images.opened import Opened
from napari_simmat.images.raw import Raw


def test_the_room_opens_without_torch_qt_or_napari():
    code = (
        "import sys, napari_simmat.images, napari_simmat.images.simulate\n"
        "print([m for m in ('torch', 'qtpy', 'napari', 'vispy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("dtype", ["?", "u1", "i1", ">u2", "<i2", ">u4", "<u8", "f2", ">f4", "f8"])
def test_any_real_type_is_kept_in_the_byte_order_of_the_machine(dtype):
    data = np.arange(24).reshape(2, 3, 4).astype(dtype)
    image = MultiChannelImage(data)
    assert image.data.dtype == np.dtype(dtype).newbyteorder("=")
    assert image.data.dtype.isnative
    assert np.array_equal(image.data, data)


@pytest.mark.parametrize("dtype", ["complex64", "object", "U3", "datetime64[s]"])
def test_types_that_are_no_measurement_are_refused(dtype):
    with pytest.raises(ImageError, match="expected"):
        MultiChannelImage(np.zeros((1, 2, 2), dtype))


@pytest.mark.parametrize("shape", [(4, 4), (1, 2, 3, 4), (0, 4, 4), (1, 0, 4)])
def test_shapes_that_are_no_image_are_refused(shape):
    with pytest.raises(ImageError, match="expected"):
        MultiChannelImage(np.zeros(shape))


def test_channels_are_counted_and_named():
    image = MultiChannelImage(np.zeros((3, 4, 5)))
    assert [channel.name for channel in image.channels] == ["channel 0", "channel 1", "channel 2"]
    assert (image.n_channels, image.shape, image.modality) == (3, (4, 5), "generic")
    with pytest.raises(ImageError, match="2 channels are described but the pixels hold 3"):
        MultiChannelImage(np.zeros((3, 4, 5)), (Channel("a"), Channel("b")))


def test_an_unknown_modality_is_refused_with_the_known_ones():
    with pytest.raises(ImageError, match=r"'x-ray'.*generic, rgb, rgb"):
        MultiChannelImage(np.zeros((1, 2, 2)), modality="x-ray")


def test_nobody_can_change_the_pixels_through_the_image_and_the_caller_keeps_his_rights():
    data = np.zeros((1, 2, 2))
    image = MultiChannelImage(data)
    with pytest.raises(ValueError, match="read-only"):
        image.data[0, 0, 0] = 1
    data[0, 0, 0] = 1


def test_the_content_key_is_of_pixels_shape_and_type_only():
    data = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    key = MultiChannelImage(data).content_key()
    assert MultiChannelImage(data.copy(), name="other", modality="nir").content_key() == key
    assert MultiChannelImage(np.asfortranarray(data)).content_key() == key
    assert MultiChannelImage(data.astype(np.uint16)).content_key() != key
    assert MultiChannelImage(data.reshape(3, 2, 4)).content_key() != key
    changed = data.copy()
    changed[1, 2, 3] += 1
    assert MultiChannelImage(changed).content_key() != key


def test_the_name_is_the_stem_of_the_file():
    image = MultiChannelImage(np.zeros((1, 2, 2)), source=Path("plate_7.ome.tif"))
    assert image.name == "plate_7"


def test_other_words_leave_the_pixels_alone():
    image = MultiChannelImage(np.zeros((2, 2, 2)))
    renamed = image.with_channels([Channel("red", role="red"), Channel("nir", role="nir")])
    renamed = renamed.with_modality("nir")
    assert renamed.roles == ("red", "nir")
    assert renamed.modality == "nir"
    assert renamed.content_key() == image.content_key()


def test_two_axes_are_one_channel():
    assert as_image(np.zeros((5, 7))).data.shape == (1, 5, 7)


@pytest.mark.parametrize("shape", [(1, 5, 7), (5, 7, 1)])
def test_an_axis_of_length_one_at_either_end_is_a_single_channel(shape):
    assert as_image(np.zeros(shape)).data.shape == (1, 5, 7)


def test_an_8_bit_array_with_a_last_axis_of_three_is_a_colour_picture_and_says_so():
    image = as_image(np.zeros((50, 70, 3), np.uint8))
    assert image.data.shape == (3, 50, 70)
    assert image.roles == ("red", "green", "blue")
    assert image.modality == "rgb"
    assert "red, green and blue" in image.assumptions[0]


@pytest.mark.parametrize(
    ("shape", "dtype", "first"),
    [
        ((5, 100, 120), "u1", 0),
        ((100, 120, 5), "u1", 2),
        ((100, 120, 3), "u2", 2),
        ((3, 100, 120), "u1", 0),
        ((100, 120, 4), "u1", 2),
        ((5, 1, 1), "u1", 2),
        ((64, 64, 64), "u1", 0),
    ],
)
def test_all_other_arrays_of_three_axes_are_asked_about(shape, dtype, first):
    with pytest.raises(AmbiguousAxesError, match="give the channel axis") as caught:
        as_image(np.zeros(shape, dtype))
    assert caught.value.shape == shape
    assert caught.value.candidates[0] == first
    assert sorted(caught.value.candidates) == [0, 1, 2]


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_the_word_of_the_user_decides(axis):
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert np.array_equal(as_image(array, channel_axis=axis).data, np.moveaxis(array, axis, 0))


def test_candidates_count_axes_of_the_array_as_it_is():
    array = np.zeros((1, 5, 100, 120))
    with pytest.raises(AmbiguousAxesError) as caught:
        as_image(array)
    assert caught.value.candidates[0] == 1
    assert as_image(array, channel_axis=caught.value.candidates[0]).data.shape == (5, 100, 120)


@pytest.mark.parametrize(
    ("shape", "axis", "words"),
    [
        ((5, 6, 7), 3, "has no axis 3"),
        ((5, 6), 0, "single channel"),
        ((2, 3, 4, 5, 6, 7), 0, "leaves 5 axes"),
        ((5,), None, "expected an image"),
        ((), None, "expected an image"),
    ],
)
def test_arrays_that_cannot_be_one_image_are_refused(shape, axis, words):
    with pytest.raises(ImageError, match=words) as caught:
        as_image(np.zeros(shape), channel_axis=axis)
    assert not isinstance(caught.value, AmbiguousAxesError)


def test_names_give_roles_and_modality():
    array = np.zeros((4, 5, 6))
    image = as_image(array, channel_axis=0, names=["R", "G", "B", "thermal"])
    assert image.roles == ("red", "green", "blue", "thermal")
    assert image.modality == "rgb+x"
    assert as_image(array[:2], channel_axis=0, names=["Red", "NIR"]).modality == "nir"
    assert as_image(array[:2], channel_axis=0, names=["B", "CD45"]).roles == ("", "")
    with pytest.raises(ImageError, match="3 names are given for 4 channels"):
        as_image(array, channel_axis=0, names=["a", "b", "c"])


def test_a_modality_that_the_channels_cannot_have_is_refused():
    with pytest.raises(ImageError, match=r"has 2 channels.*exactly three"):
        as_image(np.zeros((2, 5, 6)), channel_axis=0, modality="rgb")
    with pytest.raises(ImageError, match=r"has 3 channels.*at least four"):
        as_image(np.zeros((3, 5, 6)), channel_axis=0, modality="rgb+x")


def test_the_quick_key_tells_apart_what_the_lasting_one_does():
    data = (
        np.random.default_rng(0).integers(0, 200, (3, 700, 801)).astype(np.uint8)
    )  # more than one piece a channel
    image = MultiChannelImage(data)
    assert image.pixel_key() == MultiChannelImage(np.asfortranarray(data), name="other").pixel_key()
    changed = data.copy()
    changed[2, 699, 800] += 1
    others = [
        MultiChannelImage(changed),
        MultiChannelImage(data[[1, 0, 2]]),
        MultiChannelImage(data.astype(np.uint16)),
        MultiChannelImage(data.reshape(3, 801, 700)),
        MultiChannelImage(data[:2]),
        image.window(0, 0, 700, 800),
        image.window(0, 1, 700, 801),
    ]
    assert len({each.pixel_key() for each in (image, *others)}) == 1 + len(others)


def old_key(array):
    """The key of the journals of the first release, over the pixels as they are stored."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{array.dtype.name} {array.shape}".encode())
    for channel in array:
        digest.update(np.ascontiguousarray(channel).data)
    return digest.hexdigest()


def test_an_image_stays_the_same_whatever_its_numbers_are_taken_for(tmp_path):
    frame = np.random.default_rng(0).integers(0, 4000, (1, 8, 12)).astype("u2")
    opened = Opened(Raw(frame[0], "YX"), "frame", "frame")
    images = [opened.image(sample_format=key) for key in ("as stored", "mosaic 90-45-135-0", "centikelvin")]
    assert {image.identity for image in images} == {old_key(frame)}
    assert len({image.content_key() for image in images}) == 3
    assert images[0].content_key() == old_key(frame)
    windows = [image.window(2, 2, 6, 8) for image in images]
    assert len({window.identity for window in windows}) == 1
    assert windows[0].identity not in {images[0].identity, images[0].window(2, 3, 6, 9).identity}
    assert replace(images[1], data=images[1].data[:, ::2], levels=()).identity != images[1].identity


def test_sample_formats_of_a_lazy_mosaic_have_keys_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(opened_module, "IN_MEMORY_BYTES", 10)
    frame = np.random.default_rng(0).integers(0, 4000, (1, 32, 40)).astype("u2")
    opened = Opened(Raw(da.from_array(frame, chunks=(1, 16, 40)), "CYX"), "frame", "frame")
    formats = ("mosaic 90-45-135-0", "mosaic 0-45-135-90", "mosaic 45-0-90-135")
    images = [opened.image(sample_format=key) for key in formats]
    assert all(image.is_lazy for image in images)
    assert len({image.content_key() for image in images}) == 3
    assert {image.identity for image in images} == {opened.image(sample_format="as stored").identity}


def test_parts_of_a_lazy_file_are_different_images():
    empty = da.zeros((1, 32, 40), chunks=16)
    one, two = (Opened(Raw(empty, "CYX", parts=("a", "b"), part=part), "x", "x").image() for part in "ab")
    big = [replace(image, data=empty) for image in (one, two)]
    assert big[0].identity != big[1].identity
