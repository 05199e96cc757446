"""A file says where its channels are, or the user is asked; nothing is guessed."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_simmat.errors import AmbiguousAxesError, ImageError
from napari_simmat.images import open_file, open_image, open_labels
from napari_simmat.images.roles import EIGHT_BITS


@pytest.fixture
def path(tmp_path):
    return tmp_path / "field 7.tif"


def counting(*shape, dtype="u2"):
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def ome(path, array, axes="CYX", **metadata):
    tifffile.imwrite(path, array, ome=True, photometric="minisblack", metadata={"axes": axes, **metadata})


def test_tifffiles_own_axes_are_followed(path):
    array = counting(5, 30, 40)
    tifffile.imwrite(path, array, photometric="minisblack", metadata={"axes": "CYX"})
    image = open_image(path)
    assert np.array_equal(image.data, array)
    assert (image.name, image.source, image.modality, image.assumptions) == ("field 7", path, "generic", ())


def test_names_in_tifffiles_own_metadata_are_taken_over(path):
    metadata = {"axes": "CYX", "channel_names": ["red", "NIR"]}
    tifffile.imwrite(path, counting(2, 30, 40), photometric="minisblack", metadata=metadata)
    image = open_image(path)
    assert [channel.name for channel in image.channels] == ["red", "NIR"]
    assert image.modality == "nir"


def test_imagej_channels_are_found_with_their_labels_and_pixel_size(path):
    metadata = {"axes": "CYX", "Labels": ["DAPI", "GFP"], "unit": "um"}
    tifffile.imwrite(path, counting(2, 30, 40), imagej=True, metadata=metadata, resolution=(4, 2))
    image = open_image(path)
    assert [channel.name for channel in image.channels] == ["DAPI", "GFP"]
    assert image.pixel_size == pytest.approx((0.5, 0.25))
    assert image.pixel_unit == "µm"


def test_ome_names_wavelengths_and_pixel_size_are_taken_over(path):
    channels = {
        "Name": ["Red", "", "NIR"],
        "EmissionWavelength": [0.65, 540, 840],
        "EmissionWavelengthUnit": ["µm", "nm", "nm"],
    }
    sizes = {
        "PhysicalSizeX": 0.5,
        "PhysicalSizeXUnit": "mm",
        "PhysicalSizeY": 0.25,
        "PhysicalSizeYUnit": "mm",
    }
    array = counting(3, 30, 40)
    ome(path, array, Channel=channels, **sizes)
    image = open_image(path)
    assert np.array_equal(image.data, array)
    assert [channel.name for channel in image.channels] == ["Red", "channel 1", "NIR"]
    assert [channel.wavelength_nm for channel in image.channels] == pytest.approx([650, 540, 840])
    assert image.roles == ("red", "", "nir")
    assert (image.pixel_size, image.pixel_unit) == ((0.25, 0.5), "mm")


def test_ome_axes_of_length_one_are_dropped(path):
    ome(path, counting(1, 3, 1, 30, 40), "TCZYX")
    assert open_image(path).data.shape == (3, 30, 40)


def test_ome_colour_samples_in_several_channels_are_all_channels(path):
    array = counting(2, 30, 40, 3, dtype="u1")
    tifffile.imwrite(path, array, ome=True, photometric="rgb", metadata={"axes": "CYXS"})
    image = open_image(path)
    assert image.data.shape == (6, 30, 40)
    assert np.array_equal(image.data[4], array[1, :, :, 1])


@pytest.mark.parametrize(("planar", "shape"), [("contig", (30, 40, 5)), ("separate", (5, 30, 40))])
def test_the_samples_of_a_pixel_are_its_channels(path, planar, shape):
    array = counting(*shape)
    tifffile.imwrite(path, array, photometric="minisblack", planarconfig=planar, metadata=None)
    image = open_image(path)
    assert np.array_equal(image.data, np.moveaxis(array, -1, 0) if planar == "contig" else array)


def test_a_colour_tiff_is_a_colour_picture(path):
    array = counting(30, 40, 3, dtype="u1")
    tifffile.imwrite(path, array, photometric="rgb")
    image = open_image(path)
    assert (image.modality, image.roles) == ("rgb", ("red", "green", "blue"))
    assert np.array_equal(image.data, np.moveaxis(array, -1, 0))


def test_a_fourth_sample_that_is_no_opacity_is_a_channel(path):
    tifffile.imwrite(path, counting(30, 40, 4), photometric="rgb", extrasamples=["unspecified"])
    image = open_image(path)
    assert (image.n_channels, image.modality, image.roles) == (4, "rgb+x", ("red", "green", "blue", ""))


def test_opacity_is_left_out_and_said_unless_the_user_wants_it(path):
    tifffile.imwrite(path, counting(30, 40, 4), photometric="rgb", extrasamples=["unassalpha"])
    image = open_image(path)
    assert (image.n_channels, image.modality) == (3, "rgb")
    assert "opacity" in image.assumptions[0]
    everything = open_image(path, channel_axis=2)
    assert (everything.n_channels, everything.assumptions) == (4, ())


def test_palette_images_are_colours_to_look_at_and_numbers_as_labels(path):
    numbers = counting(30, 40, dtype="u1") % 3
    colours = np.zeros((3, 256), "u2")
    colours[:, :3] = [[0, 255 * 257, 0], [0, 0, 128 * 257], [0, 0, 7 * 257]]
    tifffile.imwrite(path, numbers, photometric="palette", colormap=colours)
    image = open_image(path)
    assert (image.data.dtype, image.modality) == (np.uint8, "rgb")
    assert image.data[:, 0, 2].tolist() == [0, 128, 7]
    assert "palette" in image.assumptions[0]
    assert np.array_equal(open_labels(path), numbers)


@pytest.mark.parametrize(
    ("options", "axes"),
    [
        ({"metadata": {"axes": "QYX"}}, "QYX"),
        ({"metadata": {"axes": "IYX"}}, "IYX"),
        ({}, "QYX"),
        ({"metadata": None}, "IYX"),
    ],
)
def test_pages_of_unknown_meaning_are_asked_about(path, options, axes):
    array = counting(5, 30, 40)
    tifffile.imwrite(path, array, photometric="minisblack", **options)
    with pytest.raises(AmbiguousAxesError, match=r"field 7\.tif does not say") as caught:
        open_image(path)
    assert (caught.value.axes, caught.value.shape, caught.value.candidates) == (axes, (5, 30, 40), (0,))
    assert np.array_equal(open_image(path, channel_axis=0).data, array)


@pytest.mark.parametrize(("axes", "word"), [("ZYX", "depth"), ("TYX", "time")])
def test_a_slice_of_a_stack_is_an_image_unless_the_user_knows_better(path, axes, word):
    array = counting(5, 30, 40)
    tifffile.imwrite(path, array, imagej=True, metadata={"axes": axes})
    image = open_image(path)
    assert np.array_equal(image.data, array[:1])
    assert f"stack of 5 slices over {word}" in image.assumptions[0]
    assert "channel axis 0" in image.assumptions[0]
    assert np.array_equal(open_image(path, channel_axis=0).data, array)


def test_each_slice_of_a_stack_of_multi_channel_images_can_be_had(path):
    array = counting(4, 3, 2, 30, 40)
    ome(path, array, "TZCYX")
    opened = open_file(path)
    assert opened.stack() == {"T": 4, "Z": 3}
    image = opened.image(index=(2, 1))
    assert np.array_equal(image.data, array[2, 1])
    assert image.name.endswith("T2 Z1")
    assert not image.assumptions
    assert image.content_key() != opened.image(index=(2, 2)).content_key()
    with pytest.raises(ImageError, match=r"no slice \(4, 0\).*T=4, Z=3"):
        opened.image(index=(4, 0))
    tifffile.imwrite(path, counting(4, 30, 40, 3, dtype="u1"), photometric="rgb")
    with pytest.raises(ImageError, match="several images"):
        open_image(path)


def test_of_several_images_in_a_file_the_first_is_opened_and_said(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(counting(30, 40), metadata=None)
        writer.write(counting(3, 4), metadata=None)
    image = open_image(path)
    assert image.data.shape == (1, 30, 40)
    assert "first of 2" in image.assumptions[0]


@pytest.mark.parametrize("shape", [(5, 1, 1), (5, 1, 40), (5, 40, 1), (1, 1, 1)])
def test_tiny_images_keep_their_channels(path, shape):
    array = counting(*shape)
    tifffile.imwrite(path, array, photometric="minisblack", metadata={"axes": "CYX"})
    assert np.array_equal(open_image(path).data, array)
    ome(path, array)
    assert np.array_equal(open_image(path).data, array)


@pytest.mark.parametrize("dtype", ["?", "u1", ">u2", "u4", "i2", "i8", "f2", ">f4", "f8"])
def test_all_real_types_come_through_a_tiff(path, dtype):
    array = (counting(2, 30, 40, dtype="u1") % 2).astype(dtype)
    order = ">" if dtype.startswith(">") else "<"
    tifffile.imwrite(path, array, photometric="minisblack", metadata={"axes": "CYX"}, byteorder=order)
    image = open_image(path)
    assert image.data.dtype == np.dtype(dtype).newbyteorder("=")
    assert np.array_equal(image.data, array)


@pytest.mark.parametrize("compression", ["zlib", "lzw", "lzma", "zstd", "packbits"])
@pytest.mark.parametrize("layout", ["pages", "tiles", "planes", "samples", "big-endian", "predicted"])
def test_compressed_tiffs_of_every_layout_are_read(path, compression, layout):
    array = counting(3, 60, 80)
    options = {
        "pages": {},
        "tiles": {"tile": (32, 32)},
        "planes": {"planarconfig": "separate", "rowsperstrip": 7},
        "samples": {"planarconfig": "contig"},
        "big-endian": {"byteorder": ">"},
        "predicted": {"predictor": 2},
    }[layout]
    stored = np.moveaxis(array, 0, -1) if layout == "samples" else array
    metadata = None if layout in ("planes", "samples") else {"axes": "CYX"}
    tifffile.imwrite(
        path, stored, photometric="minisblack", metadata=metadata, compression=compression, **options
    )
    assert np.array_equal(open_image(path).data, array)


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "u4", "f2", "f4", "f8"])
def test_lzw_holds_all_types(path, dtype):
    array = (counting(2, 30, 40) % 2).astype(dtype)
    tifffile.imwrite(path, array, photometric="minisblack", metadata={"axes": "CYX"}, compression="lzw")
    image = open_image(path)
    assert image.data.dtype == np.dtype(dtype)
    assert np.array_equal(image.data, array)


def test_the_value_that_means_not_measured_becomes_missing(path):
    array = counting(2, 30, 40, dtype="f4")
    array[1, 3, 4] = -9999
    tifffile.imwrite(
        path,
        array,
        photometric="minisblack",
        planarconfig="separate",
        metadata=None,
        extratags=[(42113, "s", 0, "-9999", True)],
    )
    image = open_image(path)
    assert np.argwhere(np.isnan(image.data)).tolist() == [[1, 3, 4]]
    assert "-9999" in image.assumptions[0]


def test_the_value_that_means_not_measured_is_missing_in_integers_too(path):
    array = np.random.default_rng(0).integers(0, 99, (2, 30, 40)).astype("i2")
    array[1, 3, 4] = -32768
    options = {"photometric": "minisblack", "planarconfig": "separate", "metadata": None}
    tifffile.imwrite(path, array, **options, extratags=[(42113, "s", 0, "-32768", True)])
    image = open_image(path)
    assert image.data.dtype == np.float32
    np.testing.assert_array_equal(image.data, np.where(array == -32768, np.nan, array))
    assert "-32768 are marked as not measured" in image.assumptions[0]
    for value in ("-99999", "nan", "none", "0.5"):  # no pixel can have it
        tifffile.imwrite(path, array, **options, extratags=[(42113, "s", 0, value, True)])
        assert np.array_equal(open_image(path).data, array)
        assert open_image(path).data.dtype == np.int16


def test_colours_of_8_bits_are_missing_only_where_all_of_them_are(path):
    array = np.full((30, 40, 3), 90, "u1")
    array[:5] = 0
    array[10, 10, 2] = 0  # a yellow pixel
    tifffile.imwrite(path, array, photometric="rgb", extratags=[(42113, "s", 0, "0", True)])
    image = open_image(path)
    assert image.modality == "rgb"
    assert np.isnan(image.data[:, :5]).all()
    assert np.isnan(image.data).sum() == 3 * 5 * 40
    assert {channel.unit for channel in image.channels} == {EIGHT_BITS}


def test_complex_tiffs_are_refused_with_what_to_do(path):
    tifffile.imwrite(path, np.zeros((30, 40), np.complex64))
    with pytest.raises(ImageError, match=r"field 7\.tif holds complex numbers.*magnitude and phase"):
        open_image(path)


def test_npy_says_nothing_about_its_channels(tmp_path):
    path = tmp_path / "cube.npy"
    array = counting(5, 100, 120)
    np.save(path, array)
    with pytest.raises(AmbiguousAxesError, match=r"cube\.npy does not say") as caught:
        open_image(path)
    assert caught.value.candidates == (0, 2, 1)
    assert np.array_equal(open_image(path, channel_axis=0).data, array)
    np.save(path, array[0])
    assert np.array_equal(open_image(path).data[0], array[0])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["?", ">i2", "<u4", "f2", ">f8"])
def test_npy_of_any_order_and_type_is_read(tmp_path, order, dtype):
    array = np.asarray(counting(7, 9) % 2, dtype, order=order)
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(open_image(tmp_path / "a.npy").data[0], array)


def test_the_arrays_of_an_npz_are_its_channels_by_name(tmp_path):
    path = tmp_path / "scene.npz"
    planes = {
        "red": counting(30, 40),
        "green": counting(30, 40) + 1,
        "blue": counting(30, 40) + 2,
        "depth": counting(30, 40),
    }
    for save in (np.savez, np.savez_compressed):
        save(path, **planes)
        image = open_image(path)
        assert [channel.name for channel in image.channels] == list(planes)
        assert image.modality == "rgb+x"
        assert np.array_equal(image.data[1], planes["green"])


def test_a_single_array_in_an_npz_is_taken_like_an_npy(tmp_path):
    path = tmp_path / "scene.npz"
    np.savez(path, cube=counting(4, 30, 40))
    with pytest.raises(AmbiguousAxesError):
        open_image(path)
    assert open_image(path, channel_axis=0).n_channels == 4


def test_arrays_beside_the_image_in_an_npz_describe_its_channels(tmp_path):
    path = tmp_path / "scene.npz"
    np.savez(path, cube=counting(4, 30, 40), wavelengths=[450, 550, 650, 850], mask=counting(30, 40))
    image = open_image(path)
    assert image.shape == (30, 40)
    assert [channel.wavelength_nm for channel in image.channels] == [450, 550, 650, 850]
    assert "cube (4, 30, 40), mask (30, 40)" in " ".join(image.assumptions)
    assert np.array_equal(open_image(path, part="mask").data[0], counting(30, 40))
    with pytest.raises(ImageError, match=r"no array 'dark'.*cube \(4, 30, 40\), mask \(30, 40\)"):
        open_image(path, part="dark")


def picture(tmp_path, mode, suffix=".png", **options):
    rng = np.random.default_rng(0)
    shape = (30, 40) if mode in ("L", "P", "1", "I;16") else (30, 40, len(Image.new(mode, (1, 1)).getbands()))
    array = rng.integers(0, 60000 if mode == "I;16" else 255, shape).astype("u2" if mode == "I;16" else "u1")
    made = Image.new("1", (40, 30)) if mode == "1" else Image.fromarray(array)
    if mode == "P":
        made = Image.new("P", (40, 30))
        made.putdata((array % 4).ravel().tolist())
        made.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 9, 8, 7])
    if mode in ("LA", "CMYK"):
        made = Image.merge(mode, [Image.fromarray(plane) for plane in np.moveaxis(array, -1, 0)])
    path = tmp_path / f"picture{suffix}"
    made.save(path, **options)
    return path, array


@pytest.mark.parametrize(
    ("mode", "suffix", "channels", "modality", "said"),
    [
        ("L", ".png", 1, "generic", ""),
        ("L", ".jpg", 1, "generic", ""),
        ("1", ".png", 1, "generic", ""),
        ("I;16", ".png", 1, "generic", ""),
        ("LA", ".png", 1, "generic", "opacity"),
        ("RGB", ".png", 3, "rgb", ""),
        ("RGB", ".jpeg", 3, "rgb", ""),
        ("RGBA", ".png", 3, "rgb", "opacity"),
        ("P", ".png", 3, "rgb", "palette"),
        ("CMYK", ".jpg", 3, "rgb", "inks"),
    ],
)
def test_pictures_of_every_mode_open(tmp_path, mode, suffix, channels, modality, said):
    path, array = picture(tmp_path, mode, suffix)
    image = open_image(path)
    assert (image.n_channels, image.shape, image.modality) == (channels, (30, 40), modality)
    assert said in " ".join(image.assumptions)
    assert bool(image.assumptions) == bool(said)
    if mode in ("L", "I;16", "RGB", "RGBA") and suffix == ".png":
        planes = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)[:channels]
        assert np.array_equal(image.data, planes)
        assert image.data.dtype == planes.dtype


def test_opacity_of_a_png_is_kept_if_the_user_names_the_axis(tmp_path):
    path, array = picture(tmp_path, "RGBA")
    image = open_image(path, channel_axis=2)
    assert np.array_equal(image.data, np.moveaxis(array, -1, 0))
    assert image.assumptions == ()


@pytest.mark.parametrize("samples", [2, 3, 4])
def test_all_16_bits_of_a_colour_png_are_kept(tmp_path, samples):
    import imagecodecs

    array = np.random.default_rng(0).integers(0, 65535, (30, 40, samples)).astype(np.uint16)
    path = tmp_path / "deep.png"
    path.write_bytes(imagecodecs.png_encode(array))
    image = open_image(path)
    kept = 1 if samples == 2 else 3
    assert image.data.dtype == np.uint16
    assert np.array_equal(image.data, np.moveaxis(array, -1, 0)[:kept])


def test_a_file_is_told_by_its_content_not_by_its_name(tmp_path):
    path, array = picture(tmp_path, "L")
    renamed = path.rename(tmp_path / "picture.tif")
    assert np.array_equal(open_image(renamed).data[0], array)


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4"])
def test_labels_are_whole_numbers_whatever_their_type(tmp_path, dtype):
    labels = np.zeros((30, 40), dtype)
    labels[3:9, 4:8] = 7
    np.save(tmp_path / "l.npy", labels)
    tifffile.imwrite(tmp_path / "l.tif", labels)
    for name in ("l.npy", "l.tif"):
        opened = open_labels(tmp_path / name)
        assert opened.dtype == np.int32
        assert np.array_equal(opened, labels)


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_labels_in_pngs_are_their_numbers(tmp_path, mode):
    path, array = picture(tmp_path, mode)
    assert np.array_equal(open_labels(path), array % 4 if mode == "P" else array)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((4, 4), 0.5), "fractional"),
        (np.full((4, 4), np.nan), "fractional or missing"),
        (np.full((4, 4), -1), "from -1 to -1"),
        (np.full((4, 4), 2**31), "renumber"),
        (np.zeros((4, 4, 3), np.uint8), r"shape \(4, 4, 3\)"),
        (np.zeros((2, 4, 4)), r"shape \(2, 4, 4\)"),
        (np.zeros((4, 4), complex), "complex"),
    ],
)
def test_arrays_that_are_no_labels_are_refused(tmp_path, array, words):
    np.save(tmp_path / "labels.npy", array)
    with pytest.raises(ImageError, match=rf"labels\.npy.*{words}"):
        open_labels(tmp_path / "labels.npy")
